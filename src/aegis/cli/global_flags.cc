// Flags that every command takes.
#include <CLI/CLI.hpp>

#include "aegis/cli/commands.h"
#include "aegis/cli/context.h"

namespace aegis::cli {

void AddGlobalFlags(CLI::App& root, Context& context) {
  root.add_option("--data", context.data_folder, "Data folder of `aegis up`")
      ->envname("AEGIS_DATA")
      ->capture_default_str();
  root.add_option("--control", context.control_url,
                  "URL of the control API; default: the one running on the data folder")
      ->envname("AEGIS_CONTROL");
  root.add_option("-o,--output", context.format_name, "table or json")
      ->check(CLI::IsMember({"table", "json"}))
      ->capture_default_str();
  // Global flags may also stand after the command, as with kubectl.
  root.fallthrough();
}

}  // namespace aegis::cli
