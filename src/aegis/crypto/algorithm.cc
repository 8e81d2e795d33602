#include "aegis/crypto/algorithm.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/rsa.h>

#include <utility>

#include "aegis/crypto/openssl.h"

namespace aegis::crypto {
namespace {

constexpr AlgorithmInfo kAlgorithms[] = {
    {Algorithm::kEd25519, "EdDSA", Family::kEdDsa, HashFunction::kSha512, nullptr, "Ed25519", 32},
    {Algorithm::kEs256, "ES256", Family::kEcdsa, HashFunction::kSha256, "prime256v1", "P-256", 32},
    {Algorithm::kEs384, "ES384", Family::kEcdsa, HashFunction::kSha384, "secp384r1", "P-384", 48},
    {Algorithm::kEs512, "ES512", Family::kEcdsa, HashFunction::kSha512, "secp521r1", "P-521", 66},
    {Algorithm::kRs256, "RS256", Family::kRsaPkcs1, HashFunction::kSha256, nullptr, "", 0},
    {Algorithm::kRs384, "RS384", Family::kRsaPkcs1, HashFunction::kSha384, nullptr, "", 0},
    {Algorithm::kRs512, "RS512", Family::kRsaPkcs1, HashFunction::kSha512, nullptr, "", 0},
    {Algorithm::kPs256, "PS256", Family::kRsaPss, HashFunction::kSha256, nullptr, "", 0},
    {Algorithm::kPs384, "PS384", Family::kRsaPss, HashFunction::kSha384, nullptr, "", 0},
    {Algorithm::kPs512, "PS512", Family::kRsaPss, HashFunction::kSha512, nullptr, "", 0},
    {Algorithm::kHs256, "HS256", Family::kHmac, HashFunction::kSha256, nullptr, "", 0},
    {Algorithm::kHs384, "HS384", Family::kHmac, HashFunction::kSha384, nullptr, "", 0},
    {Algorithm::kHs512, "HS512", Family::kHmac, HashFunction::kSha512, nullptr, "", 0},
};

// Signatures are of two numbers of a field; OpenSSL checks their range. This bounds what it reads.
constexpr size_t kMaxEcdsaBytes = 1024;

// nullptr for Ed25519, which hashes by itself.
const EVP_MD* Digest(const AlgorithmInfo& info) {
  return info.family == Family::kEdDsa ? nullptr : MdOf(info.hash);
}

std::string JoseToDer(std::string_view signature) {
  if (signature.size() > kMaxEcdsaBytes) return {};
  const size_t half = signature.size() / 2;
  const EcdsaSigPtr parts(ECDSA_SIG_new());
  BignumPtr r = ToBignum(signature.substr(0, half));
  BignumPtr s = ToBignum(signature.substr(half));
  if (!parts || !r || !s || ECDSA_SIG_set0(parts.get(), r.get(), s.get()) != 1) return {};
  std::ignore = r.release();
  std::ignore = s.release();
  unsigned char* der = nullptr;
  const int size = i2d_ECDSA_SIG(parts.get(), &der);
  if (size <= 0) return {};
  std::string out(reinterpret_cast<char*>(der), static_cast<size_t>(size));
  OPENSSL_free(der);
  return out;
}

std::string DerToJose(std::string_view der, int field_bytes) {
  const unsigned char* at = Bytes(der);
  const EcdsaSigPtr parts(d2i_ECDSA_SIG(nullptr, &at, static_cast<long>(der.size())));
  if (!parts) return {};
  const BIGNUM* r = nullptr;
  const BIGNUM* s = nullptr;
  ECDSA_SIG_get0(parts.get(), &r, &s);
  const std::string left = BigEndian(r, field_bytes), right = BigEndian(s, field_bytes);
  return left.empty() || right.empty() ? std::string() : left + right;
}

bool SetPss(EVP_PKEY_CTX* context, int salt) {
  return EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_PSS_PADDING) == 1 &&
         EVP_PKEY_CTX_set_rsa_pss_saltlen(context, salt) == 1;
}

}  // namespace

const AlgorithmInfo& InfoOf(Algorithm algorithm) {
  const AlgorithmInfo& info = kAlgorithms[static_cast<size_t>(algorithm)];
  AEGIS_DCHECK(info.algorithm == algorithm);
  return info;
}

std::string_view JoseName(Algorithm algorithm) { return InfoOf(algorithm).name; }

bool JoseNameMatches(std::string_view alg, Algorithm algorithm) {
  return alg == JoseName(algorithm) || (algorithm == Algorithm::kEd25519 && alg == "Ed25519");
}

std::optional<Algorithm> AlgorithmFromJoseName(std::string_view alg) {
  for (const AlgorithmInfo& info : kAlgorithms) {
    if (JoseNameMatches(alg, info.algorithm)) return info.algorithm;
  }
  return std::nullopt;
}

bool VerifyWithKey(EVP_PKEY* key, const AlgorithmInfo& info, std::string_view message,
                   std::string_view signature, PssSalt salt) {
  std::string der;
  if (info.family == Family::kEcdsa) {
    der = JoseToDer(signature);
    if (der.empty()) return false;
    signature = der;
  }
  const DigestContextPtr context(EVP_MD_CTX_new());
  EVP_PKEY_CTX* key_context = nullptr;
  // For RSA the default padding is PKCS #1 v1.5.
  bool valid =
      context && EVP_DigestVerifyInit(context.get(), &key_context, Digest(info), nullptr, key) == 1;
  if (valid && info.family == Family::kRsaPss) {
    valid =
        SetPss(key_context, salt == PssSalt::kAny ? RSA_PSS_SALTLEN_AUTO : RSA_PSS_SALTLEN_DIGEST);
  }
  valid = valid && EVP_DigestVerify(context.get(), Bytes(signature), signature.size(),
                                    Bytes(message), message.size()) == 1;
  if (!valid) ERR_clear_error();
  return valid;
}

Result<std::string> SignWithKey(EVP_PKEY* key, const AlgorithmInfo& info,
                                std::string_view message) {
  const DigestContextPtr context(EVP_MD_CTX_new());
  EVP_PKEY_CTX* key_context = nullptr;
  size_t size = static_cast<size_t>(EVP_PKEY_get_size(key));
  std::string signature(size, '\0');
  if (!context ||
      EVP_DigestSignInit(context.get(), &key_context, Digest(info), nullptr, key) != 1 ||
      (info.family == Family::kRsaPss && !SetPss(key_context, RSA_PSS_SALTLEN_DIGEST)) ||
      EVP_DigestSign(context.get(), Bytes(signature), &size, Bytes(message), message.size()) != 1) {
    signature.clear();
  } else {
    signature.resize(size);
    if (info.family == Family::kEcdsa) {
      signature = DerToJose(signature, (EVP_PKEY_get_bits(key) + 7) / 8);
    }
  }
  if (!signature.empty()) return signature;
  // OpenSSL's own error texts may quote key material in theory, so they are dropped.
  ERR_clear_error();
  return Fail(Code::kInternal, "crypto_failed", "signing failed");
}

}  // namespace aegis::crypto
