// Why a policy gives what it gives: the rules that were asked, which of their bodies held, and of
// each that did not the first condition that failed, with its values.
//
// It walks the plan statement by statement, which is some thousand times slower than Vm: for people
// at a terminal, not for decisions.
//
// Threading: free functions; no shared state.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "aegis/base/result.h"

namespace aegis::rego {

struct BodyTrace {
  std::string file;  // as the plan names it; empty: not known
  uint32_t row = 0;  // of the rule's head
  bool holds = false;
  // The last condition that was reached of those that failed; row 0: there is none.
  uint32_t failed_row = 0;
  uint32_t failed_col = 0;
  std::string why;  // "\"POST\" is not \"GET\"": values as JSON, long ones cut
};

struct RuleTrace {
  std::string name;    // "data.authz.allow"; functions with their arguments: "data.f(1, \"x\")"
  std::string result;  // JSON, long ones cut; empty: undefined
  bool is_default = false;  // no body held, and the rule has a default
  std::vector<BodyTrace> bodies;
};

struct Trace {
  std::string result_set;  // JSON; empty after an error
  std::string error;       // what ended the evaluation, e.g. "eval_conflict_error in data.p.q"
  std::vector<RuleTrace> rules;  // in the order in which they were first asked
  uint64_t more_rules = 0;       // calls beyond kMaxTracedRules
};
inline constexpr size_t kMaxTracedRules = 200;

struct SourceFile {
  std::string_view name;
  std::string_view text;
};

// Errors: those of reading a plan; input_malformed, data_malformed; eval_no_entrypoint. What ends
// the evaluation itself is in Trace::error.
Result<Trace> TraceEvaluation(std::string_view plan_json, std::string_view data_json,
                              std::string_view entrypoint, std::string_view input_json,
                              int64_t time_unix_ns);

// For a terminal; lines of `sources` are quoted.
std::string TraceText(const Trace& trace, const std::vector<SourceFile>& sources);
std::string TraceJson(const Trace& trace);

}  // namespace aegis::rego
