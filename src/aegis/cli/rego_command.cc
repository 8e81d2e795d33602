// aegis rego eval: any OPA bundle, without a server.
#include <CLI/CLI.hpp>
#include <cstdio>

#include "aegis/base/clock.h"
#include "aegis/cli/bundle_file.h"
#include "aegis/cli/commands.h"
#include "aegis/cli/context.h"
#include "aegis/rego/program.h"
#include "aegis/rego/trace.h"
#include "aegis/rego/vm.h"

namespace aegis::cli {

using nlohmann::json;

namespace {

constexpr size_t kMaxInputBytes = size_t{64} << 20;

struct Flags {
  std::string bundle, input, entrypoint;
  bool strict = false, list = false, explain = false;
};

// The rule's path as a plan names it: "data.p.answer" and "/p/answer" are "p/answer".
std::string PathOf(std::string name) {
  if (name.starts_with("data.")) {
    name.erase(0, 5);
    std::replace(name.begin(), name.end(), '.', '/');
  }
  if (name.starts_with('/')) name.erase(0, 1);
  return name;
}

std::string Joined(const std::vector<std::string_view>& names) {
  std::string out;
  for (const std::string_view name : names) out.append(out.empty() ? "" : ", ").append(name);
  return out;
}

int ListEntrypoints(const Context& context, const rego::Program& program) {
  if (context.format() == Format::kJson) {
    PrintJson(json(program.entrypoints()));
  } else {
    for (const std::string_view name : program.entrypoints())
      std::printf("%s\n", Printable(name).c_str());
  }
  return kExitOk;
}

// The rules that were asked, what held in them and what did not.
Result<int> Explain(const Context& context, const Flags& flags, const rego::Bundle& bundle,
                    std::string_view entrypoint) {
  std::string input;
  if (!flags.input.empty()) {
    AEGIS_TRY(input, ReadFileOrStdin(flags.input, kMaxInputBytes));
  }
  AEGIS_TRY(const rego::Trace trace,
            rego::TraceEvaluation(bundle.plan_json, bundle.data_json, entrypoint, input,
                                  Clock::System().UnixNanos()));
  if (context.format() == Format::kJson) {
    std::printf("%s\n", rego::TraceJson(trace).c_str());
  } else {
    PrintTrace(trace, bundle.modules);
  }
  return trace.error.empty() ? kExitOk : kExitFailed;
}

Result<int> Eval(const Context& context, const Flags& flags) {
  const std::string wanted = PathOf(flags.entrypoint);
  std::vector<std::string> entrypoints;
  if (!wanted.empty()) entrypoints.push_back(wanted);
  AEGIS_TRY(const rego::Bundle bundle, ReadPlannedBundle(flags.bundle, entrypoints));
  auto program = rego::Program::Load(bundle.plan_json, bundle.data_json);
  if (!program) return Fail(Annotate(std::move(program).error(), NameOf(flags.bundle)));
  const std::vector<std::string_view> names = (*program)->entrypoints();
  if (flags.list) return ListEntrypoints(context, **program);
  if (names.empty())
    return Fail(Code::kFailedPrecondition, "bundle_no_entrypoint",
                NameOf(flags.bundle) + ": the plan has no entrypoint");
  const auto entrypoint = (*program)->FindEntrypoint(wanted.empty() ? names[0] : wanted);
  if (!entrypoint)
    return Fail(Code::kNotFound, "bundle_no_entrypoint",
                NameOf(flags.bundle) + ": the plan has no entrypoint " + wanted + "; it has " +
                    Joined(names));

  if (flags.explain) return Explain(context, flags, bundle, names[*entrypoint]);

  Arena arena(64 * 1024, size_t{1} << 30);
  rego::Value input;
  std::string text;
  if (!flags.input.empty()) {
    AEGIS_TRY(text, ReadFileOrStdin(flags.input, kMaxInputBytes));
    Result<rego::Value> parsed = rego::ParseJson(text, arena);
    if (!parsed) return Fail(Annotate(std::move(parsed).error(), NameOf(flags.input)));
    input = *parsed;
  }
  rego::Vm vm({.strict_builtin_errors = flags.strict});
  Result<rego::Value> results =
      vm.EvalResultSet(**program, *entrypoint, input, Clock::System().UnixNanos(), arena);
  if (!results)
    return Fail(Annotate(std::move(results).error(),
                         NameOf(flags.bundle) + ": " + std::string(names[*entrypoint])));
  std::printf("%s\n", rego::ToJson(*results).c_str());
  return kExitOk;
}

}  // namespace

void AddRegoCommand(CLI::App& root, Context& context) {
  CLI::App* group = root.add_subcommand("rego", "Evaluate OPA bundles; no server needed");
  group->require_subcommand(1);
  auto flags = std::make_shared<Flags>();
  CLI::App* command = group->add_subcommand(
      "eval", "The result set of one rule of an OPA bundle, as canonical JSON");
  command->footer(
      "Prints [{\"result\": ...}], or [] when the rule is undefined. Exit code: 0 evaluated,\n"
      "1 the bundle, the input or the evaluation failed. A bundle without a plan is planned by "
      "the\n"
      "Rego compiler (aegis-regoc) when that is installed; say then which rule with --entrypoint.");
  command->add_option("--bundle", flags->bundle, "OPA bundle (.tar.gz); - for standard input")
      ->required();
  command->add_option("--input", flags->input,
                      "The input, JSON; - for standard input; default: undefined");
  command->add_option("--entrypoint", flags->entrypoint,
                      "The rule, e.g. aegis/decision; default: the plan's first");
  command->add_flag("--strict", flags->strict,
                    "Errors of built-in functions end the evaluation instead of being undefined");
  command->add_flag("--explain", flags->explain,
                    "The rules that were asked, and the first condition of each that failed");
  command->add_flag("--list", flags->list, "Print the plan's entrypoints and evaluate nothing");
  context.SetAction(command, [&context, flags]() -> Result<int> {
    if (flags->bundle == "-" && flags->input == "-")
      throw CLI::ValidationError("--input", "the bundle is read from standard input already");
    return Eval(context, *flags);
  });
}

}  // namespace aegis::cli
