// Calls builtins as a Vm does, for tests.
#pragma once

#include <array>
#include <memory>
#include <string>
#include <string_view>

#include "aegis/base/arena.h"
#include "aegis/rego/builtins/builtin.h"
#include "aegis/rego/builtins/caches.h"
#include "aegis/rego/value.h"

namespace aegis::rego {

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
