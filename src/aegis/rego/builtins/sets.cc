// and, or, union, intersection, set_diff; minus is with the arithmetic.
#include "aegis/rego/builtins/operands.h"

namespace aegis::rego {
namespace {

Value Intersect(Arena& arena, Value a, Value b) {
  if (b.size() < a.size()) std::swap(a, b);
  SetBuilder set(arena);
  for (const Value element : a.elements()) {
    if (b.Contains(element)) set.Add(element);
  }
  return set.Build();
}

Value And(BuiltinContext& context, const Value* args) {
  AEGIS_TYPED_ARG(0, is_set, "set");
  AEGIS_TYPED_ARG(1, is_set, "set");
  return Intersect(context.arena(), args[0], args[1]);
}

Value Or(BuiltinContext& context, const Value* args) {
  AEGIS_TYPED_ARG(0, is_set, "set");
  AEGIS_TYPED_ARG(1, is_set, "set");
  if (args[0].size() == 0) return args[1];
  if (args[1].size() == 0) return args[0];
  SetBuilder set(context.arena(), args[0].size() + args[1].size());
  for (const Value element : args[0].elements()) set.Add(element);
  for (const Value element : args[1].elements()) set.Add(element);
  return set.Build();
}

Value Difference(BuiltinContext& context, const Value* args) {
  AEGIS_TYPED_ARG(0, is_set, "set");
  AEGIS_TYPED_ARG(1, is_set, "set");
  SetBuilder set(context.arena());
  for (const Value element : args[0].elements()) {
    if (!args[1].Contains(element)) set.Add(element);
  }
  return set.Build();
}

Value Union(BuiltinContext& context, const Value* args) {
  AEGIS_TYPED_ARG(0, is_set, "set");
  SetBuilder set(context.arena());
  for (const Value inner : args[0].elements()) {
    if (!inner.is_set()) return context.WrongType(1, "set", inner);
    for (const Value element : inner.elements()) set.Add(element);
  }
  return set.Build();
}

Value Intersection(BuiltinContext& context, const Value* args) {
  AEGIS_TYPED_ARG(0, is_set, "set");
  Value result = Value::EmptySet();
  bool first = true;
  for (const Value inner : args[0].elements()) {
    if (!inner.is_set()) return context.WrongType(1, "set", inner);
    result = first ? inner : Intersect(context.arena(), result, inner);
    first = false;
  }
  return result;
}

constexpr Builtin kBuiltins[] = {
    {"and", 2, And},
    {"or", 2, Or},
    {"set_diff", 2, Difference},
    {"union", 1, Union},
    {"intersection", 1, Intersection},
};

}  // namespace

std::span<const Builtin> SetBuiltins() { return kBuiltins; }

}  // namespace aegis::rego
