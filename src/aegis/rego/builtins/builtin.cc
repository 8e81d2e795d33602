#include "aegis/rego/builtins/builtin.h"

#include <algorithm>
#include <unordered_map>

namespace aegis::rego {

Value BuiltinContext::WrongType(int operand, std::string_view wanted, Value got) {
  return TypeError("operand " + std::to_string(operand) + " must be " + std::string(wanted) +
                   " but got " + std::string(TypeName(got.type())));
}

namespace {

const std::unordered_map<std::string_view, const Builtin*>& Table() {
  static const auto* const table = [] {
    auto* all = new std::unordered_map<std::string_view, const Builtin*>();
    for (const std::span<const Builtin> family :
         {AggregateBuiltins(), ArithmeticBuiltins(), ArrayBuiltins(),      AwsBuiltins(),
          CidrBuiltins(),      CompareBuiltins(),    EncodingBuiltins(),   FormatBuiltins(),
          GlobBuiltins(),      GraphBuiltins(),      GraphqlBuiltins(),    HashBuiltins(),
          JsonEditBuiltins(),  JsonSchemaBuiltins(), JwtBuiltins(),        JwtVerifyBuiltins(),
          ObjectBuiltins(),    PatternBuiltins(),    PrivateKeyBuiltins(), SetBuiltins(),
          StringBuiltins(),    TimeBuiltins(),       TypeBuiltins(),       UnitBuiltins(),
          UriBuiltins(),       UuidBuiltins(),       VersionBuiltins(),    X509Builtins(),
          YamlBuiltins()}) {
      for (const Builtin& builtin : family) all->emplace(builtin.name, &builtin);
    }
    return all;
  }();
  return *table;
}

}  // namespace

const Builtin* FindBuiltin(std::string_view name) {
  const auto found = Table().find(name);
  return found == Table().end() ? nullptr : found->second;
}

std::vector<std::string_view> BuiltinNames() {
  std::vector<std::string_view> names;
  for (const auto& [name, builtin] : Table()) names.push_back(name);
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace aegis::rego
