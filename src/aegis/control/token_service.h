// Agent tokens as the control plane makes and revokes them; the token itself is the identity
// library's.
//
// Threading: immutable; any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "aegis/base/clock.h"
#include "aegis/base/result.h"
#include "aegis/crypto/key.h"
#include "aegis/identity/agent_token.h"
#include "aegis/identity/principal.h"
#include "aegis/store/repository.h"

namespace aegis::control {

// Seconds.
inline constexpr int64_t kDefaultTokenTtl = 900;
inline constexpr int64_t kMinTokenTtl = 1;
inline constexpr int64_t kMaxTokenTtl = 3600;

// iss and aud of every token; a gateway of this Aegis checks for them.
inline constexpr std::string_view kTokenIssuer = "aegis";
inline constexpr std::string_view kTokenAudience = "aegis-gateway";

class TokenService {
 public:
  TokenService(const crypto::SigningKey& key, const Clock& clock);

  // Errors: token_request (a chain that goes in a loop), crypto_failed.
  Result<identity::IssuedToken> Issue(const store::TenantKey& tenant, const std::string& agent,
                                      const std::vector<identity::ChainLink>& chain,
                                      const std::string& scope, int64_t ttl_seconds) const;
  // A token of this tenant that the current key has signed, expired or not.
  // Errors: those of identity::TokenVerifier.
  Result<identity::Principal> Read(const store::TenantKey& tenant, const std::string& token) const;
  // The public keys, as a JWKS document (RFC 7517).
  const std::string& jwks() const { return jwks_; }

 private:
  const Clock& clock_;
  crypto::KeySet keys_;
  identity::TokenIssuer issuer_;
  std::string jwks_;
};

}  // namespace aegis::control
