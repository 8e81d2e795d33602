#include "aegis/crypto/key.h"

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>

#include <array>
#include <optional>

#include "aegis/base/arena.h"
#include "aegis/crypto/base64.h"
#include "aegis/crypto/digest.h"
#include "aegis/json/tree.h"

namespace aegis::crypto {
namespace {

constexpr size_t kMaxPemBytes = 64 * 1024;
constexpr size_t kMinSecretBytes = 32;
constexpr int kMinRsaBits = 2048;
constexpr int kMaxRsaBits = 8192;
constexpr int kMaxRsaExponentBits = 64;
constexpr size_t kMaxKids = 64;
constexpr size_t kMaxKidBytes = 256;

template <auto free_function>
struct Deleter {
  template <typename T>
  void operator()(T* object) const {
    free_function(object);
  }
};
using PkeyPtr = std::unique_ptr<EVP_PKEY, Deleter<EVP_PKEY_free>>;
using PkeyContextPtr = std::unique_ptr<EVP_PKEY_CTX, Deleter<EVP_PKEY_CTX_free>>;
using DigestContextPtr = std::unique_ptr<EVP_MD_CTX, Deleter<EVP_MD_CTX_free>>;
using BioPtr = std::unique_ptr<BIO, Deleter<BIO_free_all>>;
using BignumPtr = std::unique_ptr<BIGNUM, Deleter<BN_clear_free>>;
using ParamBuilderPtr = std::unique_ptr<OSSL_PARAM_BLD, Deleter<OSSL_PARAM_BLD_free>>;
using ParamsPtr = std::unique_ptr<OSSL_PARAM, Deleter<OSSL_PARAM_free>>;
using EcdsaSigPtr = std::unique_ptr<ECDSA_SIG, Deleter<ECDSA_SIG_free>>;

const unsigned char* Bytes(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}
unsigned char* Bytes(std::string& text) { return reinterpret_cast<unsigned char*>(text.data()); }

const EVP_MD* Sha256Md() {
  static const EVP_MD* const md = EVP_MD_fetch(nullptr, "SHA256", nullptr);
  return md;
}

tl::unexpected<Error> Malformed(std::string message) {
  ERR_clear_error();
  return Fail(Code::kInvalidArgument, "key_malformed", std::move(message));
}
tl::unexpected<Error> Unsupported(std::string message) {
  ERR_clear_error();
  return Fail(Code::kInvalidArgument, "key_unsupported", std::move(message));
}
// OpenSSL's own error texts may quote key material in theory, so they are dropped.
tl::unexpected<Error> CryptoFailed(std::string message) {
  ERR_clear_error();
  return Fail(Code::kInternal, "crypto_failed", std::move(message));
}

BioPtr MemoryBio(std::string_view text) {
  return BioPtr(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

std::string Contents(BIO* bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  return size > 0 ? std::string(data, static_cast<size_t>(size)) : std::string();
}

std::string BigEndian(const BIGNUM* number, int bytes) {
  std::string out(static_cast<size_t>(bytes), '\0');
  if (BN_bn2binpad(number, Bytes(out), bytes) != bytes) out.clear();
  return out;
}

BignumPtr KeyNumber(const EVP_PKEY* key, const char* name) {
  BIGNUM* number = nullptr;
  EVP_PKEY_get_bn_param(key, name, &number);
  return BignumPtr(number);
}

// Which algorithm a key of OpenSSL's is for, or why none.
Result<Algorithm> AlgorithmOf(const EVP_PKEY* key) {
  if (EVP_PKEY_is_a(key, "ED25519")) return Algorithm::kEd25519;
  if (EVP_PKEY_is_a(key, "EC")) {
    char curve[64] = "";
    size_t size = 0;
    EVP_PKEY_get_group_name(key, curve, sizeof curve, &size);
    if (std::string_view(curve) == "prime256v1") return Algorithm::kEs256;
    return Unsupported("the elliptic-curve key is not on P-256; use Ed25519, EC P-256 or RSA");
  }
  if (EVP_PKEY_is_a(key, "RSA")) {
    const int bits = EVP_PKEY_get_bits(key);
    if (bits < kMinRsaBits || bits > kMaxRsaBits) {
      return Unsupported("the RSA key has " + std::to_string(bits) +
                         " bits; 2048 to 8192 are accepted");
    }
    const BignumPtr exponent = KeyNumber(key, OSSL_PKEY_PARAM_RSA_E);
    if (!exponent || !BN_is_odd(exponent.get()) || BN_is_one(exponent.get()) ||
        BN_num_bits(exponent.get()) > kMaxRsaExponentBits) {
      return Unsupported("the RSA key's public exponent is not an odd number of 2 to 64 bits");
    }
    return Algorithm::kRs256;
  }
  return Unsupported("the key's type is not supported; use Ed25519, EC P-256 or RSA");
}

// A key of `type` from its parameters; nullptr when OpenSSL finds them wrong.
PkeyPtr KeyFromParams(const char* type, OSSL_PARAM_BLD* builder) {
  const ParamsPtr params(OSSL_PARAM_BLD_to_param(builder));
  const PkeyContextPtr context(EVP_PKEY_CTX_new_from_name(nullptr, type, nullptr));
  EVP_PKEY* key = nullptr;
  if (!params || !context || EVP_PKEY_fromdata_init(context.get()) != 1 ||
      EVP_PKEY_fromdata(context.get(), &key, EVP_PKEY_PUBLIC_KEY, params.get()) != 1) {
    return nullptr;
  }
  return PkeyPtr(key);
}

PkeyPtr EcKey(std::string_view x, std::string_view y) {
  std::string point = "\x04";
  point.append(x).append(y);
  const ParamBuilderPtr builder(OSSL_PARAM_BLD_new());
  if (!builder ||
      OSSL_PARAM_BLD_push_utf8_string(builder.get(), OSSL_PKEY_PARAM_GROUP_NAME, "prime256v1", 0) !=
          1 ||
      OSSL_PARAM_BLD_push_octet_string(builder.get(), OSSL_PKEY_PARAM_PUB_KEY, point.data(),
                                       point.size()) != 1) {
    return nullptr;
  }
  PkeyPtr key = KeyFromParams("EC", builder.get());
  if (!key) return nullptr;
  // The point must be on the curve, or signatures prove nothing.
  const PkeyContextPtr check(EVP_PKEY_CTX_new_from_pkey(nullptr, key.get(), nullptr));
  if (!check || EVP_PKEY_public_check(check.get()) != 1) return nullptr;
  return key;
}

PkeyPtr RsaKey(std::string_view n, std::string_view e) {
  const BignumPtr modulus(BN_bin2bn(Bytes(n), static_cast<int>(n.size()), nullptr));
  const BignumPtr exponent(BN_bin2bn(Bytes(e), static_cast<int>(e.size()), nullptr));
  const ParamBuilderPtr builder(OSSL_PARAM_BLD_new());
  if (!modulus || !exponent || !builder ||
      OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_N, modulus.get()) != 1 ||
      OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_E, exponent.get()) != 1) {
    return nullptr;
  }
  return KeyFromParams("RSA", builder.get());
}

// The public half as a key of its own, so that what checks signatures never holds a private key.
PkeyPtr PublicHalf(const EVP_PKEY* key) {
  unsigned char* der = nullptr;
  const int size = i2d_PUBKEY(key, &der);
  if (size <= 0) return nullptr;
  const unsigned char* at = der;
  PkeyPtr half(d2i_PUBKEY(nullptr, &at, size));
  OPENSSL_free(der);
  return half;
}

// ECDSA signatures: 64 bytes R||S in JOSE, a DER sequence in OpenSSL.
std::string JoseToDer(std::string_view signature) {
  if (signature.size() != 64) return {};
  const EcdsaSigPtr parts(ECDSA_SIG_new());
  BIGNUM* r = BN_bin2bn(Bytes(signature), 32, nullptr);
  BIGNUM* s = BN_bin2bn(Bytes(signature) + 32, 32, nullptr);
  if (!parts || ECDSA_SIG_set0(parts.get(), r, s) != 1) {
    BN_free(r);
    BN_free(s);
    return {};
  }
  unsigned char* der = nullptr;
  const int size = i2d_ECDSA_SIG(parts.get(), &der);
  if (size <= 0) return {};
  std::string out(reinterpret_cast<char*>(der), static_cast<size_t>(size));
  OPENSSL_free(der);
  return out;
}

std::string DerToJose(std::string_view der) {
  const unsigned char* at = Bytes(der);
  const EcdsaSigPtr parts(d2i_ECDSA_SIG(nullptr, &at, static_cast<long>(der.size())));
  if (!parts) return {};
  const BIGNUM* r = nullptr;
  const BIGNUM* s = nullptr;
  ECDSA_SIG_get0(parts.get(), &r, &s);
  const std::string left = BigEndian(r, 32), right = BigEndian(s, 32);
  return left.empty() || right.empty() ? std::string() : left + right;
}

// A PEM password prompt would block a server: answer none.
int NoPassword(char*, int, int, void*) { return 0; }

bool IsValidKid(std::string_view kid) {
  if (kid.empty() || kid.size() > kMaxKidBytes) return false;
  for (const char c : kid) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) return false;
  }
  return true;
}

}  // namespace

