// Reading the configuration at start.
#pragma once

#include <string>

#include "aegis/app/config.h"
#include "aegis/base/result.h"

namespace aegis::app {

// The tenant that is served, unless --tenant names another.
inline constexpr const char* kTenant = "default";

// ReadConfig, with its mistakes printed on standard error.
Result<Config> LoadConfig(const std::string& path, const std::string& tenant);

}  // namespace aegis::app
