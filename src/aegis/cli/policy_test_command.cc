// aegis policy test: runs the *_test.yaml files beside policies.
#include <CLI/CLI.hpp>
#include <cstdio>

#include "aegis/cli/context.h"
#include "aegis/cli/policy_files.h"
#include "aegis/policy/test_runner.h"

namespace aegis::cli {

void AddPolicyTestCommand(CLI::App& policy, Context& context) {
  auto paths = std::make_shared<std::vector<std::string>>();
  CLI::App* command =
      policy.add_subcommand("test", "Run the policy tests (*_test.yaml) beside the policies");
  command->add_option("PATH", *paths, "Policy and test files, or folders of them")->required();
  context.SetAction(command, [&context, paths]() -> Result<int> {
    AEGIS_TRY(const policy::PolicySet policies, LoadPolicies(*paths));
    policy::Diagnostics unreadable;
    const std::vector<policy::SourceFile> tests =
        policy::ReadSources(*paths, policy::FileKind::kTests, unreadable);
    PrintDiagnostics(unreadable);
    if (unreadable.has_errors()) return kExitFailed;
    if (tests.empty())
      return Fail(
          Code::kNotFound, "no_tests",
          "there is no *_test.yaml among these paths; `aegis policy schema --tests` describes one");
    AEGIS_TRY(const policy::TestReport report, policy::RunTests(policies, tests));
    std::fputs(
        (context.format() == Format::kJson ? report.ToJson() + "\n" : report.ToString()).c_str(),
        stdout);
    return report.ok() ? kExitOk : kExitFailed;
  });
}

}  // namespace aegis::cli
