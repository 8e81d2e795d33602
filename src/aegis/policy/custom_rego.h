// Custom Rego of the dialect: modules that documents list under `rego`, each of package
// aegis.custom.X, whose set `deny` may refuse what the dialect allows (docs/policy-dialect.md).
//
// A bundle with custom Rego has the dialect's library under package aegis.dialect, the modules, and
// a module of package aegis that puts them together; its plan is made by OPA's compiler when it is
// published. Everything else is as in bundles without.
//
// Threading: free functions; no shared state.
#pragma once

#include <functional>
#include <vector>

#include "aegis/base/result.h"
#include "aegis/policy/parse.h"
#include "aegis/rego/bundle.h"
#include "aegis/rego/compiler_tool.h"

namespace aegis::policy {

using CompilerFinder = std::function<Result<rego::CompilerTool>()>;

// Checks and plans the custom Rego of `result`, if there is any. Mistakes in it, and a compiler
// that is missing or fails, are errors among the diagnostics, and `policies` is then gone.
void PlanCustomRego(ParseResult& result, const CompilerFinder& find = rego::CompilerTool::Find);

// All Rego of a bundle with these policies, sorted by name, and its plan. Errors: rego_not_planned
// (PlanCustomRego was not called).
struct BundleRego {
  std::vector<rego::BundleFile> modules;
  std::string_view plan_json;  // lives in `policies` or in the program
};
Result<BundleRego> RegoOf(const PolicySet& policies);

}  // namespace aegis::policy
