// The `input` document that policies see (the contract "Decision"), built from a Call.
//
// Threading: free functions. Ownership: the values point into the call and the arena.
#pragma once

#include <array>
#include <cstdint>

#include "aegis/base/arena.h"
#include "aegis/base/result.h"
#include "aegis/decision/call.h"
#include "aegis/rego/program.h"
#include "aegis/rego/value.h"

namespace aegis::decision {

// What of `input` a program looks at, and the program's own strings for its keys: what it cannot
// see is not built, and keys are found by comparing pointers.
//
// Immutable; lives no longer than the program.
struct InputPlan {
  // The members of input.
  enum Part : uint8_t {
    kAction,
    kAgent,
    kChain,
    kDoor,
    kOrg,
    kParams,
    kRequest,
    kSession,
    kTenant,
    kTime,
    kTool,
    kPartCount
  };
  // Members of members, and values that repeat.
  enum Word : uint8_t {
    kId,
    kLabels,
    kType,
    kUser,
    kAgentWord,
    kHeaders,
    kHost,
    kMethod,
    kPath,
    kLocal,
    kUnixNs,
    kWeekday,
    kSunday,  // and the other six days after it
    kWordCount = kSunday + 7
  };

  static InputPlan For(const rego::Program& program, uint32_t entrypoint);
  // All parts, for what has no program.
  static InputPlan All();

  std::array<bool, kPartCount> reached;
  std::array<rego::Value, kPartCount> parts;
  std::array<rego::Value, kWordCount> words;
};

// Names in the call (tool, action, session) that are not UTF-8 are refused, since a changed name
// could be another tool's; bytes of the request that are not become U+FFFD. Several headers of one
// name are joined by ", " (RFC 9110 §5.2). Undefined params are an empty object. Errors:
// call_malformed, call_too_large (the arena's limit).
Result<rego::Value> BuildInput(const Call& call, const InputPlan& plan, Arena& arena);

}  // namespace aegis::decision
