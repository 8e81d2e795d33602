// Keys as OPA's io.jwt functions take them (v1/topdown/tokens.go of OPA 1.22), for policies that
// check or make tokens by themselves. Laxer than VerificationKey, which is what Aegis trusts: any
// RSA size from 1024 bits, private keys where public ones are meant, any algorithm of the key's
// family.
//
// Stricter than OPA in what a JWK may be: strict JSON without duplicate members, 1 MiB and 1,000
// keys at most, RSA moduli of at most 16,384 bits (longer ones are read and verify nothing).
//
// Threading: immutable once parsed; safe to use from many threads.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "aegis/base/result.h"
#include "aegis/crypto/key.h"

namespace aegis::json {
class Tree;
}

namespace aegis::crypto {

class JwtKey {
 public:
  // One PEM block, "CERTIFICATE" or "PUBLIC KEY", with nothing after it; or a JWK, or a JWKS. As in
  // OPA one bad key in a set makes all of it bad. Keys whose `alg` is not for signatures are left
  // out. Errors: key_malformed, key_unsupported, too_many_keys.
  static Result<std::vector<JwtKey>> ParsePublic(std::string_view text);
  // The first key of a JWK or JWKS, whatever its `alg`, as io.jwt.encode_sign takes it.
  // Errors: as above.
  static Result<JwtKey> ParseSigning(std::string_view json);
  // A secret of any length.
  static JwtKey FromSecret(std::string_view secret);

  const std::string& alg() const { return alg_; }  // as the JWK says; empty: not said
  const std::string& kid() const { return kid_; }

  // As io.jwt.decode_verify checks: a key of another family verifies nothing, ECDSA signatures have
  // the size of the key's curve, PSS salts that of the hash.
  bool Verify(Algorithm algorithm, std::string_view message, std::string_view signature) const;
  // As io.jwt.verify_rs256 and its likes check: private keys and secrets verify nothing, ECDSA
  // signatures are two halves of any length, PSS salts of any length.
  bool VerifyAsPublic(Algorithm algorithm, std::string_view message,
                      std::string_view signature) const;
  // Errors: key_unsupported (not a private key of the algorithm's family, RSA below 1024 bits, or a
  // key whose parts disagree), crypto_failed.
  Result<std::string> Sign(Algorithm algorithm, std::string_view message) const;

  // What a verification and a signature cost, in tens of nanoseconds, roughly and at most.
  uint64_t verify_cost() const;
  uint64_t sign_cost() const;

 private:
  // kOther: keys that are read and can do nothing here (X25519, DSA, RSA out of bounds).
  enum class Type : uint8_t { kRsa, kEc, kEd25519, kSecret, kOther };
  struct Impl;

  static Result<JwtKey> FromPublicKey(std::shared_ptr<Impl> impl);
  static Result<JwtKey> FromTree(const json::Tree& jwk);
  static Result<std::vector<JwtKey>> FromJson(std::string_view json);
  bool Suits(Algorithm algorithm) const;

  std::string alg_;
  std::string kid_;
  std::shared_ptr<const Impl> impl_;
};

}  // namespace aegis::crypto
