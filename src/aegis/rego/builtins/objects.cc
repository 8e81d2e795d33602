// object.* and walk.
#include <vector>

#include "aegis/rego/builtins/operands.h"
#include "aegis/rego/edit.h"
#include "aegis/rego/table.h"
#include "aegis/rego/walk.h"

namespace aegis::rego {
namespace {

Value Get(BuiltinContext& context, const Value* args) {
  AEGIS_TYPED_ARG(0, is_object, "object");
  if (!args[1].is_array()) {
    const Value found = args[0].Get(args[1]);
    return found.is_undefined() ? args[2] : found;
  }
  Value found = args[0];
  for (const Value key : args[1].elements()) {
    found = found.Get(key);
    if (found.is_undefined()) return args[2];
  }
  return found;
}

Value Keys(BuiltinContext& context, const Value* args) {
  AEGIS_TYPED_ARG(0, is_object, "object");
  SetBuilder keys(context.arena(), args[0].size());
  for (const Member& member : args[0].members()) keys.Add(member.key);
  return keys.Build();
}

// Whether `key` is in a collection of keys: an element of an array or set, a key of an object.
bool Names(Value keys, Value key) {
  if (!keys.is_array()) return !keys.Get(key).is_undefined();
  for (const Value element : keys.elements()) {
    if (Equal(element, key)) return true;
  }
  return false;
}

#define AEGIS_KEYS_ARG(i) AEGIS_TYPED_ARG(i, is_collection, "one of {object, set, array}")

Value Remove(BuiltinContext& context, const Value* args) {
  AEGIS_TYPED_ARG(0, is_object, "object");
  AEGIS_KEYS_ARG(1);
  ObjectBuilder object(context.arena());
  for (const Member& member : args[0].members()) {
    if (!Names(args[1], member.key)) object.Add(member.key, member.value);
  }
  return object.Build();
}

Value Filter(BuiltinContext& context, const Value* args) {
  AEGIS_TYPED_ARG(0, is_object, "object");
  AEGIS_KEYS_ARG(1);
  ObjectBuilder object(context.arena());
  for (const Member& member : args[0].members()) {
    if (Names(args[1], member.key)) object.Add(member.key, member.value);
  }
  return object.Build();
}

Value Merged(BuiltinContext& context, Value a, Value b) {
  if (a.size() == 0) return b;
  if (b.size() == 0) return a;
  if (!context.Charge(a.size() + b.size())) return Value();
  Value out;
  if (internal::Merge(context.arena(), a, b, out) != Edit::kOk) {
    return context.Error("the objects cannot be merged");
  }
  return out;
}

Value Union(BuiltinContext& context, const Value* args) {
  AEGIS_TYPED_ARG(0, is_object, "object");
  AEGIS_TYPED_ARG(1, is_object, "object");
  // As in OPA, where it tells which of 1e2 and 100 is seen.
  if (args[1].size() != 0 && context.Charge(args[0].size()) && Equal(args[0], args[1])) {
    return args[0];
  }
  return Merged(context, args[0], args[1]);
}

Value UnionN(BuiltinContext& context, const Value* args) {
  AEGIS_TYPED_ARG(0, is_array, "array");
  Value out = Value::EmptyObject();
  for (const Value element : args[0].elements()) {
    if (!element.is_object()) return context.WrongType(1, "array of objects", element);
    out = Merged(context, out, element);
    if (out.is_undefined()) return out;
  }
  return out;
}

bool IsSubset(Value super, Value sub);

bool IsObjectSubset(Value super, Value sub) {
  for (const Member& member : sub.members()) {
    const Value other = super.Get(member.key);
    if (other.is_undefined()) return false;
    if (Equal(other, member.value)) continue;
    if (other.type() != member.value.type() || !other.is_collection()) return false;
    if (!IsSubset(other, member.value)) return false;
  }
  return true;
}

// A run of `super` equals `sub`; OPA starts again behind a mismatch, so a prefix that repeats can
// hide one.
bool IsArraySubset(Value super, Value sub) {
  size_t at = 0, matched = 0;
  if (sub.size() > super.size()) return false;
  if (Equal(sub, super)) return true;
  while (true) {
    if (matched == sub.size()) return true;
    if (at + matched == super.size()) return false;
    if (Equal(super.At(at + matched), sub.At(matched))) {
      ++matched;
    } else {
      ++at;
      matched = 0;
    }
  }
}

// Of two collections of one type.
bool IsSubset(Value super, Value sub) {
  if (sub.is_object()) return IsObjectSubset(super, sub);
  if (sub.is_array()) return IsArraySubset(super, sub);
  for (const Value element : sub.elements()) {
    if (!super.Contains(element)) return false;
  }
  return true;
}

Value Subset(BuiltinContext& context, const Value* args) {
  const Value super = args[0], sub = args[1];
  if (super.is_collection() && super.type() == sub.type()) {
    const uint64_t work = internal::Weight(super) + internal::Weight(sub);
    if (!context.Charge(work * (sub.is_array() ? 1 + sub.size() : 1))) return Value();
    return Value::Bool(IsSubset(super, sub));
  }
  if (super.is_array() && sub.is_set()) {
    size_t unmatched = sub.size();
    for (const Value element : super.elements()) {
      if (sub.Contains(element)) --unmatched;
      if (unmatched == 0) return Value::Bool(true);
    }
    return Value::Bool(false);
  }
  return context.Error("both arguments object.subset must be of the same type or array and set");
}

// A relation: the plan scans the list of its results. Where a loop takes them apart again the VM
// goes over the values itself (optimize/walks.cc).
Value Walk(BuiltinContext& context, const Value* args) {
  Arena& arena = context.arena();
  internal::Walker* const walker = internal::Walker::Begin(arena, args[0]);
  if (walker == nullptr) return Value();
  std::vector<Value> out;
  do {
    if (!context.Charge(1 + walker->depth() / 4)) return Value();
    const Value pair[] = {walker->Path(arena), walker->value()};
    out.push_back(internal::ArrayOf(arena, pair));
    if (pair[0].is_undefined() || out.back().is_undefined()) return Value();
  } while (walker->Next());
  return internal::ArrayOf(arena, out);
}

constexpr Builtin kBuiltins[] = {
    {"object.get", 3, Get},       {"object.keys", 1, Keys},   {"object.remove", 2, Remove},
    {"object.filter", 2, Filter}, {"object.union", 2, Union}, {"object.union_n", 1, UnionN},
    {"object.subset", 2, Subset}, {"walk", 1, Walk},
};

}  // namespace

std::span<const Builtin> ObjectBuiltins() { return kBuiltins; }

}  // namespace aegis::rego
