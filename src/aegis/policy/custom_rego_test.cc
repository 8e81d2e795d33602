#include "aegis/policy/custom_rego.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "aegis/policy/compile.h"
#include "aegis/rego/program.h"
#include "aegis/rego/vm.h"

namespace aegis::policy {
namespace {

using Json = nlohmann::json;
using ::testing::HasSubstr;

Result<rego::CompilerTool> Compiler() { return rego::CompilerTool(AEGIS_REGOC); }

constexpr std::string_view kDocument =
    "agent: a\n"
    "allowed_tools: [{name: x, conditions: {max_n: 100}}]\n"
    "rego: [extra.rego]\n";

ParseResult Plan(const std::vector<SourceFile>& sources, const CompilerFinder& find = Compiler) {
  ParseResult result = ParseSources(sources);
  PlanCustomRego(result, find);
  return result;
}

std::string Extra(const std::string& rules) { return "package aegis.custom.extra\n\n" + rules; }

// What is wrong with the module.
std::string Mistakes(const std::string& module) {
  const ParseResult result = Plan({{"p.yaml", std::string(kDocument)}, {"extra.rego", module}});
  EXPECT_EQ(result.policies.has_value(), !result.diagnostics.has_errors());
  return result.diagnostics.ToString();
}

// Policies made ready to decide.
class Decider {
 public:
  explicit Decider(const std::vector<SourceFile>& sources) {
    ParseResult result = Plan(sources);
    EXPECT_EQ(result.diagnostics.ToString(), "");
    if (!result.policies) return;
    policies_ = *std::move(result.policies);
    program_ = *rego::Program::Load(RegoOf(policies_)->plan_json, *CompileData(policies_));
  }
  Decider(std::string_view document, const std::string& rules)
      : Decider({{"p.yaml", std::string(document)}, {"extra.rego", Extra(rules)}}) {}

  Json operator()(const std::string& params, const std::string& agent = "a",
                  const std::string& labels = "{}") {
    if (!program_) return "not compiled";
    arena_.Reset();
    const std::string text = R"({"agent":{"id":")" + agent + R"(","labels":)" + labels +
                             R"(},"tool":"x","action":"go","chain":[],"params":)" + params + "}";
    const auto value = vm_.Eval(*program_, *program_->FindEntrypoint(kEntrypoint),
                                *rego::ParseJson(text, arena_), 0, arena_);
    if (!value) return Json(std::string(value.error().reason));
    return Json::parse(rego::ToJson(*value));
  }

