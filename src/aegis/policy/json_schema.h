// The dialect's JSON Schema (draft-07, which editors' YAML support understands best), made from the
// table that the parser reads (dialect.h).
#pragma once

#include <string>
#include <string_view>

#include "aegis/policy/dialect.h"

namespace aegis::policy {

// The schema of policy documents, indented, with a line feed at the end. What it refuses the parser
// refuses; the parser refuses more (unknown time zones, RE2 syntax, equal names ...).
std::string JsonSchema();
// The same for files of policy unit tests.
std::string TestFileJsonSchema();
// The same for any type of such a table.
std::string JsonSchemaOf(const Type& type, std::string_view title);

}  // namespace aegis::policy
