#include "aegis/policy/test_runner.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "aegis/base/file.h"
#include "aegis/policy/custom_rego.h"
#include "aegis/policy/test_file.h"

namespace aegis::policy {
namespace {

using ::testing::HasSubstr;

PolicySet Policies() {
  ParseResult result = ParseDocument(R"(
agent: finance-agent
allowed_tools:
  - name: stripe-payments
    actions: [create_payment]
    conditions: {max_amount: 5000, currency: {in: [usd, eur]}}
    callers: ["user:*", {agent: planner-agent, conditions: {max_amount: 500}}]
  - name: crm
    actions: ["read_*"]
    schedule: {days: mon-fri, hours: "08:00-18:00", timezone: Europe/Berlin}
denied_tools: [{name: "*", actions: ["delete_*"]}]
---
match: {labels: {team: ops}}
mode: shadow
allowed_tools: [{name: shell, actions: [ls]}]
)",
                                     "finance.yaml");
  EXPECT_TRUE(result.policies) << result.diagnostics.ToString();
  return *std::move(result.policies);
}

TestReport RunText(std::string_view text) {
  const SourceFile file{"finance_test.yaml", std::string(text)};
  Result<TestReport> report = RunTests(Policies(), std::span(&file, 1));
  EXPECT_TRUE(report) << report.error().ToString();
  return report ? *std::move(report) : TestReport{};
}

TEST(TestRunnerTest, Passing) {
  const TestReport report = RunText(R"(
tests:
  - name: small payment
    call: {agent: finance-agent, tool: stripe-payments, action: create_payment,
           params: {amount: 4200, currency: usd}, chain: ["user:alice"]}
    expect: {outcome: allow, reason: allowed, mode: enforce,
             rule: finance-agent/stripe-payments/create_payment}
  - name: large payment
    call: {agent: finance-agent, tool: stripe-payments, action: create_payment,
           params: {amount: 9000, currency: usd}}
    expect: {outcome: deny, reason: condition_failed, message: amount 9000 exceeds max_amount 5000}
  - name: the planner is held tighter
    call: {agent: finance-agent, tool: stripe-payments, action: create_payment,
           params: {amount: 501, currency: usd}, chain: ["user:alice", "agent:planner-agent"]}
    expect: {outcome: deny, reason: caller_not_permitted}
  - name: in office hours
    call: {agent: finance-agent, tool: crm, action: read_all, time: "2026-11-24T07:00:00Z"}
    expect: {outcome: allow}
  - name: before office hours
    call: {agent: finance-agent, tool: crm, action: read_all, time: "2026-11-24T06:59:59.999Z"}
    expect: {outcome: deny, reason: outside_schedule}
  - name: nothing is deleted
    call: {agent: finance-agent, tool: crm, action: delete_all}
    expect: {outcome: deny, reason: denied_tool}
  - name: unknown action
    call: {agent: finance-agent, tool: crm, action: write}
    expect: {outcome: deny, reason: action_not_allowed}
  - name: unknown tool
    call: {agent: finance-agent, tool: mail, action: send}
    expect: {outcome: deny, reason: no_grant}
  - name: by label, in shadow
    call: {agent: someone, labels: {team: ops}, tool: shell, action: rm}
    expect: {outcome: deny, reason: action_not_allowed, mode: shadow}
  - name: without the label
    call: {agent: someone, tool: shell, action: ls}
    expect: {outcome: deny, reason: no_grant, mode: enforce}
)");
  EXPECT_EQ(report.ToString(), "10 passed, 0 failed\n");
  EXPECT_TRUE(report.ok());
}

TEST(TestRunnerTest, FailuresSayWhereAndWhatDiffers) {
  const TestReport report = RunText(R"(tests:
  - name: large payment
    call: {agent: finance-agent, tool: stripe-payments, action: create_payment,
           params: {amount: 9000, currency: usd}}
    expect: {outcome: allow, reason: allowed}
  - name: fine
    call: {agent: x, tool: x, action: x}
    expect: {outcome: deny}
)");
  EXPECT_FALSE(report.ok());
  EXPECT_EQ(
      report.ToString(),
      "finance_test.yaml:2:5: large payment: outcome: expected allow, got deny; reason: expected "
      "allowed, got condition_failed (amount 9000 exceeds max_amount 5000)\n"
      "1 passed, 1 failed\n");
  const auto json = nlohmann::json::parse(report.ToJson());
  EXPECT_EQ(json["failed"], 1);
  EXPECT_EQ(json["tests"][0]["line"], 2);
  EXPECT_EQ(json["tests"][0]["mismatches"][1]["actual"], "condition_failed");
  EXPECT_EQ(json["tests"][1]["passed"], true);
}

TEST(TestRunnerTest, MistakesInTestFiles) {
  const TestReport report = RunText(R"(tests:
  - name: a
    call: {agent: finance-agent, tool: crm, action: read, chain: [alice], time: noon, param: {}}
    expect: {outcome: denied, reason: condition_fail}
  - name: b
    expect: {}
)");
  EXPECT_EQ(
      report.ToString(),
      "finance_test.yaml:3:67: an item of 'chain' 'alice' must be user:NAME or agent:NAME, for "
      "example 'user:alice'\n"
      "finance_test.yaml:3:81: 'time' 'noon' is not a time such as '2026-11-24T09:30:00Z' (RFC "
      "3339)\n"
      "finance_test.yaml:3:87: unknown key 'param' in 'call'; did you mean 'params'?\n"
      "finance_test.yaml:4:23: 'outcome' must be 'allow', 'deny', 'sanitize', 'approval_needed' or "
      "'defer', found the text 'denied'\n"
      "finance_test.yaml:4:39: 'reason' must be 'allowed', 'no_policy', 'no_grant', "
      "'action_not_allowed', 'condition_failed', 'caller_not_permitted', 'outside_schedule', "
      "'denied_tool', 'custom_denied', 'egress_not_allowed' or 'policy_error', found the text 'condition_fail'; did you "
      "mean "
      "'condition_failed'?\n"
      "finance_test.yaml:5:5: an item of 'tests' has no 'call'; add it: a call: a map with "
      "'agent', "
      "'tool' and 'action'\n"
      "finance_test.yaml:6:13: 'expect' has no 'outcome'; add it: an outcome\n"
      "0 passed, 0 failed\n");
  EXPECT_FALSE(report.ok());
  EXPECT_THAT(RunText("").ToString(), HasSubstr("there are no tests"));
}

TEST(TestRunnerTest, Input) {
  const SourceFile file{"t.yaml", R"(tests:
  - name: n
    call: {agent: a, tool: t, action: x, params: {big: 123456789012345678901234567890.10},
           chain: ["user:alice", "agent:b:c"], labels: {k: v}, time: "2026-11-24T10:00:00+01:00"}
    expect: {outcome: deny}
)"};
  Diagnostics diagnostics;
  const std::vector<PolicyTest> tests = ReadTests(std::span(&file, 1), diagnostics);
  ASSERT_EQ(tests.size(), 1U) << diagnostics.ToString();
  EXPECT_EQ(
      tests[0].input_json,
      R"({"org":"","tenant":"","door":"cli","agent":{"id":"a","labels":{"k":"v"}},"tool":"t",)"
      R"("action":"x","params":{"big":123456789012345678901234567890.10},)"
      R"("chain":[{"type":"user","id":"alice"},{"type":"agent","id":"b:c"}],)"
      R"("time":{"unix_ns":1795510800000000000}})");
}

// What docs/policy-dialect.md shows works as written: its policies parse, and its tests pass
// against the one that they speak of.
TEST(TestRunnerTest, TheExamplesOfTheDocumentation) {
  const Result<std::string> page =
      ReadFile(std::string(AEGIS_SOURCE_DIR) + "/docs/policy-dialect.md");
  ASSERT_TRUE(page);
  std::vector<SourceFile> policies;
  std::vector<SourceFile> tests;
  std::vector<SourceFile> modules;
  for (size_t at = 0; (at = page->find("```", at)) != std::string::npos;) {
    const size_t line = page->find('\n', at) + 1;
    const size_t end = page->find("```", line);
    ASSERT_NE(end, std::string::npos);
    const std::string language = page->substr(at + 3, line - at - 4);
    const std::string text = page->substr(line, end - line);
    at = end + 3;
    if (language == "rego") {
      modules.push_back({"payments_extra.rego", text});
    } else if (language == "yaml") {
      std::vector<SourceFile>& files = text.starts_with("# tests") ? tests : policies;
      files.push_back({"example" + std::to_string(files.size()) + ".yaml", text});
    }
  }
  ASSERT_GE(policies.size(), 4U);
  ASSERT_EQ(tests.size(), 2U);
  ASSERT_EQ(modules.size(), 1U);
  const auto run = [](std::vector<SourceFile> sources, const SourceFile& file) {
    ParseResult parsed = ParseSources(sources);
    PlanCustomRego(parsed, [] { return rego::CompilerTool(AEGIS_REGOC); });
    EXPECT_EQ(parsed.diagnostics.ToString(), "");
    const Result<TestReport> report = RunTests(*parsed.policies, std::span(&file, 1));
    return report ? report->ToString() : report.error().ToString();
  };
  EXPECT_EQ(run({policies.back(), modules[0]}, tests[0]), "3 passed, 0 failed\n");
  EXPECT_EQ(run({policies.front()}, tests[1]), "2 passed, 0 failed\n");
  policies.push_back(modules[0]);
  EXPECT_EQ(ParseSources(policies).diagnostics.ToString(), "");
}

}  // namespace
}  // namespace aegis::policy
