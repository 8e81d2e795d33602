#include "aegis/rego/builtins/graphql_schema.h"

#include <algorithm>
#include <set>
#include <string>
#include <utility>

#include "aegis/rego/builtins/caches.h"
#include "aegis/rego/builtins/graphql_parser.h"
#include "aegis/rego/table.h"

namespace aegis::rego::graphql {
namespace {

// What the specification says every schema has (§3.5, §3.13, §4.2), and @defer and @oneOf of its
// drafts.
constexpr std::string_view kPrelude = R"(
scalar Int
scalar Float
scalar String
scalar Boolean
scalar ID
directive @defer(if: Boolean = true, label: String) on FRAGMENT_SPREAD | INLINE_FRAGMENT
directive @include(if: Boolean!) on FIELD | FRAGMENT_SPREAD | INLINE_FRAGMENT
directive @skip(if: Boolean!) on FIELD | FRAGMENT_SPREAD | INLINE_FRAGMENT
directive @deprecated(reason: String = "No longer supported")
  on FIELD_DEFINITION | ARGUMENT_DEFINITION | INPUT_FIELD_DEFINITION | ENUM_VALUE
directive @specifiedBy(url: String!) on SCALAR
directive @oneOf on INPUT_OBJECT
type __Schema {
  description: String  types: [__Type!]!  queryType: __Type!  mutationType: __Type
  subscriptionType: __Type  directives: [__Directive!]!
}
type __Type {
  kind: __TypeKind!  name: String  description: String  specifiedByURL: String
  fields(includeDeprecated: Boolean = false): [__Field!]
  interfaces: [__Type!]  possibleTypes: [__Type!]
  enumValues(includeDeprecated: Boolean = false): [__EnumValue!]
  inputFields(includeDeprecated: Boolean = false): [__InputValue!]
  ofType: __Type  isOneOf: Boolean
}
enum __TypeKind { SCALAR OBJECT INTERFACE UNION ENUM INPUT_OBJECT LIST NON_NULL }
type __Field {
  name: String!  description: String
  args(includeDeprecated: Boolean = false): [__InputValue!]!
  type: __Type!  isDeprecated: Boolean!  deprecationReason: String
}
type __InputValue {
  name: String!  description: String  type: __Type!  defaultValue: String
  isDeprecated: Boolean!  deprecationReason: String
}
type __EnumValue {
  name: String!  description: String  isDeprecated: Boolean!  deprecationReason: String
}
type __Directive {
  name: String!  description: String  isRepeatable: Boolean!
  locations: [__DirectiveLocation!]!
  args(includeDeprecated: Boolean = false): [__InputValue!]!
}
enum __DirectiveLocation {
  QUERY MUTATION SUBSCRIPTION FIELD FRAGMENT_DEFINITION FRAGMENT_SPREAD INLINE_FRAGMENT
  VARIABLE_DEFINITION SCHEMA SCALAR OBJECT FIELD_DEFINITION ARGUMENT_DEFINITION INTERFACE UNION
  ENUM ENUM_VALUE INPUT_OBJECT INPUT_FIELD_DEFINITION
}
)";

// The two fields that every query type has besides its own.
constexpr std::string_view kIntrospection =
    "type X { __schema: __Schema! __type(name: String!): __Type }";

// An AST value that is parsed once for the process.
Value ParseOnce(std::string_view text) {
  static Arena arena;  // only this function's static callers write to it, one after the other
  const auto caches = NewBuiltinCaches();
  int64_t steps = INT64_MAX;
  BuiltinContext context(arena, *caches, 0, steps);
  const Value document = ParseGraphqlSchema(context, text);
  internal::MakeShareable(document);
  return document;
}

struct BuiltInDocuments {
  Value prelude = ParseOnce(kPrelude);
  Value introspection = ParseOnce(kIntrospection);
};
const BuiltInDocuments& BuiltIns() {
  static const BuiltInDocuments documents;
  return documents;
}

template <typename T>
void Append(std::vector<T>& to, std::vector<T>& from) {
  to.insert(to.end(), std::make_move_iterator(from.begin()), std::make_move_iterator(from.end()));
}

bool IsReserved(std::string_view name) { return name.starts_with("__"); }

template <typename List>
bool HasDuplicates(const List& list) {
  std::set<std::string_view> seen;
  return std::any_of(list.begin(), list.end(),
                     [&](const auto& item) { return !seen.insert(item.name).second; });
}

}  // namespace

