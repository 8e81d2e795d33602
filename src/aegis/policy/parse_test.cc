#include "aegis/policy/parse.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>

#include "aegis/base/file.h"

namespace aegis::policy {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string TestData(std::string_view folder) {
  return std::string(AEGIS_SOURCE_DIR) + "/src/aegis/policy/testdata/" + std::string(folder);
}

std::vector<std::string> FilesOf(std::string_view folder) {
  std::vector<std::string> paths;
  for (const auto& entry : std::filesystem::directory_iterator(TestData(folder))) {
    if (entry.path().extension() != ".expected") paths.push_back(entry.path().string());
  }
  std::sort(paths.begin(), paths.end());
  return paths;
}

std::string NameOf(const std::string& path) {
  return std::filesystem::path(path).filename().string();
}

// Every bad file has a file NAME.expected with the exact diagnostics. To renew them after a change
// of wording run with AEGIS_UPDATE_GOLDEN=1 and read the difference.
TEST(ParseTest, GoldenDiagnostics) {
  const bool update = std::getenv("AEGIS_UPDATE_GOLDEN") != nullptr;
  const std::vector<std::string> paths = FilesOf("bad");
  ASSERT_GE(paths.size(), 25U);
  for (const std::string& path : paths) {
    const Result<std::string> text = ReadFile(path);
    ASSERT_TRUE(text) << path;
    const ParseResult result = ParseDocument(*text, NameOf(path));
    EXPECT_FALSE(result.policies) << path;
    const std::string actual = result.diagnostics.ToString();
    if (update) {
      ASSERT_TRUE(WriteFileAtomic(path + ".expected", actual));
      continue;
    }
    const Result<std::string> expected = ReadFile(path + ".expected");
    ASSERT_TRUE(expected) << path;
    EXPECT_EQ(actual, *expected) << path;
  }
}

TEST(ParseTest, GoodDocumentsHaveNoDiagnostics) {
  for (const std::string& path : FilesOf("good")) {
    const ParseResult result = LoadSources(std::vector<std::string>{path});
    EXPECT_EQ(result.diagnostics.ToString(), "") << path;
    EXPECT_TRUE(result.policies) << path;
  }
}

Condition FirstCondition(std::string_view conditions) {
  const ParseResult result = ParseDocument(
      "agent: a\nallowed_tools: [{name: x, conditions: " + std::string(conditions) + "}]\n",
      "a.yaml");
  EXPECT_EQ(result.diagnostics.ToString(), "") << conditions;
  if (!result.policies) return {};
  return result.policies->documents.at(0).allowed_tools.at(0).conditions.at(0);
}

TEST(ParseTest, Conditions) {
  struct Case {
    std::string_view text, path, said, op;
  };
  for (const Case& c : std::initializer_list<Case>{
           {"{max_amount: 5000}", "amount", "max_amount 5000", "lte"},
           {"{min_a.b: 0}", "a.b", "min_a.b 0", "gte"},
           {"{allowed_c: [x, 1]}", "c", "allowed_c [\"x\",1]", "in"},
           {"{max_tokens: {lte: 5}}", "max_tokens", "lte 5", "lte"},
           {"{max_: 5}", "max_", "eq 5", "eq"},
           {"{a: usd}", "a", "eq \"usd\"", "eq"},
           {"{a: \"5\"}", "a", "eq \"5\"", "eq"},
           {"{a: 5}", "a", "eq 5", "eq"},
           {"{a: true}", "a", "eq true", "eq"},
           {"{a: \"true\"}", "a", "eq \"true\"", "eq"},
           {"{a: {eq: null}}", "a", "eq null", "eq"},
           {"{a: {eq: {b: [1, {c: ~}]}}}", "a", "eq {\"b\":[1,{\"c\":null}]}", "eq"},
           {"{a: no-such}", "a", "eq \"no-such\"", "eq"},
           {"{a: {lt: +007}}", "a", "lt 7", "lt"},
           {"{a: {lt: 0x1F}}", "a", "lt 31", "lt"},
           {"{a: {lt: 0o17}}", "a", "lt 15", "lt"},
           {"{a: {lt: .5}}", "a", "lt 0.5", "lt"},
           {"{a: {lt: 5.}}", "a", "lt 5", "lt"},
           {"{a: {lt: -0}}", "a", "lt 0", "lt"},
           {"{a: {lt: 1.50}}", "a", "lt 1.50", "lt"},
           {"{a: {lt: 1E3}}", "a", "lt 1e3", "lt"},
           {"{a: {lt: 12345678901234567890.125}}", "a", "lt 12345678901234567890.125", "lt"},
           {"{a: 08:00}", "a", "eq \"08:00\"", "eq"},
           {"{a: 2026-01-01}", "a", "eq \"2026-01-01\"", "eq"},
           {"{a: 0x}", "a", "eq \"0x\"", "eq"},
           {"{a: 1e}", "a", "eq \"1e\"", "eq"},
       }) {
    const Condition condition = FirstCondition(c.text);
    EXPECT_EQ(condition.path, c.path) << c.text;
    EXPECT_EQ(condition.Said(), c.said) << c.text;
    EXPECT_EQ(OpName(condition.op), c.op) << c.text;
  }
}

std::vector<std::string> NamesOf(const ParseResult& result) {
  std::vector<std::string> names;
  if (!result.policies) return {result.diagnostics.ToString()};
  for (const Document& document : result.policies->documents) names.push_back(document.name);
  return names;
}

TEST(ParseTest, DocumentsAreInOrderOfTheirNames) {
  std::string many;
  for (int i = 0; i < 11; ++i) many += "---\nagent: a\nallowed_tools: []\n";
  const std::vector<SourceFile> sources = {{"z/b.yaml", many},
                                           {"a/c.json", R"({"agent": "x", "allowed_tools": []})"},
                                           {"d.yml", "agent: x\nname: a\nallowed_tools: []\n"}};
  EXPECT_THAT(NamesOf(ParseSources(sources)),
              ElementsAre("a", "b", "b#2", "b#3", "b#4", "b#5", "b#6", "b#7", "b#8", "b#9", "b#10",
                          "b#11", "c"));
}

TEST(ParseTest, EqualNamesAreRefused) {
  const std::vector<SourceFile> sources = {{"z/b.yaml", "agent: x\nallowed_tools: []\n"},
                                           {"a/b.yaml", "\nagent: y\nallowed_tools: []\n"},
                                           {"c.yaml", "agent: x\nname: b\nallowed_tools: []\n"}};
  EXPECT_THAT(
      NamesOf(ParseSources(sources)),
      ElementsAre("a/b.yaml:2:1: two documents are named 'b', the other is z/b.yaml:1; give "
                  "one of them another 'name:'\n"
                  "c.yaml:1:1: two documents are named 'b', the other is z/b.yaml:1; give "
                  "one of them another 'name:'\n"));
}

TEST(ParseTest, MistakesOfAllFilesComeAtOnce) {
  const std::vector<SourceFile> sources = {{"a.yaml", "agent: [\n"},
                                           {"b.yaml", "agent: x\nallowed_tool: []\n"},
                                           {"c.yaml", "agent: y\nallowed_tools: []\n"}};
  const ParseResult result = ParseSources(sources);
  EXPECT_FALSE(result.policies);
  EXPECT_EQ(result.diagnostics.error_count(), 2U);
  EXPECT_THAT(result.diagnostics.ToString(), HasSubstr("b.yaml:2:1: unknown key 'allowed_tool'"));
}

TEST(ParseTest, NoSourceIsAnEmptySet) {
  const ParseResult result = ParseSources({});
  ASSERT_TRUE(result.policies);
  EXPECT_TRUE(result.policies->documents.empty());
}

TEST(ParseTest, Limits) {
  struct Case {
    SourceLimits limits;
    std::string text, message;
  };
  const std::string tools = "agent: a\nallowed_tools: [{name: x}]\n";
  for (const Case& c : std::initializer_list<Case>{
           {{.max_file_bytes = 10}, tools, "a.yaml: the file has more than 10 bytes; split it\n"},
           {{.max_total_bytes = 10},
            tools,
            "a.yaml: the policies have more than 10 bytes together\n"},
           {{.max_documents = 1},
            tools + "---\n" + tools + "---\n" + tools,
            "a.yaml:4:1: more than 1 policy documents; publish them in several tenants\n"},
           {{.max_depth = 1}, tools, "a.yaml:2:16: lists and maps are nested more than 1 deep\n"},
           {{.max_nodes_per_document = 3},
            tools,
            "a.yaml:2:1: the document has more than 3 values (aliases counted each time); split "
            "it\n"},
           {{.max_scalar_bytes = 5}, tools, "a.yaml:2:1: a text is longer than 5 bytes\n"},
       }) {
    EXPECT_EQ(ParseDocument(c.text, "a.yaml", c.limits).diagnostics.ToString(), c.message);
  }
}

// Each level doubles: 2^30 values if aliases were free.
TEST(ParseTest, AliasesAreCountedEachTime) {
  std::string text =
      "agent: a\nallowed_tools:\n- name: x\n  conditions:\n    p: {eq: &a0 [1, 1]}\n";
  for (int i = 1; i < 30; ++i) {
    const std::string before = std::to_string(i - 1);
    text += "    q" + std::to_string(i) + ": {eq: &a" + std::to_string(i) + " [*a" + before +
            ", *a" + before + "]}\n";
  }
  EXPECT_THAT(ParseDocument(text, "a.yaml").diagnostics.ToString(),
              HasSubstr("values (aliases counted each time)"));
}

TEST(ParseTest, ErrorsAreKeptUpToALimit) {
  std::string text = "agent: a\nallowed_tools:\n";
  for (int i = 0; i < 1500; ++i) text += "- colour: x\n";
  const ParseResult result = ParseDocument(text, "a.yaml");
  EXPECT_EQ(result.diagnostics.error_count(), 3000U);
  EXPECT_EQ(result.diagnostics.items().size(), Diagnostics::kMaxKept);
  EXPECT_THAT(result.diagnostics.ToString(), HasSubstr("... and 2000 more\n"));
}

TEST(SplitPathTest, Cases) {
  using Parts = std::vector<std::vector<std::string>>;
  EXPECT_EQ(SplitPath("a"), (Parts{{"a"}}));
  EXPECT_EQ(SplitPath("a.b"), (Parts{{"a", "b"}}));
  EXPECT_EQ(SplitPath("a[*]"), (Parts{{"a"}, {}}));
  EXPECT_EQ(SplitPath("a.b[*].c.d"), (Parts{{"a", "b"}, {"c", "d"}}));
  EXPECT_EQ(SplitPath("a[*][*].c"), (Parts{{"a"}, {}, {"c"}}));
}

}  // namespace
}  // namespace aegis::policy
