#include "aegis/policy/number.h"

#include <gtest/gtest.h>

#include <string>

#include "aegis/policy/node.h"

namespace aegis::policy {
namespace {

TEST(NumberTest, Compare) {
  struct Case {
    std::string a, b;
    int order;
  };
  for (const Case& c : std::initializer_list<Case>{
           {"1", "1.0", 0},
           {"1", "10e-1", 0},
           {"0", "-0.0e5", 0},
           {"100", "1e2", 0},
           {"0.1", "1E-1", 0},
           {"12e+1", "120", 0},
           {"1", "2", -1},
           {"9", "10", -1},
           {"-9", "-10", 1},
           {"-1", "1", -1},
           {"0", "1e-300", -1},
           {"0", "-1e-300", 1},
           {"9007199254740993", "9007199254740992", 1},
           {"123456789012345678901234567890.1", "123456789012345678901234567890", 1},
           {"1e300", "9e299", 1},
           {"0.001", "0.0009", 1},
       }) {
    EXPECT_EQ(CompareNumbers(c.a, c.b), c.order) << c.a << " " << c.b;
    EXPECT_EQ(CompareNumbers(c.b, c.a), -c.order) << c.b << " " << c.a;
  }
}

TEST(NumberTest, CoreSchema) {
  struct Case {
    std::string text;
    Node::Kind kind;
    std::string json;
  };
  using enum Node::Kind;
  for (const Case& c : std::initializer_list<Case>{
           {"0", kNumber, "0"},           {"-0", kNumber, "0"},
           {"+12", kNumber, "12"},        {"007", kNumber, "7"},
           {"-007.50", kNumber, "-7.50"}, {"1.", kNumber, "1"},
           {".5", kNumber, "0.5"},        {"-.5e+3", kNumber, "-0.5e+3"},
           {"1e3", kNumber, "1e3"},       {"0x1f", kNumber, "31"},
           {"0o17", kNumber, "15"},       {"0xFFFFFFFFFFFFFFFF", kNumber, "18446744073709551615"},
           {".", kString, "."},           {"-", kString, "-"},
           {"1e", kString, "1e"},         {"1_000", kString, "1_000"},
           {"0b1", kString, "0b1"},       {"0o8", kString, "0o8"},
           {"0X1F", kString, "0X1F"},     {"+0x1F", kString, "+0x1F"},
           {"1.2.3", kString, "1.2.3"},   {"12:30", kString, "12:30"},
           {"yes", kString, "yes"},       {"y", kString, "y"},
           {"tRue", kString, "tRue"},     {"True", kBool, "true"},
           {"FALSE", kBool, "false"},     {"~", kNull, "~"},
           {"Null", kNull, "Null"},       {"nUll", kString, "nUll"},
           {"inf", kString, "inf"},
       }) {
    const PlainScalar scalar = ResolvePlainScalar(c.text);
    EXPECT_EQ(scalar.kind, c.kind) << c.text;
    EXPECT_EQ(scalar.text, c.json) << c.text;
    EXPECT_EQ(scalar.problem, "") << c.text;
  }
  for (const std::string text : {".inf", "-.Inf", ".NaN", "1e1001", "1e-1001",
                                 "0x10000000000000000", "1e99999999999999999999"}) {
    EXPECT_NE(ResolvePlainScalar(text).problem, "") << text;
  }
}

}  // namespace
}  // namespace aegis::policy