// Puts a schema together; every check is false when it does not hold.
class SchemaChecker {
 public:
  SchemaChecker(BuiltinContext& context, Schema& schema) : context_(context), schema_(schema) {}

  bool Run() {
    const SchemaDocument& document = schema_.document_;
    if (document.definitions.size() + document.extensions.size() > kMaxTypes) return false;
    if (!Declare(schema_.prelude_) || !Declare(schema_.document_) || !Extend()) return false;
    FindPossibleTypes();
    if (!DeclareDirectives(schema_.prelude_) || !DeclareDirectives(schema_.document_)) return false;
    if (schema_.document_.schemas.size() > 1) return false;
    if (!SetRoots(schema_.document_.schemas) || !SetRoots(schema_.document_.schema_extensions)) {
      return false;
    }
    for (const auto& [name, definition] : schema_.types_) {
      if (!Check(*definition)) return false;
    }
    if (HasInputCycle()) return false;
    for (const auto& [name, directive] : schema_.directives_) {
      if (IsReserved(name) || !CheckArguments(directive->arguments, directive)) return false;
    }
    FinishRoots();
    return true;
  }

 private:
  // More are refused: looking for cycles recurses from type to type.
  static constexpr size_t kMaxTypes = 5000;

  const Definition* FindType(std::string_view name) const { return schema_.FindType(name); }

  bool Declare(SchemaDocument& document) {
    for (Definition& definition : document.definitions) {
      if (!schema_.types_.emplace(definition.name, &definition).second) return false;
    }
    return true;
  }

  bool Extend() {
    for (Definition& extension : schema_.document_.extensions) {
      auto [found, added] = schema_.types_.emplace(extension.name, nullptr);
      if (added) {
        Definition& definition = schema_.extended_[extension.name];
        definition.kind = extension.kind;
        definition.name = extension.name;
        found->second = &definition;
      }
      Definition& definition = *found->second;
      if (definition.kind != extension.kind) return false;
      Append(definition.directives, extension.directives);
      Append(definition.interfaces, extension.interfaces);
      Append(definition.fields, extension.fields);
      Append(definition.types, extension.types);
      Append(definition.enum_values, extension.enum_values);
    }
    return true;
  }

  void FindPossibleTypes() {
    for (const auto& [name, definition] : schema_.types_) {
      if (definition->kind == "UNION") {
        for (const std::string_view member : definition->types) {
          if (const Definition* type = FindType(member)) {
            schema_.possible_types_[name].push_back(type);
          }
        }
        continue;
      }
      const bool concrete = definition->kind == "OBJECT" || definition->kind == "INPUT_OBJECT";
      if (!concrete && definition->kind != "INTERFACE") continue;
      for (const std::string_view implemented : definition->interfaces) {
        schema_.possible_types_[implemented].push_back(definition);
      }
      if (concrete) schema_.possible_types_[name].push_back(definition);
    }
  }

  // The directives of the specification may be declared again.
  bool DeclareDirectives(const SchemaDocument& document) {
    constexpr std::string_view kKnown[] = {"include",     "skip",  "deprecated",
                                           "specifiedBy", "defer", "oneOf"};
    for (const DirectiveDefinition& directive : document.directives) {
      const DirectiveDefinition*& known = schema_.directives_[directive.name];
      if (known != nullptr &&
          std::find(std::begin(kKnown), std::end(kKnown), directive.name) == std::end(kKnown)) {
        return false;
      }
      known = &directive;
    }
    return true;
  }

  bool SetRoots(const std::vector<SchemaDefinition>& definitions) {
    for (const SchemaDefinition& definition : definitions) {
      for (const auto& [operation, type] : definition.operations) {
        const Definition* root = FindType(type);
        if (root == nullptr) return false;
        if (operation == "query") schema_.query_ = root;
        if (operation == "mutation") schema_.mutation_ = root;
        if (operation == "subscription") schema_.subscription_ = root;
      }
      if (!CheckDirectives(definition.directives, "SCHEMA", nullptr, true)) return false;
    }
    return true;
  }

