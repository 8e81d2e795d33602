// JSON Web Signatures in compact form (RFC 7515 §7.1), as RFC 8725 wants them checked: the key
// decides the algorithm, and a header cannot bring a key along.
//
// Refused headers: `crit` (we understand no extension), `jku`, `jwk`, `x5u`, `x5c`, duplicate
// members, an `alg` that is not the key's ("none" is nobody's).
//
// Threading: free functions on values.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "aegis/base/result.h"
#include "aegis/crypto/key.h"

namespace aegis::crypto {

inline constexpr size_t kMaxJwsHeaderBytes = 2048;

// What a compact JWS says. Nothing of it is to be believed before VerifyJws.
struct Jws {
  std::string alg;
  std::string kid;  // empty: none
  std::string typ;  // empty: none
  std::string payload;
  std::string signature;
  std::string_view signing_input;  // points into the parsed text
};

// Errors: jws_too_large, jws_malformed, jws_header (a header member that is refused).
Result<Jws> ParseJws(std::string_view compact, size_t max_bytes);

// Errors: jws_algorithm, jws_signature.
Status VerifyJws(const Jws& jws, const VerificationKey& key);
// With the set's key of the header's kid. Errors: also jws_unknown_key.
Status VerifyJws(const Jws& jws, const KeySet& keys);

// Header {"alg","kid","typ"}. An empty `typ` is left out. Errors: crypto_failed.
Result<std::string> SignJws(const SigningKey& key, std::string_view payload, std::string_view typ);

}  // namespace aegis::crypto
