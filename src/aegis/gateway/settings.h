// The settings document that a control plane sends to its gateways, read strictly.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "aegis/base/result.h"
#include "aegis/gateway/state.h"

namespace aegis::gateway {

struct Settings {
  std::string org;
  std::string tenant;
  std::string revision;
  struct NamedUrl {
    std::string name;
    std::string base_url;
  };
  std::vector<NamedUrl> tools;
  StringMap<Agent> agents;
  std::vector<std::string> revoked_tokens;  // jtis
  StringSet blocked_sources, blocked_names;
};

// Unknown members are ignored, so that an older gateway works with a newer control plane; known
// ones must be as documented. Errors: settings_malformed.
Result<Settings> ParseSettings(std::string_view json);

}  // namespace aegis::gateway