  // Without a schema definition the roots have their usual names.
  void FinishRoots() {
    if (schema_.document_.schemas.empty()) {
      if (schema_.query_ == nullptr) schema_.query_ = FindType("Query");
      if (schema_.mutation_ == nullptr) schema_.mutation_ = FindType("Mutation");
      if (schema_.subscription_ == nullptr) schema_.subscription_ = FindType("Subscription");
    }
    if (schema_.query_ == nullptr) return;
    SchemaDocument introspection;
    ReadSchema(BuiltIns().introspection, introspection);
    Append(schema_.types_[schema_.query_->name]->fields, introspection.definitions[0].fields);
  }

  bool CheckTypeName(const Type& type) const { return FindType(type.name()) != nullptr; }

  bool CheckArguments(const std::vector<InputDefinition>& arguments,
                      const DirectiveDefinition* current) const {
    return std::all_of(arguments.begin(), arguments.end(), [&](const InputDefinition& argument) {
      return !IsReserved(argument.name) && CheckTypeName(argument.type) &&
             FindType(argument.type.name())->is_input() &&
             CheckDirectives(argument.directives, "ARGUMENT_DEFINITION", current, true);
    });
  }

  // `current`: the directive whose arguments are being checked, which may not use itself. `once`: a
  // directive that is not repeatable may stand here but once.
  bool CheckDirectives(const std::vector<Directive>& directives, std::string_view location,
                       const DirectiveDefinition* current, bool once) const {
    std::set<std::string_view> seen;
    for (const Directive& directive : directives) {
      if (IsReserved(directive.name)) return false;
      if (current != nullptr && directive.name == current->name) return false;
      const DirectiveDefinition* definition = schema_.FindDirective(directive.name);
      if (definition == nullptr) return false;
      const bool again = !seen.insert(directive.name).second;
      if (once && again && !definition->repeatable) return false;
      const auto& locations = definition->locations;
      if (std::find(locations.begin(), locations.end(), location) == locations.end()) return false;
      for (const Argument& argument : directive.arguments) {
        if (FindName(definition->arguments, argument.name) == nullptr) return false;
      }
      for (const InputDefinition& needed : definition->arguments) {
        if (!needed.type.non_null || needed.default_value) continue;
        const Argument* argument = FindName(directive.arguments, needed.name);
        if (argument == nullptr || argument->value->kind == GraphqlKind::kNull) return false;
      }
    }
    return true;
  }

  bool Check(const Definition& definition) const {
    const bool input = definition.kind == "INPUT_OBJECT";
    for (const InputDefinition& field : definition.fields) {
      const std::string_view location = input ? "INPUT_FIELD_DEFINITION" : "FIELD_DEFINITION";
      if (IsReserved(field.name) || !CheckTypeName(field.type) ||
          !CheckArguments(field.arguments, nullptr) ||
          !CheckDirectives(field.directives, location, nullptr, true)) {
        return false;
      }
    }
    std::set<std::string_view> members;
    for (const std::string_view name : definition.types) {
      const Definition* member = FindType(name);
      if (member == nullptr || member->kind != "OBJECT") return false;
      if (!members.insert(name).second) return false;
    }
    for (const std::string_view name : definition.interfaces) {
      if (!Implements(definition, name)) return false;
    }
    if (!CheckParts(definition)) return false;
    if (HasDuplicates(definition.fields) || HasDuplicates(definition.enum_values)) return false;
    if (!definition.built_in && IsReserved(definition.name)) return false;
    // The directives of a type and of its extensions are at different locations.
    return CheckDirectives(definition.directives, definition.kind, nullptr, false);
  }

  bool CheckParts(const Definition& definition) const {
    const auto fields_are = [&](auto allowed) {
      return !definition.fields.empty() &&
             std::all_of(definition.fields.begin(), definition.fields.end(),
                         [&](const InputDefinition& field) {
                           return allowed(*FindType(field.type.name()));
                         });
    };
    if (definition.kind == "OBJECT" || definition.kind == "INTERFACE") {
      return fields_are(
          [](const Definition& type) { return type.is_leaf() || type.is_composite(); });
    }
    if (definition.kind == "INPUT_OBJECT") {
      return fields_are([](const Definition& type) { return type.is_input(); });
    }
    if (definition.kind != "ENUM") return true;
    if (definition.enum_values.empty()) return false;
    return std::all_of(
        definition.enum_values.begin(), definition.enum_values.end(), [&](const EnumValue& value) {
          return value.name != "true" && value.name != "false" && value.name != "null" &&
                 CheckDirectives(value.directives, "ENUM_VALUE", nullptr, true);
        });
  }