std::string_view JoseName(Algorithm algorithm) {
  switch (algorithm) {
    case Algorithm::kEd25519:
      return "EdDSA";
    case Algorithm::kEs256:
      return "ES256";
    case Algorithm::kRs256:
      return "RS256";
    case Algorithm::kHs256:
      return "HS256";
  }
  return {};
}

bool JoseNameMatches(std::string_view alg, Algorithm algorithm) {
  return alg == JoseName(algorithm) || (algorithm == Algorithm::kEd25519 && alg == "Ed25519");
}

// Exactly one of `key` and `secret` is there.
struct VerificationKey::Impl {
  Algorithm algorithm;
  PkeyPtr key;
  std::string secret;

  Impl(Algorithm a, PkeyPtr k) : algorithm(a), key(std::move(k)) {}
  explicit Impl(std::string_view s) : algorithm(Algorithm::kHs256), secret(s) {}
  ~Impl() { OPENSSL_cleanse(secret.data(), secret.size()); }
};

struct SigningKey::Private {
  PkeyPtr key;
};

Result<VerificationKey> VerificationKey::FromImpl(std::shared_ptr<const Impl> impl,
                                                  std::string kid) {
  VerificationKey key(std::move(impl), std::move(kid));
  if (key.kid_.empty()) key.kid_ = key.Thumbprint();
  if (!IsValidKid(key.kid_)) {
    return Malformed("the key id is empty, longer than 256 bytes, or has control characters");
  }
  return key;
}

