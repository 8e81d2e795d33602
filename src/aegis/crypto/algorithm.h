// The signature algorithms of JOSE and what each does with OpenSSL's keys (RFC 7518 §3, RFC 8037).
//
// These functions check no key against an algorithm's rules but what the mathematics needs: whether
// an algorithm may be used with a key is for VerificationKey (key.h) or JwtKey (jwt_key.h) to say.
//
// Internal to the crypto library.
#pragma once

#include <openssl/evp.h>

#include <string>
#include <string_view>

#include "aegis/base/result.h"
#include "aegis/crypto/digest.h"
#include "aegis/crypto/key.h"

namespace aegis::crypto {

enum class Family : uint8_t { kEdDsa, kEcdsa, kRsaPkcs1, kRsaPss, kHmac };

struct AlgorithmInfo {
  Algorithm algorithm;
  std::string_view name;  // the `alg` that we write
  Family family;
  HashFunction hash;       // not used for Ed25519
  const char* group;       // OpenSSL's name of the curve that RFC 7518 §3.4 pairs it with
  std::string_view curve;  // JWK's name of it
  int field_bytes;         // of that curve
};
const AlgorithmInfo& InfoOf(Algorithm algorithm);

enum class PssSalt : uint8_t { kDigestLength, kAny };

// Whether `signature` is this key's over `message`. ECDSA signatures are R||S, of equal length;
// any length, leading zeros included. Not for HMAC.
bool VerifyWithKey(EVP_PKEY* key, const AlgorithmInfo& info, std::string_view message,
                   std::string_view signature, PssSalt salt = PssSalt::kDigestLength);
// ECDSA: R||S, each of the size of the key's field. Errors: crypto_failed. Not for HMAC.
Result<std::string> SignWithKey(EVP_PKEY* key, const AlgorithmInfo& info, std::string_view message);

}  // namespace aegis::crypto
