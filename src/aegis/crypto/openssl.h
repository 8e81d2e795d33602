// Owning handles of OpenSSL's objects, and the few conversions that several files need.
//
// Internal to the crypto and rego libraries.
#pragma once

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>

#include <memory>
#include <string>
#include <string_view>

#include "aegis/crypto/digest.h"

namespace aegis::crypto {

template <auto free_function>
struct OpensslDeleter {
  template <typename T>
  void operator()(T* object) const {
    free_function(object);
  }
};
using PkeyPtr = std::unique_ptr<EVP_PKEY, OpensslDeleter<EVP_PKEY_free>>;
using PkeyContextPtr = std::unique_ptr<EVP_PKEY_CTX, OpensslDeleter<EVP_PKEY_CTX_free>>;
using DigestContextPtr = std::unique_ptr<EVP_MD_CTX, OpensslDeleter<EVP_MD_CTX_free>>;
using BioPtr = std::unique_ptr<BIO, OpensslDeleter<BIO_free_all>>;
using BignumPtr = std::unique_ptr<BIGNUM, OpensslDeleter<BN_clear_free>>;
using EcGroupPtr = std::unique_ptr<EC_GROUP, OpensslDeleter<EC_GROUP_free>>;
using EcPointPtr = std::unique_ptr<EC_POINT, OpensslDeleter<EC_POINT_free>>;
using BnContextPtr = std::unique_ptr<BN_CTX, OpensslDeleter<BN_CTX_free>>;
using ParamBuilderPtr = std::unique_ptr<OSSL_PARAM_BLD, OpensslDeleter<OSSL_PARAM_BLD_free>>;
using ParamsPtr = std::unique_ptr<OSSL_PARAM, OpensslDeleter<OSSL_PARAM_free>>;
using EcdsaSigPtr = std::unique_ptr<ECDSA_SIG, OpensslDeleter<ECDSA_SIG_free>>;

inline const unsigned char* Bytes(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}
inline unsigned char* Bytes(std::string& text) {
  return reinterpret_cast<unsigned char*>(text.data());
}

// Fetched once for the process: fetching takes locks and name look-ups.
const EVP_MD* MdOf(HashFunction function);

// Exactly `bytes` bytes, most significant first; empty when the number is larger.
std::string BigEndian(const BIGNUM* number, int bytes);
inline std::string BigEndian(const BIGNUM* number) {
  return BigEndian(number, BN_num_bytes(number));
}
BignumPtr ToBignum(std::string_view big_endian);
// A number of a key by its OSSL_PKEY_PARAM_… name; nullptr when it has none.
BignumPtr KeyNumber(const EVP_PKEY* key, const char* name);
// OpenSSL's name of an elliptic-curve key's group, "prime256v1"; empty when it has none.
std::string GroupName(const EVP_PKEY* key);

// A key of `type` from its parameters; nullptr when OpenSSL finds them wrong. `selection` is
// EVP_PKEY_PUBLIC_KEY or EVP_PKEY_KEYPAIR.
PkeyPtr KeyFromParams(const char* type, OSSL_PARAM_BLD* builder, int selection);
// A public key on the group, checked to be a point of the curve. `x` and `y` are of the field's
// size.
PkeyPtr EcPublicKey(const char* group, std::string_view x, std::string_view y);
PkeyPtr RsaPublicKey(std::string_view n, std::string_view e);
// A pair, with what the Chinese remainder theorem needs computed anew and all of it checked to
// agree; nullptr when it does not.
PkeyPtr RsaKeyPair(std::string_view n, std::string_view e, std::string_view d, std::string_view p,
                   std::string_view q);
// A pair of an uncompressed point and a number, which are not checked to belong together.
PkeyPtr EcKeyPair(const char* group, std::string_view point, std::string_view d);
// The uncompressed point of a number; empty when that is zero or not below the group's order.
std::string EcPublicPoint(const char* group, std::string_view d);
PkeyPtr Ed25519PublicKey(std::string_view x);

}  // namespace aegis::crypto
