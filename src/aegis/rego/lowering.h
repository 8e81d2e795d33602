// From OPA's intermediate representation to a program's code.
//
// Internal to the rego library.
#pragma once

#include "aegis/base/arena.h"
#include "aegis/base/result.h"
#include "aegis/rego/code.h"
#include "aegis/rego/ir.h"
#include "aegis/rego/program.h"
#include "aegis/rego/string_pool.h"

namespace aegis::rego::internal {

// Fills in all of `code` but data, which is there already. Constants live in `arena` and `pool`.
// Errors: builtin_unsupported, builtin_refused, plan_malformed, plan_too_large.
Status Lower(const ir::Policy& policy, Arena& arena, StringPool& pool, const ProgramLimits& limits,
             ByteCode& code);

// What of the input each plan can reach: fills in the entrypoints' input_keys and all_input.
void FindInputUse(const ir::Policy& policy, ByteCode& code);

// For each function and then each plan the local that always holds the base data, or kNoLocal:
// every call passes it on and nothing replaces it.
std::vector<ir::Local> FindDataLocals(const ir::Policy& policy);

// What the optimizer asks about constants, which are operands below zero.
class ConstantFolding {
 public:
  virtual ~ConstantFolding() = default;
  virtual Value Constant(int32_t operand) const = 0;
  // The constant source[key]; the undefined one when there is no such member.
  virtual int32_t Member(int32_t source, int32_t key) = 0;
  virtual int32_t AddConstant(Value value) = 0;
  virtual const Builtin& builtin(uint32_t index) const = 0;
  // Where values of the program live.
  virtual Arena& arena() = 0;
  virtual size_t switch_count() const = 0;
  virtual void AddSwitch(Switch made) = 0;
};

// Improves the ops of one function, whose jumps are indices into `ops`; `registers` of them, the
// first `function.params` of which come from the caller. Sets `function`'s registers, init_end and
// op_count. `args` are the operands of calls; each call has its own.
void Optimize(std::vector<Op>& ops, std::vector<int32_t>& args, uint32_t registers,
              ConstantFolding& folding, Function& function);

}  // namespace aegis::rego::internal
