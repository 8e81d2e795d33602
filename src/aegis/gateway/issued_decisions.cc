#include "aegis/gateway/issued_decisions.h"

namespace aegis::gateway {

void IssuedDecisions::Add(std::string_view id, Entry entry, int64_t now_ns) {
  std::lock_guard lock(mutex_);
  while (!by_age_.empty() &&
         (by_age_.size() >= max_entries_ || now_ns - by_age_.front().added_ns > lifetime_ns_)) {
    entries_.erase(by_age_.front().id);
    by_age_.pop_front();
  }
  entries_.emplace(id, std::move(entry));
  by_age_.push_back({std::string(id), now_ns});
}

std::optional<IssuedDecisions::Entry> IssuedDecisions::Take(std::string_view id,
                                                            std::string_view agent,
                                                            int64_t now_ns) {
  std::lock_guard lock(mutex_);
  const auto found = entries_.find(id);
  if (found == entries_.end() || found->second.agent != agent ||
      now_ns - found->second.started_ns > lifetime_ns_) {
    return std::nullopt;
  }
  Entry entry = std::move(found->second);
  entries_.erase(found);
  return entry;
}

}  // namespace aegis::gateway
