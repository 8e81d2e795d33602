// The commands that run servers or make data folders; the others are in aegis/cli/commands.h.
#pragma once

namespace CLI {
class App;
}

namespace aegis::cli {
struct Context;
}

namespace aegis::app {

void AddConfigCommand(CLI::App& root, cli::Context& context);  // config check|schema
void AddInitCommand(CLI::App& root, cli::Context& context);    // init
void AddUpCommand(CLI::App& root,
                  cli::Context& context);  // up [--demo] [--gateway ADDR] [--control ADDR] ...

}  // namespace aegis::app
