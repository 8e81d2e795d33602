#include "aegis/control/strict_json.h"

#include <gtest/gtest.h>

#include "aegis/control/validation.h"

namespace aegis::control {
namespace {

using nlohmann::json;

TEST(ParseObjectTest, Table) {
  const std::string deep(100'000, '[');
  const struct {
    std::string text;
    std::string reason;  // empty: accepted
  } cases[] = {
      {"{}", ""},
      {R"( {"a": {"b": [1, {"a": 2}]}, "b": {"b": 1}} )", ""},
      {"", "json_malformed"},
      {"null", "json_malformed"},
      {"[]", "json_malformed"},
      {"\"text\"", "json_malformed"},
      {"{", "json_malformed"},
      {"{} {}", "json_malformed"},
      {"{\"a\": 1,}", "json_malformed"},
      {"{'a': 1}", "json_malformed"},
      {"{\"a\": NaN}", "json_malformed"},
      {"// comment\n{}", "json_malformed"},
      {"{\"a\": \"\xff\"}", "json_malformed"},
      {"{\"a\": \"\\ud800\"}", "json_malformed"},
      {R"({"a": 1, "a": 1})", "json_duplicate_key"},
      {R"({"a": 1, "\u0061": 2})", "json_duplicate_key"},
      {R"({"x": [{"a": {"b": 1, "b": 1}}]})", "json_duplicate_key"},
      {R"({"a":)" + std::string(15, '[') + std::string(15, ']') + "}", ""},
      {R"({"a":)" + std::string(16, '[') + std::string(16, ']') + "}", "json_too_deep"},
      {R"({"a":)" + deep, "json_too_deep"},
      {deep, "json_too_deep"},
  };
  for (const auto& [text, reason] : cases) {
    const auto parsed = ParseObject(text);
    EXPECT_EQ(parsed ? "" : parsed.error().reason, reason) << text.substr(0, 60);
  }
}

TEST(ObjectReaderTest, CollectsAllMistakes) {
  const json object = json::parse(
      R"({"text": 1, "number": 1.5, "big": 18446744073709551615, "flag": "yes", "list": {}, "nmae": 0})");
  std::vector<FieldError> errors;
  ObjectReader reader(object, "/x", errors);
  EXPECT_FALSE(reader.Text("text"));
  EXPECT_FALSE(reader.Text("name"));
  EXPECT_FALSE(reader.OptionalInt("number", 0, 10));
  EXPECT_FALSE(reader.OptionalInt("big", 0, INT64_MAX));
  EXPECT_FALSE(reader.OptionalBool("flag"));
  EXPECT_FALSE(reader.OptionalArray("list", 10));
  EXPECT_FALSE(reader.OptionalText("absent"));
  reader.Finish();
  ASSERT_EQ(errors.size(), 7u);
  EXPECT_EQ(errors[0].pointer, "/x/text");
  EXPECT_EQ(errors[1].detail, "is required");
  EXPECT_EQ(errors[6].pointer, "/x/nmae");
  EXPECT_NE(errors[6].detail.find("did you mean 'name'"), std::string::npos);
}

TEST(ValidationTest, EntityNames) {
  for (const std::string& good :
       std::vector<std::string>{"a", "finance-agent", "A.b_C-9", "0", std::string(128, 'a')}) {
    EXPECT_EQ(CheckEntityName(good), "") << good;
  }
  for (const std::string& bad : std::vector<std::string>{
           "", ".", "..", "-a", "a b", "a/b", "a*", "ä", "a\n", "a%2F", std::string(129, 'a')}) {
    EXPECT_NE(CheckEntityName(bad), "") << bad;
  }
}

TEST(ValidationTest, MessagesSourcesAndIds) {
  EXPECT_EQ(CheckMessage("first\n\tsecond \xE2\x82\xAC"), "");
  EXPECT_NE(CheckMessage("a\x1b[31m"), "");
  EXPECT_NE(CheckMessage(std::string(5000, 'a')), "");
  for (const char* good : {"a.yaml", "teams/finance.yaml", "with space.yaml"}) {
    EXPECT_EQ(CheckSourceName(good), "") << good;
  }
  for (const char* bad : {"", "/a", "a/", "a//b", "../a", "a/../b", "./a", "a\\b", "a\nb"}) {
    EXPECT_NE(CheckSourceName(bad), "") << bad;
  }
  EXPECT_EQ(CheckTokenId("0197c0c2-7d3a-7b2c-9c3e-8d1f2a3b4c5d"), "");
  for (const char* bad : {"", "a b", "a\n", "\xC3\xA4"}) EXPECT_NE(CheckTokenId(bad), "") << bad;
  EXPECT_EQ(CheckUserId("alice@example.com"), "");
  for (const char* bad : {"", " a", "a\n", "\xff"}) EXPECT_NE(CheckUserId(bad), "") << bad;
}

TEST(ValidationTest, ChainsAndLabels) {
  std::vector<FieldError> errors;
  const auto chain =
      ReadChain(json::parse(R"([{"type":"user","id":"alice"},{"type":"agent","id":"planner"}])"),
                "/chain", errors);
  EXPECT_TRUE(errors.empty());
  ASSERT_EQ(chain.size(), 2u);
  EXPECT_EQ(chain[1].id, "planner");
  ReadChain(
      json::parse(R"(["x",{"type":"robot","id":"a"},{"type":"agent","id":"a b"},{"type":"user"},
                           {"type":"user","id":"a","extra":1}])"),
      "/chain", errors);
  ASSERT_EQ(errors.size(), 5u);
  EXPECT_EQ(errors[0].pointer, "/chain/0");
  EXPECT_EQ(errors[1].pointer, "/chain/1/type");
  EXPECT_EQ(errors[2].pointer, "/chain/2/id");
  EXPECT_EQ(errors[3].pointer, "/chain/3/id");
  EXPECT_EQ(errors[4].pointer, "/chain/4/extra");
  errors.clear();
  const auto labels =
      ReadLabels(json::parse(R"({"team":"x","bad key":"x","n":1})"), "/labels", errors);
  EXPECT_EQ(labels.size(), 1u);
  EXPECT_EQ(errors.size(), 2u);
}

}  // namespace
}  // namespace aegis::control
