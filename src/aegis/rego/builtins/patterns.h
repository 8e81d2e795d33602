// Regular expressions of Go for RE2.
//
// Internal to the rego library.
#pragma once

#include <string>
#include <string_view>

namespace aegis::rego {

// RE2's syntax is Go's, but Go 1.22 also takes (?<name>…) for (?P<name>…).
std::string GoPattern(std::string_view pattern);

}  // namespace aegis::rego
