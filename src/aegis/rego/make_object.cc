#include <algorithm>

#include "aegis/rego/table.h"
#include "aegis/rego/value.h"

namespace aegis::rego {

Value MakeObject(Arena& arena, std::span<const Member> members) {
  if (members.empty()) return Value::EmptyObject();
  int height = 0;
  uint64_t weight = 0;
  for (const Member& member : members) {
    if (member.value.is_undefined()) return Value();
    weight += internal::Weight(member.key) + internal::Weight(member.value);
    height = std::max({height, internal::Height(member.key), internal::Height(member.value)});
  }
  if (height + 1 > kMaxHeight || weight > kMaxWeight) return Value();
  if (members.size() > internal::kLinear) {  // it needs an index
    ObjectBuilder object(arena, members.size());
    for (const Member& member : members) object.Add(member.key, member.value);
    return object.Build();
  }
  auto* table = arena.New<internal::Table>();
  auto* entries = arena.AllocateArray<Value>(2 * members.size());
  if (table == nullptr || entries == nullptr) return Value();
  for (size_t i = 0; i < members.size(); ++i) {
    AEGIS_DCHECK(i == 0 || Compare(members[i - 1].key, members[i].key) < 0);
    if (members[i].key.is_collection()) Freeze(members[i].key);
    if (members[i].value.is_collection()) Freeze(members[i].value);
    entries[2 * i] = members[i].key;
    entries[2 * i + 1] = members[i].value;
  }
  table->entries = entries;
  table->size = table->capacity = static_cast<uint32_t>(members.size());
  table->height = static_cast<uint16_t>(height + 1);
  table->weight = static_cast<uint32_t>(weight);
  return Value(Value::Head(Type::kObject, 0, 0, 0), reinterpret_cast<uint64_t>(table));
}

}  // namespace aegis::rego
