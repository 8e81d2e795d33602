// Decisions given through the SDK door whose result has not come back yet: what ties
// POST /v1/decisions/{id}/result to the agent, tool and action that were decided.
//
// Threading: any thread; one lock, taken by the SDK door only.
#pragma once

#include <cstdint>
#include <deque>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "aegis/gateway/state.h"

namespace aegis::gateway {

class IssuedDecisions {
 public:
  struct Entry {
    std::string agent, tool, action;
    int64_t started_ns = 0;  // monotonic
  };
  // `max_entries`: beyond it the oldest are forgotten. `lifetime_ns`: how long a result is awaited.
  IssuedDecisions(size_t max_entries, int64_t lifetime_ns)
      : max_entries_(max_entries), lifetime_ns_(lifetime_ns) {}

  void Add(std::string_view id, Entry entry, int64_t now_ns);
  // Removes and returns the decision if it was given to `agent` and is not too old.
  std::optional<Entry> Take(std::string_view id, std::string_view agent, int64_t now_ns);

 private:
  struct Aged {
    std::string id;
    int64_t added_ns;
  };
  size_t max_entries_;
  int64_t lifetime_ns_;
  std::mutex mutex_;
  StringMap<Entry> entries_;
  std::deque<Aged> by_age_;  // may name entries that were taken already
};

}  // namespace aegis::gateway