Result<VerificationKey> VerificationKey::FromPem(std::string_view pem, std::string kid) {
  if (pem.size() > kMaxPemBytes) return Malformed("the PEM text is longer than 64 KiB");
  const BioPtr bio = MemoryBio(pem);
  PkeyPtr key(PEM_read_bio_PUBKEY(bio.get(), nullptr, NoPassword, nullptr));
  if (!key) return Malformed("not a PEM public key (\"-----BEGIN PUBLIC KEY-----\")");
  AEGIS_TRY(const Algorithm algorithm, AlgorithmOf(key.get()));
  return FromImpl(std::make_shared<const Impl>(algorithm, std::move(key)), std::move(kid));
}

Result<VerificationKey> VerificationKey::FromSecret(std::string_view secret, std::string kid) {
  if (secret.size() < kMinSecretBytes) {
    return Unsupported("an HS256 secret needs at least 32 bytes (RFC 7518 section 3.2)");
  }
  return FromImpl(std::make_shared<const Impl>(secret), std::move(kid));
}

Result<VerificationKey> VerificationKey::FromTree(const json::Tree& jwk) {
  if (!jwk.is_object()) return Malformed("a JWK is a JSON object");
  for (const std::string_view name : {"d", "p", "q", "dp", "dq", "qi", "oth", "k"}) {
    if (jwk.Find(name) != nullptr) {
      return Malformed("the JWK has private members; publish and configure only the public key");
    }
  }
  const auto bytes = [&jwk](std::string_view name) -> std::optional<std::string> {
    const std::optional<std::string_view> text = jwk.FindString(name);
    if (!text || text->size() > kMaxPemBytes) return std::nullopt;
    return Base64UrlDecode(*text);
  };
  if (jwk.Find("use") != nullptr && jwk.FindString("use") != "sig") {
    return Unsupported("the JWK's use is not \"sig\"");
  }
  const std::string_view type = jwk.FindString("kty").value_or("");
  const std::string_view curve = jwk.FindString("crv").value_or("");
  PkeyPtr key;
  if (type == "OKP" && curve == "Ed25519") {
    const std::optional<std::string> x = bytes("x");
    if (x && x->size() == 32) {
      key.reset(EVP_PKEY_new_raw_public_key_ex(nullptr, "ED25519", nullptr, Bytes(*x), x->size()));
    }
  } else if (type == "EC" && curve == "P-256") {
    const std::optional<std::string> x = bytes("x"), y = bytes("y");
    if (x && y && x->size() == 32 && y->size() == 32) key = EcKey(*x, *y);
  } else if (type == "RSA") {
    const std::optional<std::string> n = bytes("n"), e = bytes("e");
    // Beyond the limit, building the key would already be work for an attacker's pleasure.
    if (n && e && !n->empty() && !e->empty() && n->size() <= kMaxRsaBits / 8 + 1 &&
        e->size() <= 16) {
      key = RsaKey(*n, *e);
    }
  } else {
    return Unsupported("the JWK's kty or crv is not supported; use OKP Ed25519, EC P-256 or RSA");
  }
  if (!key) return Malformed("the JWK's public key is missing or wrong");
  AEGIS_TRY(const Algorithm algorithm, AlgorithmOf(key.get()));
  if (jwk.Find("alg") != nullptr &&
      !JoseNameMatches(jwk.FindString("alg").value_or(""), algorithm)) {
    return Unsupported("the JWK's alg is not the one of its key type");
  }
  if (jwk.Find("kid") != nullptr && !jwk.FindString("kid"))
    return Malformed("the JWK's kid is not a string");
  return FromImpl(std::make_shared<const Impl>(algorithm, std::move(key)),
                  std::string(jwk.FindString("kid").value_or("")));
}

