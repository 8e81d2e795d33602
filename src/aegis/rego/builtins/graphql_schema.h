// GraphQL schemas, checked as github.com/vektah/gqlparser/v2 checks them, and queries against them.
//
// Internal to the rego library.
#pragma once

#include <map>
#include <memory>
#include <string_view>
#include <vector>

#include "aegis/rego/builtins/builtin.h"
#include "aegis/rego/builtins/graphql_ast.h"

namespace aegis::rego::graphql {

// A valid schema together with what every schema has: the scalars, directives and introspection of
// the specification. Not to be moved: its parts point at each other.
class Schema {
 public:
  // nullptr when the document (an AST value, which must outlive the schema) is no valid schema.
  static std::unique_ptr<const Schema> Make(BuiltinContext& context, Value document);

  const Definition* FindType(std::string_view name) const;
  const DirectiveDefinition* FindDirective(std::string_view name) const;
  // The type that operations of that name ("query") start from; nullptr when there are none.
  const Definition* Root(std::string_view operation) const;
  // The object types that a value of the type can be of.
  const std::vector<const Definition*>& PossibleTypes(std::string_view name) const;

 private:
  friend class SchemaChecker;
  Schema() = default;

  SchemaDocument document_;
  SchemaDocument prelude_;
  std::map<std::string_view, Definition> extended_;  // types that there are only extensions of
  std::map<std::string_view, Definition*> types_;
  std::map<std::string_view, const DirectiveDefinition*> directives_;
  std::map<std::string_view, std::vector<const Definition*>> possible_types_;
  const Definition* query_ = nullptr;
  const Definition* mutation_ = nullptr;
  const Definition* subscription_ = nullptr;
};

// Whether the query keeps all rules of the specification (§5) and gqlparser's bound on the depth of
// introspection. Fills in what validation finds out.
bool IsValidQuery(BuiltinContext& context, const Schema& schema, Query& query);

}  // namespace aegis::rego::graphql
