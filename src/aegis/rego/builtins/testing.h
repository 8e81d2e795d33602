// Calls builtins by name, for tests.
#pragma once

#include <array>
#include <memory>
#include <string>
#include <string_view>

#include "aegis/rego/builtins/builtin.h"
#include "aegis/rego/builtins/caches.h"
#include "aegis/rego/builtins/text.h"

namespace aegis::rego {

struct CallLimits {
  int64_t steps = 1'000'000;
  size_t bytes = size_t{64} << 20;
  int64_t time_unix_ns = 1'700'000'000'000'000'000;
};

// {"$set": [...]} anywhere in JSON stands for a set.
inline Value WithSets(Arena& arena, Value value) {
  if (value.is_array()) {
    ArrayBuilder array(arena);
    for (const Value element : value.elements()) array.Add(WithSets(arena, element));
    return array.Build();
  }
  if (!value.is_object()) return value;
  if (const Value elements = value.Get("$set"); elements.is_array()) {
    SetBuilder set(arena);
    for (const Value element : elements.elements()) set.Add(WithSets(arena, element));
    return set.Build();
  }
  ObjectBuilder object(arena);
  for (const Member& member : value.members())
    object.Add(member.key, WithSets(arena, member.value));
  return object.Build();
}

// The result as Rego text, "undefined", "error", "type error", "steps" or "memory". `arguments`: a
// JSON array.
inline std::string CallBuiltin(std::string_view name, std::string_view arguments,
                               const CallLimits& limits = {}) {
  Arena inputs;
  const Result<Value> parsed = ParseJson(arguments, inputs, {.max_bytes = size_t{8} << 20});
  if (!parsed) return parsed.error().ToString();
  const Builtin* builtin = FindBuiltin(name);
  if (builtin == nullptr) return "no such builtin";
  if (parsed->size() != builtin->arity) return "wrong number of arguments";
  const Value values = WithSets(inputs, *parsed);
  Arena arena(16 * 1024, limits.bytes);
  int64_t steps = limits.steps;
  const auto caches = NewBuiltinCaches();
  BuiltinContext context(arena, *caches, limits.time_unix_ns, steps);
  const Value result = builtin->function(context, values.elements().data());
  if (steps < 0) return "steps";
  if (arena.exhausted()) return "memory";
  if (!result.is_undefined()) {
    std::string text;
    AppendRegoText(text, result);
    return text;
  }
  if (!context.has_error()) return "undefined";
  return context.is_type_error() ? "type error" : "error";
}

// The same with caches that stay from call to call. The result as JSON, or "error: ...".
class BuiltinCaller {
 public:
  // The result as JSON; "error: ..." when the builtin ended with one; "out of steps".
  // `args` is a JSON array.
  std::string Call(std::string_view name, const std::string& args) {
    Arena arena;
    const Builtin* builtin = FindBuiltin(name);
    if (builtin == nullptr) return "no such builtin";
    const Result<Value> list = ParseJson(args, arena, {.max_bytes = size_t{8} << 20});
    if (!list || list->size() != builtin->arity) return "bad arguments";
    std::array<Value, kMaxBuiltinArity> values;
    for (size_t i = 0; i < list->size(); ++i) values[i] = list->At(i);
    int64_t steps_left = steps;
    BuiltinContext context(arena, *caches_, time_unix_ns, steps_left);
    const Value value = builtin->function(context, values.data());
    steps_used = steps - steps_left;
    if (steps_left < 0) return "out of steps";
    if (context.has_error()) return "error: " + context.error();
    return value.is_undefined() ? "undefined" : ToJson(value);
  }
  void ForgetCaches() { caches_ = NewBuiltinCaches(); }

  int64_t steps = 10'000'000;
  int64_t time_unix_ns = 1'790'000'000'000'000'000;
  int64_t steps_used = 0;

 private:
  std::unique_ptr<BuiltinCaches, void (*)(BuiltinCaches*)> caches_ = NewBuiltinCaches();
};

// A JSON string with quotes.
inline std::string Quoted(std::string_view text) {
  std::string out;
  AppendJson(MakeStringView(text), out);
  return out;
}

}  // namespace aegis::rego
