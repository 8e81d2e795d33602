#include "aegis/gateway/envoy/json_redactor.h"

#include <gtest/gtest.h>

#include <string>

namespace aegis::gateway {
namespace {

using Verdict = ContentFilter::Verdict;

std::string Redact(const std::vector<std::string>& names, std::string_view json,
                   size_t max_bytes = 1 << 20) {
  JsonRedactor redactor({.request = names, .response = {}}, max_bytes);
  std::string out;
  switch (redactor.Inspect(Direction::kRequest, json, &out)) {
    case Verdict::kPass:
      return "pass";
    case Verdict::kRefuse:
      return "refuse";
    case Verdict::kReplace:
      return out;
  }
  return "";
}

TEST(JsonRedactorTest, Table) {
  const struct {
    std::vector<std::string> names;
    const char* json;
    const char* out;
  } cases[] = {
      {{"pan"}, R"({"a": 1, "panel": 2})", "pass"},
      {{"pan"}, R"({"pan": 1})", R"({"pan":"[redacted]"})"},
      {{"pan"}, R"({"a":1,"pan":"x","b":2})", R"({"a":1,"pan":"[redacted]","b":2})"},
      {{"pan"}, R"({"PAN":1})", R"({"PAN":"[redacted]"})"},
      {{"pan"}, R"({"p\u0061n":1})", R"({"pan":"[redacted]"})"},
      {{"pan"}, R"({"pan":{"pan":[1,{"x":2}]},"b":[]})", R"({"pan":"[redacted]","b":[]})"},
      {{"pan"}, R"({"pan":[[1],{}],"b":{}})", R"({"pan":"[redacted]","b":{}})"},
      {{"pan"}, R"({"pan":[],"pan":{}})", R"({"pan":"[redacted]","pan":"[redacted]"})"},
      {{"pan"}, R"([{"pan":null},{"pan":true}])", R"([{"pan":"[redacted]"},{"pan":"[redacted]"}])"},
      {{"pan"}, R"({"a":[[{"b":{"pan":1}}]]})", R"({"a":[[{"b":{"pan":"[redacted]"}}]]})"},
      {{"c.ssn"}, R"({"ssn":1,"c":{"ssn":2}})", R"({"ssn":1,"c":{"ssn":"[redacted]"}})"},
      {{"c.ssn"}, R"({"x":{"C":[{"ssn":2}]}})", R"({"x":{"C":[{"ssn":"[redacted]"}]}})"},
      {{"c.ssn"}, R"({"c":{"d":{"ssn":2}}})", "pass"},
      {{"c.ssn"}, R"({"c":1,"ssn":2})", "pass"},
      {{"a", "b"},
       R"({"a":1,"b":2,"c":[1.50,-0,1e5,"\n\u00e9"]})",
       "{\"a\":\"[redacted]\",\"b\":\"[redacted]\",\"c\":[1.50,-0,1e5,\"\\n\u00e9\"]}"},
      {{"pan"}, "17", "pass"},
      {{"pan"}, R"("pan")", "pass"},
      {{"pan"}, "", "refuse"},
      {{"pan"}, R"({"pan":1)", "refuse"},
      {{"pan"}, R"({"pan":1}{})", "refuse"},
      {{"pan"}, "{\"a\":\"\xff\"}", "refuse"},
      {{"pan"}, R"({'pan':1})", "refuse"},
  };
  for (const auto& [names, json, out] : cases) EXPECT_EQ(Redact(names, json), out) << json;
}

TEST(JsonRedactorTest, Limits) {
  EXPECT_EQ(Redact({"pan"}, R"({"pan":1})", 8), "refuse");
  EXPECT_EQ(Redact({"pan"}, std::string(65, '[') + std::string(65, ']')), "refuse");
  EXPECT_EQ(Redact({"pan"}, std::string(64, '[') + std::string(64, ']')), "pass");
}

TEST(JsonRedactorTest, OnlyWhatAnOperatorNamed) {
  JsonRedactor redactor({.request = {}, .response = {"pan"}}, 1000);
  EXPECT_FALSE(redactor.Covers(Direction::kRequest));
  EXPECT_TRUE(redactor.Covers(Direction::kResponse));
}

}  // namespace
}  // namespace aegis::gateway
