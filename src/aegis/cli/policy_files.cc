#include "aegis/cli/policy_files.h"

#include <cstdio>
#include <nlohmann/json.hpp>

#include "aegis/cli/output.h"
#include "aegis/policy/custom_rego.h"

namespace aegis::cli {

using nlohmann::json;

json ToJson(const policy::Diagnostics& diagnostics) {
  json list = json::array();
  for (const policy::Diagnostic& each : diagnostics.items())
    list.push_back({{"severity", each.severity == policy::Severity::kError ? "error" : "warning"},
                    {"file", each.file},
                    {"line", each.position.line},
                    {"column", each.position.column},
                    {"message", each.message}});
  return list;
}

void PrintDiagnostics(const policy::Diagnostics& diagnostics) {
  for (const policy::Diagnostic& each : diagnostics.items())
    std::fprintf(stderr, "%s\n", Printable(each.ToString()).c_str());
  if (diagnostics.dropped() > 0)
    std::fprintf(stderr, "and %zu more mistakes\n", diagnostics.dropped());
}

void PrintDiagnostics(const json& diagnostics) {
  for (const json& each : diagnostics) {
    policy::Diagnostic diagnostic;
    if (each.value("severity", "") == "warning") diagnostic.severity = policy::Severity::kWarning;
    diagnostic.file = each.value("file", "");
    diagnostic.position = {each.value("line", 0u), each.value("column", 0u)};
    diagnostic.message = each.value("message", "");
    std::fprintf(stderr, "%s\n", Printable(diagnostic.ToString()).c_str());
  }
}

Result<policy::PolicySet> LoadPolicies(const std::vector<std::string>& paths) {
  policy::ParseResult parsed = policy::LoadSources(paths);
  policy::PlanCustomRego(parsed);
  PrintDiagnostics(parsed.diagnostics);
  if (!parsed.policies)
    return Fail(Code::kInvalidArgument, "policy_invalid",
                std::to_string(parsed.diagnostics.error_count()) + " mistakes, nothing was done");
  return std::move(*parsed.policies);
}

}  // namespace aegis::cli
