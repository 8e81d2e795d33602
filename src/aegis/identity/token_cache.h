// Verified tokens of one worker, so that a signature is checked once and not on every call (an
// Ed25519 check costs more than all the rest of a decision).
//
// A cached token is good while its exp has not passed, while the verifier is the one that checked
// it, and while no newer revocation set revokes it. Only tokens that verify are kept: failures cost
// an attacker a new token each anyway. Keys are SHA-256 of the token, so that a memory dump holds
// no bearer token.
//
// Threading: one worker; no locks. Ownership: a PrincipalRef keeps its Principal alive however the
// cache changes; it stays on the cache's thread and may outlive the cache.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include "aegis/base/result.h"
#include "aegis/crypto/digest.h"
#include "aegis/identity/agent_token.h"
#include "aegis/identity/principal.h"
#include "aegis/identity/revocation.h"

namespace aegis::identity {

// A counted reference without atomics: copies stay on one thread.
class PrincipalRef {
 public:
  PrincipalRef() = default;
  explicit PrincipalRef(Principal principal) : shared_(new Shared{std::move(principal), 1}) {}
  PrincipalRef(const PrincipalRef& other) : shared_(other.shared_) {
    if (shared_) ++shared_->references;
  }
  PrincipalRef(PrincipalRef&& other) noexcept : shared_(std::exchange(other.shared_, nullptr)) {}
  PrincipalRef& operator=(PrincipalRef other) noexcept {
    std::swap(shared_, other.shared_);
    return *this;
  }
  ~PrincipalRef() {
    if (shared_ && --shared_->references == 0) delete shared_;
  }

  const Principal* get() const { return shared_ ? &shared_->principal : nullptr; }
  const Principal& operator*() const { return shared_->principal; }
  const Principal* operator->() const { return &shared_->principal; }
  explicit operator bool() const { return shared_ != nullptr; }

 private:
  struct Shared {
    Principal principal;
    uint32_t references;
  };
  Shared* shared_ = nullptr;
};

class TokenCache {
 public:
  // `capacity`: tokens kept, rounded up to a power of two of at least 8. An entry takes about 0.5
  // KiB once used; 64 bytes before.
  explicit TokenCache(size_t capacity = 4096);

  // The principal of a token, from the cache or verified now. `now`: seconds since the epoch.
  // Errors: those of TokenVerifier::Verify, and token_revoked. No allocation when the token is
  // cached.
  Result<PrincipalRef> Authenticate(std::string_view token, int64_t now,
                                    const TokenVerifier& verifier,
                                    const RevocationSet& revocations);

  struct Stats {
    uint64_t hits = 0, misses = 0, evictions = 0;
  };
  const Stats& stats() const { return stats_; }

 private:
  static constexpr size_t kWays = 8;  // entries that a token may be in

  struct Entry {
    crypto::Sha256Digest key;
    PrincipalRef principal;  // empty: the entry is free
    uint64_t verifier_generation = 0;
    uint64_t revocation_epoch = 0;
    uint64_t last_used = 0;
  };

  Entry* Set(const crypto::Sha256Digest& key);
  Entry& Victim(Entry* set, int64_t now);

  std::vector<Entry> entries_;
  size_t set_mask_;
  uint64_t uses_ = 0;
  Stats stats_;
};

}  // namespace aegis::identity
