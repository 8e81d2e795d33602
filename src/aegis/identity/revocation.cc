#include "aegis/identity/revocation.h"

#include <algorithm>

namespace aegis::identity {
namespace {

std::string AgentKey(std::string_view tenant, std::string_view agent) {
  return std::string(tenant).append("/").append(agent);
}

void Raise(std::unordered_map<std::string, int64_t>& until, std::string key, int64_t issued_until) {
  const auto [entry, added] = until.try_emplace(std::move(key), issued_until);
  if (!added) entry->second = std::max(entry->second, issued_until);
}

}  // namespace

void RevocationSet::RevokeAgent(std::string_view tenant, std::string_view agent,
                                int64_t issued_until) {
  Raise(agents_, AgentKey(tenant, agent), issued_until);
}

void RevocationSet::RevokeTenant(std::string_view tenant, int64_t issued_until) {
  Raise(tenants_, std::string(tenant), issued_until);
}

bool RevocationSet::IsRevoked(const Principal& principal) const {
  if (!tokens_.empty() && tokens_.contains(principal.token_id)) return true;
  const auto covers = [&](const std::unordered_map<std::string, int64_t>& until,
                          const std::string& key) {
    const auto entry = until.find(key);
    return entry != until.end() && principal.issued_at <= entry->second;
  };
  if (!tenants_.empty() && covers(tenants_, principal.tenant)) return true;
  if (agents_.empty()) return false;
  if (covers(agents_, AgentKey(principal.tenant, principal.agent))) return true;
  // A revoked agent must not act through those it delegated to, either.
  return std::any_of(principal.chain.begin(), principal.chain.end(), [&](const ChainLink& link) {
    return link.type == "agent" && covers(agents_, AgentKey(principal.tenant, link.id));
  });
}

}  // namespace aegis::identity
