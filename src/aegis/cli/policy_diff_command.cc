// aegis policy diff OLD NEW: what agents gain and lose, in words.
#include <CLI/CLI.hpp>
#include <cstdio>

#include "aegis/cli/context.h"
#include "aegis/cli/policy_files.h"
#include "aegis/policy/diff.h"

namespace aegis::cli {

void AddPolicyDiffCommand(CLI::App& policy, Context& context) {
  struct Flags {
    std::string before, after;
    bool fail_if_widens = false;
  };
  auto flags = std::make_shared<Flags>();
  CLI::App* command =
      policy.add_subcommand("diff", "What agents gain and lose between two policies, in words");
  command->add_option("OLD", flags->before, "Policy file or folder")->required();
  command->add_option("NEW", flags->after, "Policy file or folder")->required();
  command->add_flag("--fail-if-widens", flags->fail_if_widens,
                    "Exit with 1 if anything is granted or loosened, for a pipeline's gate");
  context.SetAction(command, [&context, flags]() -> Result<int> {
    AEGIS_TRY(const policy::PolicySet before, LoadPolicies({flags->before}));
    AEGIS_TRY(const policy::PolicySet after, LoadPolicies({flags->after}));
    const policy::PolicyDiff diff = policy::Diff(before, after);
    std::fputs((context.format() == Format::kJson ? diff.ToJson() + "\n" : diff.ToString()).c_str(),
               stdout);
    return flags->fail_if_widens && diff.widens() ? kExitFailed : kExitOk;
  });
}

}  // namespace aegis::cli
