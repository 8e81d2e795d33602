// aegis agent register|list|suspend|resume: the registry of the control API. What concerns agents
// that nobody knows is in unknown_agent_commands.cc.
#include <CLI/CLI.hpp>

#include "aegis/cli/commands.h"
#include "aegis/cli/context.h"

namespace aegis::cli {

using nlohmann::json;

namespace {

struct RegisterFlags {
  std::string name;
  std::vector<std::string> labels;
};

}  // namespace

Result<json> ParseLabels(const std::vector<std::string>& labels) {
  json parsed = json::object();
  for (const std::string& label : labels) {
    const size_t equals = label.find('=');
    if (equals == std::string::npos || equals == 0)
      return Fail(Code::kInvalidArgument, "bad_label",
                  "--label " + label + ": write it as key=value");
    parsed[label.substr(0, equals)] = label.substr(equals + 1);
  }
  return parsed;
}

namespace {

std::string LabelText(const json& labels) {
  std::string text;
  for (const auto& [key, value] : labels.items())
    text += (text.empty() ? "" : ",") + key + "=" +
            (value.is_string() ? value.get<std::string>() : value.dump());
  return text.empty() ? "-" : text;
}

void AddStatusCommand(CLI::App& agent, Context& context, const char* verb, const char* status,
                      const char* description) {
  auto name = std::make_shared<std::string>();
  CLI::App* command = agent.add_subcommand(verb, description);
  command->add_option("NAME", *name, "The agent's name")->required();
  context.SetAction(command, [&context, name, status]() -> Result<int> {
    AEGIS_TRY(ControlClient client, ControlClient::Connect(context));
    const json body = {{"status", status}};
    AEGIS_TRY(const json answer,
              client.Call("POST", "/api/v1/agents/" + EncodeSegment(*name), &body));
    if (context.format() == Format::kJson) {
      PrintJson(answer);
    } else {
      std::printf("agent %s is %s\n", Printable(*name).c_str(), status);
    }
    return kExitOk;
  });
}

}  // namespace

void AddAgentCommands(CLI::App& root, Context& context) {
  CLI::App* agent = root.add_subcommand("agent", "Register and control agents");
  agent->require_subcommand(1);

  auto flags = std::make_shared<RegisterFlags>();
  CLI::App* add =
      agent->add_subcommand("register", "Make an agent known, so that tokens can be issued for it");
  add->add_option("NAME", flags->name, "1-128 characters of A-Z a-z 0-9 . _ -")->required();
  add->add_option("-l,--label", flags->labels,
                  "key=value, for policies that match by label; repeatable");
  context.SetAction(add, [&context, flags]() -> Result<int> {
    AEGIS_TRY(const json labels, ParseLabels(flags->labels));
    AEGIS_TRY(ControlClient client, ControlClient::Connect(context));
    const json body = {{"name", flags->name}, {"labels", labels}};
    AEGIS_TRY(const json answer, client.Call("POST", "/api/v1/agents", &body));
    if (context.format() == Format::kJson) {
      PrintJson(answer);
    } else {
      std::printf("agent %s registered; next: aegis token issue %s\n",
                  Printable(flags->name).c_str(), Printable(flags->name).c_str());
    }
    return kExitOk;
  });

  CLI::App* list = agent->add_subcommand("list", "All agents of the tenant");
  context.SetAction(list, [&context]() -> Result<int> {
    AEGIS_TRY(ControlClient client, ControlClient::Connect(context));
    AEGIS_TRY(const json agents, client.List("/api/v1/agents"));
    if (context.format() == Format::kJson) {
      PrintJson(agents);
      return kExitOk;
    }
    Table table({"NAME", "STATUS", "LABELS", "CREATED"});
    for (const json& row : agents)
      table.Add({row.value("name", ""), row.value("status", ""),
                 LabelText(row.value("labels", json::object())), row.value("created_at", "")});
    table.Print();
    return kExitOk;
  });

  AddStatusCommand(*agent, context, "suspend", "suspended",
                   "Refuse every call of an agent from now on");
  AddStatusCommand(*agent, context, "resume", "active", "Let a suspended agent call again");
  AddUnknownAgentCommands(*agent, context);
}

}  // namespace aegis::cli