  bool Implements(const Definition& definition, std::string_view interface_name) const {
    const Definition* interface = FindType(interface_name);
    if (interface == nullptr || interface->kind != "INTERFACE") return false;
    if (!context_.Charge(interface->fields.size() * (1 + definition.fields.size() / 4)))
      return false;
    for (const InputDefinition& required : interface->fields) {
      const InputDefinition* field = FindName(definition.fields, required.name);
      if (field == nullptr || !IsCovariant(required.type, field->type)) return false;
      for (const InputDefinition& argument : required.arguments) {
        const InputDefinition* own = FindName(field->arguments, argument.name);
        if (own == nullptr || !IsCompatible(argument.type, own->type)) return false;
      }
      for (const InputDefinition& own : field->arguments) {
        if (own.type.non_null && !own.default_value &&
            FindName(required.arguments, own.name) == nullptr) {
          return false;
        }
      }
    }
    // What the interface implements has to be named too.
    const auto& own = definition.interfaces;
    return std::all_of(interface->interfaces.begin(), interface->interfaces.end(),
                       [&](std::string_view name) {
                         return std::find(own.begin(), own.end(), name) != own.end();
                       });
  }

  bool IsCovariant(const Type& required, const Type& actual) const {
    if (required.non_null && !actual.non_null) return false;
    if (required.named.empty())
      return actual.element && IsCovariant(*required.element, *actual.element);
    if (required.named == actual.named) return true;
    const auto& possible = schema_.PossibleTypes(required.named);
    return std::any_of(possible.begin(), possible.end(),
                       [&](const Definition* type) { return type->name == actual.named; });
  }

  static bool IsCompatible(const Type& type, const Type& other) {
    if (type.named != other.named) return false;
    if (type.element && (!other.element || !IsCompatible(*type.element, *other.element))) {
      return false;
    }
    return !other.non_null || type.non_null;
  }

  // Whether an input object needs itself through fields that cannot be null.
  bool HasInputCycle() const {
    std::set<const Definition*> done, open;
    const auto visit = [&](const Definition* definition, const auto& self) -> bool {
      if (open.contains(definition)) return true;
      if (!done.insert(definition).second) return false;
      open.insert(definition);
      for (const InputDefinition& field : definition->fields) {
        const Definition* type = FindType(field.type.named);
        if (field.type.non_null && type != nullptr && type->kind == "INPUT_OBJECT" &&
            self(type, self)) {
          return true;
        }
      }
      open.erase(definition);
      return false;
    };
    return std::any_of(schema_.types_.begin(), schema_.types_.end(), [&](const auto& type) {
      return type.second->kind == "INPUT_OBJECT" && visit(type.second, visit);
    });
  }

  BuiltinContext& context_;
  Schema& schema_;
};

std::unique_ptr<const Schema> Schema::Make(BuiltinContext& context, Value document) {
  // What is quadratic in it is so in the fields of one type and its interfaces.
  if (!context.Charge(1000 + internal::Weight(document))) return nullptr;
  std::unique_ptr<Schema> schema(new Schema());
  if (!ReadSchema(document, schema->document_)) return nullptr;
  ReadSchema(BuiltIns().prelude, schema->prelude_);
  for (Definition& definition : schema->prelude_.definitions) definition.built_in = true;
  if (!SchemaChecker(context, *schema).Run()) return nullptr;
  return schema;
}

const Definition* Schema::FindType(std::string_view name) const {
  const auto found = types_.find(name);
  return found == types_.end() ? nullptr : found->second;
}

const DirectiveDefinition* Schema::FindDirective(std::string_view name) const {
  const auto found = directives_.find(name);
  return found == directives_.end() ? nullptr : found->second;
}

const Definition* Schema::Root(std::string_view operation) const {
  if (operation == "mutation") return mutation_;
  if (operation == "subscription") return subscription_;
  return operation == "query" || operation.empty() ? query_ : nullptr;
}

const std::vector<const Definition*>& Schema::PossibleTypes(std::string_view name) const {
  static const std::vector<const Definition*> none;
  const auto found = possible_types_.find(name);
  return found == possible_types_.end() ? none : found->second;
}

}  // namespace aegis::rego::graphql
