// Any builtin function of Rego with arguments from a hostile policy or call: it gives a value, an
// error, or ends at its limits.
//
// An input is the function's name and its arguments with \x01 between them. An argument that starts
// with 'j' is JSON, in which {"$set": [...]} stands for a set; what follows any other byte is a
// string.
#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "aegis/base/text.h"
#include "aegis/rego/builtins/builtin.h"
#include "aegis/rego/builtins/testing.h"
#include "aegis/rego/table.h"
#include "aegis/rego/value.h"

namespace {

using aegis::Arena;
using aegis::rego::Value;

Value ReadArgument(Arena& arena, std::string_view text) {
  if (text.empty()) return Value::Null();
  const std::string_view rest = text.substr(1);
  if (text[0] == 'j') {
    const auto value = aegis::rego::ParseJson(rest, arena);
    if (value) return aegis::rego::WithSets(arena, *value);
  }
  return aegis::rego::MakeString(arena, rest);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(bytes), size);
  const std::vector<std::string_view> parts = aegis::Split(input, '\x01');
  const aegis::rego::Builtin* builtin = aegis::rego::FindBuiltin(parts[0]);
  if (builtin == nullptr) return 0;
  Arena inputs(16 * 1024, 16 << 20), arena(16 * 1024, 32 << 20);
  std::array<Value, aegis::rego::kMaxBuiltinArity> arguments;
  for (size_t i = 0; i < builtin->arity; ++i) {
    arguments[i] = ReadArgument(inputs, i + 1 < parts.size() ? parts[i + 1] : "");
    if (arguments[i].is_undefined()) return 0;
  }
  // As a Vm keeps them between calls.
  static const auto caches = aegis::rego::NewBuiltinCaches();
  int64_t steps = 200'000;
  aegis::rego::BuiltinContext context(arena, *caches, 1'700'000'000'000'000'000, steps);
  const Value result = builtin->function(context, arguments.data());
  // Whoever gets a value may hash and print it.
  if (steps >= 0 && !arena.exhausted() && !result.is_undefined() &&
      aegis::rego::internal::Weight(result) < 100'000) {
    aegis::rego::Hash(result);
    aegis::rego::ToJson(result);
  }
  return 0;
}
