#include <algorithm>

#include "aegis/rego/table.h"
#include "aegis/rego/value.h"

namespace aegis::rego {
namespace {

// `values`: the elements of a set, or keys and values in turn.
Value MakeTable(Arena& arena, Type type, std::span<const Value> values) {
  const size_t stride = type == Type::kSet ? 1 : 2;
  int height = 0;
  uint64_t weight = 0;
  for (const Value value : values) {
    if (value.is_undefined()) return Value();
    if (value.is_collection()) Freeze(value);
    weight += internal::Weight(value);
    height = std::max(height, internal::Height(value));
  }
  if (height + 1 > kMaxHeight || weight > kMaxWeight) return Value();
  auto* const table = arena.New<internal::Table>();
  if (table == nullptr) return Value();
  table->entries = const_cast<Value*>(values.data());  // which Grow copies
  table->size = static_cast<uint32_t>(values.size() / stride);
  if (!internal::Grow(arena, *table, type == Type::kSet, table->size)) return Value();
  for (size_t i = stride; i < values.size(); i += stride) {
    AEGIS_DCHECK(Compare(values[i - stride], values[i]) < 0);
  }
  table->height = static_cast<uint16_t>(height + 1);
  table->weight = static_cast<uint32_t>(weight);
  return Value(Value::Head(type, 0, 0, 0), reinterpret_cast<uint64_t>(table));
}

}  // namespace

Value MakeObject(Arena& arena, std::span<const Member> members) {
  if (members.empty()) return Value::EmptyObject();
  const auto* const values = reinterpret_cast<const Value*>(members.data());
  return MakeTable(arena, Type::kObject, {values, 2 * members.size()});
}

Value MakeSet(Arena& arena, std::span<const Value> elements) {
  return elements.empty() ? Value::EmptySet() : MakeTable(arena, Type::kSet, elements);
}

}  // namespace aegis::rego
