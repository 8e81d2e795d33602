// Publishing with the real compiler: from the five-line example to a bundle that a gateway accepts.
#include "aegis/control/policy_compiler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "aegis/base/file.h"
#include "aegis/control/test_support.h"
#include "aegis/crypto/base64.h"
#include "aegis/rego/bundle.h"

namespace aegis::control {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

constexpr const char* kExample = R"(agent: finance-agent
allowed_tools:
  - name: stripe-payments
    actions:
      - create_payment
    conditions:
      max_amount: 5000
)";

class RealCompilerTest : public ControlPlaneTest {
 protected:
  void SetUp() override {
    make_compiler_ = nullptr;
    ControlPlaneTest::SetUp();
  }
  // What a gateway does: it has the public key file and the tenant's name.
  Result<rego::Bundle> ReadAsGateway(const std::string& bytes,
                                     const std::string& scope = "default") {
    auto key = crypto::VerificationKey::FromPem(
        *ReadFile(root_.path() + "/data/keys/bundle-signing.pub.pem"));
    EXPECT_TRUE(key);
    rego::BundleVerifier verifier;
    EXPECT_TRUE(verifier.keys.Add(*key));
    verifier.scope = scope;
    return rego::ReadBundle(bytes, &verifier);
  }
};

TEST_F(RealCompilerTest, ThePublishedBundleIsSignedForTheTenantAndNamesItsRevision) {
  const auto published = Post("/api/v1/policies", Policy(kExample));
  ASSERT_EQ(published.status, 201) << published.body;
  const auto bundle = GatewayGet("/v1/bundles/default");
  const auto read = ReadAsGateway(bundle.body);
  ASSERT_TRUE(read) << read.error().ToString();
  EXPECT_TRUE(read->verified);
  EXPECT_EQ(read->manifest.revision, "1");
  EXPECT_EQ(read->sha256, Json(published)["bundle_sha256"].get<std::string>());
  EXPECT_FALSE(read->plan_json.empty());
  EXPECT_FALSE(ReadAsGateway(bundle.body, "other")) << "the scope is the tenant";
}

TEST_F(RealCompilerTest, AllMistakesComeAtOnceWithTheirPlaces) {
  const auto refused = Post("/api/v1/policies",
                            {{"files",
                              {{{"name", "a.yaml"}, {"content", "agnet: x\nallowed_tools: []\n"}},
                               {{"name", "b.yaml"}, {"content", "agent: x\nallowed_tools: 5\n"}},
                               {{"name", "c.yaml"}, {"content", "agent: [\n"}}}}});
  ASSERT_EQ(refused.status, 422) << refused.body;
  const json diagnostics = Json(refused)["diagnostics"];
  std::set<std::string> files;
  for (const json& each : diagnostics) {
    files.insert(each["file"]);
    EXPECT_GE(each["line"].get<int>(), 1) << each;
  }
  EXPECT_EQ(files, (std::set<std::string>{"a.yaml", "b.yaml", "c.yaml"})) << diagnostics;
}

