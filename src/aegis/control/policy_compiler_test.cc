// Publishing with the real compiler: from the five-line example to a bundle that a gateway accepts.
#include "aegis/control/policy_compiler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "aegis/base/file.h"
#include "aegis/control/test_support.h"
#include "aegis/rego/bundle.h"

namespace aegis::control {
namespace {

using nlohmann::json;

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
