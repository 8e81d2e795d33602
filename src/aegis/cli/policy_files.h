// Policy files as commands read them, and their mistakes as commands show them.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "aegis/base/result.h"
#include "aegis/policy/parse.h"

namespace CLI {
class App;
}

namespace aegis::cli {

struct Context;

nlohmann::json ToJson(const policy::Diagnostics& diagnostics);
// One line each on stderr: "finance.yaml:3:5: message".
void PrintDiagnostics(const policy::Diagnostics& diagnostics);
// The same of the control API's answer: [{"file", "line", "column", "severity", "message"}].
void PrintDiagnostics(const nlohmann::json& diagnostics);

// The policies of files and folders; mistakes are printed. Errors: policy_invalid.
Result<policy::PolicySet> LoadPolicies(const std::vector<std::string>& paths);

void AddPolicyTestCommand(CLI::App& policy, Context& context);  // policy test
void AddPolicyDiffCommand(CLI::App& policy, Context& context);  // policy diff
void AddPolicyLintCommand(CLI::App& policy, Context& context);  // policy lint

}  // namespace aegis::cli
