#include "aegis/identity/token_cache.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace aegis::identity {
namespace {

constexpr int64_t kNow = 1'800'000'000;

class TokenCacheTest : public testing::Test {
 protected:
  static TokenVerifier MakeVerifier() {
    TokenVerifier::Options options;
    EXPECT_TRUE(options.keys.Add(Key().verification_key()));
    options.issuer = "i";
    options.audience = "a";
    return TokenVerifier(options);
  }

  static const crypto::SigningKey& Key() {
    static const crypto::SigningKey key =
        *crypto::SigningKey::Generate(crypto::Algorithm::kEd25519);
    return key;
  }

  static std::string Token(const std::string& agent, int64_t lifetime = 600,
                           std::vector<ChainLink> chain = {}) {
    return TokenIssuer(Key(), "i", "a")
        .Issue({.org = "o",
                .tenant = "t",
                .agent = agent,
                .chain = std::move(chain),
                .scope = "",
                .token_id = "id-" + agent,
                .issued_at = kNow,
                .lifetime = lifetime})
        ->token;
  }

  std::string ReasonOf(const std::string& token, int64_t now = kNow) {
    const Result<PrincipalRef> found = cache_.Authenticate(token, now, verifier_, revocations_);
    return found ? "" : std::string(found.error().reason);
  }

  TokenCache cache_{64};
  TokenVerifier verifier_ = MakeVerifier();
  RevocationSet revocations_{1};
};

TEST_F(TokenCacheTest, VerifiesOnce) {
  const std::string token = Token("a");
  const PrincipalRef first = *cache_.Authenticate(token, kNow, verifier_, revocations_);
  const PrincipalRef second = *cache_.Authenticate(token, kNow + 1, verifier_, revocations_);
  EXPECT_EQ(first.get(), second.get());
  EXPECT_EQ(first->agent, "a");
  EXPECT_EQ(cache_.stats().misses, 1u);
  EXPECT_EQ(cache_.stats().hits, 1u);
}

TEST_F(TokenCacheTest, ExpiryHoldsWhenCached) {
  const std::string token = Token("a", 10);
  EXPECT_EQ(ReasonOf(token), "");
  EXPECT_EQ(ReasonOf(token, kNow + 14), "");
  EXPECT_EQ(ReasonOf(token, kNow + 15), "token_expired");
}

TEST_F(TokenCacheTest, KeepsNoFailures) {
  EXPECT_EQ(ReasonOf("x.y.z"), "token_malformed");
  EXPECT_EQ(ReasonOf("x.y.z"), "token_malformed");
  EXPECT_EQ(cache_.stats().misses, 2u);
  EXPECT_EQ(ReasonOf(std::string(kMaxTokenBytes + 1, 'x')), "token_too_large");
}

TEST_F(TokenCacheTest, NewVerifierForgetsTheOldOnesTokens) {
  const std::string token = Token("a");
  EXPECT_EQ(ReasonOf(token), "");
  TokenVerifier::Options options;  // the key is gone
  options.issuer = "i";
  options.audience = "a";
  verifier_ = TokenVerifier(options);
  EXPECT_EQ(ReasonOf(token), "token_unknown_key");
}

TEST_F(TokenCacheTest, RevocationsReachCachedTokens) {
  const std::string a = Token("a"), b = Token("b");
  const std::string through_b = Token("c", 600, {{"user", "u"}, {"agent", "b"}});
  for (const std::string& token : {a, b, through_b}) EXPECT_EQ(ReasonOf(token), "");

  revocations_ = RevocationSet(2);
  revocations_.RevokeToken("id-a");
  EXPECT_EQ(ReasonOf(a), "token_revoked");
  EXPECT_EQ(ReasonOf(b), "");

  revocations_ = RevocationSet(3);
  revocations_.RevokeAgent("t", "b", kNow);
  EXPECT_EQ(ReasonOf(a), "");
  EXPECT_EQ(ReasonOf(b), "token_revoked");
  EXPECT_EQ(ReasonOf(through_b), "token_revoked");
  EXPECT_EQ(ReasonOf(Token("b", 700)), "token_revoked");  // not cached yet

  revocations_ = RevocationSet(4);
  revocations_.RevokeAgent("t", "b", kNow - 1);  // only what was issued before
  revocations_.RevokeTenant("other", kNow);
  EXPECT_EQ(ReasonOf(b), "");

  revocations_ = RevocationSet(5);
  revocations_.RevokeTenant("t", kNow);
  for (const std::string& token : {a, b, through_b}) EXPECT_EQ(ReasonOf(token), "token_revoked");
}

TEST_F(TokenCacheTest, IsBoundedAndReferencesOutliveEviction) {
  TokenCache small(8);
  const std::string first = Token("first");
  const PrincipalRef held = *small.Authenticate(first, kNow, verifier_, revocations_);
  for (int i = 0; i < 8; ++i) {
    ASSERT_TRUE(small.Authenticate(Token("n" + std::to_string(i)), kNow, verifier_, revocations_));
  }
  EXPECT_EQ(small.stats().evictions, 1u);
  EXPECT_EQ(held->agent, "first");
  const uint64_t misses = small.stats().misses;
  ASSERT_TRUE(small.Authenticate(first, kNow, verifier_, revocations_));
  EXPECT_EQ(small.stats().misses, misses + 1);  // the least recently used one went
}

}  // namespace
}  // namespace aegis::identity
