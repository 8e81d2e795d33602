// type_name, is_*, cast_*, to_number.
#include <algorithm>
#include <string>

#include "aegis/base/text.h"
#include "aegis/rego/builtins/operands.h"
#include "aegis/rego/number.h"

namespace aegis::rego {
namespace {

template <Type type>
Value Is(BuiltinContext&, const Value* args) {
  return Value::Bool(args[0].type() == type);
}

template <Type type>
Value Cast(BuiltinContext& context, const Value* args) {
  return args[0].type() == type ? args[0] : context.WrongType(1, TypeName(type), args[0]);
}

Value CastArray(BuiltinContext& context, const Value* args) {
  if (args[0].is_array()) return args[0];
  AEGIS_TYPED_ARG(0, is_set, "array");
  ArrayBuilder array(context.arena(), args[0].size());
  for (const Value element : args[0].elements()) array.Add(element);
  return array.Build();
}

Value CastSet(BuiltinContext& context, const Value* args) {
  if (args[0].is_set()) return args[0];
  AEGIS_TYPED_ARG(0, is_array, "set");
  SetBuilder set(context.arena(), args[0].size());
  for (const Value element : args[0].elements()) set.Add(element);
  return set.Build();
}

Value Name(BuiltinContext&, const Value* args) { return MakeStringView(TypeName(args[0].type())); }

// Go's floating point numbers that are no numbers in Rego.
bool IsNoFinite(std::string_view text) {
  text.remove_prefix(std::min(text.find_first_not_of("+-"), text.size()));
  return EqualsIgnoreCase(text, "inf") || EqualsIgnoreCase(text, "infinity") ||
         EqualsIgnoreCase(text, "nan");
}

Value ToNumber(BuiltinContext& context, const Value* args) {
  switch (args[0].type()) {
    case Type::kNull:
      return Value::Int(0);
    case Type::kBool:
      return Value::Int(args[0].is_true() ? 1 : 0);
    case Type::kNumber:
      return args[0];
    case Type::kString: {
      const std::string_view text = args[0].string_value();
      const Value number = internal::MakeGoNumber(context.arena(), text);
      if (!number.is_undefined()) return number;
      return IsNoFinite(text)
                 ? context.TypeError("operand 1 must be valid number string but got string")
                 : context.Error("invalid syntax");
    }
    default:
      return context.WrongType(1, "one of {null, boolean, number, string}", args[0]);
  }
}

constexpr Builtin kBuiltins[] = {
    {"is_null", 1, Is<Type::kNull>},
    {"is_boolean", 1, Is<Type::kBool>},
    {"is_number", 1, Is<Type::kNumber>},
    {"is_string", 1, Is<Type::kString>},
    {"is_array", 1, Is<Type::kArray>},
    {"is_object", 1, Is<Type::kObject>},
    {"is_set", 1, Is<Type::kSet>},
    {"cast_null", 1, Cast<Type::kNull>},
    {"cast_boolean", 1, Cast<Type::kBool>},
    {"cast_string", 1, Cast<Type::kString>},
    {"cast_object", 1, Cast<Type::kObject>},
    {"cast_array", 1, CastArray},
    {"cast_set", 1, CastSet},
    {"type_name", 1, Name},
    {"to_number", 1, ToNumber},
};

}  // namespace

std::span<const Builtin> TypeBuiltins() { return kBuiltins; }

}  // namespace aegis::rego
