// The `input` document that policies see (the contract "Decision"), built from a Call.
//
// Threading: free functions. Ownership: the values point into the call and the arena.
#pragma once

#include <cstdint>

#include "aegis/base/arena.h"
#include "aegis/base/result.h"
#include "aegis/decision/call.h"
#include "aegis/rego/value.h"

namespace aegis::decision {

// The members of `input`, each a bit, so that those that no rule can see are not built.
enum class InputPart : uint16_t {
  kOrg = 1 << 0,
  kTenant = 1 << 1,
  kAgent = 1 << 2,
  kChain = 1 << 3,
  kDoor = 1 << 4,
  kTool = 1 << 5,
  kAction = 1 << 6,
  kParams = 1 << 7,
  kRequest = 1 << 8,
  kSession = 1 << 9,
  kTime = 1 << 10,
};

class InputParts {
 public:
  static constexpr InputParts None() { return InputParts(0); }
  static constexpr InputParts All() { return InputParts(0x7ff); }
  constexpr bool Has(InputPart part) const { return bits_ & static_cast<uint16_t>(part); }
  constexpr void Add(InputPart part) { bits_ |= static_cast<uint16_t>(part); }
  friend constexpr bool operator==(InputParts, InputParts) = default;

 private:
  constexpr explicit InputParts(uint16_t bits) : bits_(bits) {}
  uint16_t bits_;
};

// Names in the call (tool, action, session) that are not UTF-8 are refused, since a changed name
// could be another tool's; bytes of the request that are not become U+FFFD. Several headers of one
// name are joined by ", " (RFC 9110 §5.2). Undefined params are an empty object. Errors:
// call_malformed, call_too_large (the arena's limit).
Result<rego::Value> BuildInput(const Call& call, InputParts parts, Arena& arena);

}  // namespace aegis::decision
