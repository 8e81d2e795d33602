// The settings document that a control plane sends to its gateways, read strictly.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "aegis/base/result.h"
#include "aegis/gateway/state.h"
#include "aegis/tool/spec.h"

namespace aegis::gateway {

struct Settings {
  std::string org;
  std::string tenant;
  std::string revision;
  struct ToolEntry {
    tool::Spec spec;
    // Made here, since it is the same as long as the settings are.
    std::shared_ptr<const tool::ActionMap> actions;
    std::string problem;  // why the document cannot be used; empty: it can
  };
  std::vector<ToolEntry> tools;
  StringMap<Agent> agents;
  std::vector<std::string> revoked_tokens;  // jtis
  StringSet blocked_sources, blocked_names;
};

// Unknown members are ignored, so that an older gateway works with a newer control plane; known
// ones must be as documented. In a tool's document nothing is ignored: what is not known may be
// what holds calls back, so that the tool cannot be called then. Errors: settings_malformed.
Result<Settings> ParseSettings(std::string_view json);

}  // namespace aegis::gateway
