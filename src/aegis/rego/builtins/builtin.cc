#include "aegis/rego/builtins/builtin.h"

#include <unordered_map>

namespace aegis::rego {

Value BuiltinContext::WrongType(int operand, std::string_view wanted, Value got) {
  return TypeError("operand " + std::to_string(operand) + " must be " + std::string(wanted) +
                   " but got " + std::string(TypeName(got.type())));
}

const Builtin* FindBuiltin(std::string_view name) {
  static const auto* const table = [] {
    auto* all = new std::unordered_map<std::string_view, const Builtin*>();
    for (const std::span<const Builtin> family :
         {AggregateBuiltins(), ArithmeticBuiltins(), ArrayBuiltins(),  CidrBuiltins(),
          CompareBuiltins(),   EncodingBuiltins(),   FormatBuiltins(), GlobBuiltins(),
          GraphBuiltins(),     JsonEditBuiltins(),   ObjectBuiltins(), PatternBuiltins(),
          SetBuiltins(),       StringBuiltins(),     TimeBuiltins(),   TypeBuiltins(),
          UnitBuiltins(),      UriBuiltins(),        UuidBuiltins(),   VersionBuiltins()}) {
      for (const Builtin& builtin : family) all->emplace(builtin.name, &builtin);
    }
    return all;
  }();
  const auto found = table->find(name);
  return found == table->end() ? nullptr : found->second;
}

}  // namespace aegis::rego
