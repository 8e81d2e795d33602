// The protobuf forms of a bundle's plan and manifest (`opa build -t plan --format=proto`;
// v1/ir/plan.proto and v1/bundle/manifest.proto of OPA 1.22) as the JSON that the JSON forms hold,
// so that one reader checks both. The text may be many times as long as the bytes, hence the limit.
//
// Strict beside the wire format: a field that may stand once and stands twice, and an operand
// without value, are refused; unknown fields are skipped, as protobuf wants it, but no unknown
// statement.
//
// Threading: free functions on values.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "aegis/base/result.h"

namespace aegis::rego {

// plan.pb as plan.json. Errors: bundle_malformed, bundle_too_large (the text).
Result<std::string> PlanJsonFromProto(std::string_view bytes, size_t max_json_bytes);

// .manifest.pb as .manifest; what Aegis does not use of it (wasm, versions of single files) is left
// out. Errors: bundle_malformed, bundle_too_large.
Result<std::string> ManifestJsonFromProto(std::string_view bytes, size_t max_json_bytes);

}  // namespace aegis::rego
