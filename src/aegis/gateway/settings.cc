#include "aegis/gateway/settings.h"

#include "aegis/json/tree.h"

namespace aegis::gateway {
namespace {

constexpr size_t kMaxBytes = size_t{64} << 20;

tl::unexpected<Error> Malformed(std::string what) {
  return Fail(Code::kInvalidArgument, "settings_malformed",
              "settings from the control plane: " + std::move(what));
}

Result<const json::Tree*> Member(const json::Tree& object, std::string_view name,
                                 json::Tree::Kind kind) {
  const json::Tree* member = object.Find(name);
  if (!member || member->kind() != kind) {
    return Malformed("member '" + std::string(name) + "' is missing or of a wrong type");
  }
  return member;
}

Result<std::string> Text(const json::Tree& object, std::string_view name) {
  AEGIS_TRY(const json::Tree* member, Member(object, name, json::Tree::Kind::kString));
  return std::string(member->text());
}

Result<StringSet> Texts(const json::Tree& object, std::string_view name) {
  AEGIS_TRY(const json::Tree* member, Member(object, name, json::Tree::Kind::kArray));
  StringSet texts;
  for (const json::Tree& text : member->elements()) {
    if (!text.is_string()) {
      return Malformed("an element of '" + std::string(name) + "' is not a string");
    }
    texts.emplace(text.text());
  }
  return texts;
}

Result<Settings::ToolEntry> ReadTool(const json::Tree& value) {
  Settings::ToolEntry entry;
  std::string text;
  json::AppendTree(text, value);
  std::vector<tool::Mistake> mistakes;
  auto spec = tool::ReadSpec(text, &mistakes);
  if (spec) {
    entry.spec = *std::move(spec);
    entry.actions =
        entry.spec.actions.empty() ? nullptr : std::make_shared<tool::ActionMap>(entry.spec);
    return entry;
  }
  AEGIS_TRY(entry.spec.name, Text(value, "name"));
  entry.problem = spec.error().message;
  entry.actions = std::make_shared<tool::ActionMap>(tool::ActionMap::RefusingAll());
  return entry;
}

// The control plane sees to it; were it otherwise, nobody could say whose a call is.
Status CheckHosts(const std::vector<Settings::ToolEntry>& tools) {
  StringSet seen;
  for (const Settings::ToolEntry& entry : tools) {
    for (const std::string& host : entry.spec.hosts) {
      if (!seen.insert(host).second) return Malformed("two tools have the host " + host);
    }
  }
  return Ok();
}

}  // namespace

Result<Settings> ParseSettings(std::string_view text) {
  Arena arena;
  json::TreeLimits limits;
  limits.max_bytes = kMaxBytes;
  auto root = json::ParseTree(text, arena, limits);
  if (!root) return Malformed(root.error().message);
  Settings out;
  AEGIS_TRY(out.org, Text(*root, "org"));
  AEGIS_TRY(out.tenant, Text(*root, "tenant"));
  AEGIS_TRY(const json::Tree* revision, Member(*root, "revision", json::Tree::Kind::kNumber));
  out.revision = revision->text();

  AEGIS_TRY(const json::Tree* tools, Member(*root, "tools", json::Tree::Kind::kArray));
  for (const json::Tree& tool : tools->elements()) {
    AEGIS_TRY(Settings::ToolEntry entry, ReadTool(tool));
    out.tools.push_back(std::move(entry));
  }
  AEGIS_RETURN_IF_ERROR(CheckHosts(out.tools));

  AEGIS_TRY(const json::Tree* agents, Member(*root, "agents", json::Tree::Kind::kArray));
  out.agents.reserve(agents->elements().size());
  for (const json::Tree& item : agents->elements()) {
    Agent agent;
    AEGIS_TRY(std::string name, Text(item, "name"));
    AEGIS_TRY(const std::string status, Text(item, "status"));
    // A status that this version does not know is not one that lets an agent call.
    agent.suspended = status != "active";
    AEGIS_TRY(const json::Tree* labels, Member(item, "labels", json::Tree::Kind::kObject));
    for (const json::Member& label : labels->members()) {
      if (!label.value.is_string()) return Malformed("a label is not a string");
      agent.labels.emplace_back(label.name, label.value.text());
    }
    if (!out.agents.emplace(std::move(name), std::move(agent)).second) {
      return Malformed("an agent is listed twice");
    }
  }

  AEGIS_TRY(const json::Tree* revoked, Member(*root, "revoked", json::Tree::Kind::kObject));
  AEGIS_TRY(const json::Tree* jtis, Member(*revoked, "jtis", json::Tree::Kind::kArray));
  for (const json::Tree& jti : jtis->elements()) {
    if (!jti.is_string()) return Malformed("a revoked token's id is not a string");
    out.revoked_tokens.emplace_back(jti.text());
  }
  // An older control plane has none.
  if (root->Find("blocked") != nullptr) {
    AEGIS_TRY(const json::Tree* blocked, Member(*root, "blocked", json::Tree::Kind::kObject));
    AEGIS_TRY(out.blocked_sources, Texts(*blocked, "sources"));
    AEGIS_TRY(out.blocked_names, Texts(*blocked, "names"));
  }
  return out;
}

}  // namespace aegis::gateway
