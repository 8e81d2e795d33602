// Agent tokens: JWTs (RFC 7519) of the type of RFC 9068, made by the control plane and checked at
// every door. Claims:
//
//   iss, aud          as configured; aud a string or an array
//   sub               "agent:<tenant>/<agent>", agreeing with the next two
//   org tenant agent  names
//   jti iat nbf exp   nbf may be absent; times are whole seconds since the epoch
//   scope             space-separated (RFC 6749 §3.3); may be absent
//   act               who is behind the agent, nested (RFC 8693 §4.1), the last delegator
//   outermost:
//                     {"sub":"agent:<tenant>/<name>","act":{"sub":"user:<id>"}}
//
// The header's typ must be "at+jwt", so that nothing else signed with the same key passes as a
// token. `cnf` (a token bound to a key, RFC 7800) is refused, because we could not check the
// binding.
//
// Threading: TokenIssuer and TokenVerifier are immutable; any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "aegis/base/result.h"
#include "aegis/crypto/key.h"
#include "aegis/identity/principal.h"

namespace aegis::identity {

inline constexpr size_t kMaxTokenBytes = 8192;
inline constexpr size_t kMaxChainLinks = 8;
inline constexpr size_t kMaxNameBytes = 128;
inline constexpr size_t kMaxUserIdBytes = 256;
inline constexpr size_t kMaxScopeBytes = 1024;

// Orgs, tenants and agents: 1 to 128 of A-Z a-z 0-9 . _ @ : -, the first a letter or a digit.
bool IsValidName(std::string_view name);
// Users: 1 to 256 bytes of UTF-8 without control characters, no space at either end.
bool IsValidUserId(std::string_view id);

// Who a token is for; all times in seconds.
struct TokenRequest {
  std::string org;
  std::string tenant;
  std::string agent;
  std::vector<ChainLink> chain;  // the one who started first, as in Principal
  std::string scope;
  std::string token_id;  // jti; empty: a random one
  int64_t issued_at = 0;
  int64_t lifetime = 0;  // exp − iat
};

struct IssuedToken {
  std::string token;
  std::string token_id;
  int64_t expires_at = 0;
};

class TokenIssuer {
 public:
  // `key`: Ed25519 or ES256. `issuer`, `audience`: iss and aud of every token.
  TokenIssuer(crypto::SigningKey key, std::string issuer, std::string audience)
      : key_(std::move(key)), issuer_(std::move(issuer)), audience_(std::move(audience)) {}

  // What it makes passes a TokenVerifier of the same issuer, audience and key.
  // Errors: token_request (a name, the chain, the scope or the lifetime is not acceptable),
  // crypto_failed.
  Result<IssuedToken> Issue(const TokenRequest& request) const;

 private:
  crypto::SigningKey key_;
  std::string issuer_;
  std::string audience_;
};

class TokenVerifier {
 public:
  struct Options {
    crypto::KeySet keys;  // old and new ones side by side while keys rotate
    std::string issuer;
    std::string audience;
    std::string org;                   // empty: any
    std::string tenant;                // empty: any
    int64_t leeway = 5;                // seconds that clocks may differ
    int64_t max_lifetime = 24 * 3600;  // seconds; exp − iat
  };
  explicit TokenVerifier(Options options);

  // `now`: seconds since the epoch. All errors have code kUnauthenticated and one of the reasons
  //   token_too_large       more than kMaxTokenBytes
  //   token_malformed       not a compact JWS, or not strict JSON
  //   token_header          crit, jku, jwk, x5u, x5c, or no alg
  //   token_type            typ is not at+jwt
  //   token_algorithm       alg is not the key's ("none" is nobody's)
  //   token_unknown_key     no key of that kid
  //   token_signature       the signature does not match
  //   token_claims          a claim is missing, of a wrong type, or out of its range
  //   token_unsupported     a claim that demands a check that we do not make (cnf)
  //   token_issuer, token_audience, token_org, token_tenant: another one's
  //   token_subject         sub does not agree with tenant and agent
  //   token_chain           act is malformed, too deep, of another tenant, or goes in a loop
  //   token_lifetime        exp is not after iat, or too long after it
  //   token_expired, token_not_yet_valid
  // Messages quote no text from the token.
  Result<Principal> Verify(std::string_view token, int64_t now) const;
  // The same without the checks of the clock: for a token that is to be revoked or shown.
  Result<Principal> VerifyIgnoringTime(std::string_view token) const;

  int64_t leeway() const { return options_.leeway; }
  // Differs between any two verifiers of a process, so that caches see a change of keys.
  uint64_t generation() const { return generation_; }

 private:
  Options options_;
  uint64_t generation_;
};

// Header and claims of a token as JSON text, not verified: for people who look at one.
struct DecodedToken {
  std::string header_json;
  std::string claims_json;
};
// Errors: token_too_large, token_malformed.
Result<DecodedToken> DecodeUnverified(std::string_view token);

// The agent that a token of any kind says it is of: its claim `agent`, else `sub` (without what an
// agent's begins with), not verified and as it was sent. Empty: it says none, or cannot be read.
std::string ClaimedAgent(std::string_view token);

}  // namespace aegis::identity
