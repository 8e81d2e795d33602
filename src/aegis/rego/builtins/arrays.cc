// array.*.
#include <algorithm>

#include "aegis/rego/builtins/operands.h"
#include "aegis/rego/table.h"

namespace aegis::rego {
namespace {

Value Concat(BuiltinContext& context, const Value* args) {
  AEGIS_TYPED_ARG(0, is_array, "array");
  AEGIS_TYPED_ARG(1, is_array, "array");
  if (args[0].size() == 0) return args[1];
  if (args[1].size() == 0) return args[0];
  ArrayBuilder array(context.arena(), args[0].size() + args[1].size());
  for (const Value element : args[0].elements()) array.Add(element);
  for (const Value element : args[1].elements()) array.Add(element);
  return array.Build();
}

Value Flatten(BuiltinContext& context, const Value* args) {
  AEGIS_TYPED_ARG(0, is_array, "array");
  ArrayBuilder array(context.arena(), args[0].size());
  for (const Value element : args[0].elements()) {
    if (element.is_array()) {
      for (const Value inner : element.elements()) array.Add(inner);
    } else {
      array.Add(element);
    }
  }
  return array.Build();
}

// Up to this the beginning of an array shares the memory of the whole: it counts for as much.
constexpr uint64_t kMaxSharedWeight = 64;

Value Slice(BuiltinContext& context, const Value* args) {
  AEGIS_TYPED_ARG(0, is_array, "array");
  AEGIS_INT_ARG(start, 1);
  AEGIS_INT_ARG(stop, 2);
  const auto size = static_cast<int64_t>(args[0].size());
  const int64_t to = std::clamp<int64_t>(stop, 0, size);
  const int64_t from = std::clamp<int64_t>(start, 0, to);
  if (from == 0 && to == size) return args[0];
  if (from == 0 && internal::Weight(args[0]) <= kMaxSharedWeight) {
    return internal::Prefix(args[0], static_cast<uint32_t>(to));
  }
  ArrayBuilder array(context.arena(), static_cast<size_t>(to - from));
  for (int64_t i = from; i < to; ++i) array.Add(args[0].At(static_cast<size_t>(i)));
  return array.Build();
}

Value Reverse(BuiltinContext& context, const Value* args) {
  AEGIS_TYPED_ARG(0, is_array, "array");
  const size_t size = args[0].size();
  ArrayBuilder array(context.arena(), size);
  for (size_t i = size; i-- > 0;) array.Add(args[0].At(i));
  return array.Build();
}

constexpr Builtin kBuiltins[] = {
    {"array.concat", 2, Concat},
    {"array.flatten", 1, Flatten},
    {"array.slice", 3, Slice},
    {"array.reverse", 1, Reverse},
};

}  // namespace

std::span<const Builtin> ArrayBuiltins() { return kBuiltins; }

}  // namespace aegis::rego
