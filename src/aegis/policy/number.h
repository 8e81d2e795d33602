// Exact comparison of JSON numbers.
#pragma once

#include <string_view>

namespace aegis::policy {

// <0, 0 or >0. Both must be JSON numbers within the limits of NumberProblem (node.h).
int CompareNumbers(std::string_view a, std::string_view b);

}  // namespace aegis::policy
