#include "aegis/policy/custom_rego.h"

#include <algorithm>
#include <map>

#include "aegis/base/text.h"
#include "aegis/policy/compile.h"

namespace aegis::policy {
namespace {

constexpr std::string_view kCustomFolder = "aegis/custom/";

// What puts the dialect's decision and the packages together. Names of packages are put in where it
// ends; nothing else of it depends on policies.
constexpr std::string_view kDecisionModule =
    R"rego(# The verdict where documents list custom Rego: the dialect's own, and of what that lets pass (shadow
# does, too) the packages listed by documents of this agent may refuse more, the enforced ones first.
package aegis

# METADATA
# description: The verdict on one call.
# entrypoint: true
decision := custom_verdict if {
	custom_verdict.outcome != "allow"
	custom_verdict.mode == "enforce"
} else := custom_refusal("enforce", custom_enforced) if {
	count(custom_enforced) > 0
} else := custom_refusal("shadow", custom_shadowed) if {
	custom_verdict.outcome == "allow"
	count(custom_shadowed) > 0
} else := custom_verdict

custom_verdict := data.aegis.dialect.decision

custom_enforced := custom_denials("enforce")

custom_shadowed := custom_denials("shadow")

custom_denials(mode) := {denial |
	some index in data.aegis.dialect.agent_profiles
	some row in data.aegis.profiles[index].custom
	row.mode == mode
	some element in custom_deny(row.package)
	denial := {"rule": concat("", ["aegis.custom.", row.package]), "message": custom_message(element)}
}

custom_message(element) := substring(element, 0, 400) if {
	is_string(element)
} else := substring(element.message, 0, 400) if {
	is_string(element.message)
} else := "denied by custom Rego"

# One rule, and up to five messages.
custom_refusal(mode, found) := {
	"outcome": "deny",
	"reason": "custom_denied",
	"rule": min({denial.rule | some denial in found}),
	"message": concat("; ", array.slice(messages, 0, 5)),
	"mode": mode,
	"violations": [],
	"obligations": {},
} if {
	messages := sort({denial.message | some denial in found})
}
)rego";

std::string DecisionModule(const PolicySet& policies) {
  std::string text(kDecisionModule);
  for (const CustomModule& module : policies.modules) {
    const std::string quoted = "\"" + module.package + "\"";
    text += "\ncustom_deny(" + quoted + ") := data.aegis.custom[" + quoted + "].deny\n";
  }
  return text;
}

// The library under another package, so that its decision is one that this module can go on from.
std::string Renamed(std::string text) {
  constexpr std::string_view kPackage = "package aegis\n";
  const size_t at = text.starts_with(kPackage) ? 0 : text.find("\n" + std::string(kPackage)) + 1;
  if (!AEGIS_BUG(text.compare(at, kPackage.size(), kPackage) != 0)) {
    text.insert(at + kPackage.size() - 1, ".dialect");
  }
  return text;
}

std::string FileInBundle(const CustomModule& module) {
  return std::string(kCustomFolder) + module.package + ".rego";
}

std::vector<rego::BundleFile> ModulesWithCustom(const PolicySet& policies) {
  std::vector<rego::BundleFile> modules;
  for (const CustomModule& module : policies.modules) {
    modules.push_back({FileInBundle(module), module.text});
  }
  modules.push_back({"aegis/decision.rego", DecisionModule(policies)});
  for (const rego::BundleFile& module : BuiltInLibrary().modules) {
    const std::string_view base = std::string_view(module.name).substr(module.name.rfind('/') + 1);
    modules.push_back({"aegis/dialect/" + std::string(base), Renamed(module.content)});
  }
  return modules;
}

// Where a document lists the module.
Diagnostic AtListing(const PolicySet& policies, std::string_view package, std::string message) {
  for (const Document& document : policies.documents) {
    for (const RegoListing& listing : document.rego) {
      if (package.empty() || listing.package == package) {
        return {Severity::kError, document.file, listing.position, std::move(message)};
      }
    }
  }
  return {Severity::kError, {}, {}, std::move(message)};
}

Diagnostic ToDiagnostic(const PolicySet& policies, const rego::RegoMistake& mistake) {
  for (const CustomModule& module : policies.modules) {
    if (mistake.file != FileInBundle(module)) continue;
    // At the end of a file the parser gives no column.
    const Position position{mistake.row, mistake.row > 0 ? std::max(mistake.column, 1u) : 0};
    return {Severity::kError, module.file, position, mistake.message};
  }
  return AtListing(policies, {}, "the custom Rego does not compile: " + mistake.ToString());
}

Result<std::string> Plan(const PolicySet& policies, const CompilerFinder& find,
                         std::vector<rego::RegoMistake>& mistakes) {
  AEGIS_TRY(const rego::CompilerTool tool, find());
  std::vector<rego::RegoModule> modules;
  for (rego::BundleFile& file : ModulesWithCustom(policies)) {
    std::string custom;
    if (file.name.starts_with(kCustomFolder)) {
      custom = file.name.substr(kCustomFolder.size());
      custom.resize(custom.size() - std::string_view(".rego").size());
    }
    modules.push_back({std::move(file.name), std::move(file.content), std::move(custom)});
  }
  AEGIS_TRY(rego::CompileAnswer answer,
            tool.Compile(
                {.modules = modules, .data_json = {}, .entrypoints = {std::string(kEntrypoint)}}));
  mistakes = std::move(answer.mistakes);
  return std::move(answer.plan_json);
}

}  // namespace

void PlanCustomRego(ParseResult& result, const CompilerFinder& find) {
  if (!result.policies || result.policies->modules.empty()) return;
  PolicySet& policies = *result.policies;
  std::vector<rego::RegoMistake> mistakes;
  Result<std::string> plan = Plan(policies, find, mistakes);
  if (plan && mistakes.empty()) {
    policies.custom_plan_json = *std::move(plan);
    return;
  }
  if (!plan) {
    result.diagnostics.Add(
        AtListing(policies, {}, "custom Rego cannot be compiled: " + plan.error().message));
  }
  for (const rego::RegoMistake& mistake : mistakes) {
    result.diagnostics.Add(ToDiagnostic(policies, mistake));
  }
  result.policies.reset();
}

Result<BundleRego> RegoOf(const PolicySet& policies) {
  const RegoLibrary& library = BuiltInLibrary();
  if (policies.modules.empty()) return BundleRego{library.modules, library.plan_json};
  if (policies.custom_plan_json.empty()) {
    return Fail(Code::kFailedPrecondition, "rego_not_planned",
                "the policies list custom Rego that was not compiled");
  }
  return BundleRego{ModulesWithCustom(policies), policies.custom_plan_json};
}

}  // namespace aegis::policy
