#include "aegis/crypto/key.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/pem.h>

#include <optional>

#include "aegis/base/arena.h"
#include "aegis/crypto/algorithm.h"
#include "aegis/crypto/base64.h"
#include "aegis/crypto/digest.h"
#include "aegis/crypto/openssl.h"
#include "aegis/json/tree.h"

namespace aegis::crypto {
namespace {

constexpr size_t kMaxPemBytes = 64 * 1024;
constexpr int kMinRsaBits = 2048;
constexpr int kMaxRsaBits = 8192;
constexpr int kMaxRsaExponentBits = 64;
constexpr size_t kMaxKids = 64;
constexpr size_t kMaxKidBytes = 256;

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

Status CheckRsa(const EVP_PKEY* key) {
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
  return Ok();
}

// Which algorithm a key of OpenSSL's is for, or why none. RSA keys serve several: `wanted` says
// which.
Result<Algorithm> AlgorithmOf(const EVP_PKEY* key, std::optional<Algorithm> wanted) {
  std::optional<Algorithm> own;
  if (EVP_PKEY_is_a(key, "ED25519")) {
    own = Algorithm::kEd25519;
  } else if (EVP_PKEY_is_a(key, "EC")) {
    const std::string group = GroupName(key);
    for (const Algorithm algorithm : {Algorithm::kEs256, Algorithm::kEs384, Algorithm::kEs512}) {
      if (group == InfoOf(algorithm).group) own = algorithm;
    }
    if (!own) return Unsupported("the elliptic-curve key is not on P-256, P-384 or P-521");
  } else if (EVP_PKEY_is_a(key, "RSA")) {
    AEGIS_RETURN_IF_ERROR(CheckRsa(key));
    const Family family = wanted ? InfoOf(*wanted).family : Family::kRsaPkcs1;
    const bool rsa = family == Family::kRsaPkcs1 || family == Family::kRsaPss;
    own = wanted && rsa ? *wanted : Algorithm::kRs256;
  } else {
    return Unsupported("the key's type is not supported; use Ed25519, EC or RSA");
  }
  if (wanted && *wanted != *own) {
    return Unsupported("the key is not one for " + std::string(JoseName(*wanted)));
  }
  return *own;
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

// Exactly one of `key` and `secret` is there.
struct VerificationKey::Impl {
  Algorithm algorithm;
  PkeyPtr key;
  std::string secret;

  Impl(Algorithm a, PkeyPtr k) : algorithm(a), key(std::move(k)) {}
  Impl(Algorithm a, std::string_view s) : algorithm(a), secret(s) {}
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

Result<VerificationKey> VerificationKey::FromPem(std::string_view pem, std::string kid,
                                                 std::optional<Algorithm> wanted) {
  if (pem.size() > kMaxPemBytes) return Malformed("the PEM text is longer than 64 KiB");
  const BioPtr bio = MemoryBio(pem);
  PkeyPtr key(PEM_read_bio_PUBKEY(bio.get(), nullptr, NoPassword, nullptr));
  if (!key) return Malformed("not a PEM public key (\"-----BEGIN PUBLIC KEY-----\")");
  AEGIS_TRY(const Algorithm algorithm, AlgorithmOf(key.get(), wanted));
  return FromImpl(std::make_shared<const Impl>(algorithm, std::move(key)), std::move(kid));
}

Result<VerificationKey> VerificationKey::FromSecret(std::string_view secret, std::string kid,
                                                    Algorithm algorithm) {
  const AlgorithmInfo& info = InfoOf(algorithm);
  if (info.family != Family::kHmac) {
    return Unsupported("a secret is not a key for " + std::string(info.name));
  }
  const size_t least = static_cast<size_t>(EVP_MD_get_size(MdOf(info.hash)));
  if (secret.size() < least) {
    return Unsupported("an " + std::string(info.name) + " secret needs at least " +
                       std::to_string(least) + " bytes (RFC 7518 section 3.2)");
  }
  return FromImpl(std::make_shared<const Impl>(algorithm, secret), std::move(kid));
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
  const AlgorithmInfo* ec = nullptr;
  for (const Algorithm algorithm : {Algorithm::kEs256, Algorithm::kEs384, Algorithm::kEs512}) {
    if (curve == InfoOf(algorithm).curve) ec = &InfoOf(algorithm);
  }
  if (type == "OKP" && curve == "Ed25519") {
    const std::optional<std::string> x = bytes("x");
    if (x && x->size() == 32) key = Ed25519PublicKey(*x);
  } else if (type == "EC" && ec != nullptr) {
    const std::optional<std::string> x = bytes("x"), y = bytes("y");
    const size_t size = static_cast<size_t>(ec->field_bytes);
    if (x && y && x->size() == size && y->size() == size) key = EcPublicKey(ec->group, *x, *y);
  } else if (type == "RSA") {
    const std::optional<std::string> n = bytes("n"), e = bytes("e");
    // Beyond the limit, building the key would already be work for an attacker's pleasure.
    if (n && e && !n->empty() && !e->empty() && n->size() <= kMaxRsaBits / 8 + 1 &&
        e->size() <= 16) {
      key = RsaPublicKey(*n, *e);
    }
  } else {
    return Unsupported("the JWK's kty or crv is not supported; use OKP Ed25519, EC or RSA");
  }
  if (!key) return Malformed("the JWK's public key is missing or wrong");
  std::optional<Algorithm> wanted;
  if (jwk.Find("alg") != nullptr) {
    wanted = AlgorithmFromJoseName(jwk.FindString("alg").value_or(""));
    if (!wanted) return Unsupported("the JWK's alg is not supported");
  }
  AEGIS_TRY(const Algorithm algorithm, AlgorithmOf(key.get(), wanted));
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
  const AlgorithmInfo& info = InfoOf(impl_->algorithm);
  if (info.family == Family::kHmac) {
    return ConstantTimeEquals(Hmac(info.hash, impl_->secret, message), signature);
  }
  if (info.family == Family::kEcdsa &&
      signature.size() != 2 * static_cast<size_t>(info.field_bytes)) {
    return false;
  }
  return VerifyWithKey(impl_->key.get(), info, message, signature);
}

// The members that RFC 7638 §3.2 asks for, in its order; they are also the whole public key.
std::string VerificationKey::RequiredMembers() const {
  const EVP_PKEY* key = impl_->key.get();
  const AlgorithmInfo& info = InfoOf(impl_->algorithm);
  switch (info.family) {
    case Family::kEdDsa: {
      std::string x(32, '\0');
      size_t size = x.size();
      if (EVP_PKEY_get_raw_public_key(key, Bytes(x), &size) != 1) return {};
      return R"("crv":"Ed25519","kty":"OKP","x":")" + Base64UrlEncode(x) + '"';
    }
    case Family::kEcdsa: {
      const BignumPtr x = KeyNumber(key, OSSL_PKEY_PARAM_EC_PUB_X);
      const BignumPtr y = KeyNumber(key, OSSL_PKEY_PARAM_EC_PUB_Y);
      if (!x || !y) return {};
      return R"("crv":")" + std::string(info.curve) + R"(","kty":"EC","x":")" +
             Base64UrlEncode(BigEndian(x.get(), info.field_bytes)) + R"(","y":")" +
             Base64UrlEncode(BigEndian(y.get(), info.field_bytes)) + '"';
    }
    case Family::kRsaPkcs1:
    case Family::kRsaPss: {
      const BignumPtr n = KeyNumber(key, OSSL_PKEY_PARAM_RSA_N);
      const BignumPtr e = KeyNumber(key, OSSL_PKEY_PARAM_RSA_E);
      if (!n || !e) return {};
      return R"("e":")" + Base64UrlEncode(BigEndian(e.get())) + R"(","kty":"RSA","n":")" +
             Base64UrlEncode(BigEndian(n.get())) + '"';
    }
    case Family::kHmac:
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
  if (!impl_->key) {
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
  if (!impl_->key) return Unsupported("an HMAC secret has no PEM form");
  const BioPtr bio(BIO_new(BIO_s_mem()));
  if (!bio || PEM_write_bio_PUBKEY(bio.get(), impl_->key.get()) != 1) {
    return CryptoFailed("the public key cannot be exported");
  }
  return Contents(bio.get());
}

Result<SigningKey> SigningKey::FromPrivate(std::shared_ptr<const Private> key, std::string kid,
                                           std::optional<Algorithm> wanted) {
  AEGIS_TRY(const Algorithm algorithm, AlgorithmOf(key->key.get(), wanted));
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
  const AlgorithmInfo& info = InfoOf(algorithm);
  switch (info.family) {
    case Family::kEdDsa:
      key.reset(EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519"));
      break;
    case Family::kEcdsa:
      key.reset(EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", info.group));
      break;
    case Family::kRsaPkcs1:
    case Family::kRsaPss:
      key.reset(EVP_PKEY_Q_keygen(nullptr, nullptr, "RSA", size_t{3072}));
      break;
    case Family::kHmac:
      return Unsupported("HMAC secrets are not generated; use Ed25519 or ES256");
  }
  if (!key) return CryptoFailed("no key could be generated");
  auto held = std::make_shared<Private>();
  held->key = std::move(key);
  return FromPrivate(std::move(held), {}, algorithm);
}

Result<SigningKey> SigningKey::FromPem(std::string_view pem, std::string kid,
                                       std::optional<Algorithm> algorithm) {
  if (pem.size() > kMaxPemBytes) return Malformed("the PEM text is longer than 64 KiB");
  const BioPtr bio = MemoryBio(pem);
  PkeyPtr key(PEM_read_bio_PrivateKey(bio.get(), nullptr, NoPassword, nullptr));
  if (!key)
    return Malformed("not an unencrypted PEM private key (\"-----BEGIN PRIVATE KEY-----\")");
  auto held = std::make_shared<Private>();
  held->key = std::move(key);
  return FromPrivate(std::move(held), std::move(kid), algorithm);
}

Result<SigningKey> SigningKey::FromSecret(std::string_view secret, std::string kid,
                                          Algorithm algorithm) {
  AEGIS_TRY(VerificationKey key, VerificationKey::FromSecret(secret, std::move(kid), algorithm));
  return SigningKey(std::move(key), nullptr);
}

Result<std::string> SigningKey::Sign(std::string_view message) const {
  const AlgorithmInfo& info = InfoOf(algorithm());
  if (!private_) return Hmac(info.hash, public_key_.impl_->secret, message);
  return SignWithKey(private_->key.get(), info, message);
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
