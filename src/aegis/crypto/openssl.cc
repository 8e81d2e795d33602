#include "aegis/crypto/openssl.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/objects.h>

#include <utility>

namespace aegis::crypto {

std::string BigEndian(const BIGNUM* number, int bytes) {
  std::string out(static_cast<size_t>(bytes), '\0');
  if (BN_bn2binpad(number, Bytes(out), bytes) != bytes) out.clear();
  return out;
}

BignumPtr ToBignum(std::string_view big_endian) {
  return BignumPtr(BN_bin2bn(Bytes(big_endian), static_cast<int>(big_endian.size()), nullptr));
}

BignumPtr KeyNumber(const EVP_PKEY* key, const char* name) {
  BIGNUM* number = nullptr;
  EVP_PKEY_get_bn_param(key, name, &number);
  return BignumPtr(number);
}

std::string GroupName(const EVP_PKEY* key) {
  char name[64] = "";
  size_t size = 0;
  if (EVP_PKEY_get_group_name(key, name, sizeof name, &size) != 1) return {};
  return std::string(name, size);
}

PkeyPtr KeyFromParams(const char* type, OSSL_PARAM_BLD* builder, int selection) {
  const ParamsPtr params(OSSL_PARAM_BLD_to_param(builder));
  const PkeyContextPtr context(EVP_PKEY_CTX_new_from_name(nullptr, type, nullptr));
  EVP_PKEY* key = nullptr;
  if (!params || !context || EVP_PKEY_fromdata_init(context.get()) != 1 ||
      EVP_PKEY_fromdata(context.get(), &key, selection, params.get()) != 1) {
    ERR_clear_error();
    return nullptr;
  }
  return PkeyPtr(key);
}

PkeyPtr EcPublicKey(const char* group, std::string_view x, std::string_view y) {
  std::string point = "\x04";
  point.append(x).append(y);
  const ParamBuilderPtr builder(OSSL_PARAM_BLD_new());
  if (!builder ||
      OSSL_PARAM_BLD_push_utf8_string(builder.get(), OSSL_PKEY_PARAM_GROUP_NAME, group, 0) != 1 ||
      OSSL_PARAM_BLD_push_octet_string(builder.get(), OSSL_PKEY_PARAM_PUB_KEY, point.data(),
                                       point.size()) != 1) {
    return nullptr;
  }
  PkeyPtr key = KeyFromParams("EC", builder.get(), EVP_PKEY_PUBLIC_KEY);
  if (!key) return nullptr;
  // The point must be on the curve, or signatures prove nothing. These curves have prime order, so
  // that nothing else needs a check.
  const PkeyContextPtr check(EVP_PKEY_CTX_new_from_pkey(nullptr, key.get(), nullptr));
  if (check && EVP_PKEY_public_check_quick(check.get()) == 1) return key;
  ERR_clear_error();
  return nullptr;
}

PkeyPtr RsaPublicKey(std::string_view n, std::string_view e) {
  const BignumPtr modulus = ToBignum(n);
  const BignumPtr exponent = ToBignum(e);
  const ParamBuilderPtr builder(OSSL_PARAM_BLD_new());
  if (!modulus || !exponent || !builder ||
      OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_N, modulus.get()) != 1 ||
      OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_E, exponent.get()) != 1) {
    return nullptr;
  }
  return KeyFromParams("RSA", builder.get(), EVP_PKEY_PUBLIC_KEY);
}

