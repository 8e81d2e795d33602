// aegis policy lint PATH...: what is valid, but probably not meant.
#include <CLI/CLI.hpp>
#include <cstdio>

#include "aegis/cli/context.h"
#include "aegis/cli/policy_files.h"
#include "aegis/policy/lint.h"

namespace aegis::cli {

using nlohmann::json;

namespace {

Result<policy::Registry> FetchRegistry(Context& context) {
  AEGIS_TRY(ControlClient client, ControlClient::Connect(context));
  AEGIS_TRY(const json agents, client.List("/api/v1/agents"));
  AEGIS_TRY(const json tools, client.List("/api/v1/tools"));
  policy::Registry registry;
  for (const json& row : agents) {
    policy::Registry::Agent& agent = registry.agents.emplace_back();
    agent.name = row.value("name", "");
    const json labels = row.value("labels", json::object());
    for (const auto& [key, value] : labels.items()) {
      if (value.is_string()) agent.labels.emplace_back(key, value.get<std::string>());
    }
  }
  for (const json& row : tools) {
    const std::string& name = registry.tools.emplace_back(row.value("name", ""));
    if (row.value("action_count", 0) == 0) continue;
    AEGIS_TRY(const json tool, client.Call("GET", "/api/v1/tools/" + EncodeSegment(name)));
    if (tool.value("unmapped", "refuse") != "refuse") continue;
    for (const json& action : tool["actions"]) {
      registry.actions[name].push_back(action.value("name", ""));
    }
  }
  return registry;
}

json ToJson(const std::vector<policy::LintFinding>& findings) {
  json out = json::array();
  for (const policy::LintFinding& finding : findings) {
    json row = {{"rule", policy::LintRuleName(finding.rule)}, {"message", finding.message}};
    if (!finding.file.empty()) {
      row["file"] = finding.file;
      row["line"] = finding.position.line;
      row["column"] = finding.position.column;
    }
    out.push_back(std::move(row));
  }
  return out;
}

}  // namespace

void AddPolicyLintCommand(CLI::App& policy, Context& context) {
  struct Flags {
    std::vector<std::string> paths;
    bool registered = false;
  };
  auto flags = std::make_shared<Flags>();
  CLI::App* command = policy.add_subcommand(
      "lint", "Grants that never decide a call, conditions that hold nobody back, unknown names");
  command->add_option("PATH", flags->paths, "Policy files, or folders of them")->required();
  command->add_flag("--registered", flags->registered,
                    "Also hold names against the agents and tools of the running control plane");
  context.SetAction(command, [&context, flags]() -> Result<int> {
    AEGIS_TRY(const policy::PolicySet policies, LoadPolicies(flags->paths));
    std::optional<policy::Registry> registry;
    if (flags->registered) {
      AEGIS_TRY(registry, FetchRegistry(context));
    }
    const std::vector<policy::LintFinding> findings =
        policy::Lint(policies, registry ? &*registry : nullptr);
    if (context.format() == Format::kJson) {
      PrintJson({{"findings", ToJson(findings)}});
    } else {
      for (const policy::LintFinding& finding : findings) {
        std::printf("%s\n", Printable(finding.ToString()).c_str());
      }
      if (findings.empty()) {
        std::printf("nothing found in %zu %s\n", policies.documents.size(),
                    policies.documents.size() == 1 ? "document" : "documents");
      }
    }
    return findings.empty() ? kExitOk : kExitFailed;
  });
}

}  // namespace aegis::cli
