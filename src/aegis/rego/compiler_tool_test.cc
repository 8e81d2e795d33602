#include "aegis/rego/compiler_tool.h"

#include <gtest/gtest.h>

#include <cstdlib>

#include "aegis/base/file.h"
#include "aegis/rego/program.h"
#include "aegis/rego/vm.h"

namespace aegis::rego {
namespace {

// A program in the compiler's place.
CompilerTool Fake(const std::string& script) {
  const std::string path = testing::TempDir() + "aegis-fake-regoc";
  EXPECT_TRUE(WriteFileAtomic(path, "#!/bin/sh\n" + script + "\n", 0755));
  return CompilerTool(path);
}

Result<CompileAnswer> Ask(const CompilerTool& tool, const std::string& text) {
  const RegoModule module{"a.rego", text, ""};
  return tool.Compile({.modules = {&module, 1}, .data_json = {}, .entrypoints = {"p/answer"}});
}

TEST(CompilerToolTest, MakesPlansThatLoad) {
  const CompilerTool tool(AEGIS_REGOC);
  const Result<CompileAnswer> answer = Ask(tool, "package p\n\nanswer := input.x + 1\n");
  ASSERT_TRUE(answer) << answer.error().ToString();
  ASSERT_TRUE(answer->mistakes.empty()) << answer->mistakes[0].ToString();
  const auto program = Program::Load(answer->plan_json);
  ASSERT_TRUE(program) << program.error().ToString();
  Vm vm;
  Arena arena;
  const auto value = vm.Eval(**program, 0, *ParseJson(R"({"x":41})", arena), 0, arena);
  ASSERT_TRUE(value);
  EXPECT_EQ(ToJson(*value), "42");
}

TEST(CompilerToolTest, MistakesHaveTheirPlaces) {
  const CompilerTool tool(AEGIS_REGOC);
  const Result<CompileAnswer> answer =
      Ask(tool, "package p\n\nanswer := http.send({\"é\": 1}).x if {\n\ttrue\n}\n");
  ASSERT_TRUE(answer) << answer.error().ToString();
  ASSERT_EQ(answer->mistakes.size(), 1u);
  EXPECT_EQ(answer->mistakes[0].code, "function_refused");
  EXPECT_EQ(answer->mistakes[0].ToString(),
            "a.rego:3:11: http.send is refused: it reaches other hosts");
}

TEST(CompilerToolTest, EveryFunctionOfTheEngineMayBeUsed) {
  // Each name is known to the compiler, or the list that it is given is of no use.
  const CompilerTool tool(AEGIS_REGOC);
  const Result<CompileAnswer> answer =
      Ask(tool,
          "package p\n\nanswer := net.cidr_contains(\"10.0.0.0/8\", input.x) if "
          "{\n\t1 in [1]\n\tprint(1)\n\tinput.y >= 2 - 1\n\tglob.match(\"*\", [], \"a\")\n}\n");
  ASSERT_TRUE(answer) << answer.error().ToString();
  EXPECT_TRUE(answer->mistakes.empty()) << answer->mistakes[0].ToString();
}

TEST(CompilerToolTest, WhatBreaksIsAnError) {
  struct Case {
    const char *script, *reason, *message;
  };
  for (const Case& c : {Case{"exit 0", "regoc_failed", "it gave no plan"},
                        Case{"exit 3", "regoc_failed", "its answer is not one"},
                        Case{"echo '{\"errors\":[]}'; exit 3", "regoc_failed", "its answer is not"},
                        Case{"echo 'regoc: no' >&2; exit 1", "regoc_failed", "exit code 1, no"},
                        Case{"kill -9 $$", "regoc_failed", "exit code 137"}}) {
    const Error error = Ask(Fake(c.script), "package p").error();
    EXPECT_EQ(error.reason, c.reason) << c.script;
    EXPECT_NE(error.message.find(c.message), std::string::npos) << error.message;
  }
  const Error missing = Ask(CompilerTool("/no/such/regoc"), "package p").error();
  EXPECT_EQ(missing.reason, "regoc_missing");
  EXPECT_NE(missing.message.find("AEGIS_REGOC"), std::string::npos);
}

TEST(CompilerToolTest, TooMuchIsRefusedBeforeItRuns) {
  const CompilerTool tool = Fake("exit 1");
  EXPECT_EQ(Ask(tool, std::string(size_t{17} << 20, ' ')).error().reason, "rego_too_large");
  EXPECT_EQ(Ask(tool, "package p # \xff").error().reason, "module_malformed");
}

TEST(CompilerToolTest, IsFound) {
  ::setenv("AEGIS_REGOC", AEGIS_REGOC, 1);
  const auto named = CompilerTool::Find();
  ::setenv("AEGIS_REGOC", "/etc/passwd", 1);
  const auto wrong = CompilerTool::Find();
  ::unsetenv("AEGIS_REGOC");
  ASSERT_TRUE(named);
  EXPECT_EQ(named->path(), AEGIS_REGOC);
  ASSERT_FALSE(wrong);
  EXPECT_NE(wrong.error().message.find("/etc/passwd, is not a program"), std::string::npos);
}

TEST(CompilerToolTest, PlansBundles) {
  const CompilerTool tool(AEGIS_REGOC);
  Bundle bundle;
  bundle.data_json = R"({"limit":5})";
  bundle.modules = {{"p/p.rego", "package p\n\nanswer if input.x < data.limit\n"}};
  EXPECT_TRUE(PlanBundle(bundle, {"p/answer"}, tool));
  const Error none = PlanBundle(bundle, {"p/question"}, tool).error();
  EXPECT_EQ(none.reason, "rego_invalid");
  EXPECT_NE(none.message.find("p/question"), std::string::npos) << none.message;
  bundle.data_json = R"({"p":{"answer":5}})";
  EXPECT_EQ(PlanBundle(bundle, {"p/answer"}, tool).error().reason, "rego_invalid");
  bundle.data_json = "{}";
  bundle.manifest.rego_version = 0;
  EXPECT_EQ(PlanBundle(bundle, {"p/answer"}, tool).error().reason, "rego_invalid");
  bundle.modules[0].content = "package p\n\nanswer { input.x < 5 }\n";
  EXPECT_TRUE(PlanBundle(bundle, {"p/answer"}, tool));
}

}  // namespace
}  // namespace aegis::rego