Result<VerificationKey> VerificationKey::FromJwk(std::string_view json) {
  Arena arena;
  const Result<json::Tree> jwk =
      json::ParseTree(json, arena, {.max_bytes = kMaxPemBytes, .max_depth = 8});
  if (!jwk) return Malformed("the JWK is not JSON: " + jwk.error().message);
  return FromTree(*jwk);
}

Algorithm VerificationKey::algorithm() const { return impl_->algorithm; }

bool VerificationKey::Verify(std::string_view message, std::string_view signature) const {
  if (impl_->algorithm == Algorithm::kHs256) {
    const Sha256Digest expected = HmacSha256(impl_->secret, message);
    return ConstantTimeEquals(AsText(expected), signature);
  }
  std::string der;
  if (impl_->algorithm == Algorithm::kEs256) {
    der = JoseToDer(signature);
    if (der.empty()) return false;
    signature = der;
  }
  const EVP_MD* md = impl_->algorithm == Algorithm::kEd25519 ? nullptr : Sha256Md();
  const DigestContextPtr context(EVP_MD_CTX_new());
  // For RSA the default padding is PKCS #1 v1.5, which is RS256's.
  const bool valid =
      context && EVP_DigestVerifyInit(context.get(), nullptr, md, nullptr, impl_->key.get()) == 1 &&
      EVP_DigestVerify(context.get(), Bytes(signature), signature.size(), Bytes(message),
                       message.size()) == 1;
  if (!valid) ERR_clear_error();
  return valid;
}

