#include "aegis/crypto/key.h"

#include <gtest/gtest.h>

#include <string>

#include "aegis/base/text.h"
#include "aegis/crypto/base64.h"
#include "aegis/crypto/digest.h"

namespace aegis::crypto {
namespace {

// RFC 8037 appendix A: an Ed25519 key, its thumbprint, and a signature over a JWS signing input.
constexpr std::string_view kRfc8037Jwk =
    R"({"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"})";
constexpr std::string_view kRfc8037Input =
    "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
constexpr std::string_view kRfc8037Signature =
    "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";

TEST(Key, Rfc8037Ed25519) {
  const VerificationKey key = *VerificationKey::FromJwk(kRfc8037Jwk);
  EXPECT_EQ(key.algorithm(), Algorithm::kEd25519);
  EXPECT_EQ(key.Thumbprint(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
  EXPECT_EQ(key.kid(), key.Thumbprint());
  EXPECT_TRUE(key.Verify(kRfc8037Input, *Base64UrlDecode(kRfc8037Signature)));
  EXPECT_FALSE(key.Verify("other", *Base64UrlDecode(kRfc8037Signature)));
}

// RFC 7515 appendix A.3: ES256.
TEST(Key, Rfc7515Es256) {
  const VerificationKey key = *VerificationKey::FromJwk(
      R"({"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",)"
      R"("y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"})");
  const std::string_view input =
      "eyJhbGciOiJFUzI1NiJ9."
      "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290"
      "Ijp0cnVlfQ";
  const std::string signature = *Base64UrlDecode(
      "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q");
  EXPECT_EQ(key.algorithm(), Algorithm::kEs256);
  EXPECT_TRUE(key.Verify(input, signature));
  EXPECT_FALSE(key.Verify(input, signature.substr(0, 63)));
  EXPECT_FALSE(key.Verify(input, std::string(64, '\0')));
  EXPECT_FALSE(key.Verify(input, ""));
}

// RFC 7638 §3.1: thumbprint of an RSA key.
TEST(Key, Rfc7638Thumbprint) {
  const VerificationKey key = *VerificationKey::FromJwk(
      R"({"kty":"RSA","n":"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tS)"
      R"(oc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY36)"
      R"(8QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3X)"
      R"(PksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw","e":"AQAB","alg":"RS256","kid":"2011-04-29"})");
  EXPECT_EQ(key.algorithm(), Algorithm::kRs256);
  EXPECT_EQ(key.kid(), "2011-04-29");
  EXPECT_EQ(key.Thumbprint(), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
}

size_t SignatureSize(Algorithm algorithm) {
  const std::string_view name = JoseName(algorithm);
  if (name == "ES384") return 96;
  if (name == "ES512") return 132;
  return name[0] == 'R' || name[0] == 'P' ? 384 : 64;
}

class KeyRoundTrip : public testing::TestWithParam<Algorithm> {};

TEST_P(KeyRoundTrip, SignsVerifiesAndSurvivesEveryFormat) {
  const SigningKey key = *SigningKey::Generate(GetParam());
  const std::string signature = *key.Sign("message");
  EXPECT_EQ(key.algorithm(), GetParam());
  EXPECT_EQ(signature.size(), SignatureSize(GetParam()));

  const SigningKey loaded = *SigningKey::FromPem(*key.ToPem(), "k1", GetParam());
  EXPECT_EQ(loaded.kid(), "k1");
  const std::string again = *loaded.Sign("message");
  const VerificationKey from_pem =
      *VerificationKey::FromPem(*key.verification_key().ToPem(), {}, GetParam());
  const VerificationKey from_jwk = *VerificationKey::FromJwk(*key.verification_key().ToJwk());
  for (const VerificationKey* checker : {&key.verification_key(), &from_pem, &from_jwk}) {
    EXPECT_EQ(checker->kid(), key.kid());
    EXPECT_TRUE(checker->Verify("message", signature));
    EXPECT_TRUE(checker->Verify("message", again));
    EXPECT_FALSE(checker->Verify("massage", signature));
    std::string flipped = signature;
    flipped[5] = static_cast<char>(flipped[5] ^ 1);
    EXPECT_FALSE(checker->Verify("message", flipped));
  }
  EXPECT_FALSE(SigningKey::Generate(GetParam())->verification_key().Verify("message", signature));
}

INSTANTIATE_TEST_SUITE_P(All, KeyRoundTrip,
                         testing::Values(Algorithm::kEd25519, Algorithm::kEs256, Algorithm::kEs384,
                                         Algorithm::kEs512, Algorithm::kRs256, Algorithm::kPs512));

TEST(Key, Secrets) {
  const std::pair<Algorithm, size_t> kCases[] = {
      {Algorithm::kHs256, 32}, {Algorithm::kHs384, 48}, {Algorithm::kHs512, 64}};
  for (const auto& [algorithm, bytes] : kCases) {
    EXPECT_EQ(SigningKey::FromSecret(std::string(bytes - 1, 'x'), "s", algorithm).error().reason,
              "key_unsupported");
    const SigningKey key = *SigningKey::FromSecret(std::string(bytes, 'x'), "s", algorithm);
    EXPECT_EQ(key.Sign("m")->size(), bytes);
    EXPECT_TRUE(key.verification_key().Verify("m", *key.Sign("m")));
    EXPECT_FALSE(key.verification_key().Verify("n", *key.Sign("m")));
    EXPECT_EQ(key.ToPem().error().reason, "key_unsupported");
    EXPECT_EQ(key.verification_key().ToJwk().error().reason, "key_unsupported");
  }
}

// RFC 7515 appendix A.1: HS256.
TEST(Key, Rfc7515Hs256) {
  const VerificationKey key = *VerificationKey::FromSecret(
      *Base64UrlDecode(
          "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"),
      "k");
  EXPECT_TRUE(key.Verify(
      "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9."
      "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb2"
      "90Ijp0cnVlfQ",
      *Base64UrlDecode("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk")));
}

// RFC 4231 §4.7: a key longer than a block.
TEST(Key, Rfc4231LongKey) {
  EXPECT_EQ(HexEncode(Hmac(HashFunction::kSha256, std::string(131, '\xaa'),
                           "Test Using Larger Than Block-Size Key - Hash Key First")),
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

TEST(Key, TheAlgorithmIsTheConfigurationsNotTheKeyTexts) {
  const SigningKey rsa = *SigningKey::Generate(Algorithm::kRs256);
  const SigningKey ec = *SigningKey::Generate(Algorithm::kEs384);
  const std::string rsa_pem = *rsa.verification_key().ToPem();
  const std::string ec_pem = *ec.verification_key().ToPem();
  EXPECT_EQ(VerificationKey::FromPem(rsa_pem, "k")->algorithm(), Algorithm::kRs256);
  EXPECT_EQ(VerificationKey::FromPem(rsa_pem, "k", Algorithm::kPs384)->algorithm(),
            Algorithm::kPs384);
  EXPECT_FALSE(
      VerificationKey::FromPem(rsa_pem, "k", Algorithm::kPs256)->Verify("m", *rsa.Sign("m")));
  EXPECT_EQ(VerificationKey::FromPem(ec_pem, "k")->algorithm(), Algorithm::kEs384);
  for (const Algorithm algorithm : {Algorithm::kEs256, Algorithm::kRs384, Algorithm::kEd25519}) {
    EXPECT_EQ(VerificationKey::FromPem(ec_pem, "k", algorithm).error().reason, "key_unsupported");
  }
  EXPECT_EQ(VerificationKey::FromPem(rsa_pem, "k", Algorithm::kHs256).error().reason,
            "key_unsupported");
  EXPECT_EQ(VerificationKey::FromSecret(rsa_pem, "k", Algorithm::kRs256).error().reason,
            "key_unsupported");
}

TEST(Key, RefusesWrongJwks) {
  const std::pair<std::string_view, std::string_view> kCases[] = {
      {"", "key_malformed"},
      {"[]", "key_malformed"},
      {R"({"kty":"OKP","crv":"Ed25519"})", "key_malformed"},
      {R"({"kty":"OKP","crv":"Ed25519","x":"AAAA"})", "key_malformed"},
      {R"({"kty":"OKP","crv":"Ed25519","x":5})", "key_malformed"},
      {R"({"kty":"OKP","crv":"X25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"})",
       "key_unsupported"},
      {R"({"kty":"oct","k":"AAAA"})", "key_malformed"},
      {R"({"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","d":"AAAA"})",
       "key_malformed"},
      {R"({"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","alg":"HS256"})",
       "key_unsupported"},
      {R"({"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","use":"enc"})",
       "key_unsupported"},
      // A point that is not on the curve.
      {R"({"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",)"
       R"("y":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU"})",
       "key_malformed"},
      {R"({"kty":"RSA","n":"AQAB","e":"AQAB"})", "key_unsupported"},  // too short
  };
  for (const auto& [jwk, reason] : kCases) {
    const Result<VerificationKey> key = VerificationKey::FromJwk(jwk);
    ASSERT_FALSE(key) << jwk;
    EXPECT_EQ(key.error().reason, reason) << jwk;
  }
}

TEST(Key, RefusesWrongPem) {
  EXPECT_EQ(VerificationKey::FromPem("").error().reason, "key_malformed");
  EXPECT_EQ(VerificationKey::FromPem("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n")
                .error()
                .reason,
            "key_malformed");
  const SigningKey key = *SigningKey::Generate(Algorithm::kEd25519);
  EXPECT_EQ(VerificationKey::FromPem(*key.ToPem()).error().reason, "key_malformed");
  EXPECT_EQ(SigningKey::FromPem(*key.verification_key().ToPem()).error().reason, "key_malformed");
}

TEST(KeySet, RotatesAndRoundTrips) {
  KeySet set;
  EXPECT_EQ(set.ToJwks(), R"({"keys":[]})");
  const SigningKey old_key = *SigningKey::Generate(Algorithm::kEd25519);
  const SigningKey new_key = *SigningKey::Generate(Algorithm::kEs256);
  ASSERT_TRUE(set.Add(old_key.verification_key()));
  ASSERT_TRUE(set.Add(new_key.verification_key()));
  EXPECT_EQ(set.Add(old_key.verification_key()).error().reason, "key_duplicate");
  ASSERT_TRUE(set.Add(*VerificationKey::FromSecret(std::string(32, 's'), "secret")));
  const std::string document = set.ToJwks();
  EXPECT_EQ(document.find("secret"), std::string::npos);
  const KeySet read = *KeySet::FromJwks(document);
  EXPECT_EQ(read.keys().size(), 2u);
  ASSERT_NE(read.Find(old_key.kid()), nullptr);
  EXPECT_TRUE(read.Find(old_key.kid())->Verify("m", *old_key.Sign("m")));
  EXPECT_EQ(read.Find("absent"), nullptr);
}

TEST(KeySet, SkipsWhatItDoesNotKnow) {
  const KeySet set =
      *KeySet::FromJwks(R"({"keys":[{"kty":"EC","crv":"secp256k1","x":"AA","y":"AA"},)" +
                        std::string(kRfc8037Jwk) + "]}");
  EXPECT_EQ(set.keys().size(), 1u);
  EXPECT_EQ(KeySet::FromJwks("{}").error().reason, "key_malformed");
  EXPECT_EQ(KeySet::FromJwks(R"({"keys":[1]})").error().reason, "key_malformed");
}

}  // namespace
}  // namespace aegis::crypto
