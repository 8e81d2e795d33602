// Queries: rules other than the decision, evaluated with an input that the caller made. What says
// who asks, and when, never comes from the caller.
//
// Threading: free functions.
#pragma once

#include <cstddef>

#include "aegis/base/arena.h"
#include "aegis/base/result.h"
#include "aegis/decision/call.h"
#include "aegis/rego/value.h"

namespace aegis::decision {

// `sent` with its members agent, chain, door, org, tenant and time replaced by those of the call,
// as in the input of decisions (input.h). What is not an object has no such members and stays.
// Errors: those of BuildInput.
Result<rego::Value> BuildQueryInput(const Call& call, rego::Value sent, Arena& arena);

// Whether the value's JSON text has at most `max_bytes`, escapes not counted. What is small in
// memory because its parts are shared can have a text without end; this takes time in proportion to
// max_bytes at most.
bool JsonFits(rego::Value value, size_t max_bytes);

}  // namespace aegis::decision
