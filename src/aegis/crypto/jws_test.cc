#include "aegis/crypto/jws.h"

#include <gtest/gtest.h>

#include <string>

#include "aegis/crypto/base64.h"

namespace aegis::crypto {
namespace {

constexpr size_t kMax = 8192;

// RFC 8037 appendix A.4.
TEST(Jws, Rfc8037) {
  const VerificationKey key = *VerificationKey::FromJwk(
      R"({"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"})");
  const Jws jws = *ParseJws(
      "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc."
      "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg",
      kMax);
  EXPECT_EQ(jws.payload, "Example of Ed25519 signing");
  EXPECT_EQ(jws.alg, "EdDSA");
  EXPECT_TRUE(VerifyJws(jws, key));
}

// RFC 7515 appendix A.1: HS256 (the key is 64 bytes).
TEST(Jws, Rfc7515Hs256) {
  const VerificationKey key = *VerificationKey::FromSecret(
      *Base64UrlDecode(
          "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"),
      "k");
  const Jws jws = *ParseJws(
      "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9."
      "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVl"
      "fQ."
      "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
      kMax);
  EXPECT_EQ(jws.typ, "JWT");
  EXPECT_TRUE(VerifyJws(jws, key));
}

TEST(Jws, SignedOnesVerify) {
  for (const Algorithm algorithm : {Algorithm::kEd25519, Algorithm::kEs256}) {
    const SigningKey key = *SigningKey::Generate(algorithm);
    KeySet keys;
    ASSERT_TRUE(keys.Add(key.verification_key()));
    const std::string compact = *SignJws(key, R"({"a":1})", "at+jwt");
    const Jws jws = *ParseJws(compact, kMax);
    EXPECT_EQ(jws.kid, key.kid());
    EXPECT_EQ(jws.typ, "at+jwt");
    EXPECT_EQ(jws.payload, R"({"a":1})");
    EXPECT_TRUE(VerifyJws(jws, keys));
    EXPECT_EQ(VerifyJws(jws, KeySet()).error().reason, "jws_unknown_key");
  }
}

std::string WithHeader(std::string_view header) {
  return Base64UrlEncode(header) + "." + Base64UrlEncode("{}") + ".AAAA";
}

TEST(Jws, RefusesWhatHeadersMustNotSay) {
  const std::pair<std::string_view, std::string_view> kCases[] = {
      {R"({"alg":"EdDSA","crit":["exp"],"exp":1})", "jws_header"},
      {R"({"alg":"EdDSA","crit":[]})", "jws_header"},
      {R"({"alg":"EdDSA","jku":"https://example.com/k"})", "jws_header"},
      {R"({"alg":"EdDSA","x5u":"https://example.com/k"})", "jws_header"},
      {R"({"alg":"EdDSA","x5c":[]})", "jws_header"},
      {R"({"alg":"EdDSA","jwk":{}})", "jws_header"},
      {R"({"alg":5})", "jws_header"},
      {R"({"kid":"k"})", "jws_header"},
      {R"({"alg":"EdDSA","kid":7})", "jws_header"},
      {R"({"alg":"EdDSA","alg":"none"})", "jws_malformed"},
      {R"(["alg"])", "jws_malformed"},
      {"", "jws_malformed"},
  };
  for (const auto& [header, reason] : kCases) {
    EXPECT_EQ(ParseJws(WithHeader(header), kMax).error().reason, reason) << header;
  }
}

TEST(Jws, RefusesMalformedOnes) {
  for (const std::string_view text :
       {"", ".", "..", "a.b", "a.b.c.d", "eyJhbGciOiJFZERTQSJ9.e30=.AAAA",
        "eyJhbGciOiJFZERTQSJ9.e30.A A", "eyJhbGciOiJFZERTQSJ9.e30.AAAA\n"}) {
    EXPECT_EQ(ParseJws(text, kMax).error().reason, "jws_malformed") << text;
  }
  EXPECT_EQ(ParseJws(std::string(kMax + 1, 'a'), kMax).error().reason, "jws_too_large");
  EXPECT_EQ(ParseJws(WithHeader("{\"alg\":\"x\",\"a\":\"" + std::string(3000, 'a') + "\"}"), kMax)
                .error()
                .reason,
            "jws_malformed");
}

// The attacks of RFC 8725 §2.1: another algorithm than the key's.
TEST(Jws, AlgorithmIsTheKeys) {
  const SigningKey key = *SigningKey::Generate(Algorithm::kRs256);
  KeySet keys;
  ASSERT_TRUE(keys.Add(key.verification_key()));
  const std::string kid = R"(,"kid":")" + key.kid() + R"("})";
  for (const std::string_view alg :
       {"none", "None", "HS256", "ES256", "RS512", "PS256", "EdDSA", "rs256"}) {
    const std::string compact = WithHeader(R"({"alg":")" + std::string(alg) + '"' + kid);
    EXPECT_EQ(VerifyJws(*ParseJws(compact, kMax), keys).error().reason, "jws_algorithm") << alg;
  }
  // The public key used as an HMAC secret.
  const std::string pem = *key.verification_key().ToPem();
  const SigningKey forged = *SigningKey::FromSecret(pem, key.kid());
  const std::string compact = *SignJws(forged, "{}", "");
  EXPECT_EQ(VerifyJws(*ParseJws(compact, kMax), keys).error().reason, "jws_algorithm");
  EXPECT_EQ(VerifyJws(*ParseJws(WithHeader(R"({"alg":"none"})"), kMax), keys).error().reason,
            "jws_algorithm");
}

TEST(Jws, BothNamesOfEd25519) {
  const SigningKey key = *SigningKey::Generate(Algorithm::kEd25519);
  const std::string input =
      Base64UrlEncode(R"({"alg":"Ed25519","kid":"k"})") + "." + Base64UrlEncode("{}");
  const std::string compact = input + "." + Base64UrlEncode(*key.Sign(input));
  EXPECT_TRUE(VerifyJws(*ParseJws(compact, kMax), key.verification_key()));
}

}  // namespace
}  // namespace aegis::crypto
