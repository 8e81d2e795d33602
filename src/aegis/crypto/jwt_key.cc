#include "aegis/crypto/jwt_key.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/x509.h>

#include <algorithm>
#include <optional>

#include "aegis/base/arena.h"
#include "aegis/crypto/algorithm.h"
#include "aegis/crypto/base64.h"
#include "aegis/crypto/openssl.h"
#include "aegis/crypto/pem.h"
#include "aegis/json/tree.h"

namespace aegis::crypto {
namespace {

using json::Tree;
using X509Ptr = std::unique_ptr<X509, OpensslDeleter<X509_free>>;

constexpr json::TreeLimits kLimits{.max_bytes = size_t{1} << 20, .max_depth = 64};
constexpr size_t kMaxKeys = 1000;
constexpr int kMinRsaBits = 1024;
constexpr int kMaxRsaBits = 16384;
constexpr int kMaxRsaExponentBits = 31;

// Names of JWA that a JWK's `alg` may have, beside those of Algorithm.
constexpr std::string_view kOtherAlgorithms[] = {
    "none",
    "RSA1_5",
    "RSA-OAEP",
    "RSA-OAEP-256",
    "RSA-OAEP-384",
    "RSA-OAEP-512",
    "A128KW",
    "A192KW",
    "A256KW",
    "dir",
    "ECDH-ES",
    "ECDH-ES+A128KW",
    "ECDH-ES+A192KW",
    "ECDH-ES+A256KW",
    "A128GCMKW",
    "A192GCMKW",
    "A256GCMKW",
    "A128GCM",
    "PBES2-HS256+A128KW",
    "PBES2-HS384+A192KW",
    "A192GCM",
    "A256GCM",
    "PBES2-HS512+A256KW",
    "A128CBC-HS256",
    "A192CBC-HS384",
    "A256CBC-HS512",
};

tl::unexpected<Error> Malformed(std::string message) {
  ERR_clear_error();
  return Fail(Code::kInvalidArgument, "key_malformed", std::move(message));
}

// Base64 of whichever alphabet and padding the text seems to have.
std::optional<std::string> Decode(std::string_view text) {
  const bool padded = text.ends_with('=');
  const bool url = text.find_first_of("+/") == text.npos;
  return Base64DecodeAsGo(text,
                          url ? (padded ? Base64Form::kUrl : Base64Form::kUrlUnpadded)
                              : (padded ? Base64Form::kStandard : Base64Form::kStandardUnpadded));
}

// The members of one JWK, decoded; the first that is wrong is remembered.
class JwkReader {
 public:
  explicit JwkReader(const Tree& jwk) : jwk_(jwk) {}

  // Absent and null are "".
  std::string Text(std::string_view name) {
    const Tree* member = jwk_.Find(name);
    if (member == nullptr || member->kind() == Tree::Kind::kNull) return {};
    if (!member->is_string()) return Wrong(name);
    return std::string(member->text());
  }
  std::string Number(std::string_view name) {
    const Tree* member = jwk_.Find(name);
    if (member == nullptr || member->kind() == Tree::Kind::kNull) return {};
    std::optional<std::string> bytes = Decode(member->text());
    if (!member->is_string() || !bytes) return Wrong(name);
    return *std::move(bytes);
  }
  // Null counts as a member; where a value is needed, it is one that is empty.
  bool Has(std::string_view name) const { return jwk_.Find(name) != nullptr; }

  // What describes the key and is not needed for it; OPA checks its form.
  void CheckRest() {
    for (const std::string_view name : {"use", "x5t", "x5t#S256", "x5u"}) Text(name);
    if (const Tree* operations = jwk_.Find("key_ops")) {
      if (!operations->is_array() && operations->kind() != Tree::Kind::kNull) Wrong("key_ops");
      for (const Tree& operation : operations->elements()) {
        if (!operation.is_string()) Wrong("key_ops");
      }
    }
    const Tree* chain = jwk_.Find("x5c");
    if (chain == nullptr) return;
    if (!chain->is_array()) Wrong("x5c");
    for (const Tree& element : chain->elements()) {
      std::string text(element.text());
      std::erase_if(text, [](char c) { return c == ' ' || (c >= '\t' && c <= '\r'); });
      const std::optional<std::string> der = Base64DecodeAsGo(text, Base64Form::kStandard);
      if (!element.is_string() || !der || !IsCertificate(*der)) Wrong("x5c");
    }
  }

  Status status() const {
    if (wrong_.empty()) return Ok();
    return Malformed("the JWK's member \"" + wrong_ + "\" is missing or wrong");
  }
  std::string Wrong(std::string_view name) {
    if (wrong_.empty()) wrong_ = name;
    return {};
  }