 private:
  PolicySet policies_;
  std::unique_ptr<const rego::Program> program_;
  rego::Vm vm_;
  Arena arena_{64 * 1024, size_t{64} << 20};
};

TEST(CustomRegoTest, RefusesWhatTheDocumentsAllow) {
  Decider decide(kDocument, "deny contains \"seven\" if input.params.n == 7\n");
  EXPECT_EQ(decide(R"({"n":7})"), Json::parse(R"({"outcome":"deny","reason":"custom_denied",
      "rule":"aegis.custom.extra","message":"seven","mode":"enforce","violations":[],
      "obligations":{}})"));
  EXPECT_EQ(decide(R"({"n":8})")["outcome"], "allow");
  EXPECT_EQ(decide(R"({"n":8})")["rule"], "a/x/*");
  // What the dialect refuses is refused with its own reason.
  EXPECT_EQ(decide(R"({"n":700})")["reason"], "condition_failed");
  EXPECT_EQ(decide(R"({"n":7})", "b")["reason"], "no_grant");
}

TEST(CustomRegoTest, CannotAllow) {
  Decider decide(kDocument,
                 "deny contains 1 if false\n"
                 "allow := true\n"
                 "decision := {\"outcome\": \"allow\", \"reason\": \"allowed\"}\n");
  EXPECT_EQ(decide(R"({"n":700})")["outcome"], "deny");
  EXPECT_EQ(decide(R"({"n":7})", "b")["outcome"], "deny");
}

TEST(CustomRegoTest, Messages) {
  struct Case {
    const char *rules, *message;
  };
  for (const Case& c : std::initializer_list<Case>{
           {"deny contains {\"message\": \"said\", \"code\": 7}", "said"},
           {"deny contains sprintf(\"n is %v\", [input.params.n])", "n is 7"},
           {"deny contains 7", "denied by custom Rego"},
           {"deny contains false", "denied by custom Rego"},
           {"deny contains null", "denied by custom Rego"},
           {"deny contains {\"message\": 7}", "denied by custom Rego"},
           {"deny contains {\"msg\": \"other key\"}", "denied by custom Rego"},
           {"deny contains [\"a list\"]", "denied by custom Rego"},
           {"deny contains x if some x in [\"b\", \"a\", {\"message\": \"a\"}]", "a; b"},
           {"deny contains sprintf(\"%d\", [x]) if some x in numbers.range(1, 9)",
            "1; 2; 3; 4; 5"}}) {
    Decider decide(kDocument, std::string(c.rules) + "\n");
    const Json decision = decide(R"({"n":7})");
    EXPECT_EQ(decision["reason"], "custom_denied") << c.rules;
    EXPECT_EQ(decision["message"], c.message) << c.rules;
  }
  Decider decide(kDocument, "deny contains input.params.text\n");
  EXPECT_EQ(decide(R"({"n":7,"text":")" + std::string(9000, 'x') + "\"}")["message"],
            std::string(400, 'x'));
  EXPECT_EQ(decide(R"({"n":7})")["outcome"], "allow") << "the text is undefined";
}

TEST(CustomRegoTest, ErrorsAreErrors) {
  Decider conflict(kDocument,
                   "deny contains 1 if v == 7\n\nv := input.params.a\n\nv := input.params.b\n");
  EXPECT_EQ(conflict(R"({"n":7,"a":1,"b":1})")["outcome"], "allow");
  EXPECT_EQ(conflict(R"({"n":7,"a":1,"b":2})"), "eval_conflict_error");
  Decider endless(kDocument,
                  "deny contains 1 if {\n\tsome a in numbers.range(1, 1000)\n"
                  "\tsome b in numbers.range(1, 1000)\n\tsome c in numbers.range(1, 1000)\n"
                  "\ta + b + c == input.params.n * 1000000\n}\n");
  EXPECT_EQ(endless(R"({"n":7})"), "eval_step_limit");
  Decider greedy(kDocument,
                 "deny contains 1 if count(all) == 0\n\n"
                 "all contains [a, b, input.params.n] if {\n\tsome a in numbers.range(1, 5000)\n"
                 "\tsome b in numbers.range(1, 5000)\n}\n");
  const Json ended = greedy(R"({"n":7})");
  EXPECT_TRUE(ended == "eval_step_limit" || ended == "eval_memory_limit") << ended;
}

TEST(CustomRegoTest, OfWhichDocuments) {
  const std::string rules = "deny contains \"no\"\n";
  // Like denied_tools it is for all calls of the agents, whichever document allows them.
  Decider decide({{"grants.yaml", "agents: [a, b, c]\nallowed_tools: [{name: x}]\n"},
                  {"one.yaml", "agent: a\nallowed_tools: []\nrego: [extra.rego]\n"},
                  {"team.yaml",
                   "match: {labels: {team: t}}\nallowed_tools: []\n"
                   "rego: [other.rego, extra.rego]\n"},
                  {"extra.rego", Extra(rules)},
                  {"other.rego",
                   "package aegis.custom.other\n\ndeny contains \"other\" if "
                   "input.params.o\n"}});
  EXPECT_EQ(decide("{}", "a")["reason"], "custom_denied");
  EXPECT_EQ(decide("{}", "b")["outcome"], "allow");
  EXPECT_EQ(decide(R"({"o":1})", "a")["message"], "no");
  const Json both = decide(R"({"o":1})", "c", R"({"team":"t"})");
  EXPECT_EQ(both["message"], "no; other");
  EXPECT_EQ(both["rule"], "aegis.custom.extra");
}

TEST(CustomRegoTest, Shadow) {
  const std::string grants = "agent: a\nallowed_tools: [{name: x, conditions: {max_n: 100}}]\n";
  const std::string rules = "deny contains \"no\" if input.params.deny\n";
  const auto decider = [&](const std::string& grant_mode, const std::string& custom_mode) {
    return Decider(
        {{"1.yaml", grants + "mode: " + grant_mode + "\n"},
         {"2.yaml", "agent: a\nallowed_tools: []\nrego: [extra.rego]\nmode: " + custom_mode + "\n"},
         {"extra.rego", Extra(rules)}});
  };
  const std::string refused = R"({"n":7,"deny":1})", too_much = R"({"n":700,"deny":1})";
  const auto verdict = [](const Json& decision) {
    return decision["outcome"].get<std::string>() + " " + decision["reason"].get<std::string>() +
           " " + decision["mode"].get<std::string>();
  };
  Decider on_trial = decider("enforce", "shadow");
  EXPECT_EQ(verdict(on_trial(refused)), "deny custom_denied shadow");
  EXPECT_EQ(verdict(on_trial(too_much)), "deny condition_failed enforce");
  // A refusal in shadow lets the call pass, so an enforced one must still be asked for.
  Decider grants_on_trial = decider("shadow", "enforce");
  EXPECT_EQ(verdict(grants_on_trial(refused)), "deny custom_denied enforce");
  EXPECT_EQ(verdict(grants_on_trial(too_much)), "deny custom_denied enforce");
  EXPECT_EQ(verdict(grants_on_trial(R"({"n":700})")), "deny condition_failed shadow");
  Decider all_on_trial = decider("shadow", "shadow");
  EXPECT_EQ(verdict(all_on_trial(refused)), "deny custom_denied shadow");
  EXPECT_EQ(verdict(all_on_trial(too_much)), "deny condition_failed shadow");
}

TEST(CustomRegoTest, MistakesAreAtTheirPlaces) {
  EXPECT_EQ(Mistakes(Extra("deny contains \"é\", 1 if {")).substr(0, 16), "extra.rego:3:18:");
  EXPECT_THAT(Mistakes("package aegis\n\ndecision := {\"outcome\": \"allow\"}\n"),
              HasSubstr("extra.rego:1:1: the package of this file must be aegis.custom.extra"));
  EXPECT_THAT(
      Mistakes(Extra("deny contains 1 if data.aegis.grants\n\ndeny contains data.x")),
      HasSubstr("extra.rego:3:20: data.aegis.grants is not for custom Rego; it sees 'input' "
                "and data.aegis.custom.NAME\nextra.rego:5:15: data.x is not"));
  EXPECT_EQ(Mistakes(Extra("deny contains http.send({})\n")),
            "extra.rego:3:15: http.send is refused: it reaches other hosts\n");
  EXPECT_THAT(Mistakes(Extra("deny contains 1\n\nsanitize contains 1\n")),
              HasSubstr("extra.rego:5:1: the rule 'sanitize' is not supported yet"));
  EXPECT_THAT(Mistakes(Extra("deny contains 1 if {\n")), HasSubstr("extra.rego:4:1: "));
  EXPECT_THAT(Mistakes(Extra("deny contains 1 if input.parmas.n == 7\n")),
              HasSubstr("extra.rego:3:20: undefined ref: input.parmas.n"));
  EXPECT_THAT(Mistakes(Extra("deny contains 1 if data.aegis.custom.other.x\n")),
              HasSubstr("extra.rego:3:20: there is no package aegis.custom.other; list its file"));
}

TEST(CustomRegoTest, Files) {
  struct Case {
    std::vector<SourceFile> sources;
    const char* said;
  };
  const SourceFile document{"d/p.yaml", std::string(kDocument)};
  const SourceFile module{"d/extra.rego", Extra("deny contains 1\n")};
  for (const Case& c : std::initializer_list<Case>{
           {{document}, "d/p.yaml:3:8: the file 'extra.rego' is missing"},
           {{document, module, {"e/extra.rego", module.text}},
            "e/extra.rego: another file of Rego is named so, d/extra.rego"},
           {{document, module, {"spare.rego", "anything"}},
            "spare.rego: warning: no policy lists this file under 'rego'; it is not in force"},
           {{document, {"extra.rego", "\xff"}}, "extra.rego: is not UTF-8"},
           {{document, {"extra.rego", std::string((1 << 20) + 1, ' ')}}, "larger than 1 MiB"},
           {{{"p.yaml", "agent: a\nallowed_tools: []\nrego: [../extra.rego]\n"}},
            "p.yaml:3:8: an item of 'rego' '../extra.rego' must be a plain path"},
           {{{"p.yaml", "agent: a\nallowed_tools: []\nrego: [/etc/extra.rego]\n"}},
            "must be a plain path"},
           {{{"p.yaml", "agent: a\nallowed_tools: []\nrego: [a.txt]\n"}}, "must end with '.rego'"},
           {{{"p.yaml", "agent: a\nallowed_tools: []\nrego: [a-b.rego]\n"}}, "must be named as"},
           {{{"p.yaml", "agent: a\nallowed_tools: []\nrego: []\n"}}, "must not be empty"}}) {
    const ParseResult result = Plan(c.sources);
    EXPECT_THAT(result.diagnostics.ToString(), HasSubstr(c.said));
  }
  std::string listed;
  std::vector<SourceFile> many;
  for (int i = 0; i < 300; ++i) {
    const std::string name = "m" + std::to_string(i);
    many.push_back({name + ".rego", "package aegis.custom." + name + "\n\ndeny contains 1\n"});
    many.push_back(
        {name + ".yaml", "agent: " + name + "\nallowed_tools: []\nrego: [" + name + ".rego]\n"});
  }
  EXPECT_THAT(Plan(many).diagnostics.ToString(), HasSubstr("more than 256 files of Rego"));
}

TEST(CustomRegoTest, WithoutTheCompiler) {
  const CompilerFinder none = []() -> Result<rego::CompilerTool> {
    return Fail(Code::kFailedPrecondition, "regoc_missing", "there is none");
  };
  const SourceFile document{"p.yaml", std::string(kDocument)};
  const ParseResult refused = Plan({document, {"extra.rego", Extra("deny contains 1\n")}}, none);
  EXPECT_FALSE(refused.policies);
  EXPECT_EQ(refused.diagnostics.ToString(),
            "p.yaml:3:8: custom Rego cannot be compiled: there is none\n");
  // Policies without custom Rego do not need it.
  EXPECT_TRUE(Plan({{"p.yaml", "agent: a\nallowed_tools: []\n"}}, none).policies);
  // What was not planned is never taken for a policy without custom Rego.
  const ParseResult parsed =
      ParseSources(std::vector<SourceFile>{document, {"extra.rego", Extra("deny contains 1\n")}});
  ASSERT_TRUE(parsed.policies);
  EXPECT_EQ(CompileToBundle(*parsed.policies, "1", nullptr).error().reason, "rego_not_planned");
  EXPECT_EQ(ContentRevision(*parsed.policies).error().reason, "rego_not_planned");
}

TEST(CustomRegoTest, TheBundleIsWhatStockOpaReads) {
  const ParseResult result =
      Plan({{"p.yaml", std::string(kDocument)}, {"extra.rego", Extra("deny contains 1\n")}});
  ASSERT_TRUE(result.policies);
  const auto bundle = rego::ReadBundle(*CompileToBundle(*result.policies, "1", nullptr), nullptr);
  ASSERT_TRUE(bundle);
  std::string packages;
  for (const rego::BundleFile& module : bundle->modules) {
    const size_t at = module.content.find("package ");
    packages += module.name + ": " +
                module.content.substr(at + 8, module.content.find('\n', at) - at - 8) + "\n";
  }
  EXPECT_EQ(packages,
            "aegis/custom/extra.rego: aegis.custom.extra\n"
            "aegis/decision.rego: aegis\n"
            "aegis/dialect/body.rego: aegis.dialect\n"
            "aegis/dialect/conditions.rego: aegis.dialect\n"
            "aegis/dialect/coverage.rego: aegis.dialect\n"
            "aegis/dialect/decision.rego: aegis.dialect\n"
            "aegis/dialect/egress.rego: aegis.dialect\n");
}

}  // namespace
}  // namespace aegis::policy
