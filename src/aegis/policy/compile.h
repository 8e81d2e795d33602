// From policies to an OPA bundle: the tables of docs/formats/policy-data.md beside the fixed Rego
// library of the dialect and its plan. No Go is needed; policies that list custom Rego have been
// through PlanCustomRego (custom_rego.h), or it is an error (rego_not_planned).
//
// Threading: free functions; no shared state. Equal policies and revision give equal bytes.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "aegis/base/result.h"
#include "aegis/policy/document.h"
#include "aegis/rego/bundle.h"

namespace aegis::policy {

// The rule whose value is the decision, as the plan names it.
inline constexpr std::string_view kEntrypoint = "aegis/decision";

// data.json. Errors: policy_too_large (the tables would exceed what a bundle may hold).
Result<std::string> CompileData(const PolicySet& policies);

// The members of a bundle: .manifest (revision, roots, rego_version, and metadata with the dialect,
// the compiler and the sources' hashes), data.json, plan.json and the library's sources below
// aegis/. Errors: policy_too_large.
Result<std::vector<rego::BundleFile>> CompileToBundleFiles(const PolicySet& policies,
                                                           std::string_view revision);

// CompileToBundleFiles and rego::WriteBundle: the bytes of a .tar.gz, signed if there is a
// `signer`. Errors: policy_too_large and those of rego::WriteBundle.
Result<std::string> CompileToBundle(const PolicySet& policies, std::string_view revision,
                                    const rego::BundleSigner* signer);

// A revision for bundles that no registry numbers: "sha256:" and the hash of the tables, the
// library and its plan, so that equal meaning has equal revisions. Errors: policy_too_large.
Result<std::string> ContentRevision(const PolicySet& policies);

// The Rego library of the dialect and its plan, as built in.
struct RegoLibrary {
  std::vector<rego::BundleFile> modules;  // "aegis/decision.rego", ... sorted by name
  std::string_view plan_json;
};
const RegoLibrary& BuiltInLibrary();

}  // namespace aegis::policy
