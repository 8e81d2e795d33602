#include "aegis/policy/compile.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>
#include <random>

#include "aegis/policy/parse.h"

namespace aegis::policy {
namespace {

using Json = nlohmann::json;

PolicySet Parse(std::string_view text, std::string_view name = "policy.yaml") {
  ParseResult result = ParseDocument(text, name);
  EXPECT_FALSE(result.diagnostics.has_errors()) << result.diagnostics.ToString();
  return result.policies ? *std::move(result.policies) : PolicySet{};
}

Json Data(const PolicySet& policies) {
  const Result<std::string> data = CompileData(policies);
  EXPECT_TRUE(data);
  return data ? Json::parse(*data)["aegis"] : Json();
}

Json FirstRow(std::string_view condition) {
  const PolicySet policies =
      Parse("agent: a\nallowed_tools: [{name: x, conditions: {" + std::string(condition) + "}}]\n");
  return Data(policies)["bodies"][0]["conditions"][0];
}

TEST(CompileTest, Empty) {
  EXPECT_EQ(Data({}), Json::parse(R"({"format":1,"documents":0,"agents":{},"grants":[],"denials":[],
                                      "bodies":[],"profiles":[],"calls":[]})"));
}

TEST(CompileTest, FiveLines) {
  const Json data = Data(Parse(
      "agent: finance-agent\nallowed_tools:\n  - name: stripe-payments\n    actions:\n      - "
      "create_payment\n    conditions:\n      max_amount: 5000\n"));
  EXPECT_EQ(data, Json::parse(R"({
    "format": 1, "documents": 1, "agents": {"finance-agent": 0},
    "profiles": [{"mode": "enforce", "tools": {"stripe-payments": {"mode": "enforce"}}}],
    "calls": [{"stripe-payments": {"create_payment": 0}}],
    "grants": [{"rule": "finance-agent/stripe-payments/create_payment", "mode": "enforce", "body": 0}],
    "denials": [],
    "bodies": [{"conditions": [{"key": "amount", "number": {"lte": 5000},
        "violation": {"path": "amount", "op": "lte", "bound": 5000},
        "name": "amount", "fail": "exceeds max_amount 5000", "need": "max_amount 5000"}]}]})"));
}

TEST(CompileTest, Rows) {
  struct Case {
    std::string_view condition, row;
  };
  for (const Case& c : std::initializer_list<Case>{
           {"min_a.b: 1", R"({"path":["a","b"],"number":{"gte":1},"name":"a.b",
              "violation":{"path":"a.b","op":"gte","bound":1},
              "fail":"is below min_a.b 1","need":"min_a.b 1"})"},
           {"allowed_c: [x, 1]", R"({"key":"c","equal":{"in":["x",1]},"name":"c",
              "violation":{"path":"c","op":"in","bound":["x",1]},
              "fail":"is not one of allowed_c [\"x\",1]","need":"allowed_c [\"x\",1]"})"},
           {"a: x", R"({"key":"a","equal":{"eq":"x"},"name":"a",
              "violation":{"path":"a","op":"eq","bound":"x"},"fail":"is not \"x\"","need":"eq \"x\""})"},
           {"'a[*]': {ne: null}", R"({"each":[["a"],[]],"equal":{"ne":null},"name":"a[*]",
              "violation":{"path":"a[*]","op":"ne","bound":null},"fail":"is null","need":"ne null"})"},
           {"'a[*][*].b.c': {lt: 1.50}", R"({"each":[["a"],[],["b","c"]],"number":{"lt":1.50},
              "name":"a[*][*].b.c","violation":{"path":"a[*][*].b.c","op":"lt","bound":1.50},
              "fail":"is not below 1.50","need":"lt 1.50"})"},
           {"a: {matches: 'x|y'}", R"({"key":"a","text":{"matches":"\\A(?:x|y)\\z"},"name":"a",
              "violation":{"path":"a","op":"matches","bound":"x|y"},
              "fail":"does not match \"x|y\"","need":"matches \"x|y\""})"},
           {"a: {exists: false}", R"({"key":"a","exists":{"is":false},"name":"a",
              "violation":{"path":"a","op":"exists","bound":false},
              "fail":"is present","need":"exists false"})"},
           {"a: {exists: true}", R"({"key":"a","exists":{"is":true},"name":"a",
              "violation":{"path":"a","op":"exists","bound":true},
              "fail":"is missing","need":"exists true"})"},
           {"a: {type: integer}", R"({"key":"a","other":{"type":"integer"},"name":"a",
              "violation":{"path":"a","op":"type","bound":"integer"},
              "fail":"is not of type \"integer\"","need":"type \"integer\""})"},
           {"a: {cidr: [10.0.0.0/8, 10.0.0.1, '::1']}",
            R"({"key":"a","other":{"cidr":["10.0.0.0/8","10.0.0.1/32","::1/128"]},"name":"a",
              "violation":{"path":"a","op":"cidr","bound":["10.0.0.0/8","10.0.0.1","::1"]},
              "fail":"is not an address in [\"10.0.0.0/8\",\"10.0.0.1\",\"::1\"]",
              "need":"cidr [\"10.0.0.0/8\",\"10.0.0.1\",\"::1\"]"})"},
           {"a: {domain: [API.Example.com., '*.Example.org']}",
            R"({"key":"a","other":{"domain":{"is":["api.example.com"],"below":[".example.org"]}},
              "name":"a",
              "violation":{"path":"a","op":"domain","bound":["API.Example.com.","*.Example.org"]},
              "fail":"is not a host in [\"API.Example.com.\",\"*.Example.org\"]",
              "need":"domain [\"API.Example.com.\",\"*.Example.org\"]"})"},
       }) {
    EXPECT_EQ(FirstRow(c.condition), Json::parse(c.row)) << c.condition;
  }
}

