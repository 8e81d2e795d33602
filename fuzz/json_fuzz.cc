// JSON from outside: two parsers that share no code must agree on what is JSON, and what was read
// and is written again must be the same value.
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>

#include "aegis/json/tree.h"
#include "aegis/rego/value.h"

namespace {

using aegis::Arena;
using aegis::Result;
using aegis::rego::Value;

constexpr aegis::json::Limits kLimits{.max_bytes = 1 << 20, .max_depth = 64, .max_values = 1 << 20};

void CheckRoundTrip(Value value) {
  const std::string text = aegis::rego::ToJson(value);
  Arena arena;
  const Result<Value> again = aegis::rego::ParseJson(text, arena, kLimits);
  if (!again) std::abort();
  if (!aegis::rego::Equal(value, *again) || aegis::rego::Compare(value, *again) != 0) std::abort();
  if (aegis::rego::Hash(value) != aegis::rego::Hash(*again)) std::abort();
  if (aegis::rego::ToJson(*again) != text) std::abort();
  for (const aegis::rego::Member& member : value.members()) {
    if (!aegis::rego::Equal(value.Get(member.key), member.value)) std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  // A copy of its own size lets the sanitizer see any byte read beyond it.
  const auto copy = std::make_unique<char[]>(size);
  std::copy(data, data + size, copy.get());
  const std::string_view text(copy.get(), size);

  Arena arena, tree_arena;
  const Result<Value> value = aegis::rego::ParseJson(text, arena, kLimits);
  const Result<Value> in_place = aegis::rego::ParseJsonInPlace(text, arena, kLimits);
  const Result<aegis::json::Tree> tree =
      aegis::json::ParseTree(text, tree_arena, {.max_bytes = kLimits.max_bytes, .max_depth = 64});
  if (value.has_value() != in_place.has_value()) std::abort();
  if (value) {
    if (!tree || !aegis::rego::Equal(*value, *in_place)) std::abort();
    CheckRoundTrip(*value);
  } else if (tree && value.error().reason != "json_number") {
    std::abort();
  }
  return 0;
}
