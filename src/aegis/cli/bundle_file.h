// Bundles and inputs as commands read them.
#pragma once

#include <string>
#include <vector>

#include "aegis/base/result.h"
#include "aegis/rego/bundle.h"
#include "aegis/rego/trace.h"

namespace aegis::cli {

// A file, or standard input for "-". Errors: not_found, file_too_large, io_error.
Result<std::string> ReadFileOrStdin(const std::string& path, size_t max_bytes);
// "standard input" or the path, for messages.
std::string NameOf(const std::string& path);

// The bundle with a plan. One that has none is planned for `entrypoints` when the Rego compiler is
// at hand. Errors: those of ReadFileOrStdin, rego::ReadBundle and rego::PlanBundle; bundle_no_plan,
// with the next step.
Result<rego::Bundle> ReadPlannedBundle(const std::string& path,
                                       const std::vector<std::string>& entrypoints);

// A trace on standard output, with lines of the bundle's Rego.
void PrintTrace(const rego::Trace& trace, const std::vector<rego::BundleFile>& modules);

}  // namespace aegis::cli
