#include "aegis/gateway/unknown_callers.h"

#include <algorithm>
#include <utility>

#include "aegis/identity/agent_token.h"

namespace aegis::gateway {
namespace {

constexpr std::string_view kMany = "*";

std::string KeyOf(std::string_view source, std::string_view name, std::string_view target,
                  size_t reason) {
  std::string key;
  key.reserve(source.size() + name.size() + target.size() + 4);
  // No line feed is in what is shown.
  key.append(source).append("\n").append(name).append("\n").append(target).append("\n");
  key.push_back(static_cast<char>(reason));
  return key;
}

}  // namespace

size_t UnknownReason(std::string_view error) {
  for (size_t i = 0; i + 1 < kUnknownReasonCount; ++i) {
    if (kUnknownReasons[i] == error) return i;
  }
  return kUnknownReasonCount - 1;
}

std::string Shown(std::string_view text) {
  std::string out(text.substr(0, kMaxShownBytes));
  for (char& c : out) {
    if (c < 0x20 || c > 0x7e || c == '*') c = '?';
  }
  if (out.empty()) out = "-";
  return out;
}

std::string ClaimedName(std::string_view token, std::string_view user_agent) {
  const std::string claimed = identity::ClaimedAgent(token);
  return Shown(claimed.empty() ? user_agent.substr(0, user_agent.find(' ')) : claimed);
}

void UnknownCallers::Count(UnknownCaller& caller, int64_t now_ms) {
  if (caller.count == 0) caller.first_seen_ms = now_ms;
  ++caller.count;
  caller.last_seen_ms = now_ms;
}

void UnknownCallers::Add(std::string source, std::string name, std::string target, size_t reason,
                         int64_t now_ms) {
  const std::lock_guard lock(mutex_);
  std::string key = KeyOf(source, name, target, reason);
  auto found = index_.find(key);
  if (found == index_.end()) {
    const auto kept = of_source_.find(source);
    if (kept != of_source_.end() && kept->second >= kMaxOfASource) {
      name = kMany;
      target = kMany;
      key = KeyOf(source, name, target, reason);
      found = index_.find(key);
    }
  }
  if (found != index_.end()) {
    Count(found->second->caller, now_ms);
    seen_.splice(seen_.end(), seen_, found->second);
    return;
  }
  if (seen_.size() >= kMaxCallers) Forget(seen_.begin());
  ++of_source_[source];
  Seen& added = seen_.emplace_back();
  added.caller.source = std::move(source);
  added.caller.name = std::move(name);
  added.caller.target = std::move(target);
  added.caller.reason = kUnknownReasons[reason];
  added.key = std::move(key);
  Count(added.caller, now_ms);
  index_.emplace(added.key, std::prev(seen_.end()));
}

void UnknownCallers::Forget(Order::iterator oldest) {
  const UnknownCaller& gone = oldest->caller;
  UnknownCaller& rest = others_[UnknownReason(gone.reason)];
  rest.first_seen_ms =
      rest.count == 0 ? gone.first_seen_ms : std::min(rest.first_seen_ms, gone.first_seen_ms);
  rest.last_seen_ms = std::max(rest.last_seen_ms, gone.last_seen_ms);
  rest.count += gone.count;
  const auto kept = of_source_.find(gone.source);
  if (--kept->second == 0) of_source_.erase(kept);
  index_.erase(oldest->key);
  seen_.erase(oldest);
}

std::vector<UnknownCaller> UnknownCallers::Take() {
  std::vector<UnknownCaller> taken;
  const std::lock_guard lock(mutex_);
  for (size_t i = 0; i < kUnknownReasonCount; ++i) {
    UnknownCaller& rest = others_[i];
    if (rest.count == 0) continue;
    rest.source = rest.name = rest.target = kMany;
    rest.reason = kUnknownReasons[i];
    taken.push_back(std::exchange(rest, {}));
  }
  for (Seen& seen : seen_) taken.push_back(std::move(seen.caller));
  seen_.clear();
  index_.clear();
  of_source_.clear();
  return taken;
}

}  // namespace aegis::gateway
