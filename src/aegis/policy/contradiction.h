// Conditions that no call can meet together.
//
// Threading: free functions on values.
#pragma once

#include <vector>

#include "aegis/policy/document.h"

namespace aegis::policy {

// Whether certainly no value of their parameter meets both. Conditions of different paths, and of
// elements ([*]: an empty list meets whatever is asked of its elements), never contradict.
bool Contradict(const Condition& a, const Condition& b);

}  // namespace aegis::policy
