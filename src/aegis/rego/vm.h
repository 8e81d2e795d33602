// Evaluates programs.
//
// Threading: one Vm per thread. It keeps its stack, memo and caches of compiled patterns between
// evaluations, so that a warm one allocates in the caller's arena only.
#pragma once

#include <cstdint>
#include <memory>

#include "aegis/base/arena.h"
#include "aegis/base/result.h"
#include "aegis/rego/program.h"
#include "aegis/rego/value.h"

namespace aegis::rego {

struct VmOptions {
  // Statements that an evaluation may run, roughly: loops and calls are charged with their length,
  // expensive builtins by their work.
  int64_t max_steps = 10'000'000;
  uint32_t max_call_depth = 1000;
  uint32_t max_registers = 1 << 18;  // of all calls that are open
  // An error in a builtin ends the evaluation (eval_type_error when an argument is not of the kind
  // that it takes, else eval_builtin_error) instead of making the expression undefined.
  bool strict_builtin_errors = false;
};

class Vm {
 public:
  explicit Vm(const VmOptions& options = {});
  ~Vm();

  // Runs a plan. Gives the member "result" of the first result, as a plan of one entrypoint makes
  // it; undefined when the result set is empty. `input` may be undefined. Time comes from
  // `time_unix_ns` only. The value lives in `arena`, `program` and `input`.
  // Memory is bounded by the arena's limit.
  // Errors: eval_conflict_error (OPA's name), eval_builtin_error and eval_type_error (strict only),
  // eval_step_limit, eval_depth_limit, eval_memory_limit.
  Result<Value> Eval(const Program& program, uint32_t entrypoint, Value input, int64_t time_unix_ns,
                     Arena& arena);
  // The whole result set, an array.
  Result<Value> EvalResultSet(const Program& program, uint32_t entrypoint, Value input,
                              int64_t time_unix_ns, Arena& arena);

 private:
  class Machine;
  std::unique_ptr<Machine> machine_;
};

}  // namespace aegis::rego
