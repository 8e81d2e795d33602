// The representation of objects and sets: entries in the order they came, sorted when the order is
// first needed, and a hash index once there are more than a few.
//
// Internal to the rego library.
#pragma once

#include <cstdint>

#include "aegis/rego/hash.h"
#include "aegis/rego/value.h"

namespace aegis::rego::internal {

struct Slot {
  uint32_t hash;
  uint32_t position;  // of the entry, counted from 1; 0: free
};

// Data of a program is mostly small tables: they are as compact as they can be.
struct Table {
  uint32_t size = 0;
  uint32_t capacity = 0;
  uint32_t weight = 0;  // of all that is in it; at most kMaxWeight
  uint16_t height = 1;  // 1 + the largest height of what is in it
  bool sorted : 1 = true;
  bool frozen : 1 = false;   // another handle may see it: copy before adding
  uint8_t slot_bits = 0;     // 2^slot_bits slots are in front of the entries; 0: there are none
  Value* entries = nullptr;  // objects: key, value, key, value; sets: elements

  bool has_slots() const { return slot_bits != 0; }
  uint32_t slot_mask() const { return (uint32_t{1} << slot_bits) - 1; }
  Slot& slot(uint32_t at) const {
    return reinterpret_cast<Slot*>(entries)[-1 - static_cast<ptrdiff_t>(at)];
  }
};
static_assert(sizeof(Table) == 24 && kMaxWeight <= UINT32_MAX);

// Up to this many entries are searched one by one, without slots.
inline constexpr uint32_t kLinear = 8;

inline Member* Members(const Table& table) { return reinterpret_cast<Member*>(table.entries); }

// How deep a value nests: 0 for what is not a collection.
inline int Height(Value value) {
  if (!value.is_collection()) return 0;
  return value.is_array() ? value.mark() : value.table()->height;
}

// How many values there are in `value`, itself counted; long strings count for more.
inline uint64_t Weight(Value value) {
  if (value.is_string()) return 1 + value.size_field() / 64;
  if (!value.is_collection()) return 1;
  return 1 + (value.is_array()
                  ? (reinterpret_cast<const ArrayHeader*>(value.array_data()) - 1)->weight
                  : value.table()->weight);
}

// The first `size` elements of an array, in the same place. It weighs as much as the array.
inline Value Prefix(Value array, uint32_t size) {
  if (size == 0) return Value::EmptyArray();
  return Value(Value::Head(Type::kArray, 0, array.mark(), size), array.bits());
}

// The entry with that key or element; -1 when there is none.
int64_t Find(const Table& table, bool is_set, Value key);
int64_t FindString(const Table& table, std::string_view key);
// The hash by which slots are found, and the search for a string with a known one; the table has
// slots.
inline uint32_t SlotHash(uint64_t hash) { return static_cast<uint32_t>(hash >> 32); }
int64_t FindInSlots(const Table& table, bool is_set, Value key, uint32_t hash);
void Sort(Table& table, bool is_set);
// Moves the entries to where there is room for `capacity` of them, not less than there are now;
// false when the arena's limit is passed.
bool Grow(Arena& arena, Table& table, bool is_set, uint32_t capacity);
// Freeze, in line.
inline void Share(Value value) {
  if (value.type() < Type::kObject) return;
  Table& table = *value.table();
  if (!table.frozen) table.frozen = true;
}
inline void EnsureSorted(Value collection) {
  Table& table = *collection.table();
  if (!table.sorted) [[unlikely]]
    Sort(table, collection.is_set());
}

// Whether two strings with equal heads are equal; short ones are compared in registers.
inline bool SameText(const char* a, const char* b, size_t size) {
  if (size > 16) return std::memcmp(a, b, size) == 0;
  uint64_t a0, a1, b0, b1;
  LoadShort(a, size, a0, a1);
  LoadShort(b, size, b0, b1);
  return a0 == b0 && a1 == b1;
}
// Whether two strings are equal; heads tell most different ones apart.
[[gnu::always_inline]] inline bool SameString(const Value& a, const Value& b) {
  return a.head() == b.head() &&
         (a.bits() == b.bits() || SameText(a.string_data(), b.string_data(), a.size_field()));
}

// Collections of what is there already, for parsers; undefined when memory is out or they would
// nest too deep or weigh too much.
Value ArrayOf(Arena& arena, std::span<const Value> elements);
// At most kLinear members with strings for keys, in any order; `duplicate` is set when two are
// equal.
Value SmallObject(Arena& arena, std::span<const Member> members, bool& duplicate);

uint64_t HashBytes(std::string_view text);

// Sorts what is below `value` too and marks it as shared, so that no reader changes it any more.
void MakeShareable(Value value);

}  // namespace aegis::rego::internal
