#include "aegis/policy/diff.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "aegis/policy/compare.h"
#include "aegis/policy/parse.h"

namespace aegis::policy {
namespace {

PolicySet Parse(std::string_view text) {
  ParseResult result = ParseDocument(text, "p.yaml");
  EXPECT_FALSE(result.diagnostics.has_errors()) << result.diagnostics.ToString() << text;
  return result.policies ? *std::move(result.policies) : PolicySet{};
}

std::string DiffText(std::string_view before, std::string_view after) {
  return Diff(Parse(before), Parse(after)).ToString();
}

// The change of one entry of agent a.
std::string EntryDiff(std::string_view before, std::string_view after) {
  const std::string head = "agent: a\nallowed_tools: [{name: x, actions: [go], ";
  std::string text =
      DiffText(head + std::string(before) + "}]\n", head + std::string(after) + "}]\n");
  return text.starts_with("a\n") ? text.substr(2) : text;
}

constexpr std::string_view kNone = "no change in what agents may do\n";

TEST(DiffTest, Entries) {
  struct Case {
    std::string_view before, after, text;
  };
  for (const Case& c : std::initializer_list<Case>{
           {"conditions: {max_a: 5}", "conditions: {a: {lte: 5.0}}", kNone},
           {"conditions: {max_a: 5}", "conditions: {max_a: 9}", "  > looser x/go: max_a 5 -> 9\n"},
           {"conditions: {max_a: 5}", "conditions: {max_a: 4.99}",
            "  < tighter x/go: max_a 5 -> 4.99\n"},
           {"conditions: {min_a: 5}", "conditions: {min_a: 9}", "  < tighter x/go: min_a 5 -> 9\n"},
           {"conditions: {a: {in: [p, q]}}", "conditions: {allowed_a: [q, p]}", kNone},
           {"conditions: {a: {in: [p, q]}}", "conditions: {a: {in: [p]}}",
            "  < tighter x/go: a in [\"p\",\"q\"] -> [\"p\"]\n"},
           {"conditions: {a: {in: [p, q]}}", "conditions: {a: {in: [p, r]}}",
            "  ~ changed x/go: a in [\"p\",\"q\"] -> [\"p\",\"r\"]\n"},
           {"conditions: {a: {not_in: [p, q]}}", "conditions: {a: {not_in: [p]}}",
            "  > looser x/go: a not_in [\"p\",\"q\"] -> [\"p\"]\n"},
           {"conditions: {a: {matches: p}}", "conditions: {a: {matches: q}}",
            "  ~ changed x/go: a matches \"p\" -> \"q\"\n"},
           {"conditions: {}", "conditions: {max_a: 5}", "  < tighter x/go: now needs max_a 5\n"},
           {"conditions: {b: {cidr: 10.0.0.0/8}}", "mode: enforce",
            "  > looser x/go: no longer needs b cidr \"10.0.0.0/8\"\n"},
           {"mode: shadow", "mode: enforce",
            "  < tighter x/go: mode shadow -> enforce: refusals now count\n"},
           {"mode: enforce", "mode: shadow",
            "  > looser x/go: mode enforce -> shadow: refusals are only recorded\n"},
           {"mode: enforce", "callers: ['user:*']", kNone},
           {"mode: enforce", "callers: []", "  < tighter x/go: no longer on behalf of user:*\n"},
           {"mode: enforce", "callers: ['user:*', 'agent:p']",
            "  > looser x/go: now on behalf of agent:p\n"},
           {"callers: [{agent: p, conditions: {max_a: 5}}]",
            "callers: [{agent: p, conditions: {max_a: 3}}]",
            "  < tighter x/go: on behalf of agent:p: max_a 5 -> 3\n"},
           {"mode: enforce", "schedule: {days: mon-fri}",
            "  < tighter x/go: schedule always -> mon-fri UTC\n"},
           {"schedule: {days: mon-fri, hours: '08:00-18:00'}",
            "schedule: {days: mon-sat, hours: '08:00-19:00'}",
            "  > looser x/go: schedule mon-fri 08:00-18:00 UTC -> mon-sat 08:00-19:00 UTC\n"},
           {"schedule: {days: mon-fri, hours: '08:00-18:00'}",
            "schedule: {days: mon-sat, hours: '08:00-17:00'}",
            "  ~ changed x/go: schedule mon-fri 08:00-18:00 UTC -> mon-sat 08:00-17:00 UTC\n"},
           {"schedule: {days: mon}", "schedule: {days: mon, timezone: Europe/Berlin}",
            "  ~ changed x/go: schedule mon UTC -> mon Europe/Berlin\n"},
       }) {
    EXPECT_EQ(EntryDiff(c.before, c.after), c.text) << c.before << " => " << c.after;
  }
}

TEST(DiffTest, GrantsAndDenials) {
  EXPECT_EQ(
      DiffText(
          "agent: a\nallowed_tools: [{name: x, actions: [read, write]}]\n"
          "denied_tools: [{name: y}]\n",
          "agent: a\nallowed_tools: [{name: x, actions: [read, list], conditions: {max_n: 5}}]\n"
          "denied_tools: [{name: '*', actions: ['delete_*']}]\n"),
      "a\n"
      "  + may call x/list: max_n 5\n"
      "  < tighter x/read: now needs max_n 5\n"
      "  - may not call x/write\n"
      "  + may call y/*: no longer denied by denied_tools\n"
      "  - may not call */delete_*: now denied by denied_tools\n");
}

TEST(DiffTest, BroaderPatternsCover) {
  const std::string_view narrow = "agent: a\nallowed_tools: [{name: crm-eu, actions: [read]}]\n";
  const std::string_view wide = "agent: a\nallowed_tools: [{name: 'crm-*', actions: ['r*']}]\n";
  EXPECT_EQ(DiffText(narrow, wide), "a\n  + may call crm-*/r*\n");
  EXPECT_EQ(DiffText(wide, narrow), "a\n  - may not call crm-*/r*\n");
}

TEST(DiffTest, SubjectsWithEqualChangesAreToldTogether) {
  EXPECT_EQ(
      DiffText(
          "agents: [a, b, c]\nallowed_tools: []\n---\nmatch: {labels: {team: f}}\nallowed_tools: "
          "[]\n",
          "agents: [c, b]\nallowed_tools: [{name: x}]\n---\nagent: d\nallowed_tools: [{name: x}]\n"
          "---\nmatch: {labels: {team: f}}\nmode: shadow\nallowed_tools: [{name: y}]\n"),
      "agents with team=f\n  + may call y/*: shadow\n"
      "b, c, d\n  + may call x/*\n");
}

TEST(DiffTest, OrderAndDocumentsDoNotMatter) {
  EXPECT_EQ(DiffText("agents: [a, b]\nallowed_tools: [{name: x}, {name: y}]\n",
                     "agent: b\nallowed_tools: [{name: y}]\n---\nagent: a\nallowed_tools: [{name: "
                     "y}, {name: x}]\n"
                     "---\nagent: b\nallowed_tools: [{name: x}]\n"),
            kNone);
}

TEST(DiffTest, CustomRego) {
  const auto with = [](std::string_view head, std::string_view module) {
    const std::vector<SourceFile> sources = {
        {"p.yaml", "agent: a\nallowed_tools: [{name: x}]\n" + std::string(head)},
        {"extra.rego", std::string(module)}};
    ParseResult result = ParseSources(sources);
    EXPECT_FALSE(result.diagnostics.has_errors()) << result.diagnostics.ToString();
    return result.policies ? *std::move(result.policies) : PolicySet{};
  };
  const std::string_view listed = "rego: [extra.rego]\n";
  const std::string_view shadow = "rego: [extra.rego]\nmode: shadow\n";
  const PolicySet one = with(listed, "one");
  EXPECT_EQ(Diff(one, with(listed, "one")).ToString(), kNone);
  EXPECT_EQ(Diff(one, with(listed, "two")).ToString(),
            "a\n  ~ changed */*: custom Rego extra has other rules\n");
  EXPECT_TRUE(Diff(one, with(listed, "two")).widens());
  EXPECT_EQ(Diff(one, with("", "one")).ToString(),
            "a\n  > looser */*: custom Rego extra no longer asked\n");
  EXPECT_TRUE(Diff(one, with("", "one")).widens());
  EXPECT_EQ(Diff(with("", "one"), one).ToString(),
            "a\n  < tighter */*: custom Rego extra now asked\n");
  EXPECT_FALSE(Diff(with("", "one"), one).widens());
  EXPECT_NE(Diff(one, with(shadow, "one"))
                .ToString()
                .find("  > looser */*: custom Rego extra no longer enforced (shadow)\n"),
            std::string::npos);
  EXPECT_NE(Diff(with(shadow, "one"), one)
                .ToString()
                .find("  < tighter */*: custom Rego extra now enforced\n"),
            std::string::npos);
}

TEST(DiffTest, Json) {
  const PolicyDiff diff = Diff(Parse("agent: a\nallowed_tools: []\n"),
                               Parse("agent: a\nallowed_tools: [{name: \"q'\\\"\"}]\n"));
  EXPECT_TRUE(diff.widens());
  EXPECT_EQ(nlohmann::json::parse(diff.ToJson()),
            nlohmann::json::parse(R"({"widens": true, "changes": [
      {"kind": "gain", "subjects": ["a"], "tool": "q'\"", "action": "*", "text": ""}]})"));
  EXPECT_FALSE(PolicyDiff{}.widens());
}

TEST(DiffTest, PatternCovers) {
  struct Case {
    std::string_view wide, narrow;
    bool covers;
  };
  for (const Case& c : std::initializer_list<Case>{{"*", "a*", true},
                                                   {"a*", "*", false},
                                                   {"a*", "ab*", true},
                                                   {"ab*", "a*", false},
                                                   {"*b*", "ab*c", true},
                                                   {"a*c", "a*b*c", true},
                                                   {"a*b*c", "a*c", false},
                                                   {"a", "a", true},
                                                   {"a", "a*", false}}) {
    EXPECT_EQ(PatternCovers(c.wide, c.narrow), c.covers) << c.wide << " " << c.narrow;
  }
}

}  // namespace
}  // namespace aegis::policy
