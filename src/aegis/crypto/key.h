// Signing and verification keys, and sets of them. The algorithm belongs to the key: it is fixed
// when the key is loaded and no token header changes it (RFC 8725 §3.1).
//
// Formats: PEM (SubjectPublicKeyInfo, PKCS#8), JWK and JWKS (RFC 7517, RFC 7518 §6, RFC 8037).
//
// Threading: keys are immutable handles that share what they hold; reading, signing and verifying
// are thread-safe. A KeySet is safe to read from many threads once it is built.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "aegis/base/result.h"

namespace aegis::json {
class Tree;
}

namespace aegis::crypto {

enum class Algorithm : uint8_t {
  kEd25519,  // RFC 8037, RFC 9864
  // ECDSA on P-256, P-384, P-521 with SHA-256, SHA-384, SHA-512.
  kEs256,
  kEs384,
  kEs512,
  // RSASSA-PKCS1-v1_5, 2048 to 8192 bits.
  kRs256,
  kRs384,
  kRs512,
  // RSASSA-PSS, salt as long as the hash, 2048 to 8192 bits.
  kPs256,
  kPs384,
  kPs512,
  // HMAC, secrets at least as long as the hash (RFC 7518 §3.2); for bundles only.
  kHs256,
  kHs384,
  kHs512,
};

// The `alg` that we write. Ed25519 keys write "EdDSA": RFC 9864 prefers "Ed25519", but PyJWT (2.15)
// does not know that name yet.
std::string_view JoseName(Algorithm algorithm);
// Whether a header's `alg` means this algorithm. "EdDSA" and "Ed25519" both mean kEd25519.
bool JoseNameMatches(std::string_view alg, Algorithm algorithm);
// The algorithm that an `alg` means; nothing for names that are none of ours, "none" among them.
std::optional<Algorithm> AlgorithmFromJoseName(std::string_view alg);

// A key that checks signatures: a public key, or an HMAC secret.
class VerificationKey {
 public:
  // `pem`: one "PUBLIC KEY" block. An empty `kid` becomes the RFC 7638 thumbprint. `algorithm`:
  // what the key is used with; without one an RSA key is for RS256, other keys have only one.
  // Errors: key_malformed, key_unsupported (type, curve or size, or another type than the
  // algorithm's).
  static Result<VerificationKey> FromPem(std::string_view pem, std::string kid = {},
                                         std::optional<Algorithm> algorithm = {});
  // One JWK object; kty OKP, EC or RSA. A member `alg` must suit the key and is then its algorithm;
  // `use` must be "sig". Private members are refused, so that a private key is never published by
  // accident. Errors: key_malformed, key_unsupported.
  static Result<VerificationKey> FromJwk(std::string_view json);
  // An HMAC secret. Errors: key_unsupported (shorter than the hash, or an algorithm that is not
  // HMAC's). No other way makes a key that HMAC is checked with: the text of a public key can never
  // become a secret.
  static Result<VerificationKey> FromSecret(std::string_view secret, std::string kid,
                                            Algorithm algorithm = Algorithm::kHs256);

  Algorithm algorithm() const;
  const std::string& kid() const { return kid_; }

  // `signature` as JOSE writes it: R||S for ECDSA (RFC 7518 §3.4), 64 bytes for Ed25519.
  bool Verify(std::string_view message, std::string_view signature) const;

  // RFC 7638, SHA-256, base64url. Empty for a secret.
  std::string Thumbprint() const;
  // With kid, alg and use. Errors: key_unsupported for a secret, which is never published.
  Result<std::string> ToJwk() const;
  Result<std::string> ToPem() const;

 private:
  friend class SigningKey;
  friend class KeySet;
  struct Impl;
  static Result<VerificationKey> FromImpl(std::shared_ptr<const Impl> impl, std::string kid);
  static Result<VerificationKey> FromTree(const json::Tree& jwk);
  std::string RequiredMembers() const;
  VerificationKey(std::shared_ptr<const Impl> impl, std::string kid)
      : impl_(std::move(impl)), kid_(std::move(kid)) {}
  std::shared_ptr<const Impl> impl_;
  std::string kid_;
};

// A key that signs. Never written to a log or an error.
class SigningKey {
 public:
  // RSA keys have 3072 bits. Errors: key_unsupported (HMAC), crypto_failed.
  static Result<SigningKey> Generate(Algorithm algorithm);
  // `pem`: one unencrypted "PRIVATE KEY" block (or the older "EC PRIVATE KEY", "RSA PRIVATE KEY").
  // `algorithm` as for VerificationKey. Errors: key_malformed, key_unsupported.
  static Result<SigningKey> FromPem(std::string_view pem, std::string kid = {},
                                    std::optional<Algorithm> algorithm = {});
  static Result<SigningKey> FromSecret(std::string_view secret, std::string kid,
                                       Algorithm algorithm = Algorithm::kHs256);

  Algorithm algorithm() const { return public_key_.algorithm(); }
  const std::string& kid() const { return public_key_.kid(); }
  // What checks this key's signatures, with the same kid.
  const VerificationKey& verification_key() const { return public_key_; }

  // Errors: crypto_failed.
  Result<std::string> Sign(std::string_view message) const;
  // PKCS#8, unencrypted. The caller keeps it where only the owner can read it.
  // Errors: key_unsupported for a secret.
  Result<std::string> ToPem() const;

 private:
  struct Private;
  static Result<SigningKey> FromPrivate(std::shared_ptr<const Private> key, std::string kid,
                                        std::optional<Algorithm> algorithm = {});
  SigningKey(VerificationKey public_key, std::shared_ptr<const Private> private_key)
      : public_key_(std::move(public_key)), private_(std::move(private_key)) {}
  VerificationKey public_key_;
  std::shared_ptr<const Private> private_;  // nullptr for a secret, which public_key_ holds
};

// Keys by kid, so that old and new ones are valid side by side while keys rotate.
class KeySet {
 public:
  // Errors: key_duplicate (a kid that is there already), key_malformed (empty kid).
  Status Add(VerificationKey key);
  // nullptr when there is none. Valid while the set lives and is not changed.
  const VerificationKey* Find(std::string_view kid) const;
  const std::vector<VerificationKey>& keys() const { return keys_; }
  bool empty() const { return keys_.empty(); }

  // A JWKS document. Keys of a type, curve or use that we do not support are skipped (RFC 7517 §5),
  // those without a kid get their thumbprint. Errors: key_malformed, key_duplicate, too_many_keys
  // (64).
  static Result<KeySet> FromJwks(std::string_view json);
  // {"keys":[...]} in the order added. HMAC secrets are left out.
  std::string ToJwks() const;

 private:
  std::vector<VerificationKey> keys_;
};

}  // namespace aegis::crypto
