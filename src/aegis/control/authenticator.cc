#include "aegis/control/authenticator.h"

#include "aegis/base/text.h"
#include "aegis/crypto/digest.h"

namespace aegis::control {
namespace {

constexpr size_t kMaxKeyBytes = 256;

}  // namespace

Authenticator::Authenticator(const store::TenantKey& tenant,
                             const std::vector<store::Credential>& credentials) {
  for (const store::Credential& credential : credentials) {
    entries_.push_back({credential.secret_sha256, {credential.id, credential.role, tenant}});
  }
}

std::optional<Caller> Authenticator::Authenticate(std::string_view authorization) const {
  constexpr std::string_view kScheme = "Bearer ";
  if (authorization.size() <= kScheme.size() ||
      !EqualsIgnoreCase(authorization.substr(0, kScheme.size()), kScheme)) {
    return {};
  }
  const std::string_view key = Trim(authorization.substr(kScheme.size()));
  if (key.empty() || key.size() > kMaxKeyBytes) return {};
  const std::string hash = crypto::Sha256Hex(key);
  const Entry* found = nullptr;
  for (const Entry& entry : entries_) {
    if (crypto::ConstantTimeEquals(entry.secret_sha256, hash)) found = &entry;
  }
  return found ? std::optional<Caller>(found->caller) : std::nullopt;
}

bool MayCall(const Caller& caller, Access access) {
  switch (access) {
    case Access::kOpen:
      return true;
    case Access::kAdmin:
      return caller.role == "admin";
    case Access::kGateway:
      return caller.role == "gateway";
    case Access::kAdminOrGateway:
      return caller.role == "admin" || caller.role == "gateway";
  }
  return false;
}

}  // namespace aegis::control
