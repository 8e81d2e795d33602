#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "aegis/base/file.h"
#include "aegis/policy/parse.h"

namespace aegis::policy {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class ReadSourcesTest : public ::testing::Test {
 protected:
  void SetUp() override {
    root_ = ::testing::TempDir() + "read_sources_" +
            ::testing::UnitTest::GetInstance()->current_test_info()->name();
    std::filesystem::remove_all(root_);
    for (const std::string name :
         {"b.yaml", "b_test.yaml", "a.json", "teams/c.yml", "teams/c_test.json", "teams/notes.txt",
          ".git/d.yaml", ".hidden.yaml"}) {
      const std::string path = root_ + "/" + name;
      std::filesystem::create_directories(std::filesystem::path(path).parent_path());
      ASSERT_TRUE(WriteFileAtomic(path, name));
    }
  }
  void TearDown() override { std::filesystem::remove_all(root_); }

  // Contents, which are the names.
  std::vector<std::string> Read(std::vector<std::string> names, FileKind kind,
                                const SourceLimits& limits = {}) {
    for (std::string& name : names) name = name.empty() ? root_ : root_ + "/" + name;
    diagnostics_ = {};
    std::vector<std::string> texts;
    for (const SourceFile& file : ReadSources(names, kind, diagnostics_, limits)) {
      EXPECT_TRUE(file.name.starts_with(root_));
      texts.push_back(file.text);
    }
    return texts;
  }

  std::string root_;
  Diagnostics diagnostics_;
};

TEST_F(ReadSourcesTest, Folders) {
  EXPECT_THAT(Read({""}, FileKind::kPolicies), ElementsAre("a.json", "b.yaml", "teams/c.yml"));
  EXPECT_THAT(Read({""}, FileKind::kTests), ElementsAre("b_test.yaml", "teams/c_test.json"));
  EXPECT_THAT(Read({"teams", ""}, FileKind::kPolicies),
              ElementsAre("teams/c.yml", "a.json", "b.yaml"));
  EXPECT_EQ(diagnostics_.ToString(), "");
}

TEST_F(ReadSourcesTest, Files) {
  const std::vector<std::string> both = {"b.yaml", "b_test.yaml", "b.yaml"};
  EXPECT_THAT(Read(both, FileKind::kPolicies), ElementsAre("b.yaml"));
  EXPECT_THAT(Read(both, FileKind::kTests), ElementsAre("b_test.yaml"));
  EXPECT_THAT(Read({"teams/c.yml"}, FileKind::kTests), ElementsAre("teams/c_test.json"));
  EXPECT_THAT(Read({"a.json"}, FileKind::kTests), IsEmpty());
  EXPECT_THAT(Read({"teams/notes.txt"}, FileKind::kPolicies), ElementsAre("teams/notes.txt"));
  EXPECT_EQ(diagnostics_.ToString(), "");
}

TEST_F(ReadSourcesTest, ListedRegoComesAlong) {
  const auto write = [&](const std::string& name, const std::string& text) {
    std::filesystem::create_directories(std::filesystem::path(root_ + "/" + name).parent_path());
    ASSERT_TRUE(WriteFileAtomic(root_ + "/" + name, text));
  };
  const std::string document = "agent: a\nallowed_tools: []\nrego: [rules/one.rego, two.rego]\n";
  write("b.yaml", document);
  write("rules/one.rego", "one");
  write("two.rego", "two");
  write("rules/three.rego", "not listed");
  EXPECT_THAT(Read({"b.yaml"}, FileKind::kPolicies), ElementsAre(document, "one", "two"));
  // Named by itself too: once.
  EXPECT_THAT(Read({"two.rego", "b.yaml"}, FileKind::kPolicies),
              ElementsAre("two", document, "one"));
  // From the document's folder, not from the caller's.
  write("teams/c.yml", "agent: b\nallowed_tools: []\nrego: [two.rego]\n");
  EXPECT_EQ(Read({"teams/c.yml"}, FileKind::kPolicies).size(), 1u);
  EXPECT_EQ(diagnostics_.ToString(), "");
  ParseResult result = LoadSources(std::vector<std::string>{root_ + "/teams/c.yml"});
  EXPECT_EQ(result.diagnostics.ToString(),
            root_ +
                "/teams/c.yml:3:8: the file 'two.rego' is missing; it is looked for from this "
                "file's folder\n");
  write("teams/two.rego", std::string((1 << 20) + 1, ' '));
  EXPECT_EQ(Read({"teams/c.yml"}, FileKind::kPolicies).size(), 1u);
  EXPECT_THAT(diagnostics_.ToString(), HasSubstr("teams/c.yml:3:8: "));
}

TEST_F(ReadSourcesTest, WhatCannotBeRead) {
  EXPECT_THAT(Read({"nothing.yaml"}, FileKind::kPolicies), IsEmpty());
  EXPECT_THAT(diagnostics_.ToString(), HasSubstr("nothing.yaml"));
  EXPECT_THAT(Read({".git/d.yaml", "teams"}, FileKind::kPolicies, {.max_files = 1}),
              ElementsAre(".git/d.yaml"));
  EXPECT_THAT(diagnostics_.ToString(), HasSubstr("more than 1 files"));
  std::filesystem::create_directories(root_ + "/empty");
  EXPECT_THAT(Read({"empty"}, FileKind::kPolicies), IsEmpty());
  EXPECT_THAT(diagnostics_.ToString(),
              HasSubstr("the folder has no policies (*.yaml, *.yml, *.json)"));
  const ParseResult result = LoadSources(std::vector<std::string>{root_ + "/empty"});
  EXPECT_FALSE(result.policies);
  EXPECT_THAT(Read({"b_test.yaml"}, FileKind::kPolicies), IsEmpty());
  EXPECT_THAT(diagnostics_.ToString(), HasSubstr("there are only tests, and no policy"));
}

}  // namespace
}  // namespace aegis::policy
