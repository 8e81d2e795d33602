// Which members of `input` a plan can look at at all.
#pragma once

#include <string_view>

#include "aegis/decision/input.h"

namespace aegis::decision {

// `plan_json`: OPA's intermediate representation (v1/ir of OPA 1.22). Errs on the side of more: all
// parts when the plan uses `input` as a whole, by a computed key, or in a way that we do not know.
InputParts InputUse(std::string_view plan_json);

}  // namespace aegis::decision
