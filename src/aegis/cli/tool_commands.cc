// aegis tool add|apply|import|list|show: the registry of tools of the control API.
#include <CLI/CLI.hpp>

#include "aegis/cli/commands.h"
#include "aegis/cli/context.h"
#include "aegis/cli/policy_files.h"
#include "aegis/cli/tool_files.h"
#include "aegis/policy/node.h"
#include "aegis/tool/openapi.h"

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

// The JSON of the first document in a text of YAML or JSON; mistakes go to `diagnostics`.
class FirstDocument final : public policy::DocumentSink {
 public:
  void OnDocument(const policy::NodeTree& tree) override {
    if (json.empty()) policy::AppendJson(*tree.root, json);
  }
  std::string json;
};

Result<std::string> ReadDescription(const std::string& file) {
  AEGIS_TRY(std::string text, ReadFileOrInput(file, tool::kMaxOpenApiBytes));
  // JSON needs no conversion, and is read as strictly.
  if (text.find_first_not_of(" \t\r\n") == text.find('{')) return text;
  policy::SourceLimits limits;
  limits.max_depth = 100;
  limits.max_nodes_per_document = 5'000'000;
  limits.max_scalar_bytes = size_t{1} << 20;
  policy::Diagnostics diagnostics;
  const policy::SourceText source(file, text);
  FirstDocument document;
  policy::ReadSource(source, limits, document, diagnostics);
  PrintDiagnostics(diagnostics);
  if (diagnostics.has_errors()) {
    return Fail(Code::kInvalidArgument, "openapi_malformed", file + " cannot be read");
  }
  return std::move(document.json);
}

void PrintNotes(const char* kind, const std::vector<tool::OpenApiImport::Note>& notes) {
  for (const tool::OpenApiImport::Note& note : notes) {
    std::fprintf(stderr, "%s %s: %s\n", kind, Printable(note.operation).c_str(),
                 Printable(note.detail).c_str());
  }
}

void AddImport(CLI::App& tool, Context& context) {
  struct Flags {
    std::string name, file, url;
    bool dry_run = false;
  };
  auto flags = std::make_shared<Flags>();
  CLI::App* import = tool.add_subcommand(
      "import", "Register a tool by an OpenAPI description (3.0, 3.1): operations become actions");
  import->add_option("NAME", flags->name, "1-128 characters of A-Z a-z 0-9 . _ -")->required();
  import->add_option("-f,--file", flags->file, "The description, YAML or JSON; '-': standard input")
      ->required();
  import->add_option("--url", flags->url, "Where the tool is; default: the first server");
  import->add_flag("--dry-run", flags->dry_run, "Print the document for `apply`, register nothing");
  context.SetAction(import, [&context, flags]() -> Result<int> {
    AEGIS_TRY(const std::string description, ReadDescription(flags->file));
    AEGIS_TRY(const tool::OpenApiImport made,
              tool::ImportOpenApi(description, flags->name, flags->url));
    PrintNotes("left out", made.left_out);
    PrintNotes("note", made.remarks);
    std::fprintf(stderr, "%s made, %s left out\n",
                 Count(made.spec.actions.size(), "action").c_str(),
                 Count(made.left_out.size(), "operation").c_str());
    if (made.spec.actions.empty()) {
      // Without actions the tool would have no map, and any path would be an action.
      return Fail(Code::kFailedPrecondition, "openapi_empty",
                  "no operation of the description can be an action");
    }
    const json document = json::parse(tool::SpecJson(made.spec));
    if (flags->dry_run) {
      PrintJson(document);
      return kExitOk;
    }
    AEGIS_TRY(ControlClient client, ControlClient::Connect(context));
    // Of a tool that is registered only what the description says: it keeps its hosts and the rest.
    const std::string path = "/api/v1/tools/" + EncodeSegment(made.spec.name);
    json change = {{"actions", document["actions"]}};
    if (!flags->url.empty()) change["base_url"] = flags->url;
    auto changed = client.Call("POST", path, &change);
    if (!changed && changed.error().code == Code::kNotFound) {
      changed = client.Call("PUT", path, &document);
    }
    AEGIS_TRY(const json answer, std::move(changed));
    if (context.format() == Format::kJson) {
      PrintJson(answer);
    } else {
      std::printf("tool %s -> %s; next: aegis tool show %s\n", made.spec.name.c_str(),
                  answer.value("base_url", "").c_str(), made.spec.name.c_str());
    }
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
  AddImport(*tool, context);
  AddList(*tool, context);
  AddShow(*tool, context);
}

}  // namespace aegis::cli
