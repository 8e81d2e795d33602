#include "aegis/json/tree.h"

#include <gtest/gtest.h>

#include <string>

namespace aegis::json {
namespace {

std::string Rewrite(std::string_view text) {
  Arena arena;
  const Result<Tree> tree = ParseTree(text, arena);
  if (!tree) return std::string(tree.error().reason);
  std::string out;
  AppendTree(out, *tree);
  return out;
}

TEST(Tree, RewritesWithSortedMembersAndNumbersAsWritten) {
  EXPECT_EQ(
      Rewrite(R"( {"b" : [1.0, 1e3, -0, 12345678901234567890], "a": {"z": null, "y": true} } )"),
      R"({"a":{"y":true,"z":null},"b":[1.0,1e3,-0,12345678901234567890]})");
  EXPECT_EQ(Rewrite("[]"), "[]");
  EXPECT_EQ(Rewrite("{}"), "{}");
  EXPECT_EQ(Rewrite("[[],{},[[\"\"]],false]"), "[[],{},[[\"\"]],false]");
  EXPECT_EQ(Rewrite("\"x\""), "\"x\"");
}

TEST(Tree, ReadsEscapes) {
  EXPECT_EQ(Rewrite(R"("\u00e9\ud83d\ude00\u20ac\/\b\f\n\r\t\"\\\u0001\u0000")"),
            "\"\u00e9\U0001F600\u20ac/\\b\\f\\n\\r\\t\\\"\\\\\\u0001\\u0000\"");
}

TEST(Tree, RefusesWhatIsNotStrictJson) {
  for (const std::string_view text :
       {"",         " ",          "{",           "[",           "[1,]",
        "[,1]",     "{\"a\":1,}", "{a:1}",       "{\"a\" 1}",   "01",
        "1.",       ".5",         "+1",          "-",           "1e",
        "1e+",      "nul",        "truee",       "\"",          "\"\\",
        "\"\\x\"",  "\"\\u12\"",  "\"\\ud800\"", "\"\\udc00\"", "\"\\ud800\\u0041\"",
        "\"a\nb\"", "1 2",        "[1]]",        "\xff",        "\"\xc0\x80\"",
        "'a'",      "NaN",        "// x\n1"}) {
    EXPECT_EQ(Rewrite(text), "json_malformed") << text;
  }
}

TEST(Tree, RefusesDuplicateKeysAlsoWhenEscaped) {
  EXPECT_EQ(Rewrite(R"({"a":1,"b":2,"a":3})"), "json_duplicate_key");
  EXPECT_EQ(Rewrite(R"({"a":1,"\u0061":3})"), "json_duplicate_key");
  EXPECT_EQ(Rewrite(R"([{"a":1},{"a":1}])"), R"([{"a":1},{"a":1}])");
}

TEST(Tree, KeepsToItsLimits) {
  Arena arena;
  EXPECT_TRUE(ParseTree("[[1]]", arena, {.max_depth = 2}));
  EXPECT_EQ(ParseTree("[[[1]]]", arena, {.max_depth = 2}).error().reason, "json_too_deep");
  EXPECT_EQ(ParseTree("[1]", arena, {.max_bytes = 2}).error().reason, "json_too_large");
  Arena small(1024, 4096);
  std::string wide = "[0";
  for (int i = 0; i < 1000; ++i) wide += ",0";
  EXPECT_EQ(ParseTree(wide + "]", small).error().reason, "json_memory");
}

TEST(Tree, TellsWhereAMistakeIs) {
  Arena arena;
  EXPECT_NE(ParseTree("{\n  \"a\": x}", arena).error().message.find("line 2, column 8"),
            std::string::npos);
}

TEST(Tree, FindsMembers) {
  Arena arena;
  const Tree tree = *ParseTree(R"({"n":-5,"s":"x","f":1.5,"big":9223372036854775808})", arena);
  EXPECT_EQ(tree.Find("n")->AsInt64(), -5);
  EXPECT_EQ(tree.Find("f")->AsInt64(), std::nullopt);
  EXPECT_EQ(tree.Find("big")->AsInt64(), std::nullopt);
  EXPECT_EQ(tree.FindString("s"), "x");
  EXPECT_EQ(tree.FindString("n"), std::nullopt);
  EXPECT_EQ(tree.Find("absent"), nullptr);
}

}  // namespace
}  // namespace aegis::json
