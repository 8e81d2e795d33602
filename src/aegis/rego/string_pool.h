// The strings of a program, each kept once, so that equal ones are found equal by their address.
//
// Internal to the rego library.
#pragma once

#include <string_view>
#include <unordered_set>
#include <vector>

#include "aegis/base/arena.h"
#include "aegis/json/limits.h"
#include "aegis/rego/hash.h"
#include "aegis/rego/value.h"

namespace aegis::rego::internal {

class StringPool {
 public:
  explicit StringPool(Arena& arena) : arena_(arena) {}

  // The pool's string of that text; long ones are not shared.
  Value Make(std::string_view text) {
    if (text.size() > kMaxShared) return MakeString(arena_, text);
    if (const auto found = texts_.find(text); found != texts_.end()) return MakeStringView(*found);
    const Value made = MakeString(arena_, text);
    if (!made.is_undefined()) texts_.insert(made.string_value());
    return made;
  }
  // For the many strings of the data, most of which occur once: shared with the pool and with the
  // last ones that were made like this, but not kept in it.
  Value MakePassing(std::string_view text) {
    if (text.size() > kMaxShared) return MakeString(arena_, text);
    if (const auto found = texts_.find(text); found != texts_.end()) return MakeStringView(*found);
    if (recent_.empty()) recent_.resize(kRecent);
    Value& recent = recent_[HashString(text) % kRecent];
    if (recent.is_undefined() || recent.string_value() != text) recent = MakeString(arena_, text);
    return recent;
  }
  void ForgetPassing() { recent_ = {}; }
  Value Find(std::string_view text) const {
    const auto found = texts_.find(text);
    return found == texts_.end() ? Value() : MakeStringView(*found);
  }

 private:
  static constexpr size_t kMaxShared = 128;
  static constexpr size_t kRecent = size_t{1} << 14;
  struct Hasher {
    size_t operator()(std::string_view text) const { return HashString(text); }
  };

  Arena& arena_;
  std::unordered_set<std::string_view, Hasher> texts_;
  std::vector<Value> recent_;
};

// ParseJson with passing strings of the pool.
Result<Value> ParseJsonPooled(std::string_view text, Arena& arena, const json::Limits& limits,
                              StringPool& pool);

}  // namespace aegis::rego::internal
