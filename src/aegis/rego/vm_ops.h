// The two things a policy does most, in line: looking up members and comparing.
//
// Internal to the rego library.
#pragma once

#include "aegis/rego/code.h"
#include "aegis/rego/hash.h"
#include "aegis/rego/table.h"

namespace aegis::rego::internal {

// Where source[key] is, or nullptr; objects and strings are looked up in line. `hash`: the key's if
// it is a constant string, else kNone. `other` holds what is not found in line.
inline const Value* Lookup(const Value& source, const Value& key, uint32_t hash, Value& other) {
  if (source.is_object() && key.is_string()) [[likely]] {
    const Table& table = *source.table();
    const Member* const members = Members(table);
    if (table.slots == nullptr) {
      for (const Member *member = members, *const end = members + table.size; member != end;
           ++member) {
        if (SameString(member->key, key)) return &member->value;
      }
      return nullptr;
    }
    if (hash == kNone) hash = SlotHash(HashString(key.string_value()));
    for (uint32_t at = hash & table.slot_mask;; at = (at + 1) & table.slot_mask) {
      const Slot slot = table.slots[at];
      if (slot.position == 0) return nullptr;
      const Member& member = members[slot.position - 1];
      if (slot.hash == hash && SameString(member.key, key)) return &member.value;
    }
  }
  if (source.is_array() && key.is_int()) {
    const auto index = static_cast<uint64_t>(key.int_value());
    return index < source.size_field() ? source.array_data() + index : nullptr;
  }
  other = source.Get(key);
  return other.is_undefined() ? nullptr : &other;
}

inline bool SameValue(Value a, Value b) {
  if (a.is_int() && b.is_int()) return a.bits() == b.bits();
  return Equal(a, b);
}

inline bool Holds(Comparison comparison, Value a, Value b) {
  if (comparison == Comparison::kEqual) return SameValue(a, b);
  if (comparison == Comparison::kNotEqual) return !SameValue(a, b);
  int order;
  if (a.is_int() && b.is_int()) [[likely]] {
    order = a.int_value() < b.int_value() ? -1 : a.int_value() > b.int_value() ? 1 : 0;
  } else {
    order = Compare(a, b);
  }
  switch (comparison) {
    case Comparison::kLess:
      return order < 0;
    case Comparison::kLessEqual:
      return order <= 0;
    case Comparison::kGreater:
      return order > 0;
    default:
      return order >= 0;
  }
}

}  // namespace aegis::rego::internal
