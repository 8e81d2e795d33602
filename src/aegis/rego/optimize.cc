#include <algorithm>

#include "aegis/rego/lowering.h"

namespace aegis::rego::internal {

void Optimize(std::vector<Op>& ops, std::vector<int32_t>&, uint32_t registers, Function& function) {
  function.registers = std::max(registers, function.params);
  function.init_end = function.registers;
  function.op_count = static_cast<uint32_t>(ops.size());
}

}  // namespace aegis::rego::internal
