// float64s as Go's strconv writes them.
//
// Internal to the rego library.
#pragma once

#include <string>

namespace aegis::rego {

// The fewest digits that tell the number (which is finite) apart: with an exponent below 10^`low`
// and from 10^`high` on, of two digits at least or as short as can be, else without.
std::string GoFloatText(double value, int low, int high, bool two_digits);

}  // namespace aegis::rego
