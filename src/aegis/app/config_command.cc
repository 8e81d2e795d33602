// aegis config check|schema: what `aegis up --config` reads.
#include "aegis/app/config_command.h"

#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>

#include "aegis/app/commands.h"
#include "aegis/cli/context.h"
#include "aegis/cli/policy_files.h"

namespace aegis::app {

Result<Config> LoadConfig(const std::string& path, const std::string& tenant) {
  policy::Diagnostics diagnostics;
  Result<Config> config = ReadConfig(path, tenant, diagnostics);
  cli::PrintDiagnostics(diagnostics);
  return config;
}

void AddConfigCommand(CLI::App& root, cli::Context& context) {
  CLI::App* config = root.add_subcommand("config", "The configuration file aegis.yaml");
  config->require_subcommand(1);

  const auto path = std::make_shared<std::string>();
  CLI::App* check = config->add_subcommand("check", "Check a file, and the keys that it names");
  check->add_option("FILE", *path, "The file")->required();
  const auto tenant = std::make_shared<std::string>(kTenant);
  check->add_option("--tenant", *tenant, "That of `aegis up`")->capture_default_str();
  context.SetAction(check, [path, tenant, &context]() -> Result<int> {
    AEGIS_TRY(const Config read, LoadConfig(*path, *tenant));
    const std::string source =
        read.bundle_source ? read.bundle_source->url : std::string("the control plane");
    if (context.format() == cli::Format::kJson) {
      cli::PrintJson({{"valid", true}, {"policy_source", source}});
    } else {
      std::printf("%s is valid; the policy comes from %s\n", path->c_str(), source.c_str());
    }
    return cli::kExitOk;
  });

  CLI::App* schema = config->add_subcommand("schema", "The JSON Schema of the file, for editors");
  context.SetAction(schema, []() -> Result<int> {
    std::fputs(ConfigJsonSchema().c_str(), stdout);
    return cli::kExitOk;
  });
}

}  // namespace aegis::app
