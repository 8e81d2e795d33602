#include "aegis/decision/explain.h"

#include <gtest/gtest.h>

#include <string>

#include "aegis/base/file.h"

namespace aegis::decision {
namespace {

using Verdict = Explanation::Verdict;

// Grants 0 and 1 have the same rule, as two entries for one tool have.
constexpr std::string_view kData = R"({"aegis":{"format":1,
  "grants":[{"rule":"a/pay/*","mode":"enforce","body":0},{"rule":"a/pay/*","mode":"enforce","body":1}],
  "bodies":[{"conditions":[]},
            {"conditions":[
               {"key":"amount","violation":{"path":"amount","op":"lte","bound":5000}},
               {"path":["to","zip"],"violation":{"path":"to.zip","op":"eq","bound":"1"}},
               {"each":[["items"],["price"]],"violation":{"path":"items[*].price","op":"lt","bound":9.50}}],
             "callers":[{"who":"user:*"},{"who":"agent:planner"}],
             "schedule":{"text":"mon-fri"}}]}})";

Result<Explanation> Explained(std::string_view params, std::string_view data = kData) {
  return Explain(
      *ReadFile(std::string(AEGIS_SOURCE_DIR) + "/src/aegis/decision/testdata/tables.plan.json"),
      data, R"({"chain":[{"type":"user","id":"alice"}],"params":)" + std::string(params) + "}");
}

TEST(Explain, NamesTheGrantItsConditionsAndTheValues) {
  const Result<Explanation> found = Explained(
      R"({"grant":1,"outcome":"deny","reason":"condition_failed","failed":["amount"],"amount":9000,)"
      R"("items":[{"price":1},{},{"price":2.0}]})");
  ASSERT_TRUE(found) << found.error().ToString();
  EXPECT_EQ(found->grant, 1);
  EXPECT_EQ(found->rule, "a/pay/*");
  EXPECT_EQ(found->schedule, "mon-fri");
  EXPECT_EQ(found->callers, (std::vector<std::string>{"user:*", "agent:planner"}));
  EXPECT_EQ(found->chain, std::vector<std::string>{"user:alice"});
  ASSERT_EQ(found->conditions.size(), 3u);
  EXPECT_EQ(found->conditions[0].verdict, Verdict::kFails);
  EXPECT_EQ(found->conditions[0].values_json, std::vector<std::string>{"9000"});
  EXPECT_EQ(found->conditions[1].verdict, Verdict::kHolds);
  EXPECT_TRUE(found->conditions[1].values_json.empty());
  EXPECT_EQ(found->conditions[2].values_json, (std::vector<std::string>{"1", "2.0"}));
  EXPECT_EQ(found->ToText(),
            "deny: condition_failed\n"
            "  message   said\n"
            "  grant     a/pay/*\n"
            "  callers   user:*, agent:planner; the call's chain: user:alice\n"
            "  schedule  mon-fri\n"
            "  fails     amount lte 5000; the call has 9000\n"
            "  holds     to.zip eq \"1\"; the call has nothing there\n"
            "  holds     items[*].price lt 9.50; the call has 1, 2.0\n");
  EXPECT_EQ(
      found->ToJson(),
      R"({"callers":["user:*","agent:planner"],"chain":["user:alice"],"conditions":[)"
      R"({"bound":5000,"op":"lte","path":"amount","values":["9000"],"verdict":"fails"},)"
      R"({"bound":"1","op":"eq","path":"to.zip","values":[],"verdict":"holds"},)"
      R"({"bound":9.50,"op":"lt","path":"items[*].price","values":["1","2.0"],"verdict":"holds"}],)"
      R"("decision":{"message":"said","mode":"enforce","obligations":{},"outcome":"deny",)"
      R"("reason":"condition_failed","rule":"a/pay/*","violations":[{"bound":5000,"op":"lte","path":"amount"}]},)"
      R"("grant":1,"schedule":"mon-fri"})");
}

TEST(Explain, TellsGrantsOfOneRuleApart) {
  const Explanation found =
      *Explained(R"({"grant":0,"outcome":"allow","reason":"allowed","failed":[]})");
  EXPECT_EQ(found.grant, 0);
  EXPECT_TRUE(found.any_user_may_call);
  EXPECT_TRUE(found.conditions.empty());
  EXPECT_NE(found.ToText().find("the grant has no conditions"), std::string::npos);
}

TEST(Explain, ConditionsThatWereNotAsked) {
  const Explanation found = *Explained(
      R"({"grant":1,"outcome":"deny","reason":"outside_schedule","failed":[],"amount":1})");
  for (const Explanation::Condition& condition : found.conditions) {
    EXPECT_EQ(condition.verdict, Verdict::kNotAsked);
  }
}

TEST(Explain, DenialsHaveARuleButNoGrant) {
  const Explanation found = *Explained("{}");
  EXPECT_EQ(found.grant, std::nullopt);
  EXPECT_EQ(found.rule, "1#a/denied_tools/x/*");
  EXPECT_EQ(found.ToText(),
            "deny: denied_tool (in shadow: recorded, not enforced)\n  message   said\n"
            "  rule      1#a/denied_tools/x/*\n");
}

TEST(Explain, LongValuesAreCut) {
  const Explanation found = *Explained(
      R"({"grant":1,"outcome":"deny","reason":"condition_failed","failed":[],"amount":")" +
      std::string(199, 'x') + "\u00e9" + std::string(500, 'y') + "\"}");
  EXPECT_EQ(found.conditions[0].values_json[0], '"' + std::string(199, 'x') + "\u2026");
}

TEST(Explain, OtherBundlesGetTheDecisionAlone) {
  const Explanation found =
      *Explained(R"({"grant":0,"outcome":"allow","reason":"allowed","failed":[]})",
                 R"({"aegis":{"grants":[{"rule":"7#r"}]}})");
  EXPECT_EQ(found.grant, std::nullopt);
  EXPECT_EQ(found.rule, "7#r");
}

TEST(Explain, Errors) {
  EXPECT_EQ(
      Explained(R"({"grant":5,"outcome":"allow","reason":"allowed","failed":[]})").error().reason,
      "no_decision");
  EXPECT_FALSE(Explained("{"));
  EXPECT_FALSE(Explain("{}", kData, "{}"));
}

}  // namespace
}  // namespace aegis::decision
