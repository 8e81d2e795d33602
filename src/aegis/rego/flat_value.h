// A value in one block of memory, to be kept and copied as one.
//
// Internal to the rego library.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "aegis/base/arena.h"
#include "aegis/rego/value.h"

namespace aegis::rego::internal {

class FlatValue {
 public:
  FlatValue() = default;  // undefined
  FlatValue(FlatValue&&) = default;
  FlatValue& operator=(FlatValue&&) = default;

  // Needs nothing of what `value` lives in. Nothing when it would take more than `max_bytes`.
  static std::optional<FlatValue> Of(Value value, size_t max_bytes);

  // Lives as long as this does, wherever it is moved to.
  Value value() const;
  // Undefined when the arena's limit is passed.
  Value CopyTo(Arena& arena) const;
  size_t bytes() const { return block_.size() + pointers_.size() * sizeof(pointers_[0]); }

 private:
  friend class Flattener;

  std::vector<std::byte> block_;    // begins with the handle
  std::vector<uint32_t> pointers_;  // where in it there are pointers, all of them into it
};

}  // namespace aegis::rego::internal
