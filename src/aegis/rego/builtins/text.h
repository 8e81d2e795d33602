// Values as Rego's own text, the form that sprintf's %v shows.
//
// Internal to the rego library.
#pragma once

#include <string>

#include "aegis/rego/value.h"

namespace aegis::rego {

// {"a": 1}, [1, 2], {1, 2}, set(), "text" with Go's escapes.
void AppendRegoText(std::string& out, Value value);

}  // namespace aegis::rego
