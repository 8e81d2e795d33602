// GraphQL documents as structures, read from the AST values of graphql_parser.h or from what a
// policy hands over as such.
//
// Internal to the rego library. Strings refer to the values that they were read from.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "aegis/rego/value.h"

namespace aegis::rego {

// Kinds of values, with gqlparser's numbers.
enum class GraphqlKind : uint8_t {
  kVariable,
  kInt,
  kFloat,
  kString,
  kBlock,
  kBoolean,
  kNull,
  kEnum,
  kList,
  kObject,
};

// Whether it is the name of a place where a directive can stand ("FIELD").
bool IsGraphqlLocation(std::string_view name);

namespace graphql {

struct Definition;
struct DirectiveDefinition;
struct VariableDefinition;

struct Type {
  std::string_view named;  // empty: a list of `element`
  std::unique_ptr<Type> element;
  bool non_null = false;

  // The innermost name.
  std::string_view name() const { return named.empty() && element ? element->name() : named; }
};

struct Child;
struct Literal {
  GraphqlKind kind = GraphqlKind::kNull;
  std::string_view raw;
  std::vector<Child> children;

  // What validation finds out.
  const Definition* definition = nullptr;
  const Type* expected = nullptr;
  bool expected_has_default = false;
  const VariableDefinition* variable = nullptr;
};
struct Child {
  std::string_view name;
  std::unique_ptr<Literal> value;
};

struct Argument {
  std::string_view name;
  std::unique_ptr<Literal> value;
};

struct Directive {
  std::string_view name;
  std::vector<Argument> arguments;
};

struct VariableDefinition {
  std::string_view name;
  Type type;
  std::unique_ptr<Literal> default_value;
  std::vector<Directive> directives;

  const Definition* definition = nullptr;
  bool used = false;
};

struct InputDefinition;
struct Selection {
  enum class Kind : uint8_t { kField, kSpread, kInline };
  Kind kind = Kind::kField;
  std::string_view name;  // of the field or fragment
  std::string_view alias;
  std::string_view type_condition;  // may be empty
  std::vector<Argument> arguments;
  std::vector<Directive> directives;
  std::vector<Selection> selections;

  const InputDefinition* definition = nullptr;  // of a field
  const Definition* parent = nullptr;           // the type that the selection is made on
};

struct Operation {
  std::string_view operation;
  std::string_view name;
  std::vector<VariableDefinition> variables;
  std::vector<Directive> directives;
  std::vector<Selection> selections;
};

struct Fragment {
  std::string_view name;
  std::string_view type_condition;
  std::vector<Directive> directives;
  std::vector<Selection> selections;
};

struct Query {
  std::vector<Operation> operations;
  std::vector<Fragment> fragments;
};

// A field, argument or input field.
struct InputDefinition {
  std::string_view name;
  std::vector<InputDefinition> arguments;
  std::unique_ptr<Literal> default_value;
  Type type;
  std::vector<Directive> directives;
};

struct EnumValue {
  std::string_view name;
  std::vector<Directive> directives;
};

// A type, or what extends one.
struct Definition {
  std::string_view kind;  // "OBJECT", ...
  std::string_view name;
  bool built_in = false;
  std::vector<Directive> directives;
  std::vector<std::string_view> interfaces;
  std::vector<InputDefinition> fields;
  std::vector<std::string_view> types;  // of a union
  std::vector<EnumValue> enum_values;

  bool is_leaf() const { return kind == "ENUM" || kind == "SCALAR"; }
  bool is_composite() const { return kind == "OBJECT" || kind == "INTERFACE" || kind == "UNION"; }
  bool is_input() const { return is_leaf() || kind == "INPUT_OBJECT"; }
};

struct DirectiveDefinition {
  std::string_view name;
  std::vector<InputDefinition> arguments;
  std::vector<std::string_view> locations;
  bool repeatable = false;
};

struct SchemaDefinition {
  struct OperationType {
    std::string_view operation;
    std::string_view type;
  };
  std::vector<Directive> directives;
  std::vector<OperationType> operations;
};

struct SchemaDocument {
  std::vector<SchemaDefinition> schemas;
  std::vector<SchemaDefinition> schema_extensions;
  std::vector<DirectiveDefinition> directives;
  std::vector<Definition> definitions;
  std::vector<Definition> extensions;
};

// False when a member is of the wrong type or one that nothing can do without is missing.
// `as_fields`: every selection is taken for a field, which is what OPA makes of the AST values that
// it is handed.
bool ReadQuery(Value document, bool as_fields, Query& out);
bool ReadSchema(Value document, SchemaDocument& out);

// The first with that name, or nullptr.
template <typename List>
auto* FindName(List& list, std::string_view name) {
  for (auto& item : list) {
    if (item.name == name) return &item;
  }
  return static_cast<decltype(&list.front())>(nullptr);
}

}  // namespace graphql
}  // namespace aegis::rego
