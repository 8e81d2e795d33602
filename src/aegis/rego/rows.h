// What a search compares of the elements of a collection, and indexes of what is searched often.
//
// Internal to the rego library.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "aegis/base/arena.h"
#include "aegis/rego/hash.h"
#include "aegis/rego/lookup.h"
#include "aegis/rego/table.h"
#include "aegis/rego/value.h"

namespace aegis::rego::internal {

// The elements of a collection, of which themselves (`key` undefined) or their members `key` are
// compared.
struct Rows {
  Rows(Value collection, Value member)
      : elements(collection.is_array() ? collection.array_data() : collection.table()->entries),
        size(collection.size()),
        stride(collection.is_object() ? 2 : 1),
        key(member) {}

  const Value& Element(size_t i) const { return elements[i * stride + (stride - 1)]; }
  // What is compared of row i, or nullptr; valid until the next call. Members mostly are where
  // they were in the row before.
  [[gnu::always_inline]] const Value* Compared(size_t i) {
    const Value& element = Element(i);
    if (key.is_undefined()) return &element;
    if (!element.is_object()) [[unlikely]]
      return Lookup(element, key, kNone, other);
    const Table& table = *element.table();
    const Member* const members = Members(table);
    if (place < table.size && SameString(members[place].key, key)) [[likely]]
      return &members[place].value;
    const Value* const found = Lookup(element, key, kNone, other);
    if (found != nullptr) place = static_cast<size_t>(found - &members->value) / 2;
    return found;
  }

  const Value* elements;
  size_t size;
  size_t stride;
  Value key;
  size_t place = 0;
  Value other;
};

// Rows by the hash of what is compared of them, for collections that are searched again and again
// in one evaluation. Nothing depends on whether there is one.
class RowIndexes {
 public:
  struct Index {
    uint64_t evaluation = 0;
    Value collection;
    Value key;
    uint32_t searches = 0;
    uint32_t mask = 0;
    // Numbers of rows, from 1 on, ascending in each chain, which 0 ends; nullptr: there is none
    // (yet).
    uint32_t* heads = nullptr;
    uint32_t* next = nullptr;

    // The first row that may match, and the next one after row i; SIZE_MAX: none.
    size_t First(const Value& wanted) const { return Row(heads[SlotHash(Hash(wanted)) & mask]); }
    size_t After(size_t i) const { return Row(next[i]); }

   private:
    static size_t Row(uint32_t number) { return size_t{number} - 1; }  // 0: SIZE_MAX
  };

  // Forgets all indexes. `evaluation`: a number that was not given before.
  void Begin(uint64_t evaluation) { evaluation_ = evaluation; }

  // The index to be used to search `rows` of `collection` for a scalar, or nullptr. `begins`: it is
  // the begin of a search, of which some are made without one. What it takes to make one comes from
  // `arena` and `steps_left`.
  const Index* Find(const Rows& rows, Value collection, bool begins, Arena& arena,
                    int64_t& steps_left) {
    if (rows.size < kLeast || rows.size > kMost) return nullptr;
    const uint64_t mixed = (collection.bits() ^ rows.key.bits() << 7) * 0x9e3779b97f4a7c15;
    Index& index = indexes_[mixed >> 60];
    if (index.evaluation != evaluation_ || !index.collection.IsSame(collection) ||
        !index.key.IsSame(rows.key)) {
      if (!begins) return nullptr;
      index = {.evaluation = evaluation_, .collection = collection, .key = rows.key};
    }
    if (index.heads == nullptr && begins && index.searches++ == kSearchesWithout) {
      Build(index, rows, arena, steps_left);
    }
    return index.heads != nullptr ? &index : nullptr;
  }

 private:
  static constexpr uint32_t kSearchesWithout = 2;
  // Smaller collections are not worth an index, for larger ones it takes too much.
  static constexpr size_t kLeast = 4, kMost = size_t{1} << 16;

  static void Build(Index& index, Rows rows, Arena& arena, int64_t& steps_left);

  std::array<Index, 16> indexes_;
  uint64_t evaluation_ = 0;
};

}  // namespace aegis::rego::internal
