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

// Fills in all of `code` but data. Constants live in `arena` and `pool`.
// Errors: builtin_unsupported, plan_malformed, plan_too_large.
Status Lower(const ir::Policy& policy, Arena& arena, StringPool& pool, const ProgramLimits& limits,
             ByteCode& code);

// What of the input each plan can reach: fills in the entrypoints' input_keys and all_input.
void FindInputUse(const ir::Policy& policy, ByteCode& code);

// Improves the ops of one function, whose jumps are indices into `ops`; `registers` of them, the
// first `params` of which come from the caller. Sets `function`'s registers, init_end and op_count.
void Optimize(std::vector<Op>& ops, std::vector<int32_t>& args, uint32_t registers,
              Function& function);

}  // namespace aegis::rego::internal
