#include "aegis/identity/token_cache.h"

#include <algorithm>
#include <bit>
#include <cstring>

namespace aegis::identity {

TokenCache::TokenCache(size_t capacity)
    : entries_(std::bit_ceil(std::max(capacity, kWays))), set_mask_(entries_.size() / kWays - 1) {}

TokenCache::Entry* TokenCache::Set(const crypto::Sha256Digest& key) {
  size_t hash;
  std::memcpy(&hash, key.data(), sizeof hash);
  return &entries_[(hash & set_mask_) * kWays];
}

// A free entry, else one that has expired, else the one that was not used for longest.
TokenCache::Entry& TokenCache::Victim(Entry* set, int64_t now) {
  Entry* oldest = set;
  for (Entry* entry = set; entry != set + kWays; ++entry) {
    if (!entry->principal || entry->principal->expires_at <= now) return *entry;
    if (entry->last_used < oldest->last_used) oldest = entry;
  }
  ++stats_.evictions;
  return *oldest;
}

Result<PrincipalRef> TokenCache::Authenticate(std::string_view token, int64_t now,
                                              const TokenVerifier& verifier,
                                              const RevocationSet& revocations) {
  const auto refuse_revoked = [] {
    return Fail(Code::kUnauthenticated, "token_revoked",
                "the token has been revoked; get a new one");
  };
  // Not even hashed, so that large headers cost nothing.
  if (token.size() > kMaxTokenBytes) return Fail(verifier.Verify(token, now).error());
  const crypto::Sha256Digest key = crypto::Sha256(token);
  Entry* const set = Set(key);
  for (Entry* entry = set; entry != set + kWays; ++entry) {
    if (entry->key != key || !entry->principal) continue;
    if (entry->verifier_generation != verifier.generation() ||
        now >= entry->principal->expires_at) {
      entry->principal = {};
      break;
    }
    if (entry->revocation_epoch != revocations.epoch()) [[unlikely]] {
      if (revocations.IsRevoked(*entry->principal)) return refuse_revoked();
      entry->revocation_epoch = revocations.epoch();
    }
    entry->last_used = ++uses_;
    ++stats_.hits;
    return entry->principal;
  }
  ++stats_.misses;
  AEGIS_TRY(Principal principal, verifier.Verify(token, now));
  if (revocations.IsRevoked(principal)) return refuse_revoked();
  Entry& entry = Victim(set, now);
  entry.key = key;
  entry.principal = PrincipalRef(std::move(principal));
  entry.verifier_generation = verifier.generation();
  entry.revocation_epoch = revocations.epoch();
  entry.last_used = ++uses_;
  return entry.principal;
}

}  // namespace aegis::identity