TEST_F(RealCompilerTest, HostileSourcesAreDiagnosticsAndNothingWorse) {
  for (const std::string& content :
       {std::string("\0\x01", 2), std::string("\xff\xfe"), std::string(100'000, '['),
        std::string("a: &a [*a]"), std::string("{}"), std::string("%YAML 9.9\n---\n"),
        std::string("agent: \"x\nallowed_tools: ")}) {
    json body = {{"files", {{{"name", "p.yaml"}, {"content", "placeholder"}}}}};
    // nlohmann refuses to write bytes that are not UTF-8; such a body is malformed JSON anyway.
    std::string text = body.dump(-1, ' ', false, json::error_handler_t::replace);
    json quoted = json(content);
    text.replace(text.find("\"placeholder\""), 13,
                 quoted.dump(-1, ' ', false, json::error_handler_t::replace));
    EXPECT_EQ(PostText("/api/v1/policies", text).status, 422) << content.substr(0, 20);
  }
  EXPECT_TRUE(Json(Get("/api/v1/policies"))["items"].empty());
}

class WholeBundleTest : public RealCompilerTest {
 protected:
  void SetUp() override {
    RealCompilerTest::SetUp();
    ::setenv("AEGIS_REGOC", AEGIS_REGOC, 1);
  }
  void TearDown() override { ::unsetenv("AEGIS_REGOC"); }

  // Without a plan, unless it is given.
  static std::string Bundle(const std::string& module, const std::string& plan = {}) {
    std::vector<rego::BundleFile> files = {
        {".manifest", R"({"revision":"theirs","roots":["aegis","limits"],"metadata":{"a":1}})"},
        {"data.json", R"({"limits":{"amount":100}})"},
        {"aegis/policy.rego", module}};
    if (!plan.empty()) files.push_back({"plan.json", plan});
    return *rego::WriteBundle(files, nullptr);
  }
  static json Publication(const std::string& bundle) {
    return {{"bundle", {{"name", "b.tar.gz"}, {"content", crypto::Base64Encode(bundle)}}}};
  }
  std::string Refusal(const std::string& bundle) {
    const auto answer = Post("/api/v1/policies", Publication(bundle));
    EXPECT_EQ(answer.status, 422) << answer.body;
    const json diagnostics = Json(answer)["diagnostics"];
    return diagnostics.empty() ? "" : diagnostics[0]["message"].get<std::string>();
  }
};

constexpr const char* kWhole = R"(package aegis

default decision := {"outcome": "deny", "reason": "no_grant", "message": "no"}

decision := {"outcome": "allow", "reason": "allowed"} if {
	input.params.amount < data.limits.amount
}
)";

TEST_F(WholeBundleTest, IsPlannedSignedAndServed) {
  const auto published = Post("/api/v1/policies", Publication(Bundle(kWhole)));
  ASSERT_EQ(published.status, 201) << published.body;
  EXPECT_EQ(Json(published)["kind"], "bundle");
  EXPECT_EQ(Json(published)["file_names"], json::array());
  const auto read = ReadAsGateway(GatewayGet("/v1/bundles/default").body);
  ASSERT_TRUE(read) << read.error().ToString();
  EXPECT_EQ(read->manifest.revision, "1");
  EXPECT_EQ(read->manifest.roots, (std::vector<std::string>{"aegis", "limits"}));
  EXPECT_EQ(read->manifest.metadata_json, R"({"a":1})");
  EXPECT_EQ(read->modules[0].content, kWhole);
  EXPECT_FALSE(read->plan_json.empty());
  // A bundle that somebody else signed is signed anew, and published again as it is.
  const auto again = Post("/api/v1/policies", Publication(GatewayGet("/v1/bundles/default").body));
  ASSERT_EQ(again.status, 201) << again.body;
  EXPECT_EQ(ReadAsGateway(GatewayGet("/v1/bundles/default").body)->manifest.revision, "2");
  json dry = Publication(Bundle(kWhole));
  dry["dry_run"] = true;
  EXPECT_EQ(Post("/api/v1/policies", dry).status, 200);
}

TEST_F(WholeBundleTest, WithANewKeyFileIsSignedAnew) {
  ASSERT_EQ(Post("/api/v1/policies", Publication(Bundle(kWhole))).status, 201);
  Stop();
  std::filesystem::remove(root_.path() + "/data/keys/bundle-signing.pem");
  ::setenv("AEGIS_REGOC", "/none", 1);  // its plan is there already
  Start();
  const auto read = ReadAsGateway(GatewayGet("/v1/bundles/default").body);
  ASSERT_TRUE(read) << read.error().ToString();
  EXPECT_EQ(read->manifest.revision, "2");
}

TEST_F(WholeBundleTest, WhatGivesNoDecisionsIsRefused) {
  EXPECT_THAT(Refusal("no bundle"), HasSubstr("bundle is damaged"));
  EXPECT_THAT(Refusal(Bundle("package aegis\n\nother := 1\n")),
              HasSubstr("entrypoint \"aegis/decision\" does not refer to a rule"));
  EXPECT_THAT(Refusal(Bundle("package aegis\n\ndecision := http.send({})\n")),
              HasSubstr("aegis/policy.rego:3:13: http.send is refused"));
  EXPECT_THAT(Refusal(Bundle("package aegis\n\ndecision := \"allow\" if input.x\n")),
              HasSubstr("the policy gave no decision"));
  EXPECT_THAT(Refusal(Bundle("package aegis\n\ndecision := true\n")),
              HasSubstr("the policy's decision is not an object"));
  EXPECT_THAT(Refusal(Bundle("package aegis\n\ndecision := {\"outcome\": \"yes\"}\n")),
              HasSubstr("unknown outcome"));
  EXPECT_THAT(Refusal(Bundle("package aegis\n\ndecision := {\"outcome\": \"allow\", \"reason\": "
                             "\"allowed\", \"obligations\": {\"sanitize\": [1]}}\n")),
              HasSubstr("obligations, which are not supported yet"));
  EXPECT_THAT(Refusal(Bundle("package aegis\n\ndecision := count({x | some a in "
                             "numbers.range(1, 100000); some b in numbers.range(1, 100000); x := "
                             "[a, b, input]})\n")),
              HasSubstr("could not be evaluated"));
  EXPECT_THAT(Refusal(Bundle(kWhole, "{}")), HasSubstr("plan"));
  ::setenv("AEGIS_REGOC", "/none", 1);
  EXPECT_THAT(Refusal(Bundle(kWhole)), HasSubstr("opa build -t plan -e aegis/decision"));
  EXPECT_TRUE(Json(Get("/api/v1/policies"))["items"].empty());
}

TEST_F(WholeBundleTest, TheBodyIsStrict) {
  json both = Publication(Bundle(kWhole));
  both["files"] = Policy(kExample)["files"];
  EXPECT_EQ(Post("/api/v1/policies", both).status, 422);
  EXPECT_EQ(Post("/api/v1/policies", {{"bundle", {{"name", "b"}}}}).status, 422);
  EXPECT_EQ(Post("/api/v1/policies", {{"bundle", {{"name", "b"}, {"content", "!"}}}}).status, 422);
  EXPECT_EQ(Post("/api/v1/policies", {{"bundle", "x"}}).status, 422);
  EXPECT_EQ(Post("/api/v1/policies", json::object()).status, 422);
}

TEST_F(RealCompilerTest, ANewKeyFileSignsTheActivePolicyAnew) {
  ASSERT_EQ(Post("/api/v1/policies", Policy(kExample)).status, 201);
  Stop();
  std::filesystem::remove(root_.path() + "/data/keys/bundle-signing.pem");
  Start();
  const auto read = ReadAsGateway(GatewayGet("/v1/bundles/default").body);
  ASSERT_TRUE(read) << read.error().ToString();
  EXPECT_EQ(read->manifest.revision, "2");
  Restart();
  EXPECT_EQ(Json(Get("/api/v1/policies"))["items"].size(), 2u) << "signed anew only once";
}

}  // namespace
}  // namespace aegis::control
