// The data of a bundle: its data.json files put together as one document, and the check that it
// stays below the manifest's roots.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "aegis/base/result.h"
#include "aegis/rego/bundle.h"

namespace aegis::rego {

// The file "a/b/data.json" stands for data.a.b. Files that contradict each other are refused; the
// content of a single data.json at the top is moved out as it stands. Errors: bundle_malformed.
Result<std::string> MergeDataFiles(std::span<BundleFile* const> files,
                                   const std::vector<std::string>& roots);

// Errors: bundle_malformed (not what OPA's manifest allows, overlapping roots).
Result<Manifest> ParseManifest(std::string_view json);

}  // namespace aegis::rego
