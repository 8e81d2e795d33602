// Bundle signatures in OPA's scheme (OPA docs "Signing"; v1/bundle/{sign,verify,hash}.go of
// OPA 1.22):
// `.signatures.json` holds one JWT whose payload lists every other file with its hash. Files named
// data.json or .manifest are hashed by content (keys sorted, no white space), all others by their
// bytes.
//
// Algorithms: ES256 (what Aegis signs with), and all others that stock OPA knows: ES384, ES512,
// RS256 to RS512, PS256 to PS512, HS256 to HS512. OPA cannot check Ed25519 ones. The key says which
// algorithm it is for; a signature whose header says another one is refused, "none" among them. A
// public key is never used as an HMAC secret.
//
// File hashes: SHA-256 (what Aegis and `opa sign` write), SHA-224, SHA-384, SHA-512, SHA-512-224,
// SHA-512-256. OPA also reads MD5 and SHA-1; here they are refused (hash_unsupported), because who
// can make two files of one hash can have one signed and deliver the other.
//
// OPA's scheme has no expiry and no protection against an old bundle: whoever loads one compares
// revisions.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "aegis/base/result.h"
#include "aegis/crypto/key.h"

namespace aegis::rego {

struct BundleFile;

inline constexpr std::string_view kSignaturesFile = ".signatures.json";

// Whose bundles are accepted. The scope must equal the signature's; Aegis uses the tenant's name.
struct BundleVerifier {
  crypto::KeySet keys;
  std::string scope;
  // Delta bundles carry no signature; without this they are refused.
  bool allow_unsigned_deltas = false;
};

struct BundleSigner {
  crypto::SigningKey key;
  std::string scope;
};

// Content of .signatures.json for these files. Errors: bundle_malformed (a structured file is not
// JSON), bundle_signature (an Ed25519 key, or signing failed).
Result<std::string> SignBundleFiles(std::span<const BundleFile> files, const BundleSigner& signer);

// Checks signature, scope, and that the signed files are exactly `files` with these contents; gives
// the kid of the key that signed. A signature that names no key is checked with the only one there
// is. Errors: bundle_signature, bundle_malformed.
Result<std::string> VerifyBundleFiles(std::string_view signatures_json,
                                      std::span<const BundleFile> files,
                                      const BundleVerifier& verifier);

// The text that a structured file is hashed as: object keys sorted by bytes, no white space,
// strings as Go's encoding/json writes them, numbers as they stand. Errors: bundle_malformed.
Result<std::string> CanonicalStructuredFile(std::string_view json);

// Whether a file of this name is hashed by content.
bool IsStructuredFile(std::string_view name);

}  // namespace aegis::rego
