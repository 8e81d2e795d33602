#include "aegis/control/settings_document.h"

#include <nlohmann/json.hpp>

#include "aegis/control/problem.h"

namespace aegis::control {
namespace {

using nlohmann::json;

std::string RenderList(const std::map<std::string, std::string>& items) {
  size_t bytes = 2;
  for (const auto& [name, text] : items) bytes += text.size() + 1;
  std::string out;
  out.reserve(bytes);
  out += '[';
  for (const auto& [name, text] : items) {
    if (out.size() > 1) out += ',';
    out += text;
  }
  out += ']';
  return out;
}

}  // namespace

void SettingsDocument::Set(const store::Agent& agent) {
  agents_[agent.name] = DumpJson({{"name", agent.name},
                                  {"labels", json(agent.labels)},
                                  {"status", std::string(store::AgentStatusName(agent.status))}});
}

void SettingsDocument::Set(const store::Tool& tool) { tools_[tool.name] = tool.document; }

void SettingsDocument::Set(const store::Settings& settings) {
  revision_ = settings.revision;
  epoch_ = settings.revocation_epoch;
  jtis_.clear();
  for (const store::Revocation& revocation : settings.revocations) jtis_.push_back(revocation.jti);
  blocked_sources_ = settings.blocked_sources;
  blocked_names_ = settings.blocked_names;
  for (const store::Agent& agent : settings.agents) Set(agent);
  for (const store::Tool& tool : settings.tools) Set(tool);
}

std::string SettingsDocument::Render() const {
  std::string out = "{\"agents\":" + RenderList(agents_);
  out += ",\"blocked\":" +
         DumpJson({{"names", json(blocked_names_)}, {"sources", json(blocked_sources_)}});
  out += ",\"org\":" + DumpJson(tenant_.org);
  out += ",\"revision\":" + std::to_string(revision_);
  out += ",\"revoked\":" + DumpJson({{"epoch", epoch_}, {"jtis", json(jtis_)}});
  out += ",\"tenant\":" + DumpJson(tenant_.tenant);
  out += ",\"tools\":" + RenderList(tools_) + "}";
  return out;
}

}  // namespace aegis::control
