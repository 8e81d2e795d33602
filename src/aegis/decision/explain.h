// Why a policy of the dialect decides a call as it does: which grant, which of its conditions,
// which values. For people at a terminal (`aegis decide --explain`) and tests; not for the hot
// path.
//
// It reads the tables of docs/formats/policy-data.md. Of other bundles it gives the decision alone.
//
// Threading: free functions on values.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "aegis/base/result.h"

namespace aegis::decision {

struct Explanation {
  enum class Verdict : uint8_t {
    kHolds,
    kFails,
    kNotAsked,  // the call was refused before its conditions were looked at
  };
  struct Condition {
    std::string path;                      // as in the policy
    std::string op;                        // "lte"
    std::string bound_json;                // "5000"
    std::vector<std::string> values_json;  // what the call has there; empty: nothing
    Verdict verdict = Verdict::kNotAsked;
  };

  std::string document_json;  // the decision document
  std::string outcome, reason, mode, rule, message;
  std::optional<int64_t> grant;       // its number in the tables; none: no grant spoke
  std::vector<Condition> conditions;  // of that grant, in the order of the policy
  std::vector<std::string> callers;   // who may be in the chain, as in the policy
  bool any_user_may_call = false;     // the grant says nothing of callers
  std::vector<std::string> chain;     // who is in it: "user:alice"
  std::string schedule;               // empty: any time

  // Several lines for a terminal, the last with its line end.
  std::string ToText() const;
  // One object: {"decision", "grant", "conditions", "callers", "chain", "schedule"}.
  std::string ToJson() const;
};

// Evaluates the call and explains the result. `input_json`: the input document of the contract; the
// time is its time.unix_ns. Errors: those of rego::Program::Load, rego::ParseJson and
// rego::Vm::Eval; bundle_no_entrypoint, no_decision.
Result<Explanation> Explain(std::string_view plan_json, std::string_view data_json,
                            std::string_view input_json);

}  // namespace aegis::decision
