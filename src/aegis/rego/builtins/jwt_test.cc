#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "aegis/crypto/base64.h"
#include "aegis/crypto/key.h"
#include "aegis/rego/builtins/testing.h"

namespace aegis::rego {
namespace {

using crypto::Algorithm;
using crypto::Base64UrlEncode;
using crypto::SigningKey;

constexpr std::string_view kRefused = "[false,{},{}]";

std::string Token(const SigningKey& key, std::string_view header, std::string_view payload) {
  const std::string input = Base64UrlEncode(header) + "." + Base64UrlEncode(payload);
  return input + "." + Base64UrlEncode(*key.Sign(input));
}

std::string Header(Algorithm algorithm) {
  return R"({"alg":")" + std::string(JoseName(algorithm)) + R"("})";
}

class JwtTest : public testing::Test {
 protected:
  std::string DecodeVerify(std::string_view token, const std::string& constraints) {
    return caller_.Call("io.jwt.decode_verify", "[" + Quoted(token) + "," + constraints + "]");
  }
  std::string Verify(const std::string& name, std::string_view token, std::string_view key) {
    return caller_.Call("io.jwt.verify_" + name, "[" + Quoted(token) + "," + Quoted(key) + "]");
  }

  static const SigningKey& EcKey() {
    static const SigningKey key = *SigningKey::Generate(Algorithm::kEs256);
    return key;
  }
  static std::string EcCert() {
    return R"({"cert":)" + Quoted(*EcKey().verification_key().ToPem()) + "}";
  }

