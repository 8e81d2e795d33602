#include "aegis/identity/agent_token.h"

#include <gtest/gtest.h>

#include <functional>
#include <string>

#include "aegis/crypto/base64.h"
#include "aegis/crypto/jws.h"

namespace aegis::identity {
namespace {

using crypto::Algorithm;
using crypto::SigningKey;

constexpr int64_t kNow = 1'800'000'000;

const SigningKey& Key() {
  static const SigningKey key = *SigningKey::Generate(Algorithm::kEd25519);
  return key;
}

TokenVerifier::Options VerifierOptions() {
  TokenVerifier::Options options;
  EXPECT_TRUE(options.keys.Add(Key().verification_key()));
  options.issuer = "https://aegis.example";
  options.audience = "aegis-gateway";
  options.org = "acme";
  options.tenant = "payments";
  return options;
}

TokenRequest Request() {
  return {.org = "acme",
          .tenant = "payments",
          .agent = "finance-agent",
          .chain = {{"user", "alice@example.com"}, {"agent", "planner-agent"}},
          .scope = "tools:call tools:list",
          .token_id = "t1",
          .issued_at = kNow,
          .lifetime = 600};
}

TokenIssuer Issuer() { return TokenIssuer(Key(), "https://aegis.example", "aegis-gateway"); }

std::string ReasonOf(std::string_view token, int64_t now = kNow) {
  const Result<Principal> principal = TokenVerifier(VerifierOptions()).Verify(token, now);
  if (principal) return "";
  EXPECT_EQ(principal.error().code, Code::kUnauthenticated);
  EXPECT_EQ(principal.error().message.find("evil"), std::string::npos) << principal.error().message;
  return std::string(principal.error().reason);
}

constexpr std::string_view kGoodClaims =
    R"({"iss":"https://aegis.example","aud":"aegis-gateway","sub":"agent:payments/finance-agent","org":"acme",)"
    R"("tenant":"payments","agent":"finance-agent","jti":"t1","iat":1800000000,"nbf":1800000000,"exp":1800000600})";

std::string Signed(std::string_view claims, std::string_view type = "at+jwt") {
  return *crypto::SignJws(Key(), claims, type);
}

// The good claims with one piece of text replaced.
std::string With(std::string_view from, std::string_view to) {
  std::string claims(kGoodClaims);
  const size_t at = claims.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  claims.replace(at, from.size(), to);
  return Signed(claims);
}

TEST(AgentToken, IssuedOnesVerify) {
  const IssuedToken issued = *Issuer().Issue(Request());
  EXPECT_EQ(issued.token_id, "t1");
  EXPECT_EQ(issued.expires_at, kNow + 600);
  const Result<Principal> principal = TokenVerifier(VerifierOptions()).Verify(issued.token, kNow);
  ASSERT_TRUE(principal) << principal.error().ToString();
  EXPECT_EQ(principal->org, "acme");
  EXPECT_EQ(principal->tenant, "payments");
  EXPECT_EQ(principal->agent, "finance-agent");
  EXPECT_EQ(principal->chain, Request().chain);
  EXPECT_EQ(principal->scope, "tools:call tools:list");
  EXPECT_EQ(principal->token_id, "t1");
  EXPECT_EQ(principal->issued_at, kNow);
  EXPECT_EQ(principal->expires_at, kNow + 600);
}

TEST(AgentToken, ClaimsAreThoseOfTheContract) {
  TokenRequest request = Request();
  request.scope.clear();
  const DecodedToken decoded = *DecodeUnverified(Issuer().Issue(request)->token);
  EXPECT_EQ(decoded.header_json,
            R"({"alg":"EdDSA","kid":")" + Key().kid() + R"(","typ":"at+jwt"})");
  EXPECT_EQ(
      decoded.claims_json,
      R"({"iss":"https://aegis.example","aud":"aegis-gateway","sub":"agent:payments/finance-agent",)"
      R"("org":"acme","tenant":"payments","agent":"finance-agent","jti":"t1","iat":1800000000,)"
      R"("nbf":1800000000,"exp":1800000600,"act":{"sub":"agent:payments/planner-agent",)"
      R"("act":{"sub":"user:alice@example.com"}}})");
}

TEST(AgentToken, RandomIdsDiffer) {
  TokenRequest request = Request();
  request.token_id.clear();
  const std::string first = Issuer().Issue(request)->token_id;
  EXPECT_EQ(first.size(), 22u);
  EXPECT_NE(first, Issuer().Issue(request)->token_id);
}

TEST(AgentToken, GoodVariants) {
  EXPECT_EQ(ReasonOf(Signed(kGoodClaims)), "");
  EXPECT_EQ(ReasonOf(Signed(kGoodClaims, "application/at+jwt")), "");
  EXPECT_EQ(ReasonOf(Signed(kGoodClaims, "AT+JWT")), "");
  EXPECT_EQ(ReasonOf(With(R"("aud":"aegis-gateway")", R"("aud":["x","aegis-gateway"])")), "");
  EXPECT_EQ(ReasonOf(With(R"("nbf":1800000000,)", "")), "");
  EXPECT_EQ(ReasonOf(With(R"("jti")", R"("unknown":{"claims":["are ignored"]},"jti")")), "");
}

struct BadClaims {
  std::string_view from, to, reason;
};

class BadClaimsTest : public testing::TestWithParam<BadClaims> {};

TEST_P(BadClaimsTest, AreRefused) {
  EXPECT_EQ(ReasonOf(With(GetParam().from, GetParam().to)), GetParam().reason) << GetParam().to;
}

INSTANTIATE_TEST_SUITE_P(
    All, BadClaimsTest,
    testing::Values(
        BadClaims{R"("iss":"https://aegis.example",)", "", "token_claims"},
        BadClaims{R"("iss":"https://aegis.example")", R"("iss":"https://evil.example")",
                  "token_issuer"},
        BadClaims{R"("aud":"aegis-gateway",)", "", "token_claims"},
        BadClaims{R"("aud":"aegis-gateway")", R"("aud":"evil")", "token_audience"},
        BadClaims{R"("aud":"aegis-gateway")", R"("aud":[])", "token_claims"},
        BadClaims{R"("aud":"aegis-gateway")", R"("aud":["evil",5])", "token_audience"},
        BadClaims{R"("aud":"aegis-gateway")", R"("aud":{"aegis-gateway":1})", "token_claims"},
        BadClaims{R"("org":"acme")", R"("org":"evil")", "token_org"},
        BadClaims{R"("org":"acme")", R"("org":"")", "token_claims"},
        BadClaims{R"("org":"acme",)", "", "token_claims"},
        BadClaims{R"("tenant":"payments")", R"("tenant":"evil")", "token_tenant"},
        BadClaims{R"("tenant":"payments")", R"("tenant":"a/b")", "token_claims"},
        BadClaims{R"("agent":"finance-agent")", R"("agent":"evil-agent")", "token_subject"},
        BadClaims{R"("agent":"finance-agent")", R"("agent":["finance-agent"])", "token_claims"},
        BadClaims{R"("agent":"finance-agent")", R"("agent":"../evil")", "token_claims"},
        BadClaims{R"("agent":"finance-agent")", R"("agent":"fin\u0000")", "token_claims"},
        BadClaims{R"("sub":"agent:payments/finance-agent")", R"("sub":"agent:payments/evil")",
                  "token_subject"},
        BadClaims{R"("sub":"agent:payments/finance-agent")", R"("sub":"user:finance-agent")",
                  "token_subject"},
        BadClaims{R"("sub":"agent:payments/finance-agent",)", "", "token_claims"},
        BadClaims{R"("jti":"t1",)", "", "token_claims"},
        BadClaims{R"("jti":"t1")", R"("jti":"")", "token_claims"},
        BadClaims{R"("jti":"t1")", R"("jti":"a b")", "token_claims"},
        BadClaims{R"("jti":"t1")", R"("jti":"t1","jti":"t2")", "token_malformed"},
        BadClaims{R"("jti")", R"("scope":7,"jti")", "token_claims"},
        BadClaims{R"("jti")", R"("scope":"a  b","jti")", "token_claims"},
        BadClaims{R"("jti")", R"("cnf":{"jkt":"x"},"jti")", "token_unsupported"},
        BadClaims{R"("iat":1800000000,)", "", "token_claims"},
        BadClaims{R"(,"exp":1800000600)", "", "token_claims"},
        BadClaims{R"("exp":1800000600)", R"("exp":"1800000600")", "token_claims"},
        BadClaims{R"("exp":1800000600)", R"("exp":1.8000006e9)", "token_claims"},
        BadClaims{R"("exp":1800000600)", R"("exp":1e300)", "token_claims"},
        BadClaims{R"("exp":1800000600)", R"("exp":99999999999999999999999)", "token_claims"},
        BadClaims{R"("exp":1800000600)", R"("exp":9223372036854775807)", "token_claims"},
        BadClaims{R"("exp":1800000600)", R"("exp":-1)", "token_claims"},
        BadClaims{R"("exp":1800000600)", R"("exp":1800000000)", "token_lifetime"},
        BadClaims{R"("exp":1800000600)", R"("exp":1800086401)", "token_lifetime"},
        BadClaims{R"("nbf":1800000000)", R"("nbf":1800000100)", "token_not_yet_valid"},
        BadClaims{R"("nbf":1800000000)", R"("nbf":null)", "token_claims"},
        BadClaims{R"("iat":1800000000)", R"("iat":1800000100)", "token_not_yet_valid"},
        BadClaims{R"("jti")", R"("act":"user:alice","jti")", "token_chain"},
        BadClaims{R"("jti")", R"("act":null,"jti")", "token_chain"},
        BadClaims{R"("jti")", R"("act":{},"jti")", "token_chain"},
        BadClaims{R"("jti")", R"("act":{"sub":"alice"},"jti")", "token_chain"},
        BadClaims{R"("jti")", R"("act":{"sub":"user:"},"jti")", "token_chain"},
        BadClaims{R"("jti")", R"("act":{"sub":"agent:evil/planner"},"jti")", "token_chain"},
        BadClaims{R"("jti")", R"("act":{"sub":"agent:payments/a/b"},"jti")", "token_chain"},
        BadClaims{R"("jti")", R"("act":{"sub":"user:a\u0007"},"jti")", "token_chain"},
        BadClaims{R"("jti")", R"("act":{"sub":"agent:payments/finance-agent"},"jti")",
                  "token_chain"},
        BadClaims{R"("jti")", R"("act":{"sub":"user:a","act":{"sub":"user:a"}},"jti")",
                  "token_chain"}));

TEST(AgentToken, ClockWithLeeway) {
  const std::string token = Signed(kGoodClaims);
  EXPECT_EQ(ReasonOf(token, kNow - 6), "token_not_yet_valid");
  EXPECT_EQ(ReasonOf(token, kNow - 5), "");
  EXPECT_EQ(ReasonOf(token, kNow + 604), "");
  EXPECT_EQ(ReasonOf(token, kNow + 605), "token_expired");
  EXPECT_TRUE(TokenVerifier(VerifierOptions()).VerifyIgnoringTime(token));
}

std::string Nested(int depth) {
  std::string act;
  for (int i = 0; i < depth; ++i) act += R"("act":{"sub":"user:u)" + std::to_string(i) + "\",";
  act.back() = '}';
  return act + std::string(static_cast<size_t>(depth - 1), '}') + ",\"jti\"";
}

TEST(AgentToken, ChainDepth) {
  EXPECT_EQ(ReasonOf(With("\"jti\"", Nested(8))), "");
  EXPECT_EQ(ReasonOf(With("\"jti\"", Nested(9))), "token_chain");
  EXPECT_EQ(ReasonOf(With("\"jti\"", Nested(31))), "token_chain");
  EXPECT_EQ(ReasonOf(With("\"jti\"", Nested(40))), "token_malformed");
}

TEST(AgentToken, NoNamesDemandedWhenNoneConfigured) {
  TokenVerifier::Options options = VerifierOptions();
  options.org.clear();
  options.tenant.clear();
  EXPECT_TRUE(TokenVerifier(options).Verify(Signed(kGoodClaims), kNow));
}

TEST(AgentToken, SignatureAndHeader) {
  const std::string good = Signed(kGoodClaims);
  const std::string claims = good.substr(good.find('.') + 1, good.rfind('.') - good.find('.') - 1);
  const auto with_header = [&](std::string_view header) {
    const std::string input = crypto::Base64UrlEncode(header) + "." + claims;
    return input + "." + crypto::Base64UrlEncode(*Key().Sign(input));
  };
  const std::string kid = R"("kid":")" + Key().kid() + "\"";
  EXPECT_EQ(ReasonOf(with_header(R"({"alg":"Ed25519","typ":"at+jwt",)" + kid + "}")), "");
  EXPECT_EQ(ReasonOf(with_header(R"({"alg":"none","typ":"at+jwt",)" + kid + "}")),
            "token_algorithm");
  EXPECT_EQ(ReasonOf(with_header(R"({"alg":"none"})")), "token_algorithm");
  EXPECT_EQ(ReasonOf(with_header(R"({"alg":"ES256","typ":"at+jwt",)" + kid + "}")),
            "token_algorithm");
  EXPECT_EQ(ReasonOf(with_header(R"({"alg":"EdDSA",)" + kid + "}")), "token_type");
  EXPECT_EQ(ReasonOf(with_header(R"({"alg":"EdDSA","typ":"JWT",)" + kid + "}")), "token_type");
  EXPECT_EQ(ReasonOf(with_header(R"({"alg":"EdDSA","typ":"at+jwt"})")), "token_unknown_key");
  EXPECT_EQ(ReasonOf(with_header(R"({"alg":"EdDSA","typ":"at+jwt","kid":"evil"})")),
            "token_unknown_key");
  EXPECT_EQ(
      ReasonOf(with_header(R"({"alg":"EdDSA","typ":"at+jwt","jku":"http://evil",)" + kid + "}")),
      "token_header");
  EXPECT_EQ(ReasonOf(with_header(R"({"alg":"EdDSA","typ":"at+jwt","crit":["exp"],)" + kid + "}")),
            "token_header");
  for (size_t i = good.rfind('.') + 1; i < good.size(); i += 7) {
    std::string flipped = good;
    flipped[i] = flipped[i] == 'A' ? 'B' : 'A';
    const std::string reason = ReasonOf(flipped);
    EXPECT_TRUE(reason == "token_signature" || reason == "token_malformed") << reason;
  }
  std::string tampered = good;
  tampered[good.find('.') + 5] ^= 1;
  EXPECT_EQ(ReasonOf(tampered), "token_signature");
}

TEST(AgentToken, ForeignKey) {
  const SigningKey other =
      *SigningKey::FromPem(*SigningKey::Generate(Algorithm::kEd25519)->ToPem(), Key().kid());
  EXPECT_EQ(ReasonOf(*crypto::SignJws(other, kGoodClaims, "at+jwt")), "token_signature");
}

TEST(AgentToken, RotatedKeys) {
  TokenVerifier::Options options = VerifierOptions();
  const SigningKey next = *SigningKey::Generate(Algorithm::kEs256);
  ASSERT_TRUE(options.keys.Add(next.verification_key()));
  const TokenVerifier verifier(options);
  EXPECT_TRUE(verifier.Verify(Signed(kGoodClaims), kNow));
  EXPECT_TRUE(verifier.Verify(*crypto::SignJws(next, kGoodClaims, "at+jwt"), kNow));
}

TEST(AgentToken, Malformed) {
  for (const std::string_view token : {"", "a", "a.b", "a.b.c.d", "..", "!!.!!.!!", "e30.e30.AA"}) {
    const std::string reason = ReasonOf(token);
    EXPECT_TRUE(reason == "token_malformed" || reason == "token_header") << token << " " << reason;
  }
  EXPECT_EQ(ReasonOf(Signed("[]")), "token_malformed");
  EXPECT_EQ(ReasonOf(Signed("")), "token_malformed");
  EXPECT_EQ(ReasonOf(std::string(kMaxTokenBytes + 1, 'a')), "token_too_large");
  EXPECT_EQ(ReasonOf(Signed(kGoodClaims) + "="), "token_malformed");
  EXPECT_EQ(ReasonOf(Signed(kGoodClaims) + " "), "token_malformed");
}

TEST(AgentToken, IssuerRefusesWhatTheVerifierWould) {
  const auto reason = [](const std::function<void(TokenRequest&)>& change) {
    TokenRequest request = Request();
    change(request);
    const Result<IssuedToken> issued = Issuer().Issue(request);
    return issued ? "" : std::string(issued.error().reason);
  };
  EXPECT_EQ(reason([](TokenRequest&) {}), "");
  EXPECT_EQ(reason([](TokenRequest& r) { r.agent = "a/b"; }), "token_request");
  EXPECT_EQ(reason([](TokenRequest& r) { r.tenant = ""; }), "token_request");
  EXPECT_EQ(reason([](TokenRequest& r) { r.org = "-x"; }), "token_request");
  EXPECT_EQ(reason([](TokenRequest& r) { r.chain = {{"robot", "x"}}; }), "token_request");
  EXPECT_EQ(reason([](TokenRequest& r) { r.chain.push_back({"agent", "finance-agent"}); }),
            "token_request");
  EXPECT_EQ(reason([](TokenRequest& r) {
              for (int i = 0; i < 7; ++i) r.chain.push_back({"user", std::to_string(i)});
            }),
            "token_request");
  EXPECT_EQ(reason([](TokenRequest& r) { r.scope = "\""; }), "token_request");
  EXPECT_EQ(reason([](TokenRequest& r) { r.lifetime = 0; }), "token_request");
  EXPECT_EQ(reason([](TokenRequest& r) { r.lifetime = INT64_MAX; }), "token_request");
}

TEST(AgentToken, Names) {
  for (const std::string_view name : {"a", "finance-agent", "A.b_c@d:e-1"})
    EXPECT_TRUE(IsValidName(name)) << name;
  for (const std::string_view name : {"", ".a", "-a", "a b", "a/b", "\xc3\xa9", "a\n"}) {
    EXPECT_FALSE(IsValidName(name)) << name;
  }
  EXPECT_FALSE(IsValidName(std::string(129, 'a')));
  for (const std::string_view id : {"alice@example.com", "auth0|5f", "Zo\xc3\xab B", "a/b"})
    EXPECT_TRUE(IsValidUserId(id));
  for (const std::string_view id : {"", " a", "a ", "a\nb", "\xff", "a\x7f"})
    EXPECT_FALSE(IsValidUserId(id));
}

TEST(ClaimedAgentTest, SaysWhatAnyTokenSays) {
  const auto token = [](std::string_view claims) {
    return crypto::Base64UrlEncode(R"({"alg":"none"})") + "." + crypto::Base64UrlEncode(claims) +
           ".";
  };
  const struct {
    std::string token;
    const char* name;
  } cases[] = {
      {token(R"({"agent":"a","sub":"b"})"), "a"},
      {token(R"({"sub":"agent:tenant/b"})"), "b"},
      {token(R"({"sub":"agent:b"})"), "b"},
      {token(R"({"sub":"user@example.com"})"), "user@example.com"},
      {token(R"({"agent":7,"sub":"b"})"), "b"},
      {token(R"({"agent":"a\u001b[2J"})"), "a\x1b[2J"},
      {token(R"({"iss":"x"})"), ""},
      {token("[]"), ""},
      {token("not JSON"), ""},
      {"." + crypto::Base64UrlEncode(R"({"sub":"b"})"), "b"},
      {"", ""},
      {"opaque-api-key", ""},
      {"a.!!.c", ""},
      {"..", ""},
      {token(R"({"sub":")" + std::string(kMaxTokenBytes, 'x') + R"("})"), ""},
      {token(std::string(5000, '[')), ""},
  };
  for (const auto& [text, name] : cases) EXPECT_EQ(ClaimedAgent(text), name) << text.substr(0, 80);
}

}  // namespace
}  // namespace aegis::identity
