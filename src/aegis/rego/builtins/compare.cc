// equal, neq, lt, lte, gt, gte. The VM has operations of its own for them.
#include "aegis/rego/builtins/builtin.h"

namespace aegis::rego {
namespace {

constexpr Builtin kBuiltins[] = {
    {"equal", 2,
     [](BuiltinContext&, const Value* args) { return Value::Bool(Equal(args[0], args[1])); }},
    {"neq", 2,
     [](BuiltinContext&, const Value* args) { return Value::Bool(!Equal(args[0], args[1])); }},
    {"lt", 2,
     [](BuiltinContext&, const Value* args) { return Value::Bool(Compare(args[0], args[1]) < 0); }},
    {"lte", 2,
     [](BuiltinContext&, const Value* args) {
       return Value::Bool(Compare(args[0], args[1]) <= 0);
     }},
    {"gt", 2,
     [](BuiltinContext&, const Value* args) { return Value::Bool(Compare(args[0], args[1]) > 0); }},
    {"gte", 2,
     [](BuiltinContext&, const Value* args) {
       return Value::Bool(Compare(args[0], args[1]) >= 0);
     }},
};

}  // namespace

std::span<const Builtin> CompareBuiltins() { return kBuiltins; }

}  // namespace aegis::rego
