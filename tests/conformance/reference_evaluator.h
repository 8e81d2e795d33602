// An interpreter of OPA's intermediate representation that is slow and obvious: it walks the
// statements as they were read, copies every value, remembers nothing between two calls of a
// function. The engine, which lowers, optimises and memoises, must give the same results.
//
// Builtin functions are the engine's own, since they are compared with OPA's; only comparisons are
// done here. Used by tests only.
#pragma once

#include <cstdint>
#include <string>

#include "aegis/base/result.h"
#include "aegis/rego/ir.h"
#include "conformance/reference_value.h"

namespace aegis::rego::reference {

struct RefOutcome {
  RefArray results;   // the result set
  std::string error;  // "eval_conflict_error", or why the reference gave up; else empty
};

// Runs the plan of that number. Gives up with "reference_limit" after `max_steps` statements.
RefOutcome Evaluate(const ir::Policy& policy, size_t plan, const std::optional<RefValue>& input,
                    const RefValue& data, int64_t time_unix_ns, int64_t max_steps = 2'000'000);

}  // namespace aegis::rego::reference