  BuiltinCaller caller_;
};

// RFC 7515 appendix A.1: HS256 with a key that is not text.
TEST_F(JwtTest, Rfc7515Hs256) {
  const std::string jwks =
      R"({"cert":"{\"kty\":\"oct\",\"k\":\"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtM)"
      R"(N3Yj0iPS4hcgUuTwjAzZr1Z9CAow\"}","time":0})";
  EXPECT_EQ(
      DecodeVerify("eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9."
                   "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc1"
                   "9yb290Ijp0cnVlfQ.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
                   jwks),
      R"([true,{"alg":"HS256","typ":"JWT"},{"exp":1300819380,"http://example.com/is_root":true,"iss":"joe"}])");
}

// RFC 8037 appendix A.4.
TEST_F(JwtTest, Rfc8037Ed25519) {
  const std::string_view token =
      "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc."
      "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
  const std::string_view key =
      R"({"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"})";
  EXPECT_EQ(Verify("eddsa", token, key), "true");
  EXPECT_EQ(Verify("rs256", token, key), "false");
  EXPECT_EQ(Verify("hs256", token, key), "false");
}

TEST_F(JwtTest, EveryAlgorithmSignsAndVerifies) {
  const std::string rsa = *SigningKey::Generate(Algorithm::kRs256)->ToPem();
  for (const Algorithm algorithm :
       {Algorithm::kEd25519, Algorithm::kEs256, Algorithm::kEs384, Algorithm::kEs512,
        Algorithm::kRs256, Algorithm::kRs384, Algorithm::kRs512, Algorithm::kPs256,
        Algorithm::kPs384, Algorithm::kPs512}) {
    std::string name(JoseName(algorithm));
    const SigningKey key = name[1] == 'S' && name[0] != 'E'
                               ? *SigningKey::FromPem(rsa, "k", algorithm)
                               : *SigningKey::Generate(algorithm);
    for (char& c : name) c = static_cast<char>(std::tolower(c));
    const std::string token = Token(key, Header(algorithm), R"({"a":1})");
    std::string other = Token(key, Header(algorithm), R"({"a":2})");
    other.replace(0, token.rfind('.'), token, 0, token.rfind('.'));
    const std::string pem = *key.verification_key().ToPem();
    const std::string jwks = R"({"keys":[)" + *key.verification_key().ToJwk() + "]}";
    EXPECT_EQ(Verify(name, token, pem), "true") << name;
    EXPECT_EQ(Verify(name, token, jwks), "true") << name;
    EXPECT_EQ(Verify(name, other, pem), "false") << name;
    EXPECT_EQ(DecodeVerify(token, R"({"cert":)" + Quoted(jwks) + "}"),
              "[true," + Header(algorithm) + R"(,{"a":1}])");
  }
}

TEST_F(JwtTest, SignedHereVerifiesHere) {
  const std::string_view key =
      R"({"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",)"
      R"("d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A"})";
  const std::string token = caller_.Call(
      "io.jwt.encode_sign", R"([{"alg":"EdDSA"},{"sub":"x"},)" + std::string(key) + "]");
  EXPECT_EQ(DecodeVerify(token.substr(1, token.size() - 2), R"({"cert":)" + Quoted(key) + "}"),
            R"([true,{"alg":"EdDSA"},{"sub":"x"}])");
  // A private key is no public key.
  EXPECT_EQ(Verify("eddsa", token.substr(1, token.size() - 2), key), "false");
}

TEST_F(JwtTest, ThePublicKeyIsNoSecret) {
  const std::string pem = *EcKey().verification_key().ToPem();
  const SigningKey confused = *SigningKey::FromSecret(pem, "k");
  const std::string token = Token(confused, R"({"alg":"HS256"})", R"({"admin":true})");
  EXPECT_EQ(DecodeVerify(token, EcCert()), kRefused);
  EXPECT_EQ(Verify("es256", token, pem), "false");
  const std::string none = Base64UrlEncode(R"({"alg":"none"})") + "." + Base64UrlEncode("{}") + ".";
  EXPECT_EQ(DecodeVerify(none, EcCert()), kRefused);
  EXPECT_EQ(DecodeVerify(none, R"({"secret":"s"})"), kRefused);
}

TEST_F(JwtTest, WhatWasCheckedIsKeptButNotItsTime) {
  const std::string token = Token(EcKey(), R"({"alg":"ES256"})", R"({"nbf":1000,"exp":2000})");
  const std::string good = R"([true,{"alg":"ES256"},{"exp":2000,"nbf":1000}])";
  const std::pair<int64_t, std::string_view> kTimes[] = {
      {999, kRefused}, {1000, good}, {1999, good}, {2000, kRefused}, {1500, good}};
  for (const auto& [seconds, answer] : kTimes) {
    caller_.time_unix_ns = seconds * 1'000'000'000;
    EXPECT_EQ(DecodeVerify(token, EcCert()), answer) << seconds;
  }
  std::string timed = EcCert();
  timed.insert(1, R"("time":1500000000000,)");
  caller_.time_unix_ns = 5'000'000'000'000;
  EXPECT_EQ(DecodeVerify(token, timed), good);
  for (const std::string_view constraint :
       {R"("aud":"me",)", R"("iss":"you",)", R"("alg":"ES384",)"}) {
    std::string more = timed;
    more.insert(1, constraint);
    EXPECT_EQ(DecodeVerify(token, more), kRefused) << constraint;
  }
  EXPECT_EQ(DecodeVerify(token, timed), good);
}

TEST_F(JwtTest, TimesOfClaimsInAllForms) {
  const struct {
    std::string_view claims;
    int64_t time_unix_ns;
    bool valid;
  } cases[] = {
      {R"({"exp":2000})", 1'999'999'999'999, true},
      {R"({"exp":2000})", 2'000'000'000'000, false},
      {R"({"nbf":2000})", 1'999'999'999'999, false},
      {R"({"nbf":2000})", 2'000'000'000'000, true},
      {R"({"exp":2000.5})", 2'000'400'000'000, true},
      {R"({"exp":2000.5})", 2'000'500'000'000, false},
      {R"({"exp":2e3})", 1'999'000'000'000, true},
      {R"({"exp":2e3})", 2'000'000'000'000, false},
      {R"({"exp":9223372036854775807,"nbf":-9223372036854775808})", 2'000'000'000'000, true},
      {R"({"exp":123456789012345678901234567890})", 2'000'000'000'000, true},
  };
  for (const auto& one : cases) {
    const std::string token = Token(EcKey(), R"({"alg":"ES256"})", one.claims);
    caller_.time_unix_ns = one.time_unix_ns;
    for (int i = 0; i < 2; ++i) {
      const std::string answer = DecodeVerify(token, EcCert());
      EXPECT_EQ(answer.starts_with("[true,"), one.valid) << one.claims << answer;
    }
  }
}

TEST_F(JwtTest, OneFunctionsAnswerIsNotAnothers) {
  const SigningKey key = *SigningKey::Generate(Algorithm::kRs256);
  const std::string pem = *key.verification_key().ToPem();
  const std::string token = Token(key, R"({"alg":"RS256"})", "{}");
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(Verify("rs256", token, pem), "true");
    EXPECT_EQ(Verify("rs384", token, pem), "false");
    EXPECT_EQ(Verify("ps256", token, pem), "false");
  }
  const std::string other = *SigningKey::Generate(Algorithm::kRs256)->verification_key().ToPem();
  EXPECT_EQ(Verify("rs256", token, other), "false");
  EXPECT_EQ(Verify("rs256", token, pem), "true");
}

TEST_F(JwtTest, StepsDoNotTellWhatIsKept) {
  const std::string token = Token(EcKey(), R"({"alg":"ES256"})", R"({"a":[1,2.50,"x"]})");
  const std::string first = DecodeVerify(token, EcCert());
  const int64_t cold = caller_.steps_used;
  EXPECT_EQ(DecodeVerify(token, EcCert()), first);
  EXPECT_EQ(caller_.steps_used, cold);
  EXPECT_GT(cold, 1000);
  caller_.steps = cold - 1;
  EXPECT_EQ(DecodeVerify(token, EcCert()), "out of steps");
  caller_.ForgetCaches();
  EXPECT_EQ(DecodeVerify(token, EcCert()), "out of steps");
}

TEST_F(JwtTest, KeysOfASetAreChosenByKeyIdThenByAlgorithm) {
  const SigningKey a = *SigningKey::Generate(Algorithm::kEs256);
  const SigningKey b = *SigningKey::Generate(Algorithm::kEs256);
  crypto::KeySet set;
  ASSERT_TRUE(set.Add(a.verification_key()));
  ASSERT_TRUE(set.Add(b.verification_key()));
  const std::string cert = R"({"cert":)" + Quoted(set.ToJwks()) + "}";
  const auto with = [&](std::string_view kid) {
    return Token(b, R"({"alg":"ES256","kid":")" + std::string(kid) + "\"}", "{}");
  };
  EXPECT_NE(DecodeVerify(with(b.kid()), cert), kRefused);
  EXPECT_EQ(DecodeVerify(with(a.kid()), cert), kRefused);  // that key and no other
  EXPECT_NE(DecodeVerify(with("unknown"), cert), kRefused);
  EXPECT_EQ(DecodeVerify(with(b.kid()), R"({"cert":"{\"keys\":[]}"})"), kRefused);
}

TEST_F(JwtTest, HostileTokensAndKeysAreErrors) {
  const std::string e = Base64UrlEncode("{}");
  const std::pair<std::string, std::string_view> kTokens[] = {
      {"", "error: encoded JWT had no period separators"},
      {"a.b", "error: encoded JWT must have 3 sections, found 2"},
      {"a.b.c.d", "error: encoded JWT must have 3 sections, found 4"},
      {"!." + e + ".", "error: JWT header had invalid encoding: illegal base64 data"},
      {Base64UrlEncode("[]") + "." + e + ".",
       "error: bad JWT header: decoded JSON type was not an Object"},
      {Base64UrlEncode(R"({"enc":"A128GCM"})") + "." + e + ".",
       "error: JWT is a JWE object, which is not supported"},
      {Base64UrlEncode(R"({"alg":1})") + "." + e + ".", "error: alg: must be a string"},
      {Base64UrlEncode(R"({"alg":"ES256","crit":[]})") + "." + e + ".",
       "error: crit: must be a nonempty list"},
      {Base64UrlEncode(R"({"alg":"ES256","crit":["x"],"x":1})") + "." + e + ".", kRefused},
      {e + "." + e + "." + e, kRefused},
      {std::string((1 << 20) + 1, '.'), "error: encoded JWT is longer than 1 MiB"},
  };
  for (const auto& [token, answer] : kTokens) {
    EXPECT_EQ(DecodeVerify(token, EcCert()), answer) << token.substr(0, 80);
  }
  for (const std::string_view key :
       {"", "x", "[]", "{}", R"({"keys":1})", R"({"keys":[{}]})", R"({"kty":"RSA","n":"AQ"})",
        R"({"kty":"RSA","n":"AAAA","e":"AQAB"})", R"({"kty":"RSA","n":"AQAB","e":"Ag"})",
        R"({"kty":"EC","crv":"P-256","x":"AA","y":"AA"})", R"({"kty":"oct","k":""})",
        R"({"kty":"OKP","crv":"Ed448","x":"AA"})", "-----BEGIN X-----\n-----END X-----\n",
        "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
        "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"}) {
    EXPECT_TRUE(Verify("rs256", e + "." + e + "." + e, key).starts_with("error: ")) << key;
  }
  const std::string pem = *EcKey().verification_key().ToPem();
  EXPECT_TRUE(Verify("es256", e + "." + e + "." + e, pem + "\n").starts_with("error: extra data"));
}

TEST_F(JwtTest, NestedTokensEndWithTheirSize) {
  const SigningKey key = *SigningKey::FromSecret(std::string(32, 's'), "k");
  std::string token = Token(key, R"({"alg":"HS256"})", R"({"a":1})");
  for (int i = 0; i < 20; ++i) token = Token(key, R"({"alg":"HS256","cty":"JWT"})", token);
  EXPECT_EQ(DecodeVerify(token, R"({"secret":")" + std::string(32, 's') + "\"}"),
            R"([true,{"alg":"HS256"},{"a":1}])");
  const std::string decoded = caller_.Call("io.jwt.decode", "[" + Quoted(token) + "]");
  EXPECT_TRUE(decoded.starts_with(R"([{"alg":"HS256"},{"a":1},")")) << decoded;
}

TEST_F(JwtTest, ChangedBytesNeverVerify) {
  const std::string token = Token(EcKey(), R"({"alg":"ES256"})", R"({"a":1})");
  const std::string cert = EcCert();
  std::mt19937 random(7);
  for (int i = 0; i < 400; ++i) {
    std::string changed = token;
    changed[random() % changed.size()] = static_cast<char>('-' + random() % 80);
    if (changed == token) continue;
    const std::string answer = DecodeVerify(changed, cert);
    // The last digit of the signature has bits that belong to no byte.
    if (changed.substr(0, token.size() - 1) == token.substr(0, token.size() - 1)) continue;
    EXPECT_TRUE(answer == kRefused || answer.starts_with("error: ")) << changed << answer;
  }
}

TEST_F(JwtTest, ManyTokensStayWithinBounds) {
  const std::string cert = EcCert();
  const std::string padding(3000, 'x');
  for (int i = 0; i < 3000; ++i) {
    const std::string token = Base64UrlEncode(R"({"alg":"ES256"})") + "." +
                              Base64UrlEncode(std::to_string(i) + padding) + ".";
    ASSERT_EQ(DecodeVerify(token, cert), kRefused);
  }
}

}  // namespace
}  // namespace aegis::rego
