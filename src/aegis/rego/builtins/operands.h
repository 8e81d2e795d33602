// How builtins look at their arguments.
//
// Internal to the rego library.
#pragma once

#include <string>
#include <string_view>

#include "aegis/rego/builtins/builtin.h"

namespace aegis::rego {

// AEGIS_STRING_ARG(text, 0): std::string_view text is argument 0, or the builtin ends with a type
// error.
#define AEGIS_STRING_ARG(name, i)                                               \
  if (!args[i].is_string()) return context.WrongType(i + 1, "string", args[i]); \
  const std::string_view name = args[i].string_value()
#define AEGIS_INT_ARG(name, i)                                                                \
  if (!args[i].is_number()) return context.WrongType(i + 1, "number", args[i]);               \
  const std::optional<int64_t> name##_integer = args[i].AsInt64();                            \
  if (!name##_integer) {                                                                      \
    return context.TypeError("operand " + std::to_string(i + 1) + " must be integer number"); \
  }                                                                                           \
  const int64_t name = *name##_integer
#define AEGIS_TYPED_ARG(i, predicate, wanted) \
  if (!args[i].predicate()) return context.WrongType(i + 1, wanted, args[i])

inline Value String(BuiltinContext& context, std::string_view text) {
  return MakeString(context.arena(), text);
}

}  // namespace aegis::rego
