#include "aegis/policy/lint.h"

#include <gtest/gtest.h>

#include "aegis/policy/contradiction.h"
#include "aegis/policy/parse.h"

namespace aegis::policy {
namespace {

PolicySet Parse(std::string_view text) {
  ParseResult result = ParseDocument(text, "p.yaml");
  EXPECT_FALSE(result.diagnostics.has_errors()) << result.diagnostics.ToString() << text;
  return result.policies ? *std::move(result.policies) : PolicySet{};
}

std::string LintText(std::string_view text, const Registry* registry = nullptr) {
  std::string out;
  for (const LintFinding& finding : Lint(Parse(text), registry)) out += finding.ToString() + "\n";
  return out;
}

TEST(LintTest, Grants) {
  struct Case {
    std::string_view name, policy, findings;
  };
  for (
      const Case& c : std::initializer_list<Case>{
          {"nothing to find",
           "agent: a\nallowed_tools:\n"
           "  - {name: x, actions: [read], conditions: {max_n: 5}}\n"
           "  - {name: x, actions: [write]}\n"
           "denied_tools: [{name: x, actions: [\"delete_*\"]}]\n",
           ""},
          {"a denial covers it",
           "agent: a\nallowed_tools:\n"
           "  - {name: x, actions: [delete_user]}\n"
           "denied_tools: [{name: \"*\", actions: [\"delete_*\"]}]\n",
           "p.yaml:3:5: denied-grant: the grant of x can never allow a call: denied_tools at "
           "p.yaml:4 wins over it\n"},
          {"a denial covers one action",
           "agent: a\nallowed_tools:\n"
           "  - {name: x, actions: [delete_user, read]}\n"
           "denied_tools: [{name: \"*\", actions: [\"delete_*\"]}]\n",
           "p.yaml:3:5: denied-grant: the grant of x delete_user can never allow a call: "
           "denied_tools at p.yaml:4 wins over it\n"},
          {"a denial covers a part of a pattern only",
           "agent: a\nallowed_tools:\n"
           "  - {name: x, actions: [\"*\"]}\n"
           "denied_tools: [{name: x, actions: [\"delete_*\"]}]\n",
           ""},
          {"a denial in shadow rules nothing out",
           "agent: a\nallowed_tools: [{name: x, actions: [go]}]\n---\n"
           "agent: a\nmode: shadow\nallowed_tools: []\ndenied_tools: [{name: x}]\n",
           ""},
          {"of another agent",
           "agent: a\nallowed_tools: [{name: x, actions: [go]}]\n---\n"
           "agent: b\nallowed_tools: []\ndenied_tools: [{name: x}]\n",
           ""},
          {"of one of two agents",
           "agents: [a, b]\nallowed_tools: [{name: x, actions: [go]}]\n---\n"
           "agent: b\nallowed_tools: []\ndenied_tools: [{name: x}]\n",
           ""},
          {"allowed before",
           "agent: a\nallowed_tools:\n"
           "  - {name: x, actions: [\"*\"], conditions: {max_n: 9}}\n"
           "  - {name: x, actions: [go], conditions: {max_n: 5}}\n",
           "p.yaml:4:5: unneeded-grant: the grant of x is not needed: one before it allows the "
           "same "
           "calls at p.yaml:3\n"},
          {"the same twice",
           "agent: a\nallowed_tools:\n"
           "  - {name: x, actions: [go]}\n"
           "  - {name: x, actions: [go]}\n",
           "p.yaml:4:5: unneeded-grant: the grant of x is not needed: one before it allows the "
           "same "
           "calls at p.yaml:3\n"},
          {"allowed more widely after",
           "agent: a\nallowed_tools:\n"
           "  - {name: x, actions: [go], conditions: {max_n: 5}}\n"
           "  - {name: \"x*\"}\n",
           "p.yaml:3:5: loosened-grant: the grant of x holds nobody back: its calls are allowed "
           "under fewer conditions at p.yaml:4\n"},
          {"exceptions for one action are no mistake",
           "agent: a\nallowed_tools:\n"
           "  - {name: x, actions: [go], conditions: {max_n: 5}}\n"
           "  - {name: x, actions: [stop]}\n",
           ""},
          {"shadow beside enforce",
           "agent: a\nallowed_tools:\n"
           "  - {name: x, actions: [go], mode: shadow}\n"
           "  - {name: x, conditions: {max_n: 5}}\n",
           "p.yaml:3:5: unasked-shadow: the grant of x in shadow mode is not asked: an enforced "
           "one "
           "covers the same calls at p.yaml:4\n"},
          {"everything", "agent: a\nallowed_tools: [{name: \"*\"}]\n",
           "p.yaml:2:17: grants-everything: grants every action of every tool without any "
           "condition; name the tools that the agent needs\n"},
          {"nothing", "agent: a\nallowed_tools: []\n",
           "p.yaml:1:1: grants-nothing: the document neither allows nor denies anything\n"},
          {"conditions",
           "agent: a\nallowed_tools:\n"
           "  - {name: x, conditions: {c: {in: [usd, eur], starts_with: x}}}\n",
           "p.yaml:3:5: impossible-conditions: can never allow a call: on 'c', no value meets both "
           "in [\"usd\",\"eur\"] and starts_with \"x\"\n"},
          {"a caller's conditions",
           "agent: a\nallowed_tools:\n"
           "  - name: x\n"
           "    conditions: {min_n: 10}\n"
           "    callers: [user:*, {agent: p, conditions: {max_n: 5}}]\n",
           "p.yaml:3:5: impossible-caller: agent:p can never be behind an allowed call: on 'n', no "
           "value meets both its max_n 5 and the grant's min_n 10\n"},
      }) {
    EXPECT_EQ(LintText(c.policy), c.findings) << c.name;
  }
}

TEST(LintTest, NamesAgainstARegistry) {
  const Registry registry{
      .agents = {{"a", {{"team", "fin"}}}, {"lost", {}}},
      .tools = {"x", "mail"},
  };
  EXPECT_EQ(
      LintText("agents: [a, gone]\nallowed_tools: [{name: x}, {name: \"pay*\"}]\n---\n"
               "match: {labels: {team: ops}}\nallowed_tools: [{name: mail}]\n",
               &registry),
      "agent-without-policy: agent lost is under no document: every call of it is refused "
      "(no_policy)\n"
      "p.yaml:1:1: unknown-agent: agent gone is not registered; next: aegis agent register "
      "gone\n"
      "p.yaml:2:28: unknown-tool: no registered tool is named pay*; next: aegis tool add pay* "
      "--url URL\n"
      "p.yaml:4:1: group-without-agents: no registered agent has the labels team=ops\n");
  Registry mapped = registry;
  mapped.actions = {{"x", {"pay", "read_all"}}};
  EXPECT_EQ(LintText("agents: [a, lost]\nallowed_tools:\n"
                     "  - {name: x, actions: [pay, \"read_*\", refund]}\n"
                     "  - {name: mail, actions: [anything]}\n"
                     "  - {name: \"*\", actions: [more]}\n",
                     &mapped),
            "p.yaml:3:5: unknown-action: the map of x has no action refund; next: aegis tool show "
            "x\n");
  // With labels known, a group's denial is held against what names allow.
  EXPECT_EQ(LintText("agent: a\nallowed_tools: [{name: x, actions: [go]}]\n---\n"
                     "match: {labels: {team: fin}}\nallowed_tools: []\ndenied_tools: [{name: x}]\n"
                     "---\nagent: lost\nallowed_tools: [{name: mail}]\n",
                     &registry),
            "p.yaml:2:17: denied-grant: the grant of x can never allow a call: denied_tools at "
            "p.yaml:6 wins over it\n");
}

TEST(ContradictionTest, PairsOfConditions) {
  struct Case {
    std::string_view conditions;
    bool contradict;
  };
  for (const Case& c : std::initializer_list<Case>{
           {"{gt: 5, lt: 5.0}", true},
           {"{gte: 5, lte: 5.0}", false},
           {"{gt: 5, lt: 6}", false},
           {"{lt: 3, starts_with: x}", true},
           {"{type: string, lte: 3}", true},
           {"{type: integer, lte: 3}", false},
           {"{type: array, contains: x}", false},
           {"{type: object, contains: x}", true},
           {"{eq: 5, lte: 4}", true},
           {"{eq: 5, lte: 5}", false},
           {"{eq: 1, in: [1.0, 2]}", false},
           {"{eq: \"1\", in: [1, 2]}", true},
           {"{eq: a, ne: a}", true},
           {"{in: [a, b], not_in: [b, a, c]}", true},
           {"{in: [a, b], not_in: [b]}", false},
           {"{in: [abc, abd], starts_with: ab}", false},
           {"{in: [abc, abd], ends_with: x}", true},
           {"{in: [\"q\\\"x\"], starts_with: z}", false},  // escapes: cannot be told
           {"{exists: false, lte: 3}", true},
           {"{exists: true, lte: 3}", false},
           {"{length_gte: 3, length_lte: 2}", true},
           {"{length_gte: 3, lte: 2}", true},
           {"{matches: a, starts_with: b}", false},  // patterns are not looked into
       }) {
    const PolicySet policies =
        Parse("agent: a\nallowed_tools: [{name: x, conditions: {p: " + std::string(c.conditions) +
              "}}]\n");
    ASSERT_EQ(policies.documents.size(), 1u) << c.conditions;
    const std::vector<Condition>& conditions = policies.documents[0].allowed_tools[0].conditions;
    ASSERT_EQ(conditions.size(), 2u) << c.conditions;
    EXPECT_EQ(Contradict(conditions[0], conditions[1]), c.contradict) << c.conditions;
    EXPECT_EQ(Contradict(conditions[1], conditions[0]), c.contradict) << c.conditions;
  }
}

}  // namespace
}  // namespace aegis::policy
