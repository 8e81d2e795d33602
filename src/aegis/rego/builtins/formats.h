// The values of JSON Schema's keyword "format" that OPA checks.
//
// Internal to the rego library.
#pragma once

#include <string_view>

namespace aegis::rego {

// Whether `text` is of the format; any text is of a format that is not known.
bool IsFormat(std::string_view format, std::string_view text);

}  // namespace aegis::rego
