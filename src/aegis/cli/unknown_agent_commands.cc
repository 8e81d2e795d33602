// aegis agent unknown|adopt|block|unblock|blocked: callers that gateways refused because nobody
// knows them, and what an operator does about them.
#include <CLI/CLI.hpp>
#include <algorithm>

#include "aegis/cli/commands.h"
#include "aegis/cli/context.h"
#include "aegis/net/tcp.h"

namespace aegis::cli {

using nlohmann::json;

namespace {

struct AdoptFlags {
  std::string claimed, name;
  std::vector<std::string> labels;
};

Result<int> ListUnknown(const Context& context) {
  AEGIS_TRY(ControlClient client, ControlClient::Connect(context));
  AEGIS_TRY(json callers, client.List("/api/v1/unknown-agents"));
  // The latest first; times of one form sort as texts.
  std::stable_sort(callers.begin(), callers.end(), [](const json& a, const json& b) {
    return a.value("last_seen", "") > b.value("last_seen", "");
  });
  if (context.format() == Format::kJson) {
    PrintJson(callers);
    return kExitOk;
  }
  Table table({"SOURCE", "NAME", "TARGET", "REASON", "CALLS", "FIRST SEEN", "LAST SEEN"});
  for (const json& row : callers) {
    table.Add({row.value("source", ""), row.value("name", ""), row.value("target", ""),
               row.value("reason", ""), std::to_string(row.value("count", int64_t{0})),
               row.value("first_seen", ""), row.value("last_seen", "")});
  }
  table.Print();
  return kExitOk;
}

Result<int> Adopt(const Context& context, const AdoptFlags& flags) {
  AEGIS_TRY(const json labels, ParseLabels(flags.labels));
  AEGIS_TRY(ControlClient client, ControlClient::Connect(context));
  const std::string& name = flags.name.empty() ? flags.claimed : flags.name;
  const json body = {{"name", name}, {"labels", labels}, {"adopts", flags.claimed}};
  AEGIS_TRY(const json answer, client.Call("POST", "/api/v1/agents", &body));
  if (context.format() == Format::kJson) {
    PrintJson(answer);
  } else {
    std::printf("agent %s registered; next: a policy for it, and aegis token issue %s\n",
                Printable(name).c_str(), Printable(name).c_str());
  }
  return kExitOk;
}

// "10.0.0.1" is a source, all else a name.
json BlockBody(const std::string& who) {
  return {{net::CanonicalIp(who).empty() ? "name" : "source", who}};
}

void AddBlockCommand(CLI::App& agent, Context& context, const char* verb, const char* path,
                     const char* done, const char* description) {
  auto who = std::make_shared<std::string>();
  CLI::App* command = agent.add_subcommand(verb, description);
  command->add_option("WHO", *who, "A source (IP address), or a name as `agent unknown` shows it")
      ->required();
  context.SetAction(command, [&context, who, path, done]() -> Result<int> {
    AEGIS_TRY(ControlClient client, ControlClient::Connect(context));
    const json body = BlockBody(*who);
    AEGIS_TRY(const json answer, client.Call("POST", path, &body));
    if (context.format() == Format::kJson) {
      PrintJson(answer);
    } else {
      std::printf("%s %s is %s\n", body.begin().key().c_str(), Printable(*who).c_str(), done);
    }
    return kExitOk;
  });
}

Result<int> ListBlocked(const Context& context) {
  AEGIS_TRY(ControlClient client, ControlClient::Connect(context));
  AEGIS_TRY(const json blocks, client.List("/api/v1/blocks"));
  if (context.format() == Format::kJson) {
    PrintJson(blocks);
    return kExitOk;
  }
  Table table({"BLOCKED", "WHAT", "SINCE"});
  for (const json& row : blocks) {
    const char* what = row.contains("source") ? "source" : "name";
    table.Add({row.value(what, ""), what, row.value("created_at", "")});
  }
  table.Print();
  return kExitOk;
}

}  // namespace

void AddUnknownAgentCommands(CLI::App& agent, Context& context) {
  CLI::App* unknown = agent.add_subcommand(
      "unknown", "Callers that were refused because nobody knows them, the latest first");
  context.SetAction(unknown, [&context] { return ListUnknown(context); });

  auto flags = std::make_shared<AdoptFlags>();
  CLI::App* adopt =
      agent.add_subcommand("adopt", "Register an unknown caller as an agent of its name");
  adopt->add_option("CLAIMED", flags->claimed, "Its name as `agent unknown` shows it")->required();
  adopt->add_option("--as", flags->name,
                    "The agent's name, if it is to be another: 1-128 of A-Z a-z 0-9 . _ -");
  adopt->add_option("-l,--label", flags->labels,
                    "key=value, for policies that match by label; repeatable");
  context.SetAction(adopt, [&context, flags] { return Adopt(context, *flags); });

  AddBlockCommand(agent, context, "block", "/api/v1/blocks", "blocked",
                  "Refuse every call from a source, or an unknown caller's name, and list it no "
                  "longer");
  AddBlockCommand(agent, context, "unblock", "/api/v1/blocks/remove", "no longer blocked",
                  "Undo a block");
  CLI::App* blocked = agent.add_subcommand("blocked", "What is blocked");
  context.SetAction(blocked, [&context] { return ListBlocked(context); });
}

}  // namespace aegis::cli