// The members that RFC 7638 §3.2 asks for, in its order; they are also the whole public key.
std::string VerificationKey::RequiredMembers() const {
  const EVP_PKEY* key = impl_->key.get();
  switch (impl_->algorithm) {
    case Algorithm::kEd25519: {
      std::string x(32, '\0');
      size_t size = x.size();
      if (EVP_PKEY_get_raw_public_key(key, Bytes(x), &size) != 1) return {};
      return R"("crv":"Ed25519","kty":"OKP","x":")" + Base64UrlEncode(x) + '"';
    }
    case Algorithm::kEs256: {
      const BignumPtr x = KeyNumber(key, OSSL_PKEY_PARAM_EC_PUB_X);
      const BignumPtr y = KeyNumber(key, OSSL_PKEY_PARAM_EC_PUB_Y);
      if (!x || !y) return {};
      return R"("crv":"P-256","kty":"EC","x":")" + Base64UrlEncode(BigEndian(x.get(), 32)) +
             R"(","y":")" + Base64UrlEncode(BigEndian(y.get(), 32)) + '"';
    }
    case Algorithm::kRs256: {
      const BignumPtr n = KeyNumber(key, OSSL_PKEY_PARAM_RSA_N);
      const BignumPtr e = KeyNumber(key, OSSL_PKEY_PARAM_RSA_E);
      if (!n || !e) return {};
      return R"("e":")" + Base64UrlEncode(BigEndian(e.get(), BN_num_bytes(e.get()))) +
             R"(","kty":"RSA","n":")" + Base64UrlEncode(BigEndian(n.get(), BN_num_bytes(n.get()))) +
             '"';
    }
    case Algorithm::kHs256:
      break;
  }
  return {};
}

std::string VerificationKey::Thumbprint() const {
  const std::string members = RequiredMembers();
  if (members.empty()) return {};
  const Sha256Digest digest = Sha256("{" + members + "}");
  return Base64UrlEncode(AsText(digest));
}

Result<std::string> VerificationKey::ToJwk() const {
  if (impl_->algorithm == Algorithm::kHs256) {
    return Unsupported("an HMAC secret is not published as a JWK");
  }
  const std::string members = RequiredMembers();
  if (members.empty()) return CryptoFailed("the public key cannot be exported");
  std::string out = "{" + members + R"(,"alg":")";
  out += JoseName(impl_->algorithm);
  out += R"(","kid":)";
  json::AppendQuoted(out, kid_);
  out += R"(,"use":"sig"})";
  return out;
}

Result<std::string> VerificationKey::ToPem() const {
  if (impl_->algorithm == Algorithm::kHs256) return Unsupported("an HMAC secret has no PEM form");
  const BioPtr bio(BIO_new(BIO_s_mem()));
  if (!bio || PEM_write_bio_PUBKEY(bio.get(), impl_->key.get()) != 1) {
    return CryptoFailed("the public key cannot be exported");
  }
  return Contents(bio.get());
}

Result<SigningKey> SigningKey::FromPrivate(std::shared_ptr<const Private> key, std::string kid) {
  AEGIS_TRY(const Algorithm algorithm, AlgorithmOf(key->key.get()));
  PkeyPtr half = PublicHalf(key->key.get());
  if (!half) return CryptoFailed("the private key has no public half");
  AEGIS_TRY(VerificationKey verification_key,
            VerificationKey::FromImpl(
                std::make_shared<const VerificationKey::Impl>(algorithm, std::move(half)),
                std::move(kid)));
  return SigningKey(std::move(verification_key), std::move(key));
}