TEST(CompileTest, LongBoundsAreCutInWords) {
  const std::string value(100, 'x');
  const Json row = FirstRow("a: {eq: é" + value + "}");
  EXPECT_EQ(row["violation"]["bound"], "é" + value);
  EXPECT_EQ(row["need"], "eq \"é" + std::string(78, 'x') + "…");
}

TEST(CompileTest, NumbersKeepAllDigits) {
  const Result<std::string> data =
      CompileData(Parse("agent: a\nallowed_tools: [{name: x, conditions: {max_a: "
                        "123456789012345678901234567890.120}}]\n"));
  ASSERT_TRUE(data);
  EXPECT_NE(data->find("{\"lte\":123456789012345678901234567890.120}"), std::string::npos) << *data;
}

TEST(CompileTest, Patterns) {
  const Json data =
      Data(Parse("agent: a\nallowed_tools: [{name: '*', actions: [read]}, {name: x, actions: ['*', "
                 "'**', 'a*', '*b', "
                 "'a*b', 'a.**+*', '*a*']}]\n"));
  EXPECT_EQ(data["profiles"][0]["grants"],
            Json::parse(R"([{"tool":{"any":true},"action":{"is":"read"},"grant":0}])"));
  EXPECT_EQ(data["profiles"][0]["tools"]["x"]["patterns"], Json::parse(R"([
      {"action":{"any":true},"grant":1}, {"action":{"any":true},"grant":2},
      {"action":{"prefix":"a"},"grant":3}, {"action":{"suffix":"b"},"grant":4},
      {"action":{"re":"\\A(?s:a.*b)\\z"},"grant":5},
      {"action":{"re":"\\A(?s:a\\..*\\+.*)\\z"},"grant":6},
      {"action":{"re":"\\A(?s:.*a.*)\\z"},"grant":7}])"));
  // "read" is named by the first entry, which covers every tool; the second's first fitting pattern
  // is '*'.
  EXPECT_EQ(data["calls"][0]["x"], Json::parse(R"({"read":0})"));
  EXPECT_EQ(data["profiles"][0]["tools"]["x"]["more"], Json::parse(R"({"read":[1]})"));
}

