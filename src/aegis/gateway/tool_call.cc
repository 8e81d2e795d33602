#include "aegis/gateway/tool_call.h"

#include <algorithm>
#include <array>

namespace aegis::gateway {
namespace {

constexpr std::string_view kSessionField = "x-aegis-session";
constexpr size_t kMaxSessionBytes = 256;

bool Retargets(std::string_view name) {
  if (name.find('_') != std::string_view::npos) return true;
  if (!name.starts_with("x-")) return false;
  return name == "x-original-url" || name == "x-rewrite-url" || name == "x-http-method" ||
         name == "x-http-method-override" || name == "x-method-override";
}

}  // namespace

bool IsToolMethod(std::string_view method) {
  return method == "GET" || method == "POST" || method == "PUT" || method == "PATCH" ||
         method == "DELETE" || method == "HEAD" || method == "OPTIONS";
}

bool StaysBehind(const net::HeaderField& field, bool credential_in_authorization) {
  switch (field.id) {
    case net::FieldId::kAegis:
    case net::FieldId::kProxyAuthorization:
      return true;
    case net::FieldId::kAuthorization:
      // Beside X-Aegis-Token it is the tool's.
      return credential_in_authorization;
    default:
      return Retargets(field.name);
  }
}

Refusal ResolveAction(const State* state, std::string_view method, Route* route,
                      tool::ActionMap::Match* match) {
  using Kind = tool::ActionMap::Match::Kind;
  match->action = nullptr;
  const tool::ActionMap* map = nullptr;
  if (state != nullptr) {
    const auto found = state->tools.find(route->tool);
    if (found != state->tools.end()) map = found->second.actions.get();
  }
  if (map != nullptr) {
    map->Find(method, route->path, match);
    switch (match->kind) {
      case Kind::kFound:
        route->action = match->action->name();
        return {};
      case Kind::kDoubtful:
        match->action = nullptr;
        return {400, "ambiguous_path",
                "the path is that of an action but for the case of letters or a '/' at its end; "
                "many tools would take it for that one"};
      case Kind::kNone:
        if (map->unmapped() == tool::Unmapped::kSegment) break;
        [[fallthrough]];
      case Kind::kOtherMethod:
        return {404, "unknown_action", "no action of the tool has this method and path"};
    }
  }
  // The first segment, which FindRoute has read; a map may have put its own there before.
  route->action = route->path.substr(1, route->path.find('/', 1) - 1);
  if (!route->action.empty()) return {};
  return {400, "bad_path", "the path names no action: call /tools/<tool>/<action>"};
}

std::string_view FindHostTool(const State* state, std::string_view host, Refusal* refusal) {
  if (state == nullptr || state->tool_hosts.empty()) return {};
  const size_t colon = host.rfind(':');
  // An IPv6 address is no tool's.
  if (colon != std::string_view::npos && !host.ends_with(']')) host = host.substr(0, colon);
  const bool has_dot = host.ends_with('.');
  if (has_dot) host.remove_suffix(1);
  std::array<char, 255> lower;
  if (host.size() > lower.size()) return {};
  std::transform(host.begin(), host.end(), lower.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  const auto found = state->tool_hosts.find(std::string_view(lower.data(), host.size()));
  if (found == state->tool_hosts.end()) return {};
  if (has_dot) *refusal = {400, "bad_host", "the name of a tool's host has no '.' at its end"};
  return found->second;
}

std::string_view FindSession(const net::RequestHead& head, Refusal* refusal) {
  std::string_view session;
  int count = 0;
  for (const net::HeaderField& field : head.fields) {
    if (field.id != net::FieldId::kAegis || field.name != kSessionField) continue;
    ++count;
    session = field.value;
  }
  if (count > 1 || session.size() > kMaxSessionBytes) {
    *refusal = {400, "bad_session", "X-Aegis-Session is given twice, or longer than 256 bytes"};
  }
  return session;
}

}  // namespace aegis::gateway
