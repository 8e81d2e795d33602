// Rows and bodies of docs/formats/policy-data.md.
#pragma once

#include <string>
#include <string_view>

#include "aegis/policy/document.h"

namespace aegis::policy {

// Each appends one JSON value.
void AppendPatternRow(std::string_view pattern, std::string& out);
void AppendRow(const Condition& condition, std::string& out);
void AppendBody(const Entry& entry, std::string& out);

}  // namespace aegis::policy
