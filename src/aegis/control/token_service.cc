#include "aegis/control/token_service.h"

namespace aegis::control {

TokenService::TokenService(const crypto::SigningKey& key, const Clock& clock)
    : clock_(clock), issuer_(key, std::string(kTokenIssuer), std::string(kTokenAudience)) {
  // One key: it cannot be a duplicate.
  (void)keys_.Add(key.verification_key());
  jwks_ = keys_.ToJwks();
}

Result<identity::IssuedToken> TokenService::Issue(const store::TenantKey& tenant,
                                                  const std::string& agent,
                                                  const std::vector<identity::ChainLink>& chain,
                                                  const std::string& scope,
                                                  int64_t ttl_seconds) const {
  identity::TokenRequest request;
  request.org = tenant.org;
  request.tenant = tenant.tenant;
  request.agent = agent;
  request.chain = chain;
  request.scope = scope;
  request.issued_at = clock_.UnixSeconds();
  request.lifetime = ttl_seconds;
  return issuer_.Issue(request);
}

Result<identity::Principal> TokenService::Read(const store::TenantKey& tenant,
                                               const std::string& token) const {
  identity::TokenVerifier::Options options;
  options.keys = keys_;
  options.issuer = kTokenIssuer;
  options.audience = kTokenAudience;
  options.org = tenant.org;
  options.tenant = tenant.tenant;
  return identity::TokenVerifier(std::move(options)).VerifyIgnoringTime(token);
}

}  // namespace aegis::control