TEST(CompileTest, ShadowAndDenials) {
  const Json data = Data(Parse(R"(
agent: a
allowed_tools:
  - {name: x, actions: [read, 'w*'], mode: shadow}
  - {name: 'x*', actions: [read]}
  - {name: y, mode: shadow}
denied_tools:
  - {name: x, actions: ['re*', write]}
  - {name: '*', actions: [read]}
)"));
  const Json& tools = data["profiles"][0]["tools"];
  EXPECT_EQ(tools["x"], Json::parse(R"({"mode":"enforce","mixed":true,
      "actions":{"read":2,"write":1},
      "patterns":[{"action":{"prefix":"w"},"grant":1}],
      "denied":{"read":0,"write":1},
      "deny":[{"action":{"prefix":"re"},"denial":0}]})"));
  EXPECT_EQ(tools["y"], Json::parse(R"({"mode":"shadow","actions":{"read":3},
      "patterns":[{"action":{"any":true},"grant":3}],"denied":{"read":2}})"));
  EXPECT_EQ(data["profiles"][0]["deny"],
            Json::parse(R"([{"tool":{"any":true},"action":{"is":"read"},"denial":2}])"));
  EXPECT_EQ(data["denials"][0], Json::parse(R"({"rule":"a/denied_tools/x/re*","mode":"enforce"})"));
}

TEST(CompileTest, AgentsShareProfiles) {
  const Json data = Data(Parse(R"(
agents: [a, b]
allowed_tools: [{name: x}]
---
agents: [b, c, a]
allowed_tools: [{name: y}]
---
match: {labels: {team: f, env: prod}}
mode: shadow
allowed_tools: [{name: z}]
)"));
  EXPECT_EQ(data["documents"], 3);
  EXPECT_EQ(data["agents"], Json::parse(R"({"a":1,"b":1,"c":2})"));
  EXPECT_EQ(data["labelled"],
            Json::parse(R"({"env":{"prod":[{"profile":0,"match":{"team":"f"}}]}})"));
  EXPECT_EQ(data["profiles"][0]["mode"], "shadow");
  EXPECT_EQ(data["profiles"][1]["tools"].size(), 2U);
  EXPECT_EQ(data["grants"][2]["rule"], "policy#3/z/*");
  EXPECT_EQ(data["bodies"].size(), 1U);
}

TEST(CompileTest, CallersAndSchedule) {
  const Json body = Data(Parse(R"(
agent: a
allowed_tools:
  - name: x
    callers: ['user:*', 'agent:p-*', {agent: q, conditions: {max_a: 5}}]
    schedule: {days: "fri,sun", hours: "22:00-06:00", timezone: Europe/Berlin}
)"))["bodies"][0];
  EXPECT_EQ(body["callers"][0],
            Json::parse(R"({"type":"user","id":{"any":true},"who":"user:*","conditions":[]})"));
  EXPECT_EQ(body["callers"][1]["id"], Json::parse(R"({"prefix":"p-"})"));
  EXPECT_EQ(body["callers"][2]["who"], "agent:q");
  EXPECT_EQ(body["callers"][2]["conditions"][0]["need"], "max_a 5");
  EXPECT_EQ(body["schedule"], Json::parse(R"({"zone":"Europe/Berlin",
      "windows":{"Monday":[[0,360]],"Friday":[[1320,1440]],"Saturday":[[0,360]],"Sunday":[[1320,1440]]},
      "text":"fri,sun 22:00-06:00 Europe/Berlin"})"));
}

TEST(CompileTest, BundleMembers) {
  const auto files =
      CompileToBundleFiles(Parse("agent: a\nallowed_tools: []\n", "dir/p.yaml"), "r7");
  ASSERT_TRUE(files);
  std::vector<std::string> names;
  for (const rego::BundleFile& file : *files) names.push_back(file.name);
  EXPECT_THAT(names, ::testing::IsSupersetOf(
                         {".manifest", "aegis/decision.rego", "data.json", "plan.json"}));
  EXPECT_TRUE(std::is_sorted(names.begin(), names.end()));
  const Json manifest = Json::parse(files->front().content);
  EXPECT_EQ(manifest["revision"], "r7");
  EXPECT_EQ(manifest["roots"], Json::array({"aegis"}));
  EXPECT_EQ(manifest["rego_version"], 1);
  EXPECT_EQ(manifest["metadata"]["dialect"], "aegis/v1");
  EXPECT_EQ(manifest["metadata"]["sources"][0]["name"], "p.yaml");
  EXPECT_EQ(manifest["metadata"]["sources"][0]["sha256"].get<std::string>().size(), 64U);
  const Json plan = Json::parse(files->back().content);
  EXPECT_EQ(plan["plans"]["plans"][0]["name"], std::string(kEntrypoint));
}

// Sources in any order give the same bytes.
TEST(CompileTest, Deterministic) {
  std::vector<SourceFile> sources;
  for (int i = 0; i < 40; ++i) {
    const std::string n = std::to_string(i);
    sources.push_back({"p" + n + ".yaml", "agents: [a" + n + ", shared, b" + std::to_string(i % 7) +
                                              "]\nallowed_tools: [{name: t" +
                                              std::to_string(i % 5) +
                                              ", conditions: {max_x: " + std::to_string(i % 3) +
                                              "}}, {name: 't*', actions: [read]}]\n"});
  }
  std::mt19937 random(7);
  std::string first;
  for (int round = 0; round < 20; ++round) {
    std::shuffle(sources.begin(), sources.end(), random);
    const ParseResult parsed = ParseSources(sources);
    ASSERT_TRUE(parsed.policies) << parsed.diagnostics.ToString();
    const Result<std::string> bundle = CompileToBundle(*parsed.policies, "r", nullptr);
    ASSERT_TRUE(bundle) << bundle.error().ToString();
    if (first.empty()) first = *bundle;
    EXPECT_EQ(*bundle, first);
    EXPECT_EQ(*ContentRevision(*parsed.policies), *ContentRevision(*parsed.policies));
  }
}

// Every agent covers every tool of a shared document: tables beyond what a bundle holds are
// refused, not built.
TEST(CompileTest, TooLargeTablesAreRefused) {
  std::string text = "agents: [";
  for (int i = 0; i < 3000; ++i) text += (i > 0 ? ", a" : "a") + std::to_string(i);
  text += "]\nname: shared\nallowed_tools:\n";
  for (int i = 0; i < 2000; ++i) text += "- {name: a-tool-with-a-name-" + std::to_string(i) + "}\n";
  for (int i = 0; i < 3000; ++i) {
    text += "---\nagent: a" + std::to_string(i) + "\nallowed_tools: []\n";
  }
  const Result<std::string> data = CompileData(Parse(text));
  ASSERT_FALSE(data);
  EXPECT_EQ(data.error().reason, "policy_too_large");
}

TEST(CompileTest, TenThousandAgentsInSeconds) {
  std::vector<SourceFile> sources;
  for (int agent = 0; agent < 10'000; ++agent) {
    std::string text = "agent: agent-" + std::to_string(agent) + "\nallowed_tools:\n";
    for (int tool = 0; tool < 20; ++tool) {
      text += "  - name: tool-" + std::to_string(tool) +
              "\n    actions: [create_payment, \"refund_*\"]\n    conditions:\n      max_amount: " +
              std::to_string(1000 + agent % 50) + "\n      currency: {in: [usd, eur]}\n";
    }
    sources.push_back({"agent-" + std::to_string(agent) + ".yaml", std::move(text)});
  }
  const auto start = std::chrono::steady_clock::now();
  auto seconds = [&] {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  };
  const ParseResult parsed = ParseSources(sources);
  const double parse_seconds = seconds();
  ASSERT_TRUE(parsed.policies) << parsed.diagnostics.ToString();
  const Result<std::string> data = CompileData(*parsed.policies);
  ASSERT_TRUE(data) << data.error().ToString();
  RecordProperty("parse_seconds", std::to_string(parse_seconds));
  RecordProperty("compile_seconds", std::to_string(seconds() - parse_seconds));
  RecordProperty("data_bytes", std::to_string(data->size()));
  std::printf("parsed in %.2f s, compiled in %.2f s, %zu bytes of tables\n", parse_seconds,
              seconds() - parse_seconds, data->size());
  EXPECT_LT(seconds(),
            60.0);  // seconds in a release build; sanitizers and busy machines take longer
}

}  // namespace
}  // namespace aegis::policy
