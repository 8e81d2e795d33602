// From the decision document that a policy gives to a Decision. Whatever is not understood is a
// deny.
#pragma once

#include <cstddef>
#include <string_view>

#include "aegis/decision/decision.h"
#include "aegis/rego/value.h"

namespace aegis::decision {

// What is longer is cut: policies may make texts of any length, and answers and records quote them.
inline constexpr size_t kMaxRuleBytes = 1024;
inline constexpr size_t kMaxMessageBytes = 4096;

// `document`: the value of data.aegis.decision; undefined when the policy gave none. Outcomes and
// obligations that this version cannot carry out (sanitize, approval_needed, defer) are denied with
// kPolicyError, so that nothing is let through on a condition that nobody keeps.
Decision TranslateDocument(rego::Value document);

// A deny with kPolicyError, always enforced. `message` must have static storage or live as long as
// the decision is used.
Decision PolicyError(std::string_view message);

}  // namespace aegis::decision
