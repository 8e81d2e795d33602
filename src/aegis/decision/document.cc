#include "aegis/decision/document.h"

#include <optional>

namespace aegis::decision {
namespace {

using rego::Value;

// Keys of the decision document, their hashes computed once.
struct Keys {
  Value outcome = rego::MakeStringView("outcome"), reason = rego::MakeStringView("reason"),
        mode = rego::MakeStringView("mode"), rule = rego::MakeStringView("rule"),
        message = rego::MakeStringView("message"),
        obligations = rego::MakeStringView("obligations"), egress = rego::MakeStringView("egress");
};

const Keys& K() {
  static const Keys* const keys = new Keys;
  return *keys;
}

std::optional<Outcome> ParseOutcome(std::string_view name) {
  for (const Outcome outcome : {Outcome::kAllow, Outcome::kDeny, Outcome::kSanitize,
                                Outcome::kApprovalNeeded, Outcome::kDefer}) {
    if (OutcomeName(outcome) == name) return outcome;
  }
  return std::nullopt;
}

std::optional<Reason> ParseReason(std::string_view name) {
  for (int i = 0; i < kReasonCount; ++i) {
    if (ReasonName(static_cast<Reason>(i)) == name) return static_cast<Reason>(i);
  }
  return std::nullopt;
}

// Absent or null means enforce; anything else that is not a mode is a fault.
std::optional<Mode> ParseMode(Value mode) {
  if (mode.is_undefined() || mode.is_null()) return Mode::kEnforce;
  if (mode.string_value() == ModeName(Mode::kEnforce)) return Mode::kEnforce;
  if (mode.string_value() == ModeName(Mode::kShadow)) return Mode::kShadow;
  return std::nullopt;
}

// {} or {"approval":{},"sanitize":[],"labels":[]}: nothing to be done. What "egress" says widens
// what the egress door lets a connection do; there is nothing in it to be done.
bool AsksNothing(Value obligations) {
  if (obligations.is_undefined() || obligations.is_null()) return true;
  if (!obligations.is_object()) return false;
  for (const rego::Member& member : obligations.members()) {
    if (member.key.string_value() == "egress") continue;
    const bool empty = member.value.is_collection() && member.value.size() == 0;
    if (!empty && !member.value.is_null()) return false;
  }
  return true;
}

// The beginning of a UTF-8 text, not cut within a character.
std::string_view Cut(std::string_view text, size_t max_bytes) {
  if (text.size() <= max_bytes) return text;
  while (max_bytes > 0 && (text[max_bytes] & 0xc0) == 0x80) --max_bytes;
  return text.substr(0, max_bytes);
}

bool IsTextOrAbsent(Value value) { return value.is_undefined() || value.is_string(); }

}  // namespace

Decision PolicyError(std::string_view message) {
  Decision decision;
  decision.message = message;
  return decision;
}

Decision TranslateDocument(Value document) {
  if (document.is_undefined()) return PolicyError("the policy gave no decision");
  if (!document.is_object()) return PolicyError("the policy's decision is not an object");
  const auto fault = [&](std::string_view message) {
    Decision decision = PolicyError(message);
    decision.document = document;
    return decision;
  };
  const std::optional<Outcome> outcome = ParseOutcome(document.Get(K().outcome).string_value());
  const std::optional<Reason> reason = ParseReason(document.Get(K().reason).string_value());
  const std::optional<Mode> mode = ParseMode(document.Get(K().mode));
  const Value rule = document.Get(K().rule), message = document.Get(K().message);
  if (!outcome) return fault("the policy's decision has an unknown outcome");
  if (!reason) return fault("the policy's decision has an unknown reason");
  if (!mode) return fault("the policy's decision has an unknown mode");
  if (!IsTextOrAbsent(rule) || !IsTextOrAbsent(message)) {
    return fault("the policy's decision has a rule or a message that is not a string");
  }
  if (*outcome != Outcome::kAllow && *outcome != Outcome::kDeny) {
    return fault("the policy's decision has an outcome that is not supported yet");
  }
  if ((*outcome == Outcome::kAllow) != (*reason == Reason::kAllowed)) {
    return fault("the policy's decision has a reason that contradicts its outcome");
  }
  if (*outcome == Outcome::kAllow && !AsksNothing(document.Get(K().obligations))) {
    return fault("the policy's decision has obligations, which are not supported yet");
  }
  Decision decision;
  decision.outcome = *outcome;
  decision.reason = *reason;
  // A policy that cannot judge a call must not let it pass because it is only on trial.
  decision.mode = *reason == Reason::kPolicyError ? Mode::kEnforce : *mode;
  decision.rule = Cut(rule.string_value(), kMaxRuleBytes);
  decision.message = Cut(message.string_value(), kMaxMessageBytes);
  decision.document = document;
  if (*outcome == Outcome::kAllow) {
    const Value obligations = document.Get(K().obligations);
    if (obligations.is_object()) decision.egress = obligations.Get(K().egress);
  }
  return decision;
}

}  // namespace aegis::decision
