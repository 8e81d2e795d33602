// `egress` of policies: which entries are taken, what they mean, and what a diff says of them.
#include <gtest/gtest.h>

#include "aegis/policy/compile.h"
#include "aegis/policy/diff.h"
#include "aegis/policy/egress_target.h"
#include "aegis/policy/parse.h"

namespace aegis::policy {
namespace {

std::string Canonical(std::string_view text) {
  EgressTarget target;
  const std::string wrong = ReadEgressTarget(text, &target);
  return wrong.empty() ? target.Canonical() : "refused";
}

TEST(EgressTargetTest, WhatEntriesMean) {
  struct Row {
    const char* text;
    const char* canonical;
  };
  const Row rows[] = {
      {"api.example.com", "api.example.com:443"},
      {"API.Example.COM.:80", "api.example.com:80"},
      {"api.example.com:8000-8100", "api.example.com:8000-8100"},
      {"api.example.com:*", "api.example.com:1-65535"},
      {"*.example.com:443", "*.example.com:443"},
      {"localhost:8080", "localhost:8080"},
      {"_dmarc.example.com", "_dmarc.example.com:443"},
      // IDNA2008: non-transitional, so that the German sharp s stays itself.
      {"b\u00fccher.example", "xn--bcher-kva.example:443"},
      {"B\u00dcCHER.example:80", "xn--bcher-kva.example:80"},
      {"stra\u00dfe.example", "xn--strae-oqa.example:443"},
      {"xn--bcher-kva.example", "xn--bcher-kva.example:443"},
      {"*.b\u00fccher.example", "*.xn--bcher-kva.example:443"},
      {"10.0.0.0/8", "10.0.0.0/8:443"},
      {"127.0.0.1:9000", "127.0.0.1/32:9000"},
      {"10.0.0.0/8:8000-8100", "10.0.0.0/8:8000-8100"},
      {"2001:db8::/32", "[2001:db8::/32]:443"},
      {"[2001:DB8::1]:8443", "[2001:db8::1/128]:8443"},
      {"[fd00::/8]", "[fd00::/8]:443"},
  };
  for (const Row& row : rows) EXPECT_EQ(Canonical(row.text), row.canonical) << row.text;
}

TEST(EgressTargetTest, WhatIsRefused) {
  const char* const rows[] = {
      "",
      "*",
      "*.",
      "*:443",
      "a.*.example.com",
      "**.example.com",
      "*example.com",
      "https://api.example.com",
      "api.example.com/path",
      "user@api.example.com",
      "api.example.com:0",
      "api.example.com:",
      "api.example.com:65536",
      "api.example.com:0443",
      "api.example.com:+443",
      "api.example.com:443-80",
      "api.example.com:https",
      "api..example.com",
      "-a.example.com",
      "a-.example.com",
      "api.example.com..",
      "2130706433",
      "0x7f000001",
      "0x7f.1",
      "127.1",
      "0177.0.0.1",
      "1.2.3.4.5",
      "127.0.0.1.",
      "10.0.0.1/8",
      "10.0.0.0/33",
      "::ffff:10.0.0.1",
      "[::1",
      "[::1]443",
      "[10.0.0.1]:443",
      "[api.example.com]:443",
      "fe80::1%eth0",
      "\uff11\uff12\uff17.0.0.1",
      "a b.example",
  };
  for (const char* row : rows) EXPECT_EQ(Canonical(row), "refused") << row;
}

TEST(EgressTargetTest, Covers) {
  const auto covers = [](std::string_view outer, std::string_view inner) {
    EgressTarget a, b;
    EXPECT_EQ(ReadEgressTarget(outer, &a), "");
    EXPECT_EQ(ReadEgressTarget(inner, &b), "");
    return a.Covers(b);
  };
  EXPECT_TRUE(covers("a.example", "a.example:443"));
  EXPECT_FALSE(covers("a.example", "a.example:80"));
  EXPECT_TRUE(covers("a.example:1-500", "a.example:80"));
  EXPECT_TRUE(covers("*.example", "a.example"));
  EXPECT_TRUE(covers("*.example", "*.b.example"));
  EXPECT_FALSE(covers("*.example", "xexample"));
  EXPECT_FALSE(covers("a.example", "*.a.example"));
  EXPECT_TRUE(covers("10.0.0.0/8", "10.1.0.0/16"));
  EXPECT_FALSE(covers("10.1.0.0/16", "10.0.0.0/8"));
  EXPECT_FALSE(covers("10.0.0.0/8", "11.0.0.0/16"));
}

PolicySet Parse(const std::string& text) {
  ParseResult result = ParseDocument(text, "reader.yaml");
  EXPECT_TRUE(result.policies.has_value()) << result.diagnostics.ToString();
  return result.policies ? *std::move(result.policies) : PolicySet();
}

TEST(EgressTest, Tables) {
  const PolicySet policies = Parse(
      "agent: reader\n"
      "allowed_tools: [{name: crm, actions: [read]}]\n"
      "egress:\n"
      "  allow: [api.example.com, '*.example.org:80', '10.0.0.0/8:1-9']\n"
      "  tls: {ech: allow, plain: refuse}\n");
  const auto data = CompileData(policies);
  ASSERT_TRUE(data);
  EXPECT_NE(data->find(R"("egress":{"hosts":{"api.example.com":[{"from":443,"to":443,"grant":1}]},)"
                       R"("below":{"example.org":[{"from":80,"to":80,"grant":2}]},)"
                       R"("networks":[{"cidr":"10.0.0.0/8","from":1,"to":9,"grant":3}]})"),
            std::string::npos)
      << *data;
  EXPECT_NE(data->find(R"({"rule":"reader/egress/*.example.org:80","mode":"enforce","body":0,)"
                       R"("tls":["ech"]})"),
            std::string::npos)
      << *data;
}

TEST(EgressTest, MistakesAreTold) {
  const ParseResult result = ParseDocument(
      "agent: reader\nallowed_tools: []\negress: {allow: ['https://a.example'], tls: {ech: "
      "maybe}}\n",
      "reader.yaml");
  const std::string told = result.diagnostics.ToString();
  EXPECT_NE(told.find("is a URL; write the host alone"), std::string::npos) << told;
  EXPECT_NE(told.find("'refuse'"), std::string::npos) << told;
}

TEST(EgressTest, ADiffTellsWhatIsGainedAndLost) {
  const std::string head = "agent: reader\nallowed_tools: []\n";
  const PolicySet was = Parse(head + "egress: {allow: [a.example, '*.b.example']}\n");
  const PolicySet same = Parse(head + "egress: {allow: ['*.b.example:443', A.example.]}\n");
  EXPECT_TRUE(Diff(was, same).empty()) << Diff(was, same).ToString();
  const PolicySet narrower = Parse(head + "egress: {allow: [a.example, x.b.example]}\n");
  EXPECT_FALSE(Diff(was, narrower).widens());
  EXPECT_TRUE(Diff(narrower, was).widens());
  const PolicySet laxer =
      Parse(head + "egress: {allow: [a.example, '*.b.example'], tls: {ech: allow}}\n");
  EXPECT_TRUE(Diff(was, laxer).widens());
  EXPECT_EQ(Diff(was, laxer).ToString(),
            "reader\n"
            "  + may call a.example:443/egress: tls: ech\n"
            "  + may call *.b.example:443/egress: tls: ech\n");
}

}  // namespace
}  // namespace aegis::policy
