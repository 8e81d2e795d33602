// graphql.*: what OPA does with github.com/vektah/gqlparser/v2.
#include "aegis/rego/builtins/graphql_parser.h"
#include "aegis/rego/builtins/graphql_schema.h"
#include "aegis/rego/builtins/operands.h"
#include "aegis/rego/edit.h"
#include "aegis/rego/table.h"

namespace aegis::rego {
namespace {

using graphql::Query;
using graphql::Schema;

// What OPA shows of an AST value: without positions, nulls, and collections that are empty.
Value Pruned(Arena& arena, Value value) {
  const auto keep = [](Value kept) {
    return !kept.is_null() && !(kept.is_collection() && kept.size() == 0);
  };
  if (value.is_object()) {
    ObjectBuilder object(arena);
    for (const Member& member : value.members()) {
      if (member.key.string_value() == "Position") continue;
      const Value kept = Pruned(arena, member.value);
      if (keep(kept)) object.Add(member.key, kept);
    }
    return object.Build();
  }
  if (!value.is_array()) return value;
  ArrayBuilder array(arena);
  for (const Value element : value.elements()) {
    const Value kept = Pruned(arena, element);
    if (keep(kept)) array.Add(kept);
  }
  return array.Build();
}

// A text or an AST value, and both its forms. False after an error; type errors are for operands
// counted from 0, as in OPA.
bool ReadQueryArgument(BuiltinContext& context, Value argument, Value& ast, Query& query) {
  if (!argument.is_string() && !argument.is_object()) {
    context.WrongType(0, "one of {string, object}", argument);
    return false;
  }
  if (!context.Charge(internal::Weight(argument))) return false;
  if (argument.is_object()) {
    ast = argument;
  } else {
    ast = ParseGraphqlQuery(context, argument.string_value());
    if (ast.is_undefined()) return false;
  }
  if (graphql::ReadQuery(ast, argument.is_object(), query)) return true;
  context.Error("the value is not the AST of a GraphQL query");
  return false;
}

Value ReadSchemaArgument(BuiltinContext& context, Value argument) {
  if (!context.Charge(internal::Weight(argument))) return Value();
  if (argument.is_object()) return argument;
  return argument.is_string() ? ParseGraphqlSchema(context, argument.string_value())
                              : context.WrongType(1, "one of {string, object}", argument);
}

// Both ASTs when the query is valid for the schema; false after an error.
bool Verify(BuiltinContext& context, const Value* args, Value& query_ast, Value& schema_ast) {
  Query query;
  if (!ReadQueryArgument(context, args[0], query_ast, query)) return false;
  schema_ast = ReadSchemaArgument(context, args[1]);
  if (schema_ast.is_undefined()) return false;
  const std::unique_ptr<const Schema> schema = Schema::Make(context, schema_ast);
  if (schema == nullptr) {
    context.Error("the GraphQL schema is not valid");
    return false;
  }
  if (graphql::IsValidQuery(context, *schema, query)) return true;
  context.Error("the GraphQL query is not valid for the schema");
  return false;
}

// The AST as it is shown when it came from the policy.
Value Shown(BuiltinContext& context, Value argument, Value ast) {
  return argument.is_object() ? Pruned(context.arena(), ast) : ast;
}

Value Parse(BuiltinContext& context, const Value* args) {
  Value query, schema;
  if (!Verify(context, args, query, schema)) return Value();
  ArrayBuilder out(context.arena(), 2);
  out.Add(Shown(context, args[0], query));
  out.Add(Shown(context, args[1], schema));
  return out.Build();
}

// False with errors that are no errors here; true as long as the evaluation may go on.
bool Forgive(BuiltinContext& context) {
  context.ClearError();
  return context.Charge(0);
}

Value ParseAndVerify(BuiltinContext& context, const Value* args) {
  Value query, schema;
  const bool verified = Verify(context, args, query, schema);
  if (!verified && !Forgive(context)) return Value();
  ArrayBuilder out(context.arena(), 3);
  out.Add(Value::Bool(verified));
  out.Add(verified ? Shown(context, args[0], query) : Value::EmptyObject());
  out.Add(verified ? Shown(context, args[1], schema) : Value::EmptyObject());
  return out.Build();
}

Value IsValid(BuiltinContext& context, const Value* args) {
  Value query, schema;
  const bool verified = Verify(context, args, query, schema);
  if (!verified && !Forgive(context)) return Value();
  return Value::Bool(verified);
}

Value SchemaIsValid(BuiltinContext& context, const Value* args) {
  const Value schema = ReadSchemaArgument(context, args[0]);
  const bool valid = !schema.is_undefined() && Schema::Make(context, schema) != nullptr;
  if (!valid && !Forgive(context)) return Value();
  return Value::Bool(valid);
}

Value ParseQuery(BuiltinContext& context, const Value* args) {
  AEGIS_STRING_ARG(text, 0);
  return ParseGraphqlQuery(context, text);
}

Value ParseSchema(BuiltinContext& context, const Value* args) {
  AEGIS_STRING_ARG(text, 0);
  return ParseGraphqlSchema(context, text);
}

constexpr Builtin kBuiltins[] = {
    {"graphql.parse", 2, Parse},
    {"graphql.parse_and_verify", 2, ParseAndVerify},
    {"graphql.parse_query", 1, ParseQuery},
    {"graphql.parse_schema", 1, ParseSchema},
    {"graphql.is_valid", 2, IsValid},
    {"graphql.schema_is_valid", 1, SchemaIsValid},
};

}  // namespace

std::span<const Builtin> GraphqlBuiltins() { return kBuiltins; }

}  // namespace aegis::rego
