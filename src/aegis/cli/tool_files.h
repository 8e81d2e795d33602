// Files of tools' documents, YAML or JSON, and their mistakes with their places.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "aegis/base/result.h"
#include "aegis/policy/diagnostic.h"
#include "aegis/tool/spec.h"

namespace aegis::cli {

// The documents of one text; `name` as diagnostics name it, a text of JSON if it ends in ".json".
std::vector<tool::Spec> ParseToolDocuments(std::string_view text, const std::string& name,
                                           policy::Diagnostics& diagnostics);

// Of a file, or of standard input if `path` is "-". Errors: those of ReadFile; what is wrong with
// the documents is a diagnostic.
Result<std::vector<tool::Spec>> ReadToolFile(const std::string& path,
                                             policy::Diagnostics& diagnostics);

// The text of a file, or of standard input if `path` is "-". Errors: those of ReadFile.
Result<std::string> ReadFileOrInput(const std::string& path, size_t max_bytes);

}  // namespace aegis::cli
