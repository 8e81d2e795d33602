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
constexpr size_t kMaxRsaBytes = 2048;
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

// The contents of a PKCS #1 structure (RFC 8017 appendix A.1.2). What the Chinese remainder theorem
// needs may be left out; when it is there, all must agree.
PkeyPtr ReadRsaKey(crypto::DerReader reader) {
  int64_t version = 0;
  std::string_view numbers[8];  // n, e, d, p, q, dp, dq, qi
  if (!reader.ReadInt(version) || version < 0 || version > 1) return nullptr;
  size_t count = 0;
  for (; count < std::size(numbers) && (count < 5 || reader.Peek(crypto::kDerInteger)); ++count) {
    if (!reader.ReadIntegerBytes(numbers[count]) || x509::IsNegative(numbers[count])) {
      return nullptr;
    }
    while (numbers[count].starts_with('\0')) numbers[count].remove_prefix(1);
    if (numbers[count].empty() || numbers[count].size() > kMaxRsaBytes) return nullptr;
  }
  if (reader.Peek(crypto::kDerSequence)) return nullptr;  // more primes
  if (numbers[1].size() > 4 || (numbers[1].size() == 4 && x509::IsNegative(numbers[1]))) {
    return nullptr;
  }
  PkeyPtr key = crypto::RsaKeyPair(numbers[0], numbers[1], numbers[2], numbers[3], numbers[4]);
  if (!key || count < std::size(numbers)) return key;
  constexpr const char* kNames[] = {OSSL_PKEY_PARAM_RSA_EXPONENT1, OSSL_PKEY_PARAM_RSA_EXPONENT2,
                                    OSSL_PKEY_PARAM_RSA_COEFFICIENT1};
  for (size_t i = 0; i < std::size(kNames); ++i) {
    if (NumberOf(key.get(), kNames[i]) != numbers[5 + i]) return nullptr;
  }
  return key;
}

// An element `inner` with an explicit tag around it, if it is next; false when it is malformed.
// What has that tag and holds something else is left where it is, and the tag's own length does not
// matter, as in Go's encoding/asn1.
bool ReadExplicit(crypto::DerReader& reader, uint8_t tag, uint8_t inner,
                  std::optional<std::string_view>& element) {
  element.reset();
  if (!reader.Peek(tag)) return true;
  crypto::DerReader inside = reader;
  size_t length = 0;
  if (!inside.SkipHeader(tag, length) || length == 0) return false;
  if (!inside.Peek(inner)) return true;
  std::string_view read;
  if (!inside.ReadElement(inner, read)) return false;
  element = read;
  reader = inside;
  return true;
}

// The contents of a SEC 1 structure (RFC 5915). The public key is computed anew: what the structure
// says of it does not count. `oid`: the curve, if that was said outside.
PkeyPtr ReadEcKey(crypto::DerReader reader, x509::Oid oid) {
  int64_t version = 0;
  std::string_view secret;
  std::optional<std::string_view> parameters, bits;
  if (!reader.ReadInt(version) || version != 1 || !reader.Read(crypto::kDerOctetString, secret) ||
      !ReadExplicit(reader, crypto::DerContextConstructed(0), crypto::kDerObjectIdentifier,
                    parameters) ||
      !ReadExplicit(reader, crypto::DerContextConstructed(1), crypto::kDerBitString, bits)) {
    return nullptr;
  }
  std::string ignored;
  if (bits && !crypto::DerReader(*bits).ReadBitString(ignored)) return nullptr;
  x509::Oid own;
  if (parameters && !crypto::DerReader(*parameters).ReadOid(own)) return nullptr;
  if (oid.empty()) oid = std::move(own);
  const x509::Curve* curve = x509::FindCurve(oid);
  if (curve == nullptr) return nullptr;
  while (secret.size() > curve->bytes && secret[0] == '\0') secret.remove_prefix(1);
  if (secret.size() > curve->bytes) return nullptr;
  const std::string point = crypto::EcPublicPoint(curve->group, secret);
  return point.empty() ? nullptr : crypto::EcKeyPair(curve->group, point, secret);
}

// The key of a PKCS #8 structure (RFC 5208, RFC 8410).
PkeyPtr ReadPkcs8Key(crypto::DerReader reader) {
  static const x509::Oid kRsa = {1, 2, 840, 113549, 1, 1, 1}, kEc = {1, 2, 840, 10045, 2, 1},
                         kX25519 = {1, 3, 101, 110}, kEd25519 = {1, 3, 101, 112};
  int64_t version = 0;
  crypto::DerReader id(""), structure("");
  x509::AlgorithmId algorithm;
  std::string_view contents, secret;
  if (!reader.ReadInt(version) || !reader.Enter(crypto::kDerSequence, id) ||
      !x509::ReadAlgorithm(id, algorithm) || !reader.Read(crypto::kDerOctetString, contents)) {
    return nullptr;
  }
  crypto::DerReader inside(contents);
  if (algorithm.oid == kX25519 || algorithm.oid == kEd25519) {
    if (!algorithm.parameters.empty() || !inside.Read(crypto::kDerOctetString, secret) ||
        secret.size() != 32) {
      return nullptr;
    }
    return PkeyPtr(EVP_PKEY_new_raw_private_key_ex(nullptr,
                                                   algorithm.oid == kX25519 ? "X25519" : "ED25519",
                                                   nullptr, crypto::Bytes(secret), secret.size()));
  }
  if (!inside.Enter(crypto::kDerSequence, structure) || !inside.empty()) return nullptr;
  if (algorithm.oid == kRsa) return ReadRsaKey(structure);
  x509::Oid oid;
  if (!crypto::DerReader(algorithm.parameters).ReadOid(oid)) oid.clear();
  return algorithm.oid == kEc ? ReadEcKey(structure, oid) : nullptr;
}

enum class Form { kPkcs1, kSec1, kPkcs8 };

PkeyPtr ReadKey(std::string_view der, Form form) {
  crypto::DerReader reader(der), inside("");
  if (!reader.Enter(crypto::kDerSequence, inside) || !reader.empty()) return nullptr;
  switch (form) {
    case Form::kPkcs1:
      return ReadRsaKey(inside);
    case Form::kSec1:
      return ReadEcKey(inside, {});
    case Form::kPkcs8:
      return ReadPkcs8Key(inside);
  }
  return nullptr;
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
    Form form = Form::kPkcs8;
    if (block->type == "RSA PRIVATE KEY") {
      form = Form::kPkcs1;
    } else if (block->type == "EC PRIVATE KEY") {
      form = Form::kSec1;
    } else if (block->type != "PRIVATE KEY") {
      continue;
    }
    if (!context.Charge(kKeyCost)) return std::nullopt;
    PkeyPtr key = ReadKey(block->bytes, form);
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
  for (const Form form : {Form::kPkcs1, Form::kPkcs8, Form::kSec1}) {
    PkeyPtr key = ReadKey(der, form);
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