PkeyPtr RsaKeyPair(std::string_view n, std::string_view e, std::string_view d, std::string_view p,
                   std::string_view q) {
  const BnContextPtr context(BN_CTX_secure_new());
  const BignumPtr modulus = ToBignum(n), exponent = ToBignum(e), secret = ToBignum(d),
                  first = ToBignum(p), second = ToBignum(q), product(BN_secure_new()),
                  first_less(BN_secure_new()), second_less(BN_secure_new()), dp(BN_secure_new()),
                  dq(BN_secure_new());
  BN_CTX* scratch = context.get();
  if (!scratch || !modulus || !exponent || !secret || !first || !second || !product ||
      BN_is_zero(secret.get()) || BN_cmp(secret.get(), modulus.get()) >= 0 ||
      !BN_is_odd(modulus.get()) || !BN_is_odd(exponent.get()) || BN_num_bits(first.get()) < 2 ||
      BN_num_bits(second.get()) < 2 ||
      BN_mul(product.get(), first.get(), second.get(), scratch) != 1 ||
      BN_cmp(product.get(), modulus.get()) != 0 ||
      BN_sub(first_less.get(), first.get(), BN_value_one()) != 1 ||
      BN_sub(second_less.get(), second.get(), BN_value_one()) != 1 ||
      BN_mod(dp.get(), secret.get(), first_less.get(), scratch) != 1 ||
      BN_mod(dq.get(), secret.get(), second_less.get(), scratch) != 1) {
    return nullptr;
  }
  for (const BIGNUM* less : {first_less.get(), second_less.get()}) {
    if (BN_mod_mul(product.get(), secret.get(), exponent.get(), less, scratch) != 1 ||
        !BN_is_one(product.get())) {
      return nullptr;
    }
  }
  const BignumPtr inverse(BN_mod_inverse(nullptr, second.get(), first.get(), scratch));
  const ParamBuilderPtr builder(OSSL_PARAM_BLD_new());
  if (!inverse || !builder) return nullptr;
  const std::pair<const char*, const BIGNUM*> params[] = {
      {OSSL_PKEY_PARAM_RSA_N, modulus.get()},
      {OSSL_PKEY_PARAM_RSA_E, exponent.get()},
      {OSSL_PKEY_PARAM_RSA_D, secret.get()},
      {OSSL_PKEY_PARAM_RSA_FACTOR1, first.get()},
      {OSSL_PKEY_PARAM_RSA_FACTOR2, second.get()},
      {OSSL_PKEY_PARAM_RSA_EXPONENT1, dp.get()},
      {OSSL_PKEY_PARAM_RSA_EXPONENT2, dq.get()},
      {OSSL_PKEY_PARAM_RSA_COEFFICIENT1, inverse.get()},
  };
  for (const auto& [name, number] : params) {
    if (OSSL_PARAM_BLD_push_BN(builder.get(), name, number) != 1) return nullptr;
  }
  return KeyFromParams("RSA", builder.get(), EVP_PKEY_KEYPAIR);
}

PkeyPtr EcKeyPair(const char* group, std::string_view point, std::string_view d) {
  const BignumPtr secret = ToBignum(d);
  const ParamBuilderPtr builder(OSSL_PARAM_BLD_new());
  if (!builder || !secret ||
      OSSL_PARAM_BLD_push_utf8_string(builder.get(), OSSL_PKEY_PARAM_GROUP_NAME, group, 0) != 1 ||
      OSSL_PARAM_BLD_push_octet_string(builder.get(), OSSL_PKEY_PARAM_PUB_KEY, point.data(),
                                       point.size()) != 1 ||
      OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_PRIV_KEY, secret.get()) != 1) {
    return nullptr;
  }
  return KeyFromParams("EC", builder.get(), EVP_PKEY_KEYPAIR);
}

std::string EcPublicPoint(const char* group_name, std::string_view d) {
  const EcGroupPtr group(EC_GROUP_new_by_curve_name(OBJ_sn2nid(group_name)));
  const BignumPtr secret = ToBignum(d);
  const EcPointPtr point(group ? EC_POINT_new(group.get()) : nullptr);
  std::string out(1 + 2 * 66, '\0');
  if (!secret || !point || BN_is_zero(secret.get()) ||
      BN_cmp(secret.get(), EC_GROUP_get0_order(group.get())) >= 0 ||
      EC_POINT_mul(group.get(), point.get(), secret.get(), nullptr, nullptr, nullptr) != 1) {
    return {};
  }
  out.resize(EC_POINT_point2oct(group.get(), point.get(), POINT_CONVERSION_UNCOMPRESSED, Bytes(out),
                                out.size(), nullptr));
  return out;
}

PkeyPtr Ed25519PublicKey(std::string_view x) {
  PkeyPtr key(EVP_PKEY_new_raw_public_key_ex(nullptr, "ED25519", nullptr, Bytes(x), x.size()));
  if (!key) ERR_clear_error();
  return key;
}

}  // namespace aegis::crypto
