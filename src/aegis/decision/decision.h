// A Decision: the verdict on a Call with why it was reached. Contract: the decision document of
// `data.aegis.decision`.
#pragma once

#include <cstdint>
#include <string_view>

#include "aegis/rego/value.h"

namespace aegis::decision {

enum class Outcome : uint8_t { kAllow, kDeny, kSanitize, kApprovalNeeded, kDefer };
std::string_view OutcomeName(
    Outcome outcome);  // "allow", "deny", "sanitize", "approval_needed", "defer"

enum class Mode : uint8_t { kEnforce, kShadow };
std::string_view ModeName(Mode mode);  // "enforce", "shadow"

// The closed list of reasons; the names are what users, metrics and records see.
enum class Reason : uint8_t {
  kAllowed,             // "allowed": a grant holds
  kNoPolicy,            // the tenant has no policy at all
  kNoGrant,             // no document grants this agent the tool
  kActionNotAllowed,    // the tool is granted, this action is not
  kConditionFailed,     // a condition on the params does not hold
  kCallerNotPermitted,  // someone in the chain may not cause this call
  kOutsideSchedule,
  kDeniedTool,        // denied_tools names it
  kCustomDenied,      // custom Rego refuses what the documents allow
  kEgressNotAllowed,  // no document lets this agent reach the host, or its address is refused
  kAgentSuspended,
  kTokenInvalid,
  kPolicyError,  // the policy could not be evaluated; always a deny
};
inline constexpr int kReasonCount = 13;
std::string_view ReasonName(Reason reason);

struct Decision {
  Outcome outcome = Outcome::kDeny;
  Reason reason = Reason::kPolicyError;
  Mode mode = Mode::kEnforce;  // of the policy that gave the verdict
  // Views into the evaluator's arena or into static storage; valid until its next Evaluate.
  std::string_view rule;     // "finance-agent/stripe-payments/create_payment"; empty: none
  std::string_view message;  // for a person; quotes policy, never text from the call
  rego::Value document;      // the whole decision document; undefined when the policy gave none
  // Of an allowed call of the egress door: {"networks": [CIDR…], "tls": ["missing_sni"…]}, what the
  // connection may do that it may not otherwise; undefined: nothing.
  rego::Value egress;

  bool allows() const { return outcome == Outcome::kAllow || outcome == Outcome::kSanitize; }
};

}  // namespace aegis::decision
