// json.verify_schema and json.match_schema.
#include <string>
#include <vector>

#include "aegis/rego/builtins/caches.h"
#include "aegis/rego/builtins/json_schema.h"
#include "aegis/rego/builtins/operands.h"
#include "aegis/rego/edit.h"
#include "aegis/rego/table.h"

namespace aegis::rego {
namespace {

constexpr json::Limits kLimits{
    .max_bytes = size_t{64} << 20, .max_depth = 500, .max_values = size_t{8} << 20};

// JSON, given as a text or as a value. False with `problem` set when it is none.
bool ReadJson(BuiltinContext& context, Value argument, std::string& json, std::string& problem) {
  if (argument.is_string()) {
    json = argument.string_value();
  } else if (argument.is_object() || argument.is_array()) {
    if (!context.Charge(internal::Weight(argument) / 4)) return false;
    AppendJson(argument, json);
  } else {
    problem = "wrong type, expected string or object";
    return false;
  }
  if (!context.Charge(json.size() / 16)) return false;
  if (argument.is_string() && !internal::ParseJsonLastWins(json, context.arena(), kLimits)) {
    problem = "invalid JSON string";
    return false;
  }
  return true;
}

std::shared_ptr<const JsonSchema> ReadSchema(BuiltinContext& context, Value argument,
                                             std::string& problem) {
  std::string json;
  if (!ReadJson(context, argument, json, problem)) return nullptr;
  return context.caches().Schema(json, problem);
}

Value Pair(BuiltinContext& context, bool good, Value details) {
  ArrayBuilder pair(context.arena(), 2);
  pair.Add(Value::Bool(good));
  pair.Add(details);
  return pair.Build();
}

Value VerifySchema(BuiltinContext& context, const Value* args) {
  std::string problem;
  const bool good = ReadSchema(context, args[0], problem) != nullptr;
  return Pair(context, good, good ? Value::Null() : String(context, "jsonschema: " + problem));
}

Value MatchSchema(BuiltinContext& context, const Value* args) {
  std::string json, problem;
  if (!ReadJson(context, args[0], json, problem)) return context.Error(problem);
  const std::shared_ptr<const JsonSchema> schema = ReadSchema(context, args[1], problem);
  if (schema == nullptr) return context.Error(problem);
  const Result<Value> document = internal::ParseJsonLastWins(json, context.arena(), kLimits);
  if (!document) return context.Error(document.error().message);
  std::vector<SchemaMistake> mistakes;
  if (!schema->Validate(context, *document, mistakes)) return Value();
  ArrayBuilder list(context.arena(), mistakes.size());
  for (const SchemaMistake& mistake : mistakes) {
    ObjectBuilder object(context.arena(), 4);
    object.Add("desc", String(context, mistake.description));
    object.Add("error", String(context, mistake.field + ": " + mistake.description));
    object.Add("field", String(context, mistake.field));
    object.Add("type", String(context, mistake.type));
    list.Add(object.Build());
  }
  return Pair(context, mistakes.empty(), list.Build());
}

constexpr Builtin kBuiltins[] = {
    {"json.verify_schema", 1, VerifySchema},
    {"json.match_schema", 2, MatchSchema},
};

}  // namespace

std::span<const Builtin> JsonSchemaBuiltins() { return kBuiltins; }

}  // namespace aegis::rego
