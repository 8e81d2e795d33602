#include "aegis/rego/edit.h"

namespace aegis::rego::internal {

Edit Upsert(Arena& arena, Value base, std::span<const Value> path, Value value, Value& out) {
  if (path.empty()) {
    out = value;
    return Edit::kOk;
  }
  Value object = base.is_object() ? base : NewObject(arena, 1);
  if (object.is_undefined()) return Edit::kOutOfMemory;
  if (base.is_object()) Freeze(base);
  Value child;
  if (const Edit edit = Upsert(arena, object.Get(path[0]), path.subspan(1), value, child);
      edit != Edit::kOk) {
    return edit;
  }
  const Edit edit = ObjectInsert(arena, object, path[0], child);
  out = object;
  return edit;
}

Edit Merge(Arena& arena, Value a, Value b, Value& out) {
  Freeze(a);
  Value merged = a;
  for (const Member& member : b.members()) {
    Value value = member.value;
    const Value old = a.Get(member.key);
    if (old.is_object() && value.is_object()) {
      if (const Edit edit = Merge(arena, old, value, value); edit != Edit::kOk) return edit;
    }
    if (const Edit edit = ObjectInsert(arena, merged, member.key, value); edit != Edit::kOk) {
      return edit;
    }
  }
  out = merged;
  return Edit::kOk;
}

}  // namespace aegis::rego::internal
