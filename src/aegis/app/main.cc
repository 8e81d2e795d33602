// aegis: wires the parts and hands over to the command.
#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdio>

#include "aegis/app/commands.h"
#include "aegis/cli/commands.h"
#include "aegis/cli/context.h"

#ifndef AEGIS_VERSION
#error "AEGIS_VERSION comes from the build"
#endif

int main(int argc, char** argv) {
  // A reader that goes away is an error of the write, not the end of the process.
  std::signal(SIGPIPE, SIG_IGN);
  // So is a file that may grow no more (ulimit -f): calls are refused, and Aegis stays.
  std::signal(SIGXFSZ, SIG_IGN);

  CLI::App root("The security mesh between AI agents and the tools they call.", "aegis");
  root.require_subcommand(1);
  root.footer("Exit codes: 0 yes or done, 1 no or failed, 2 wrong usage.");

  aegis::cli::Context context;
  aegis::cli::AddGlobalFlags(root, context);
  aegis::app::AddInitCommand(root, context);
  aegis::app::AddUpCommand(root, context);
  aegis::app::AddConfigCommand(root, context);
  aegis::cli::AddAgentCommands(root, context);
  aegis::cli::AddTokenCommands(root, context);
  aegis::cli::AddToolCommands(root, context);
  aegis::cli::AddPolicyCommands(root, context);
  aegis::cli::AddDecideCommand(root, context);
  aegis::cli::AddRegoCommand(root, context);
  aegis::cli::AddAuditCommands(root, context);
  aegis::cli::AddDoctorCommand(root, context);
  aegis::cli::AddCompletionCommand(root, context);

  CLI::App* version = root.add_subcommand("version", "The version of this build");
  context.SetAction(version, []() -> aegis::Result<int> {
    std::printf("aegis %s\n", AEGIS_VERSION);
    return aegis::cli::kExitOk;
  });
  root.set_version_flag("--version", "aegis " AEGIS_VERSION);

  try {
    root.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    // --help and --version come as errors with code 0.
    return root.exit(error) == 0 ? aegis::cli::kExitOk : aegis::cli::kExitUsage;
  }
  return context.exit_code;
}
