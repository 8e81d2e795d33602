// Issuing and revoking tokens through the API.
#include <gtest/gtest.h>

#include "aegis/control/test_support.h"
#include "aegis/control/token_service.h"

namespace aegis::control {
namespace {

using nlohmann::json;

class TokenApiTest : public ControlPlaneTest {
 protected:
  void SetUp() override {
    ControlPlaneTest::SetUp();
    for (const char* name : {"finance", "planner"}) {
      ASSERT_EQ(Post("/api/v1/agents", {{"name", name}}).status, 201);
    }
  }
  // What a gateway makes of it: it knows nothing but the JWKS.
  Result<identity::Principal> Verify(const std::string& token, int64_t seconds_from_now = 0) {
    auto keys = crypto::KeySet::FromJwks(Send("GET", "/.well-known/jwks.json", "", {}).body);
    EXPECT_TRUE(keys);
    identity::TokenVerifier::Options options;
    options.keys = *std::move(keys);
    options.issuer = kTokenIssuer;
    options.audience = kTokenAudience;
    options.org = "default";
    options.tenant = "default";
    return identity::TokenVerifier(std::move(options))
        .Verify(token, Clock::System().UnixSeconds() + seconds_from_now);
  }
};

TEST_F(TokenApiTest, ATokenSaysWhoActsForWhom) {
  const auto issued = Post(
      "/api/v1/agents/finance/tokens",
      {{"ttl_seconds", 60},
       {"chain", {{{"type", "user"}, {"id", "alice"}}, {{"type", "agent"}, {"id", "planner"}}}}});
  ASSERT_EQ(issued.status, 201) << issued.body;
  EXPECT_EQ(issued.headers.Get("Cache-Control"), "no-store");
  const auto principal = Verify(Json(issued)["token"]);
  ASSERT_TRUE(principal) << principal.error().ToString();
  EXPECT_EQ(principal->agent, "finance");
  EXPECT_EQ(principal->token_id, Json(issued)["jti"].get<std::string>());
  ASSERT_EQ(principal->chain.size(), 2u);
  EXPECT_EQ(principal->chain[0], (identity::ChainLink{"user", "alice"}));
  EXPECT_EQ(principal->chain[1], (identity::ChainLink{"agent", "planner"}));
  EXPECT_EQ(principal->expires_at - principal->issued_at, 60);
  EXPECT_FALSE(Verify(Json(issued)["token"], 120));
}

TEST_F(TokenApiTest, ABodyIsNotNeeded) {
  const auto issued = PostText("/api/v1/agents/finance/tokens", "");
  ASSERT_EQ(issued.status, 201) << issued.body;
  const auto principal = Verify(Json(issued)["token"]);
  ASSERT_TRUE(principal);
  EXPECT_EQ(principal->expires_at - principal->issued_at, kDefaultTokenTtl);
}

TEST_F(TokenApiTest, IssuingIsRecordedWithoutTheToken) {
  const auto issued = PostText("/api/v1/agents/finance/tokens", "{}");
  const auto operations = Get("/api/v1/operations?limit=1");
  const json entry = Json(operations)["items"][0];
  EXPECT_EQ(entry["action"], "token.issue");
  EXPECT_EQ(entry["object"], "agent/finance");
  EXPECT_EQ(entry["after"]["jti"], Json(issued)["jti"]);
  EXPECT_EQ(operations.body.find(Json(issued)["token"].get<std::string>()), std::string::npos);
}

TEST_F(TokenApiTest, SuspendedAgentsGetNoTokensAndAppearInNone) {
  ASSERT_EQ(Post("/api/v1/agents/planner", {{"status", "suspended"}}).status, 200);
  const auto own = PostText("/api/v1/agents/planner/tokens", "{}");
  EXPECT_EQ(own.status, 409);
  EXPECT_EQ(Json(own)["reason"], "agent_suspended");
  const auto behind =
      Post("/api/v1/agents/finance/tokens", {{"chain", {{{"type", "agent"}, {"id", "planner"}}}}});
  EXPECT_EQ(behind.status, 409);
}

TEST_F(TokenApiTest, AChainInALoopIsRefused) {
  const auto refused =
      Post("/api/v1/agents/finance/tokens", {{"chain", {{{"type", "agent"}, {"id", "finance"}}}}});
  EXPECT_EQ(refused.status, 422) << refused.body;
}

TEST_F(TokenApiTest, RevokingATokenPutsItsIdIntoTheSettings) {
  const json issued = Json(PostText("/api/v1/agents/finance/tokens", "{}"));
  const auto revoked = Post("/api/v1/tokens/revoke", {{"token", issued["token"]}});
  ASSERT_EQ(revoked.status, 200) << revoked.body;
  EXPECT_EQ(Json(revoked)["jti"], issued["jti"]);
  EXPECT_EQ(Json(revoked)["revoked_until"], issued["expires_at"]);
  const json settings = Json(GatewayGet("/v1/gateway/settings"));
  EXPECT_EQ(settings["revoked"]["jtis"], json::array({issued["jti"]}));
  EXPECT_EQ(settings["revoked"]["epoch"], 1);
}

TEST_F(TokenApiTest, OnlyOwnTokensCanBeRevokedByContent) {
  const json issued = Json(PostText("/api/v1/agents/finance/tokens", "{}"));
  std::string tampered = issued["token"];
  tampered[tampered.size() / 2] = tampered[tampered.size() / 2] == 'A' ? 'B' : 'A';
  const auto other_key = crypto::SigningKey::Generate(crypto::Algorithm::kEd25519);
  ASSERT_TRUE(other_key);
  const TokenService other(*other_key, Clock::System());
  const std::string foreign = other.Issue({"default", "default"}, "finance", {}, "", 60)->token;
  const TokenService same(folder_->token_key(), Clock::System());
  const std::string other_tenant = same.Issue({"default", "other"}, "finance", {}, "", 60)->token;
  for (const std::string& token :
       {std::string("x"), std::string(20'000, 'a'), tampered, foreign, other_tenant}) {
    const auto refused = Post("/api/v1/tokens/revoke", {{"token", token}});
    EXPECT_EQ(refused.status, 422) << refused.body;
  }
  EXPECT_TRUE(Json(GatewayGet("/v1/gateway/settings"))["revoked"]["jtis"].empty());
}

TEST_F(TokenApiTest, JwksIsOpenAndHasOnlyPublicParts) {
  const auto jwks = Send("GET", "/.well-known/jwks.json", "", {});
  EXPECT_EQ(jwks.status, 200);
  const json keys = Json(jwks)["keys"];
  ASSERT_EQ(keys.size(), 1u);
  EXPECT_EQ(keys[0]["kty"], "OKP");
  EXPECT_EQ(keys[0]["kid"], folder_->token_key().kid());
  EXPECT_FALSE(keys[0].contains("d"));
  const std::string etag(jwks.headers.Get("ETag"));
  EXPECT_EQ(Send("GET", "/.well-known/jwks.json", "", {{"If-None-Match", etag}}).status, 304);
}

}  // namespace
}  // namespace aegis::control
