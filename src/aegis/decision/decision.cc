#include "aegis/decision/decision.h"

#include <array>

namespace aegis::decision {

std::string_view OutcomeName(Outcome outcome) {
  switch (outcome) {
    case Outcome::kAllow:
      return "allow";
    case Outcome::kDeny:
      return "deny";
    case Outcome::kSanitize:
      return "sanitize";
    case Outcome::kApprovalNeeded:
      return "approval_needed";
    case Outcome::kDefer:
      return "defer";
  }
  return "deny";
}

std::string_view ModeName(Mode mode) { return mode == Mode::kShadow ? "shadow" : "enforce"; }

std::string_view ReasonName(Reason reason) {
  static constexpr std::array<std::string_view, kReasonCount> kNames = {
      "allowed",          "no_policy",
      "no_grant",         "action_not_allowed",
      "condition_failed", "caller_not_permitted",
      "outside_schedule", "denied_tool",
      "custom_denied",    "egress_not_allowed",
      "agent_suspended",  "token_invalid",
      "policy_error"};
  const auto index = static_cast<size_t>(reason);
  return index < kNames.size() ? kNames[index] : "policy_error";
}

}  // namespace aegis::decision
