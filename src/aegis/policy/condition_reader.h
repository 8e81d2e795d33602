// From the nodes of `conditions` to typed conditions, with the checks that need more than the
// table.
#pragma once

#include <vector>

#include "aegis/policy/check.h"
#include "aegis/policy/document.h"

namespace aegis::policy {

// `node` may have mistakes that CheckNode reported; what it cannot read it leaves out. Reports
// conditions that are given twice (an error) and those that no call can meet together (a warning).
std::vector<Condition> ReadConditions(const Node& node, const Reporter& reporter);

}  // namespace aegis::policy
