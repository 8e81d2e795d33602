// aegis decide: what a policy says of a call, without a server.
#include <CLI/CLI.hpp>
#include <cstdio>

#include "aegis/base/clock.h"
#include "aegis/base/file.h"
#include "aegis/cli/bundle_file.h"
#include "aegis/cli/commands.h"
#include "aegis/cli/context.h"
#include "aegis/cli/policy_files.h"
#include "aegis/decision/explain.h"
#include "aegis/policy/compile.h"
#include "aegis/rego/bundle.h"
#include "aegis/rego/program.h"
#include "aegis/rego/vm.h"

namespace aegis::cli {

using nlohmann::json;

namespace {

constexpr size_t kMaxInputBytes = size_t{16} << 20;

struct Flags {
  std::vector<std::string> policies;
  std::string bundle, input, inputs;
  bool explain = false;
};

// A policy made ready to decide.
struct Loaded {
  std::string plan_json, data_json;
  std::vector<rego::BundleFile> modules;
  std::unique_ptr<const rego::Program> program;
  uint32_t entrypoint = 0;
};

Result<Loaded> Load(const Flags& flags) {
  rego::Bundle bundle;
  if (flags.bundle.empty()) {
    AEGIS_TRY(const policy::PolicySet policies, LoadPolicies(flags.policies));
    AEGIS_TRY(const std::string bytes, policy::CompileToBundle(policies, "local", nullptr));
    AEGIS_TRY(bundle, rego::ReadBundle(bytes, nullptr));
  } else {
    AEGIS_TRY(bundle, ReadPlannedBundle(flags.bundle, {std::string(policy::kEntrypoint)}));
  }
  Loaded loaded;
  AEGIS_TRY(loaded.program, rego::Program::Load(bundle.plan_json, bundle.data_json));
  const std::optional<uint32_t> entrypoint = loaded.program->FindEntrypoint(policy::kEntrypoint);
  if (!entrypoint)
    return Fail(Code::kFailedPrecondition, "bundle_no_entrypoint",
                "the bundle's plan has no entrypoint " + std::string(policy::kEntrypoint));
  loaded.entrypoint = *entrypoint;
  loaded.plan_json = std::move(bundle.plan_json);
  loaded.data_json = std::move(bundle.data_json);
  loaded.modules = std::move(bundle.modules);
  return loaded;
}

int64_t TimeOf(rego::Value input) {
  const rego::Value nanos = input.Get("time").Get("unix_ns");
  return nanos.is_int() ? nanos.int_value() : 0;
}

// The decision document's JSON.
Result<std::string> Decide(const Loaded& loaded, rego::Vm& vm, std::string_view input_json,
                           Arena& arena) {
  arena.Reset();
  AEGIS_TRY(const rego::Value input, rego::ParseJson(input_json, arena));
  AEGIS_TRY(const rego::Value document,
            vm.Eval(*loaded.program, loaded.entrypoint, input, TimeOf(input), arena));
  std::string text;
  if (document.is_undefined()) return std::string("null");
  rego::AppendJson(document, text);
  return text;
}

// What a person leaves out when asking by hand. Added to the text, so that numbers stay as exact as
// they were written. `input` is the text parsed.
Result<std::string> WithDefaults(std::string text, rego::Value input) {
  if (!input.is_object())
    return Fail(Code::kInvalidArgument, "bad_input",
                "the input must be an object, e.g. {\"agent\": {\"id\": ...}, \"tool\": ..., "
                "\"action\": ..., \"params\": {...}}");
  text.resize(text.rfind('}'));
  bool first = input.size() == 0;
  const auto add = [&](std::string_view name, const std::string& value) {
    if (!input.Get(name).is_undefined()) return;
    text.append(first ? "" : ",").append("\"").append(name).append("\":").append(value);
    first = false;
  };
  add("params", "{}");
  add("chain", "[]");
  add("time", "{\"unix_ns\":" + std::to_string(Clock::System().UnixNanos()) + "}");
  return text + "}";
}

// What the documents' tables cannot tell: the rules of custom Rego when they refused, all rules of
// a bundle that is not of the dialect.
Status PrintRules(const Loaded& loaded, const decision::Explanation& explanation, rego::Value given,
                  std::string_view input) {
  const bool custom = explanation.reason == "custom_denied";
  const bool foreign = std::none_of(
      loaded.modules.begin(), loaded.modules.end(),
      [](const rego::BundleFile& module) { return module.name == "aegis/decision.rego"; });
  if (!custom && !foreign) return Ok();
  const int64_t time =
      given.Get("time").Get("unix_ns").is_int() ? TimeOf(given) : Clock::System().UnixNanos();
  AEGIS_TRY(rego::Trace trace, rego::TraceEvaluation(loaded.plan_json, loaded.data_json,
                                                     policy::kEntrypoint, input, time));
  if (custom) {
    std::erase_if(trace.rules, [](const rego::RuleTrace& rule) {
      return !rule.name.starts_with("data.aegis.custom.");
    });
  }
  std::printf("\n");
  PrintTrace(trace, loaded.modules);
  return Ok();
}

Result<int> DecideOne(const Context& context, const Flags& flags, const Loaded& loaded) {
  AEGIS_TRY(const std::string raw, ReadFileOrStdin(flags.input, kMaxInputBytes));
  // The strict parse of what was given comes first, so that e.g. a duplicate key is refused.
  Arena arena;
  const auto parsed = rego::ParseJson(raw, arena);
  if (!parsed) return Fail(Annotate(parsed.error(), NameOf(flags.input)));
  AEGIS_TRY(const std::string input, WithDefaults(raw, *parsed));
  if (flags.explain) {
    AEGIS_TRY(const decision::Explanation explanation,
              decision::Explain(loaded.plan_json, loaded.data_json, input));
    std::fputs(
        (context.format() == Format::kJson ? explanation.ToJson() + "\n" : explanation.ToText())
            .c_str(),
        stdout);
    if (context.format() != Format::kJson) {
      AEGIS_RETURN_IF_ERROR(PrintRules(loaded, explanation, *parsed, input));
    }
    return explanation.outcome == "allow" ? kExitOk : kExitFailed;
  }
  rego::Vm vm;
  AEGIS_TRY(const std::string document, Decide(loaded, vm, input, arena));
  std::printf("%s\n", document.c_str());
  const json decision = json::parse(document, nullptr, false);
  return decision.is_object() && decision.value("outcome", "") == "allow" ? kExitOk : kExitFailed;
}

// Each line as it stands: nothing is filled in.
Result<int> DecideMany(const Flags& flags, const Loaded& loaded) {
  AEGIS_TRY(const std::string text, ReadFile(flags.inputs));
  rego::Vm vm;
  Arena arena;
  size_t number = 0;
  for (size_t start = 0; start < text.size();) {
    const size_t end = std::min(text.find('\n', start), text.size());
    const std::string_view line(text.data() + start, end - start);
    start = end + 1;
    ++number;
    if (line.empty()) continue;
    Result<std::string> document = Decide(loaded, vm, line, arena);
    if (!document)
      return Fail(
          Annotate(std::move(document).error(), flags.inputs + ":" + std::to_string(number)));
    std::printf("%s\n", document->c_str());
  }
  return kExitOk;
}

}  // namespace

void AddDecideCommand(CLI::App& root, Context& context) {
  auto flags = std::make_shared<Flags>();
  CLI::App* command =
      root.add_subcommand("decide", "What a policy says of a call; no server needed");
  command->footer(
      "Exit code: 0 allowed, 1 anything else. With --input, absent params, chain and time are\n"
      "taken as {}, [] and now; with --inputs nothing is filled in.");
  CLI::Option* policies =
      command->add_option("--policy", flags->policies, "Policy file or folder; repeatable");
  CLI::Option* bundle = command->add_option("--bundle", flags->bundle,
                                            "OPA bundle instead, as `policy compile` writes");
  policies->excludes(bundle);
  CLI::Option* input =
      command->add_option("--input", flags->input, "The call, JSON; - for standard input");
  command->add_option("--inputs", flags->inputs, "Many calls, one JSON a line; one decision a line")
      ->excludes(input);
  command->add_flag("--explain", flags->explain, "Which grant, condition and value decided")
      ->needs(input);
  context.SetAction(command, [&context, flags]() -> Result<int> {
    // CLI11 has no "one of these must be given".
    if (flags->policies.empty() && flags->bundle.empty())
      throw CLI::RequiredError("--policy or --bundle");
    if (flags->input.empty() && flags->inputs.empty())
      throw CLI::RequiredError("--input or --inputs");
    AEGIS_TRY(const Loaded loaded, Load(*flags));
    return flags->inputs.empty() ? DecideOne(context, *flags, loaded) : DecideMany(*flags, loaded);
  });
}

}  // namespace aegis::cli
