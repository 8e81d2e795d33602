// The JSON document of GET /v1/gateway/settings, kept so that one change costs one rendered member
// and a copy, not a pass over all agents.
//
// Threading: one thread at a time.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "aegis/store/repository.h"

namespace aegis::control {

class SettingsDocument {
 public:
  explicit SettingsDocument(store::TenantKey tenant) : tenant_(std::move(tenant)) {}

  void Set(const store::Agent& agent);
  void Set(const store::Tool& tool);
  // Revision, epoch, revocations and blocks, and the tools and agents that are in `settings`.
  void Set(const store::Settings& settings);

  // Members sorted by name, as everywhere; equal content gives equal bytes.
  std::string Render() const;

 private:
  store::TenantKey tenant_;
  int64_t revision_ = 0;
  int64_t epoch_ = 0;
  std::vector<std::string> jtis_, blocked_sources_, blocked_names_;
  std::map<std::string, std::string> agents_;  // by name, rendered
  std::map<std::string, std::string> tools_;
};

}  // namespace aegis::control
