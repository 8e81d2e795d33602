// aegis init: makes the data folder with its keys and the admin credential.
#include <CLI/CLI.hpp>
#include <cstdio>

#include "aegis/app/commands.h"
#include "aegis/cli/context.h"
#include "aegis/control/data_folder.h"

namespace aegis::app {

void AddInitCommand(CLI::App& root, cli::Context& context) {
  CLI::App* init = root.add_subcommand(
      "init", "Make a data folder: keys, admin credential, state; safe to run again");
  context.SetAction(init, [&context]() -> Result<int> {
    AEGIS_TRY(const std::vector<std::string> made, control::DataFolder::Init(context.data_folder));
    if (context.format() == cli::Format::kJson) {
      cli::PrintJson({{"data", context.data_folder}, {"made", made}});
      return cli::kExitOk;
    }
    if (made.empty()) {
      std::printf("%s was complete; nothing was changed\n", context.data_folder.c_str());
    } else {
      for (const std::string& name : made)
        std::printf("made %s/%s\n", context.data_folder.c_str(), name.c_str());
      std::printf("The admin credential is in %s/admin.key; next: aegis up --data %s\n",
                  context.data_folder.c_str(), context.data_folder.c_str());
    }
    return cli::kExitOk;
  });
}

}  // namespace aegis::app
