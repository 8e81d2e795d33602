// Prints what the demo did: a table for people, JSON for programs.
#pragma once

#include <span>

#include "aegis/cli/output.h"
#include "aegis/demo/scenario.h"

namespace aegis::app {

void PrintDemo(std::span<const demo::Step> steps, cli::Format format);

}  // namespace aegis::app
