// Changes to nested values that the VM and builtins share.
//
// Internal to the rego library.
#pragma once

#include <span>

#include "aegis/base/arena.h"
#include "aegis/rego/value.h"

namespace aegis::rego::internal {

// `base` with `value` at `path` (one key at least); objects are made where there are none.
Edit Upsert(Arena& arena, Value base, std::span<const Value> path, Value value, Value& out);

// Both objects in one; where both have a key, objects are merged and else `b`'s value counts.
Edit Merge(Arena& arena, Value a, Value b, Value& out);

// ParseJson as Go's encoding/json does it for names that occur twice: the last one counts.
Result<Value> ParseJsonLastWins(std::string_view text, Arena& arena, const json::Limits& limits);
// AppendJson as Go's encoding/json writes it: with '<', '>', '&' escaped.
void AppendGoJson(Value value, std::string& out);

}  // namespace aegis::rego::internal