Result<SigningKey> SigningKey::Generate(Algorithm algorithm) {
  PkeyPtr key;
  switch (algorithm) {
    case Algorithm::kEd25519:
      key.reset(EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519"));
      break;
    case Algorithm::kEs256:
      key.reset(EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", "P-256"));
      break;
    case Algorithm::kRs256:
      key.reset(EVP_PKEY_Q_keygen(nullptr, nullptr, "RSA", size_t{3072}));
      break;
    case Algorithm::kHs256:
      return Unsupported("HS256 secrets are not generated; use Ed25519 or ES256");
  }
  if (!key) return CryptoFailed("no key could be generated");
  auto held = std::make_shared<Private>();
  held->key = std::move(key);
  return FromPrivate(std::move(held), {});
}

Result<SigningKey> SigningKey::FromPem(std::string_view pem, std::string kid) {
  if (pem.size() > kMaxPemBytes) return Malformed("the PEM text is longer than 64 KiB");
  const BioPtr bio = MemoryBio(pem);
  PkeyPtr key(PEM_read_bio_PrivateKey(bio.get(), nullptr, NoPassword, nullptr));
  if (!key)
    return Malformed("not an unencrypted PEM private key (\"-----BEGIN PRIVATE KEY-----\")");
  auto held = std::make_shared<Private>();
  held->key = std::move(key);
  return FromPrivate(std::move(held), std::move(kid));
}

Result<SigningKey> SigningKey::FromSecret(std::string_view secret, std::string kid) {
  AEGIS_TRY(VerificationKey key, VerificationKey::FromSecret(secret, std::move(kid)));
  return SigningKey(std::move(key), nullptr);
}

Result<std::string> SigningKey::Sign(std::string_view message) const {
  if (!private_) {
    const Sha256Digest digest = HmacSha256(public_key_.impl_->secret, message);
    return std::string(AsText(digest));
  }
  const EVP_MD* md = algorithm() == Algorithm::kEd25519 ? nullptr : Sha256Md();
  const DigestContextPtr context(EVP_MD_CTX_new());
  size_t size = static_cast<size_t>(EVP_PKEY_get_size(private_->key.get()));
  std::string signature(size, '\0');
  if (!context ||
      EVP_DigestSignInit(context.get(), nullptr, md, nullptr, private_->key.get()) != 1 ||
      EVP_DigestSign(context.get(), Bytes(signature), &size, Bytes(message), message.size()) != 1) {
    return CryptoFailed("signing failed");
  }
  signature.resize(size);
  if (algorithm() == Algorithm::kEs256) signature = DerToJose(signature);
  if (signature.empty()) return CryptoFailed("signing failed");
  return signature;
}

Result<std::string> SigningKey::ToPem() const {
  if (!private_) return Unsupported("an HMAC secret has no PEM form");
  const BioPtr bio(BIO_new(BIO_s_secmem()));
  if (!bio || PEM_write_bio_PKCS8PrivateKey(bio.get(), private_->key.get(), nullptr, nullptr, 0,
                                            nullptr, nullptr) != 1) {
    return CryptoFailed("the private key cannot be exported");
  }
  return Contents(bio.get());
}

Status KeySet::Add(VerificationKey key) {
  if (key.kid().empty()) return Malformed("a key in a key set needs a key id");
  if (Find(key.kid()) != nullptr) {
    return Fail(Code::kAlreadyExists, "key_duplicate", "two keys of the set have the same key id");
  }
  keys_.push_back(std::move(key));
  return Ok();
}

const VerificationKey* KeySet::Find(std::string_view kid) const {
  for (const VerificationKey& key : keys_) {
    if (key.kid() == kid) return &key;
  }
  return nullptr;
}

Result<KeySet> KeySet::FromJwks(std::string_view json) {
  Arena arena;
  const Result<json::Tree> document = json::ParseTree(json, arena, {.max_depth = 16});
  if (!document) return Malformed("the JWKS is not JSON: " + document.error().message);
  const json::Tree* keys = document->Find("keys");
  if (keys == nullptr || !keys->is_array()) return Malformed("the JWKS has no array \"keys\"");
  if (keys->elements().size() > kMaxKids) {
    return Fail(Code::kResourceExhausted, "too_many_keys", "the JWKS has more than 64 keys");
  }
  KeySet set;
  for (const json::Tree& jwk : keys->elements()) {
    Result<VerificationKey> key = VerificationKey::FromTree(jwk);
    if (!key && key.error().reason == "key_unsupported") continue;
    if (!key) return Fail(std::move(key).error());
    AEGIS_RETURN_IF_ERROR(set.Add(*std::move(key)));
  }
  return set;
}

std::string KeySet::ToJwks() const {
  std::string out = R"({"keys":[)";
  bool first = true;
  for (const VerificationKey& key : keys_) {
    const Result<std::string> jwk = key.ToJwk();
    if (!jwk) continue;
    if (!first) out += ',';
    first = false;
    out += *jwk;
  }
  return out + "]}";
}

}  // namespace aegis::crypto
