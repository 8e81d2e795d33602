#include "aegis/rego/table.h"

#include <algorithm>
#include <bit>
#include <cstddef>
#include <limits>

#include "aegis/rego/hash.h"

namespace aegis::rego {
namespace internal {
namespace {

constexpr uint32_t kMaxEntries = uint32_t{1} << 28;

int Stride(bool is_set) { return is_set ? 1 : 2; }
Value KeyAt(const Table& table, bool is_set, uint32_t i) {
  return table.entries[is_set ? i : size_t{2} * i];
}

void PutSlot(Table& table, uint32_t hash, uint32_t position) {
  const uint32_t mask = table.slot_mask();
  uint32_t at = hash & mask;
  while (table.slot(at).position != 0) at = (at + 1) & mask;
  table.slot(at) = {hash, position};
}

void ClearSlots(Table& table) {
  const uint32_t mask = table.slot_mask();
  std::fill_n(&table.slot(mask), size_t{mask} + 1, Slot{0, 0});
}

// Hash and Equal, short for what keys mostly are.
inline uint64_t HashKey(const Value& key) {
  return key.is_string() ? HashString(key.string_value()) : Hash(key);
}
inline bool SameKey(const Value& a, const Value& b) {
  if (a.is_string() || b.is_string()) return SameString(a, b);
  if (a.is_int() && b.is_int()) return a.bits() == b.bits();
  return Equal(a, b);
}

void FillSlots(Table& table, bool is_set) {
  ClearSlots(table);
  for (uint32_t i = 0; i < table.size; ++i) {
    PutSlot(table, SlotHash(HashKey(KeyAt(table, is_set, i))), i + 1);
  }
}

// Of the slots for so many entries, which they fill to a half at most.
uint8_t SlotBits(uint32_t capacity) {
  return capacity <= kLinear ? 0 : static_cast<uint8_t>(std::bit_width(capacity * 2 - 1));
}

}  // namespace

bool Grow(Arena& arena, Table& table, bool is_set, uint32_t capacity) {
  const Table old = table;
  const size_t stride = static_cast<size_t>(Stride(is_set));
  // More than that counts as memory that the arena does not have.
  const uint8_t bits = capacity > kMaxEntries ? 0 : SlotBits(capacity);
  const size_t slots_size = bits == 0 ? 0 : sizeof(Slot) << bits;
  auto* const memory = static_cast<std::byte*>(arena.Allocate(
      capacity > kMaxEntries ? SIZE_MAX : slots_size + capacity * stride * sizeof(Value),
      alignof(Value)));
  if (memory == nullptr) return false;
  table.entries = reinterpret_cast<Value*>(memory + slots_size);
  table.capacity = capacity;
  table.slot_bits = bits;
  std::copy_n(old.entries, table.size * stride, table.entries);
  if (bits == 0) return true;
  if (!old.has_slots()) {
    FillSlots(table, is_set);
    return true;
  }
  ClearSlots(table);
  for (uint32_t at = 0; at <= old.slot_mask(); ++at) {
    const Slot slot = old.slot(at);
    if (slot.position != 0) PutSlot(table, slot.hash, slot.position);
  }
  return true;
}

namespace {

// The collection's own table, copied first when it is shared; nullptr when memory is out.
Table* OwnTable(Arena& arena, Value& collection) {
  Table* table = collection.table();
  if (!table->frozen) [[likely]]
    return table;
  auto* copy = arena.New<Table>(*table);
  if (copy == nullptr) return nullptr;
  copy->frozen = false;
  if (!Grow(arena, *copy, collection.is_set(),
            std::max<uint32_t>(4, table->size + table->size / 2)))
    return nullptr;
  // What is in a frozen collection is frozen too: Freeze is called on everything that is added.
  collection = Value(collection.head(), reinterpret_cast<uint64_t>(copy));
  return copy;
}

// Comparing is what takes time, and a few entries take the fewest comparisons so.
constexpr uint32_t kInsertionSorted = 12;

// False if they were in order already.
template <typename Entry, typename KeyOf>
bool SortEntries(Entry* entries, uint32_t size, KeyOf key_of) {
  const auto before = [&](const Entry& a, const Entry& b) {
    return Compare(key_of(a), key_of(b)) < 0;
  };
  if (size > kInsertionSorted) {
    if (std::is_sorted(entries, entries + size, before)) return false;
    std::sort(entries, entries + size, before);
    return true;
  }
  bool moved = false;
  for (uint32_t i = 1; i < size; ++i) {
    if (!before(entries[i], entries[i - 1])) continue;
    const Entry entry = entries[i];
    uint32_t at = i;
    do {
      entries[at] = entries[at - 1];
      --at;
    } while (at > 0 && before(entry, entries[at - 1]));
    entries[at] = entry;
    moved = true;
  }
  return moved;
}

int64_t FindHashed(const Table& table, bool is_set, Value key, uint64_t hash) {
  return FindInSlots(table, is_set, key, SlotHash(hash));
}

// Small ones grow faster: they are copied less often.
uint32_t GrownCapacity(const Table& table) {
  if (table.capacity < 4) return 4;
  return table.capacity * (table.capacity == kLinear ? 4 : 2);
}

// Puts a key that is not there yet at the end. The caller has reserved nothing.
Edit Append(Arena& arena, Table& table, bool is_set, Value key, Value value, uint64_t hash) {
  const int height = 1 + std::max(Height(key), Height(value));
  const uint64_t weight = table.weight + Weight(key) + (is_set ? 0 : Weight(value));
  if (height > kMaxHeight || weight > kMaxWeight) return Edit::kTooDeep;
  if (table.size == table.capacity && !Grow(arena, table, is_set, GrownCapacity(table))) {
    return Edit::kOutOfMemory;
  }
  table.height = std::max(table.height, static_cast<uint16_t>(height));
  table.weight = static_cast<uint32_t>(weight);
  table.sorted = table.size == 0;  // Sort finds out when it is asked for
  if (is_set) {
    table.entries[table.size] = key;
  } else {
    Members(table)[table.size] = {key, value};
  }
  ++table.size;
  if (table.has_slots()) PutSlot(table, SlotHash(hash), table.size);
  return Edit::kOk;
}

// Whether adding a key needs its hash: there is an index, or there will be one.
bool NeedsHash(const Table& table) {
  return table.has_slots() || table.capacity > kLinear ||
         (table.size == table.capacity && table.capacity * 2 > kLinear);
}

int64_t FindOrHash(const Table& table, bool is_set, Value key, uint64_t& hash) {
  hash = NeedsHash(table) ? HashKey(key) : 0;
  return table.has_slots() ? FindHashed(table, is_set, key, hash) : Find(table, is_set, key);
}

Value NewTable(Arena& arena, Type type, size_t capacity) {
  auto* table = arena.New<Table>();
  if (table == nullptr) return Value();
  if (capacity > 0) {
    const auto wanted = static_cast<uint32_t>(std::min<size_t>(capacity, kMaxEntries + 1));
    if (!Grow(arena, *table, type == Type::kSet, wanted)) return Value();
  }
  return Value(Value::Head(type, 0, 0, 0), reinterpret_cast<uint64_t>(table));
}

Table frozen_empty = [] {
  Table table;
  table.frozen = true;
  return table;
}();

}  // namespace

int64_t FindInSlots(const Table& table, bool is_set, Value key, uint32_t hash) {
  const uint32_t mask = table.slot_mask();
  for (uint32_t at = hash & mask;; at = (at + 1) & mask) {
    const Slot slot = table.slot(at);
    if (slot.position == 0) return -1;
    if (slot.hash == hash && SameKey(KeyAt(table, is_set, slot.position - 1), key)) {
      return slot.position - 1;
    }
  }
}

int64_t Find(const Table& table, bool is_set, Value key) {
  if (table.has_slots()) return FindHashed(table, is_set, key, HashKey(key));
  if (key.is_string()) {
    for (uint32_t i = 0; i < table.size; ++i) {
      if (SameString(KeyAt(table, is_set, i), key)) return i;
    }
    return -1;
  }
  for (uint32_t i = 0; i < table.size; ++i) {
    if (SameKey(KeyAt(table, is_set, i), key)) return i;
  }
  return -1;
}

int64_t FindString(const Table& table, std::string_view key) {
  if (!table.has_slots()) {
    for (uint32_t i = 0; i < table.size; ++i) {
      const Value name = table.entries[size_t{2} * i];
      if (name.is_string() && name.string_value() == key) return i;
    }
    return -1;
  }
  return FindHashed(table, false, MakeStringView(key), HashString(key));
}

void Sort(Table& table, bool is_set) {
  const bool moved =
      is_set ? SortEntries(table.entries, table.size, [](Value element) { return element; })
             : SortEntries(Members(table), table.size, [](const Member& one) { return one.key; });
  table.sorted = true;
  if (moved && table.has_slots()) FillSlots(table, is_set);
}

Value SmallObject(Arena& arena, std::span<const Member> members, bool& duplicate) {
  auto* table = arena.New<Table>();
  auto* entries = arena.AllocateArray<Value>(2 * members.size());
  if (table == nullptr || entries == nullptr) return Value();
  int height = 0;
  uint64_t weight = 0;
  for (size_t i = 0; i < members.size(); ++i) {
    const Member& member = members[i];
    for (size_t j = 0; j < i; ++j) duplicate |= SameString(members[j].key, member.key);
    if (member.value.is_collection()) Share(member.value);
    height = std::max(height, Height(member.value));
    weight += Weight(member.key) + Weight(member.value);
    entries[2 * i] = member.key;
    entries[2 * i + 1] = member.value;
  }
  if (height + 1 > kMaxHeight || weight > kMaxWeight) return Value();
  table->entries = entries;
  table->size = table->capacity = static_cast<uint32_t>(members.size());
  table->sorted = members.size() < 2;
  table->height = static_cast<uint16_t>(height + 1);
  table->weight = static_cast<uint32_t>(weight);
  return Value(Value::Head(Type::kObject, 0, 0, 0), reinterpret_cast<uint64_t>(table));
}

uint64_t HashBytes(std::string_view text) { return HashString(text); }

void MakeShareable(Value value) {
  if (value.is_array()) {
    for (const Value element : value.elements()) MakeShareable(element);
    return;
  }
  if (!value.is_collection()) return;
  EnsureSorted(value);
  Freeze(value);
  Table& table = *value.table();
  for (uint32_t i = 0; i < table.size * static_cast<uint32_t>(Stride(value.is_set())); ++i) {
    MakeShareable(table.entries[i]);
  }
}

}  // namespace internal

using internal::Table;

Value Value::EmptyObject() {
  return Value(Head(Type::kObject, 0, 0, 0), reinterpret_cast<uint64_t>(&internal::frozen_empty));
}
Value Value::EmptySet() {
  return Value(Head(Type::kSet, 0, 0, 0), reinterpret_cast<uint64_t>(&internal::frozen_empty));
}

void Freeze(Value value) { internal::Share(value); }

Value NewObject(Arena& arena, size_t capacity) {
  return internal::NewTable(arena, Type::kObject, capacity);
}
Value NewSet(Arena& arena, size_t capacity) {
  return internal::NewTable(arena, Type::kSet, capacity);
}

Edit ObjectInsert(Arena& arena, Value& object, Value key, Value value) {
  if (!object.is_object()) return Edit::kOutOfMemory;
  // First, so that what is put into itself is copied and nothing ever contains itself.
  internal::Share(key);
  internal::Share(value);
  Table* table = internal::OwnTable(arena, object);
  if (table == nullptr) return Edit::kOutOfMemory;
  uint64_t hash;
  const int64_t found = internal::FindOrHash(*table, false, key, hash);
  if (found < 0) return internal::Append(arena, *table, false, key, value, hash);
  const int height = 1 + internal::Height(value);
  Value& old = internal::Members(*table)[found].value;
  const uint64_t weight = table->weight - internal::Weight(old) + internal::Weight(value);
  if (height > kMaxHeight || weight > kMaxWeight) return Edit::kTooDeep;
  table->height = std::max(table->height, static_cast<uint16_t>(height));
  table->weight = static_cast<uint32_t>(weight);
  old = value;
  return Edit::kOk;
}

Edit SetAdd(Arena& arena, Value& set, Value element) {
  if (!set.is_set()) return Edit::kOutOfMemory;
  uint64_t hash;
  if (internal::FindOrHash(*set.table(), true, element, hash) >= 0) return Edit::kOk;
  internal::Share(element);
  Table* table = internal::OwnTable(arena, set);
  if (table == nullptr) return Edit::kOutOfMemory;
  if (hash == 0 && internal::NeedsHash(*table)) hash = Hash(element);
  return internal::Append(arena, *table, true, element, Value(), hash);
}

size_t Value::size() const {
  if (is_array()) return size_field();
  return is_collection() ? table()->size : 0;
}

Value Value::Get(std::string_view key) const {
  if (!is_object()) return Value();
  const int64_t found = internal::FindString(*table(), key);
  return found < 0 ? Value() : internal::Members(*table())[found].value;
}

Value Value::Get(Value key) const {
  switch (type()) {
    case Type::kObject: {
      const int64_t found = internal::Find(*table(), false, key);
      return found < 0 ? Value() : internal::Members(*table())[found].value;
    }
    case Type::kSet: {
      const int64_t found = internal::Find(*table(), true, key);
      return found < 0 ? Value() : table()->entries[found];
    }
    case Type::kArray: {
      const std::optional<int64_t> index = key.AsInt64();
      return index && *index >= 0 ? At(static_cast<size_t>(*index)) : Value();
    }
    default:
      return Value();
  }
}

std::span<const Value> Value::elements() const {
  if (is_array()) return {array_data(), size_field()};
  if (!is_set()) return {};
  internal::EnsureSorted(*this);
  return {table()->entries, table()->size};
}

std::span<const Member> Value::members() const {
  if (!is_object()) return {};
  internal::EnsureSorted(*this);
  return {internal::Members(*table()), table()->size};
}

}  // namespace aegis::rego
