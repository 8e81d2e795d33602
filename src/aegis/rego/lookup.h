// Members and equality in line, for the VM's loops.
//
// Internal to the rego library.
#pragma once

#include <cstdint>

#include "aegis/rego/code.h"
#include "aegis/rego/hash.h"
#include "aegis/rego/table.h"
#include "aegis/rego/value.h"

namespace aegis::rego::internal {

[[gnu::noinline]] inline const Value* LookupOther(const Value& source, const Value& key,
                                                  Value& other) {
  if (source.is_array() && key.is_int()) {
    const auto index = static_cast<uint64_t>(key.int_value());
    return index < source.size_field() ? source.array_data() + index : nullptr;
  }
  other = source.Get(key);
  return other.is_undefined() ? nullptr : &other;
}

// Where source[key] is, or nullptr; objects and strings are looked up in line. `hash`: the key's if
// it is a constant string, else kNone. `other` holds what is not found in line.
[[gnu::always_inline]] inline const Value* Lookup(const Value& source, const Value& key,
                                                  uint32_t hash, Value& other) {
  if (!source.is_object() || !key.is_string()) [[unlikely]]
    return LookupOther(source, key, other);
  const Table& table = *source.table();
  const Member* const members = Members(table);
  if (!table.has_slots()) {
    for (const Member *member = members, *const end = members + table.size; member != end;
         ++member) {
      if (SameString(member->key, key)) return &member->value;
    }
    return nullptr;
  }
  if (hash == kNone) hash = SlotHash(HashString(key.string_value()));
  const uint32_t mask = table.slot_mask();
  for (uint32_t at = hash & mask;; at = (at + 1) & mask) {
    const Slot slot = table.slot(at);
    if (slot.position == 0) return nullptr;
    const Member& member = members[slot.position - 1];
    if (slot.hash == hash && SameString(member.key, key)) return &member.value;
  }
}

// Both in line for what is mostly compared. Values are taken by reference: a copy would be read as
// a whole where its halves have just been written.
[[gnu::always_inline]] inline bool SameValue(const Value& a, const Value& b) {
  if (a.is_int() && b.is_int()) return a.bits() == b.bits();
  if (a.is_string() || b.is_string()) return SameString(a, b);
  return Equal(a, b);
}

}  // namespace aegis::rego::internal
