// aegis tool add|apply|list|show: the registry of tools of the control API.
#include <CLI/CLI.hpp>

#include "aegis/cli/commands.h"
#include "aegis/cli/context.h"
#include "aegis/cli/policy_files.h"
#include "aegis/cli/tool_files.h"
#include "aegis/policy/node.h"

namespace aegis::cli {

using nlohmann::json;

namespace {

void AddAdd(CLI::App& tool, Context& context) {
  struct Flags {
    std::string name, url;
  };
  auto flags = std::make_shared<Flags>();
  CLI::App* add =
      tool.add_subcommand("add", "Name a tool and where it is; agents reach it at /tools/NAME/");
  add->add_option("NAME", flags->name, "1-128 characters of A-Z a-z 0-9 . _ -")->required();
  add->add_option("--url", flags->url, "Base URL, e.g. http://127.0.0.1:9400")->required();
  context.SetAction(add, [&context, flags]() -> Result<int> {
    AEGIS_TRY(ControlClient client, ControlClient::Connect(context));
    const json body = {{"name", flags->name}, {"base_url", flags->url}};
    AEGIS_TRY(const json answer, client.Call("POST", "/api/v1/tools", &body));
    if (context.format() == Format::kJson) {
      PrintJson(answer);
    } else {
      std::printf("tool %s -> %s\n", Printable(flags->name).c_str(), Printable(flags->url).c_str());
    }
    return kExitOk;
  });
}

std::string Count(size_t count, const char* what) {
  return std::to_string(count) + " " + what + (count == 1 ? "" : "s");
}

void AddApply(CLI::App& tool, Context& context) {
  auto files = std::make_shared<std::vector<std::string>>();
  CLI::App* apply =
      tool.add_subcommand("apply", "Register tools by their documents, or change them to be so");
  apply->add_option("-f,--file", *files, "YAML or JSON; '-' is standard input; repeatable")
      ->required();
  context.SetAction(apply, [&context, files]() -> Result<int> {
    // Nothing is sent before all of it is known to be good.
    policy::Diagnostics diagnostics;
    std::vector<tool::Spec> specs;
    for (const std::string& file : *files) {
      AEGIS_TRY(std::vector<tool::Spec> some, ReadToolFile(file, diagnostics));
      std::move(some.begin(), some.end(), std::back_inserter(specs));
    }
    PrintDiagnostics(diagnostics);
    if (diagnostics.has_errors()) return kExitFailed;
    AEGIS_TRY(ControlClient client, ControlClient::Connect(context));
    json answers = json::array();
    for (const tool::Spec& spec : specs) {
      const json body = json::parse(tool::SpecJson(spec));
      AEGIS_TRY(json answer,
                client.Call("PUT", "/api/v1/tools/" + EncodeSegment(spec.name), &body));
      if (context.format() == Format::kTable) {
        std::printf("tool %s -> %s, %s, revision %lld\n", spec.name.c_str(), spec.base_url.c_str(),
                    Count(spec.actions.size(), "action").c_str(),
                    static_cast<long long>(answer.value("revision", int64_t{0})));
      }
      answers.push_back(std::move(answer));
    }
    if (context.format() == Format::kJson) PrintJson(answers);
    return kExitOk;
  });
}

void AddList(CLI::App& tool, Context& context) {
  CLI::App* list = tool.add_subcommand("list", "All tools of the tenant");
  context.SetAction(list, [&context]() -> Result<int> {
    AEGIS_TRY(ControlClient client, ControlClient::Connect(context));
    AEGIS_TRY(const json tools, client.List("/api/v1/tools"));
    if (context.format() == Format::kJson) {
      PrintJson(tools);
      return kExitOk;
    }
    Table table({"NAME", "URL", "HOSTS", "ACTIONS"});
    for (const json& row : tools) {
      std::string hosts;
      for (const json& host : row.value("hosts", json::array())) {
        hosts += (hosts.empty() ? "" : ",") + host.get<std::string>();
      }
      const size_t actions = row.value("action_count", size_t{0});
      table.Add({row.value("name", ""), row.value("base_url", ""), hosts.empty() ? "-" : hosts,
                 actions == 0 ? "-" : std::to_string(actions)});
    }
    table.Print();
    return kExitOk;
  });
}

// "amount:number, key=header idempotency-key": what the map says of the action's params.
std::string ParamsText(const tool::Action& action) {
  std::string out;
  for (const tool::Param& param : action.params) {
    if (!out.empty()) out += ", ";
    out += param.name;
    std::string type(tool::TypeName(param.type));
    if (param.list) type += "[]";
    if (!type.empty()) out += ":" + type;
    if (param.place == tool::Place::kAnywhere) continue;
    out.append(" (").append(tool::PlaceName(param.place));
    if (param.sent_as != param.name) out += " " + param.sent_as;
    out += ')';
  }
  return out.empty() ? "-" : out;
}

void AddShow(CLI::App& tool, Context& context) {
  auto name = std::make_shared<std::string>();
  CLI::App* show = tool.add_subcommand("show", "A tool's document; -o json for `apply`");
  show->add_option("NAME", *name, "The tool's name")->required();
  context.SetAction(show, [&context, name]() -> Result<int> {
    AEGIS_TRY(ControlClient client, ControlClient::Connect(context));
    AEGIS_TRY(json answer, client.Call("GET", "/api/v1/tools/" + EncodeSegment(*name)));
    for (const char* member : {"created_at", "updated_at", "revision"}) answer.erase(member);
    if (context.format() == Format::kJson) {
      PrintJson(answer);
      return kExitOk;
    }
    std::vector<tool::Mistake> mistakes;
    AEGIS_TRY(const tool::Spec spec, tool::ReadSpec(answer.dump(), &mistakes));
    std::printf("tool %s -> %s\n", spec.name.c_str(), spec.base_url.c_str());
    for (const std::string& host : spec.hosts) std::printf("host %s\n", host.c_str());
    if (spec.actions.empty()) {
      std::printf("the first segment of a path is the action\n");
      return kExitOk;
    }
    std::printf("other requests are %s\n", spec.unmapped == tool::Unmapped::kRefuse
                                               ? "refused"
                                               : "the action that their first segment names");
    Table table({"ACTION", "METHOD", "PATH", "PARAMS"});
    for (const tool::Action& action : spec.actions) {
      table.Add({action.name, action.method, action.path, ParamsText(action)});
    }
    table.Print();
    return kExitOk;
  });
}

}  // namespace

void AddToolCommands(CLI::App& root, Context& context) {
  CLI::App* tool = root.add_subcommand("tool", "Register the tools that agents may be granted");
  tool->require_subcommand(1);
  AddAdd(*tool, context);
  AddApply(*tool, context);
  AddList(*tool, context);
  AddShow(*tool, context);
}

}  // namespace aegis::cli
