// crypto.parse_private_keys, crypto.x509.parse_rsa_private_key, crypto.x509.parse_keypair: private
// keys as Go's structures turned into JSON, or as a JWK.
//
// RSA keys with more than two primes are refused.
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/x509.h>

#include "aegis/crypto/base64.h"
#include "aegis/crypto/der.h"
#include "aegis/crypto/openssl.h"
#include "aegis/crypto/pem.h"
#include "aegis/rego/builtins/operands.h"
#include "aegis/rego/builtins/x509_certificate.h"
#include "aegis/rego/builtins/x509_parts.h"

namespace aegis::rego {
namespace {

using crypto::BigEndian;
using crypto::BignumPtr;
using crypto::KeyNumber;
using crypto::PkeyPtr;
using x509::IntegerValue;

constexpr size_t kMaxInputBytes = size_t{256} * 1024;
constexpr uint64_t kKeyCost = 100'000;  // of reading one
constexpr std::string_view kBegin = "-----BEGIN";

std::string NumberOf(const EVP_PKEY* key, const char* name) {
  const BignumPtr number = KeyNumber(key, name);
  return number ? BigEndian(number.get()) : std::string();
}

// A positive number from its bytes.
Value Number(Arena& arena, std::string_view bytes) {
  return IntegerValue(arena, std::string(1, '\0') + std::string(bytes));
}

std::string RawKey(const EVP_PKEY* key, bool is_private) {
  std::string out(64, '\0');
  size_t size = out.size();
  const int done = is_private ? EVP_PKEY_get_raw_private_key(key, crypto::Bytes(out), &size)
                              : EVP_PKEY_get_raw_public_key(key, crypto::Bytes(out), &size);
  out.resize(done == 1 ? size : 0);
  return out;
}

// RSA keys are built again from their parts, which shows whether these agree.
PkeyPtr Checked(PkeyPtr key) {
  if (key && EVP_PKEY_is_a(key.get(), "RSA")) {
    if (EVP_PKEY_get_bits(key.get()) > 16384) return nullptr;
    return crypto::RsaKeyPair(NumberOf(key.get(), OSSL_PKEY_PARAM_RSA_N),
                              NumberOf(key.get(), OSSL_PKEY_PARAM_RSA_E),
                              NumberOf(key.get(), OSSL_PKEY_PARAM_RSA_D),
                              NumberOf(key.get(), OSSL_PKEY_PARAM_RSA_FACTOR1),
                              NumberOf(key.get(), OSSL_PKEY_PARAM_RSA_FACTOR2));
  }
  if (key && EVP_PKEY_is_a(key.get(), "EC")) {
    const std::string group = crypto::GroupName(key.get());
    for (const char* known : {"secp224r1", "prime256v1", "secp384r1", "secp521r1"}) {
      if (group == known) return key;
    }
    return nullptr;
  }
  if (key && (EVP_PKEY_is_a(key.get(), "ED25519") || EVP_PKEY_is_a(key.get(), "X25519"))) {
    return key;
  }
  return nullptr;
}

// The key of a PKCS #1, SEC 1 (`type` EVP_PKEY_RSA or _EC) or PKCS #8 structure (EVP_PKEY_NONE).
PkeyPtr ReadKey(std::string_view der, int type) {
  crypto::DerReader reader(der), inside("");
  int64_t version = 0;
  if (!reader.Enter(crypto::kDerSequence, inside) || !reader.empty() || !inside.ReadInt(version)) {
    return nullptr;
  }
  const uint8_t second = type == EVP_PKEY_RSA  ? crypto::kDerInteger
                         : type == EVP_PKEY_EC ? crypto::kDerOctetString
                                               : crypto::kDerSequence;
  if (!inside.Peek(second)) return nullptr;
  const unsigned char* at = crypto::Bytes(der);
  const long size = static_cast<long>(der.size());
  PkeyPtr key;
  if (type != EVP_PKEY_NONE) {
    key.reset(d2i_PrivateKey(type, nullptr, &at, size));
  } else if (PKCS8_PRIV_KEY_INFO* info = d2i_PKCS8_PRIV_KEY_INFO(nullptr, &at, size)) {
    key.reset(EVP_PKCS82PKEY(info));
    PKCS8_PRIV_KEY_INFO_free(info);
  }
  ERR_clear_error();
  return Checked(std::move(key));
}

// Go's structure as JSON.
Value Structure(Arena& arena, const EVP_PKEY* key) {
  if (EVP_PKEY_is_a(key, "ED25519")) {
    return x509::Base64(arena, RawKey(key, true) + RawKey(key, false));
  }
  ObjectBuilder out(arena, 5);
  const auto add = [&](ObjectBuilder& object, std::string_view name, const char* parameter) {
    object.Add(name, Number(arena, NumberOf(key, parameter)));
  };
  if (EVP_PKEY_is_a(key, "EC")) {
    out.Add("Curve", Value::EmptyObject());
    add(out, "X", OSSL_PKEY_PARAM_EC_PUB_X);
    add(out, "Y", OSSL_PKEY_PARAM_EC_PUB_Y);
    add(out, "D", OSSL_PKEY_PARAM_PRIV_KEY);
  } else if (EVP_PKEY_is_a(key, "RSA")) {
    add(out, "N", OSSL_PKEY_PARAM_RSA_N);
    add(out, "E", OSSL_PKEY_PARAM_RSA_E);
    add(out, "D", OSSL_PKEY_PARAM_RSA_D);
    ArrayBuilder primes(arena, 2);
    primes.Add(Number(arena, NumberOf(key, OSSL_PKEY_PARAM_RSA_FACTOR1)));
    primes.Add(Number(arena, NumberOf(key, OSSL_PKEY_PARAM_RSA_FACTOR2)));
    out.Add("Primes", primes.Build());
    ObjectBuilder precomputed(arena, 4);
    add(precomputed, "Dp", OSSL_PKEY_PARAM_RSA_EXPONENT1);
    add(precomputed, "Dq", OSSL_PKEY_PARAM_RSA_EXPONENT2);
    add(precomputed, "Qinv", OSSL_PKEY_PARAM_RSA_COEFFICIENT1);
    precomputed.Add("CRTValues", Value::EmptyArray());
    out.Add("Precomputed", precomputed.Build());
  }
  return out.Build();
}

// A JWK (RFC 7517); undefined for a curve that has no name there.
Value Jwk(Arena& arena, const EVP_PKEY* key) {
  ObjectBuilder out(arena, 9);
  const auto add = [&](std::string_view name, std::string_view bytes) {
    out.Add(name, MakeString(arena, crypto::Base64UrlEncode(bytes)));
  };
  const auto add_number = [&](std::string_view name, const char* parameter, int size = 0) {
    const BignumPtr number = KeyNumber(key, parameter);
    if (!number) return;
    add(name, size > 0 ? BigEndian(number.get(), size) : BigEndian(number.get()));
  };
  const auto text = [](std::string_view value) { return MakeStringView(value); };
  if (EVP_PKEY_is_a(key, "RSA")) {
    out.Add("kty", text("RSA"));
    add_number("n", OSSL_PKEY_PARAM_RSA_N);
    add_number("e", OSSL_PKEY_PARAM_RSA_E);
    add_number("d", OSSL_PKEY_PARAM_RSA_D);
    add_number("p", OSSL_PKEY_PARAM_RSA_FACTOR1);
    add_number("q", OSSL_PKEY_PARAM_RSA_FACTOR2);
    add_number("dp", OSSL_PKEY_PARAM_RSA_EXPONENT1);
    add_number("dq", OSSL_PKEY_PARAM_RSA_EXPONENT2);
    add_number("qi", OSSL_PKEY_PARAM_RSA_COEFFICIENT1);
  } else if (EVP_PKEY_is_a(key, "EC")) {
    const int bits = EVP_PKEY_get_bits(key), size = (bits + 7) / 8;
    if (bits == 224) return Value();
    out.Add("kty", text("EC"));
    out.Add("crv", text(bits == 256 ? "P-256" : bits == 384 ? "P-384" : "P-521"));
    add_number("x", OSSL_PKEY_PARAM_EC_PUB_X, size);
    add_number("y", OSSL_PKEY_PARAM_EC_PUB_Y, size);
    add_number("d", OSSL_PKEY_PARAM_PRIV_KEY, size);
  } else {
    out.Add("kty", text("OKP"));
    out.Add("crv", text(EVP_PKEY_is_a(key, "ED25519") ? "Ed25519" : "X25519"));
    add("x", RawKey(key, false));
    add("d", RawKey(key, true));
  }
  return out.Build();
}

// All keys of a PEM text, or of base64 of one. Nothing when one is wrong or the steps are used up.
std::optional<std::vector<PkeyPtr>> ReadKeys(BuiltinContext& context, std::string_view text) {
  const std::optional<std::string> decoded =
      crypto::Base64DecodeAsGo(text, crypto::Base64Form::kStandard);
  std::string_view rest = decoded ? std::string_view(*decoded) : text;
  std::vector<PkeyPtr> keys;
  while (const std::optional<crypto::PemBlock> block = crypto::NextPemBlock(rest)) {
    int type = EVP_PKEY_NONE;
    if (block->type == "RSA PRIVATE KEY") {
      type = EVP_PKEY_RSA;
    } else if (block->type == "EC PRIVATE KEY") {
      type = EVP_PKEY_EC;
    } else if (block->type != "PRIVATE KEY") {
      continue;
    }
    if (!context.Charge(kKeyCost)) return std::nullopt;
    PkeyPtr key = ReadKey(block->bytes, type);
    if (!key) {
      context.Error("x509: failed to parse private key");
      return std::nullopt;
    }
    keys.push_back(std::move(key));
  }
  return keys;
}

bool IsSmall(BuiltinContext& context, std::string_view text) {
  if (!context.Charge(text.size())) return false;
  if (text.size() <= kMaxInputBytes) return true;
  context.Error("longer than 256 KiB");
  return false;
}

Value ParsePrivateKeys(BuiltinContext& context, const Value* args) {
  AEGIS_STRING_ARG(text, 0);
  if (text.empty()) return Value::Null();
  if (!IsSmall(context, text)) return Value();
  const auto keys = ReadKeys(context, text);
  if (!keys) return Value();
  ArrayBuilder out(context.arena(), keys->size());
  for (const PkeyPtr& key : *keys) out.Add(Structure(context.arena(), key.get()));
  return out.Build();
}

Value ParseRsaPrivateKey(BuiltinContext& context, const Value* args) {
  AEGIS_STRING_ARG(text, 0);
  if (text.empty()) return context.Error("input PEM data was empty");
  if (!IsSmall(context, text)) return Value();
  std::string pem(text);
  if (!text.starts_with(kBegin)) {
    std::optional<std::string> bytes =
        crypto::Base64DecodeAsGo(text, crypto::Base64Form::kStandard);
    if (!bytes) return context.Error("illegal base64 data");
    pem = *std::move(bytes);
  }
  const auto keys = ReadKeys(context, pem);
  if (!keys) return Value();
  if (keys->empty()) return Value::Null();
  const Value jwk = Jwk(context.arena(), keys->front().get());
  return jwk.is_undefined() ? context.Error("the key has no JWK form") : jwk;
}

// PEM as it is, or base64 of PEM or DER; nothing when it is neither.
std::optional<std::string> PemOrDer(std::string_view text) {
  if (text.starts_with("-----BEGIN ")) return std::string(text);
  return crypto::Base64DecodeAsGo(text, crypto::Base64Form::kStandard);
}

PkeyPtr ReadPairsKey(std::string_view text) {
  std::string der(text);
  if (text.starts_with(kBegin)) {
    std::optional<crypto::PemBlock> block;
    do block = crypto::NextPemBlock(text);
    while (block && block->type != "PRIVATE KEY" && !block->type.ends_with(" PRIVATE KEY"));
    if (!block) return nullptr;
    der = std::move(block->bytes);
  }
  for (const int type : {EVP_PKEY_RSA, EVP_PKEY_NONE, EVP_PKEY_EC}) {
    PkeyPtr key = ReadKey(der, type);
    if (key && !EVP_PKEY_is_a(key.get(), "X25519")) return key;
  }
  return nullptr;
}

Value ParseKeyPair(BuiltinContext& context, const Value* args) {
  AEGIS_STRING_ARG(certificate_text, 0);
  AEGIS_STRING_ARG(key_text, 1);
  if (!IsSmall(context, certificate_text) || !IsSmall(context, key_text) ||
      !context.Charge(3 * kKeyCost)) {
    return Value();
  }
  const std::optional<std::string> certificate_pem = PemOrDer(certificate_text);
  const std::optional<std::string> key_pem = PemOrDer(key_text);
  if (!certificate_pem || !key_pem) return context.Error("illegal base64 data");
  std::vector<std::string> ders;
  if (certificate_pem->starts_with("-----BEGIN ")) {
    std::string_view rest = *certificate_pem;
    while (std::optional<crypto::PemBlock> block = crypto::NextPemBlock(rest)) {
      if (block->type == "CERTIFICATE") ders.push_back(std::move(block->bytes));
    }
  } else {
    ders.push_back(*certificate_pem);
  }
  if (ders.empty()) return context.Error("tls: failed to find any PEM data in certificate input");
  Arena& arena = context.arena();
  std::string problem;
  const auto leaf = ParseCertificates(ders[0], arena, problem);
  if (!leaf || leaf->size() != 1) return context.Error("x509: malformed certificate");
  const PkeyPtr key = ReadPairsKey(*key_pem);
  if (!key) return context.Error("tls: failed to parse private key");
  const unsigned char* at = crypto::Bytes(ders[0]);
  X509* certificate = d2i_X509(nullptr, &at, static_cast<long>(ders[0].size()));
  const bool pair = certificate != nullptr && X509_check_private_key(certificate, key.get()) == 1;
  X509_free(certificate);
  ERR_clear_error();
  if (!pair) return context.Error("tls: private key does not match public key");
  ArrayBuilder chain(arena, ders.size());
  for (const std::string& der : ders) chain.Add(x509::Base64(arena, der));
  ObjectBuilder out(arena, 6);
  out.Add("Certificate", chain.Build());
  out.Add("PrivateKey", Structure(arena, key.get()));
  out.Add("SupportedSignatureAlgorithms", Value::Null());
  out.Add("OCSPStaple", Value::Null());
  out.Add("SignedCertificateTimestamps", Value::Null());
  out.Add("Leaf", leaf->front().value);
  return out.Build();
}

constexpr Builtin kBuiltins[] = {
    {"crypto.parse_private_keys", 1, ParsePrivateKeys},
    {"crypto.x509.parse_rsa_private_key", 1, ParseRsaPrivateKey},
    {"crypto.x509.parse_keypair", 2, ParseKeyPair},
};

}  // namespace

std::span<const Builtin> PrivateKeyBuiltins() { return kBuiltins; }

}  // namespace aegis::rego