 private:
  static bool IsCertificate(std::string_view der) {
    const unsigned char* at = Bytes(der);
    const X509Ptr certificate(d2i_X509(nullptr, &at, static_cast<long>(der.size())));
    if (certificate && at == Bytes(der) + der.size()) return true;
    ERR_clear_error();
    return false;
  }

  const Tree& jwk_;
  std::string wrong_;
};

bool IsOdd(std::string_view big_endian) {
  return !big_endian.empty() && (big_endian.back() & 1) != 0;
}

std::string_view WithoutZeros(std::string_view big_endian) {
  return big_endian.substr(std::min(big_endian.find_first_not_of('\0'), big_endian.size()));
}

}  // namespace

struct JwtKey::Impl {
  Type type = Type::kOther;
  bool is_private = false;
  PkeyPtr key;  // nullptr for a secret, for kOther, and for a private key whose parts disagree
  std::string secret;
  int bits = 0;
  int field_bytes = 0;

  // What is wrong with a JWK, the reader remembers.
  void ReadRsa(JwkReader& reader);
  void ReadEc(JwkReader& reader);
  void ReadOkp(JwkReader& reader);

  ~Impl() { OPENSSL_cleanse(secret.data(), secret.size()); }
};

void JwtKey::Impl::ReadRsa(JwkReader& reader) {
  const std::string modulus = reader.Number("n"), exponent = reader.Number("e");
  const std::string_view n = WithoutZeros(modulus), e = WithoutZeros(exponent);
  if (n.empty()) reader.Wrong("n");
  if (!IsOdd(e) || e.size() > 8 || (e.size() == 8 && (e[0] & 0x80) != 0)) reader.Wrong("e");
  is_private = reader.Has("d");
  std::string d, p, q;
  if (is_private) {
    d = reader.Number("d");
    p = reader.Number("p");
    q = reader.Number("q");
    for (const std::string_view name : {"dp", "dq", "qi"}) reader.Number(name);
    if (d.empty()) reader.Wrong("d");
    for (const std::string_view name : {"p", "q"}) {
      if (!reader.Has(name)) reader.Wrong(name);
    }
  }
  if (!reader.status()) return;
  // Beyond the limit, building the key would already be work for an attacker's pleasure.
  if (n.size() > kMaxRsaBits / 8 || !IsOdd(n) || e == "\x01" || e.size() > 4 ||
      (e.size() == 4 && (e[0] & 0x80) != 0)) {
    return;
  }
  key = is_private ? RsaKeyPair(n, e, d, p, q) : RsaPublicKey(n, e);
  if (key) bits = EVP_PKEY_get_bits(key.get());
  if (bits >= kMinRsaBits) type = Type::kRsa;
}

void JwtKey::Impl::ReadEc(JwkReader& reader) {
  const std::string x = reader.Number("x"), y = reader.Number("y"), curve = reader.Text("crv");
  const AlgorithmInfo* info = nullptr;
  for (const Algorithm algorithm : {Algorithm::kEs256, Algorithm::kEs384, Algorithm::kEs512}) {
    if (curve == InfoOf(algorithm).curve) info = &InfoOf(algorithm);
  }
  if (info == nullptr) {
    reader.Wrong("crv");
    return;
  }
  const size_t size = static_cast<size_t>(info->field_bytes);
  is_private = reader.Has("d");
  const std::string d = is_private ? reader.Number("d") : std::string();
  if (x.size() != size) reader.Wrong("x");
  if (y.size() != size) reader.Wrong("y");
  if (is_private && d.size() != size) reader.Wrong("d");
  if (!reader.status()) return;
  type = Type::kEc;
  field_bytes = info->field_bytes;
  key = EcPublicKey(info->group, x, y);
  if (!key) {
    reader.Wrong("x");
  } else if (is_private) {
    key = EcKeyPair(info->group, "\x04" + x + y, d);
  }
}

void JwtKey::Impl::ReadOkp(JwkReader& reader) {
  const std::string x = reader.Number("x"), curve = reader.Text("crv");
  is_private = reader.Has("d");
  const std::string d = is_private ? reader.Number("d") : std::string();
  if (curve != "Ed25519" && curve != "X25519") reader.Wrong("crv");
  if (x.size() != 32) reader.Wrong("x");
  if (is_private && d.size() != 32) reader.Wrong("d");
  if (!reader.status() || curve == "X25519") return;
  type = Type::kEd25519;
  if (!is_private) {
    key = Ed25519PublicKey(x);
    return;
  }
  key.reset(EVP_PKEY_new_raw_private_key_ex(nullptr, "ED25519", nullptr, Bytes(d), d.size()));
  std::string own(32, '\0');
  size_t size = own.size();
  if (!key || EVP_PKEY_get_raw_public_key(key.get(), Bytes(own), &size) != 1 || own != x) {
    reader.Wrong("x");
  }
}

// `impl` holds a public key that OpenSSL has read.
Result<JwtKey> JwtKey::FromPublicKey(std::shared_ptr<Impl> impl) {
  const EVP_PKEY* key = impl->key.get();
  impl->bits = EVP_PKEY_get_bits(key);
  impl->field_bytes = (impl->bits + 7) / 8;
  if (EVP_PKEY_is_a(key, "RSA")) {
    const BignumPtr modulus = KeyNumber(key, OSSL_PKEY_PARAM_RSA_N);
    const BignumPtr exponent = KeyNumber(key, OSSL_PKEY_PARAM_RSA_E);
    if (modulus && exponent && BN_is_odd(modulus.get()) && BN_is_odd(exponent.get()) &&
        !BN_is_one(exponent.get()) && BN_num_bits(exponent.get()) <= kMaxRsaExponentBits &&
        impl->bits >= kMinRsaBits && impl->bits <= kMaxRsaBits) {
      impl->type = Type::kRsa;
    }
  } else if (EVP_PKEY_is_a(key, "EC")) {
    const std::string group = GroupName(key);
    for (const char* known : {"secp224r1", "prime256v1", "secp384r1", "secp521r1"}) {
      if (group == known) impl->type = Type::kEc;
    }
    if (impl->type != Type::kEc) return Malformed("the elliptic curve is not supported");
  } else if (EVP_PKEY_is_a(key, "ED25519")) {
    impl->type = Type::kEd25519;
  } else if (!EVP_PKEY_is_a(key, "X25519") && !EVP_PKEY_is_a(key, "DSA")) {
    return Malformed("the key's type is not supported");
  }
  JwtKey out;
  out.impl_ = std::move(impl);
  return out;
}

JwtKey JwtKey::FromSecret(std::string_view secret) {
  auto impl = std::make_shared<Impl>();
  impl->type = Type::kSecret;
  impl->secret = secret;
  JwtKey out;
  out.impl_ = std::move(impl);
  return out;
}

Result<JwtKey> JwtKey::FromTree(const Tree& jwk) {
  if (!jwk.is_object()) return Malformed("a JWK is a JSON object");
  JwkReader reader(jwk);
  const std::string type = reader.Text("kty");
  JwtKey key;
  key.alg_ = reader.Text("alg");
  key.kid_ = reader.Text("kid");
  if (jwk.Find("alg") != nullptr && !AlgorithmFromJoseName(key.alg_) &&
      std::find(std::begin(kOtherAlgorithms), std::end(kOtherAlgorithms), key.alg_) ==
          std::end(kOtherAlgorithms)) {
    reader.Wrong("alg");
  }
  reader.CheckRest();
  auto impl = std::make_shared<Impl>();
  if (type == "oct") {
    impl->type = Type::kSecret;
    impl->secret = reader.Number("k");
    if (impl->secret.empty()) reader.Wrong("k");
  } else if (type == "RSA") {
    impl->ReadRsa(reader);
  } else if (type == "EC") {
    impl->ReadEc(reader);
  } else if (type == "OKP") {
    impl->ReadOkp(reader);
  } else {
    reader.Wrong("kty");
  }
  AEGIS_RETURN_IF_ERROR(reader.status());
  key.impl_ = std::move(impl);
  return key;
}

Result<std::vector<JwtKey>> JwtKey::FromJson(std::string_view json) {
  Arena arena;
  const Result<Tree> document = json::ParseTree(json, arena, kLimits);
  if (!document) return Malformed("neither PEM nor a JWK: " + document.error().message);
  std::vector<JwtKey> keys;
  const Tree* set = document->Find("keys");
  if (set == nullptr) {
    AEGIS_TRY(JwtKey key, FromTree(*document));
    keys.push_back(std::move(key));
    return keys;
  }
  if (!set->is_array()) return Malformed("the JWKS's \"keys\" is not an array");
  if (set->elements().size() > kMaxKeys) {
    return Fail(Code::kResourceExhausted, "too_many_keys", "the JWKS has more than 1000 keys");
  }
  for (const Tree& jwk : set->elements()) {
    AEGIS_TRY(JwtKey key, FromTree(jwk));
    keys.push_back(std::move(key));
  }
  return keys;
}

Result<std::vector<JwtKey>> JwtKey::ParsePublic(std::string_view text) {
  std::string_view rest = text;
  const std::optional<PemBlock> block = NextPemBlock(rest);
  if (!block) {
    AEGIS_TRY(std::vector<JwtKey> keys, FromJson(text));
    // Not for signatures, or (RFC 9864's "Ed25519") none that OPA knows.
    std::erase_if(keys, [](const JwtKey& key) {
      return !key.alg_.empty() && (!AlgorithmFromJoseName(key.alg_) || key.alg_ == "Ed25519");
    });
    return keys;
  }
  if (!rest.empty()) return Malformed("extra data after a PEM certificate block");
  const unsigned char* at = Bytes(block->bytes);
  const long size = static_cast<long>(block->bytes.size());
  auto impl = std::make_shared<Impl>();
  PkeyPtr& key = impl->key;
  if (block->type == "CERTIFICATE") {
    const X509Ptr certificate(d2i_X509(nullptr, &at, size));
    if (certificate) key.reset(X509_get_pubkey(certificate.get()));
  } else if (block->type == "PUBLIC KEY") {
    key.reset(d2i_PUBKEY(nullptr, &at, size));
  } else {
    return Malformed("the PEM block is neither a certificate nor a public key");
  }
  if (!key || at != Bytes(block->bytes) + size) {
    return Malformed("failed to parse a PEM " +
                     std::string(block->type == "CERTIFICATE" ? "certificate" : "public key"));
  }
  AEGIS_TRY(JwtKey out, FromPublicKey(std::move(impl)));
  std::vector<JwtKey> keys;
  keys.push_back(std::move(out));
  return keys;
}

Result<JwtKey> JwtKey::ParseSigning(std::string_view json) {
  AEGIS_TRY(std::vector<JwtKey> keys, FromJson(json));
  if (keys.empty()) return Malformed("no keys found in JWK set");
  return std::move(keys.front());
}

bool JwtKey::Suits(Algorithm algorithm) const {
  switch (InfoOf(algorithm).family) {
    case Family::kHmac:
      return impl_->type == Type::kSecret;
    case Family::kRsaPkcs1:
    case Family::kRsaPss:
      return impl_->type == Type::kRsa && impl_->key;
    case Family::kEcdsa:
      return impl_->type == Type::kEc && impl_->key;
    case Family::kEdDsa:
      return impl_->type == Type::kEd25519 && impl_->key;
  }
  return false;
}

bool JwtKey::Verify(Algorithm algorithm, std::string_view message,
                    std::string_view signature) const {
  if (!Suits(algorithm)) return false;
  const AlgorithmInfo& info = InfoOf(algorithm);
  if (info.family == Family::kHmac) {
    return !impl_->secret.empty() &&
           ConstantTimeEquals(Hmac(info.hash, impl_->secret, message), signature);
  }
  if (info.family == Family::kEcdsa &&
      signature.size() != 2 * static_cast<size_t>(impl_->field_bytes)) {
    return false;
  }
  return VerifyWithKey(impl_->key.get(), info, message, signature);
}

bool JwtKey::VerifyAsPublic(Algorithm algorithm, std::string_view message,
                            std::string_view signature) const {
  return impl_->type != Type::kSecret && !impl_->is_private && Suits(algorithm) &&
         VerifyWithKey(impl_->key.get(), InfoOf(algorithm), message, signature, PssSalt::kAny);
}

Result<std::string> JwtKey::Sign(Algorithm algorithm, std::string_view message) const {
  const AlgorithmInfo& info = InfoOf(algorithm);
  if (!Suits(algorithm) || (info.family != Family::kHmac && !impl_->is_private)) {
    return Fail(Code::kInvalidArgument, "key_unsupported",
                "the key cannot sign with " + std::string(info.name));
  }
  if (info.family == Family::kHmac) return Hmac(info.hash, impl_->secret, message);
  return SignWithKey(impl_->key.get(), info, message);
}

uint64_t JwtKey::verify_cost() const {
  const uint64_t blocks = static_cast<uint64_t>(impl_->bits) / 1024 + 1;
  switch (impl_->type) {
    case Type::kRsa:
      return 1000 * blocks * blocks;
    case Type::kEc:
      return impl_->field_bytes == 32 ? 15'000 : 200'000;
    case Type::kEd25519:
      return 20'000;
    case Type::kSecret:
    case Type::kOther:
      break;
  }
  return 200;
}

uint64_t JwtKey::sign_cost() const {
  const uint64_t blocks = static_cast<uint64_t>(impl_->bits) / 1024 + 1;
  return impl_->type == Type::kRsa ? 10'000 * blocks * blocks * blocks : verify_cost();
}

}  // namespace aegis::crypto
