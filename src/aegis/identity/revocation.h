// What has been revoked: an immutable snapshot that the control plane sends to every gateway.
//
// Threading: immutable once built; any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>

#include "aegis/identity/principal.h"

namespace aegis::identity {

class RevocationSet {
 public:
  // `epoch`: differs from that of every other set that a process has used; caches compare it.
  explicit RevocationSet(uint64_t epoch = 0) : epoch_(epoch) {}

  // One token, by its jti.
  void RevokeToken(std::string token_id) { tokens_.insert(std::move(token_id)); }
  // Every token of the agent, or of the whole tenant, issued at `issued_until` (seconds) or before.
  void RevokeAgent(std::string_view tenant, std::string_view agent, int64_t issued_until);
  void RevokeTenant(std::string_view tenant, int64_t issued_until);

  bool IsRevoked(const Principal& principal) const;
  uint64_t epoch() const { return epoch_; }

 private:
  uint64_t epoch_;
  std::unordered_set<std::string> tokens_;
  std::unordered_map<std::string, int64_t> agents_;  // "<tenant>/<agent>"; names have no '/'
  std::unordered_map<std::string, int64_t> tenants_;
};

}  // namespace aegis::identity
