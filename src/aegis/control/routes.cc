#include "aegis/control/routes.h"

#include <optional>

#include "aegis/base/text.h"
#include "aegis/tool/spec.h"

namespace aegis::control {
namespace {

constexpr size_t kSmallBody = 64 * 1024;
// The policy library's own limits come after this one.
constexpr size_t kPolicyBody = size_t{64} << 20;

constexpr size_t kReportBody = 256 * 1024;

constexpr std::string_view kPaging[] = {"limit", "cursor"};
constexpr std::string_view kWaiting[] = {"wait"};

constexpr Route kRoutes[] = {
    {Endpoint::kListAgents, "GET", "/api/v1/agents", Access::kAdmin, 0, kPaging},
    {Endpoint::kRegisterAgent, "POST", "/api/v1/agents", Access::kAdmin, kSmallBody, {}},
    {Endpoint::kGetAgent, "GET", "/api/v1/agents/{name}", Access::kAdmin, 0, {}},
    {Endpoint::kChangeAgent, "POST", "/api/v1/agents/{name}", Access::kAdmin, kSmallBody, {}},
    {Endpoint::kIssueToken, "POST", "/api/v1/agents/{name}/tokens", Access::kAdmin, kSmallBody, {}},
    {Endpoint::kListUnknownAgents, "GET", "/api/v1/unknown-agents", Access::kAdmin, 0, kPaging},
    {Endpoint::kListBlocks, "GET", "/api/v1/blocks", Access::kAdmin, 0, kPaging},
    {Endpoint::kAddBlock, "POST", "/api/v1/blocks", Access::kAdmin, kSmallBody, {}},
    {Endpoint::kRemoveBlock, "POST", "/api/v1/blocks/remove", Access::kAdmin, kSmallBody, {}},
    {Endpoint::kRevokeToken, "POST", "/api/v1/tokens/revoke", Access::kAdmin, kSmallBody, {}},
    {Endpoint::kListTools, "GET", "/api/v1/tools", Access::kAdmin, 0, kPaging},
    {Endpoint::kAddTool, "POST", "/api/v1/tools", Access::kAdmin, tool::kMaxDocumentBytes, {}},
    {Endpoint::kGetTool, "GET", "/api/v1/tools/{name}", Access::kAdmin, 0, {}},
    {Endpoint::kPutTool,
     "PUT",
     "/api/v1/tools/{name}",
     Access::kAdmin,
     tool::kMaxDocumentBytes,
     {}},
    {Endpoint::kChangeTool,
     "POST",
     "/api/v1/tools/{name}",
     Access::kAdmin,
     tool::kMaxDocumentBytes,
     {}},
    {Endpoint::kListPolicies, "GET", "/api/v1/policies", Access::kAdmin, 0, kPaging},
    {Endpoint::kPublishPolicy, "POST", "/api/v1/policies", Access::kAdmin, kPolicyBody, {}},
    {Endpoint::kGetPolicy, "GET", "/api/v1/policies/{version}", Access::kAdmin, 0, {}},
    {Endpoint::kListOperations, "GET", "/api/v1/operations", Access::kAdmin, 0, kPaging},
    {Endpoint::kGetStatus, "GET", "/api/v1/status", Access::kAdmin, 0, {}},
    {Endpoint::kGetBundle, "GET", "/v1/bundles/{tenant}", Access::kAdminOrGateway, 0, kWaiting},
    {Endpoint::kGetSettings, "GET", "/v1/gateway/settings", Access::kGateway, 0, kWaiting},
    {Endpoint::kReportUnknownAgents,
     "POST",
     "/v1/gateway/unknown-agents",
     Access::kGateway,
     kReportBody,
     {}},
    {Endpoint::kGetJwks, "GET", "/.well-known/jwks.json", Access::kOpen, 0, {}},
};

std::optional<std::string> DecodeSegment(std::string_view segment) {
  std::string out;
  for (size_t i = 0; i < segment.size(); ++i) {
    if (segment[i] != '%') {
      out += segment[i];
      continue;
    }
    if (i + 2 >= segment.size()) return {};
    const auto byte = HexDecode(segment.substr(i + 1, 2));
    if (!byte) return {};
    out += *byte;
    i += 2;
  }
  return out;
}

// The parameters when `path` has the template's shape.
std::optional<std::vector<std::string>> Match(std::string_view path_template,
                                              const std::vector<std::string_view>& segments) {
  const std::vector<std::string_view> wanted = Split(path_template, '/');
  if (wanted.size() != segments.size()) return {};
  std::vector<std::string> parameters;
  for (size_t i = 0; i < wanted.size(); ++i) {
    if (!wanted[i].starts_with('{')) {
      if (wanted[i] != segments[i]) return {};
      continue;
    }
    auto value = DecodeSegment(segments[i]);
    if (!value || value->empty()) return {};
    parameters.push_back(*std::move(value));
  }
  return parameters;
}

}  // namespace

std::span<const Route> Routes() { return kRoutes; }

RouteMatch FindRoute(std::string_view method, std::string_view path) {
  constexpr size_t kMaxPathBytes = 2048;
  RouteMatch match;
  if (path.size() > kMaxPathBytes) return match;
  const std::vector<std::string_view> segments = Split(path, '/');
  for (const Route& route : kRoutes) {
    auto parameters = Match(route.path, segments);
    if (!parameters) continue;
    if (route.method == method) {
      match.route = &route;
      match.parameters = *std::move(parameters);
      match.allowed.clear();
      return match;
    }
    match.allowed.push_back(route.method);
  }
  return match;
}

}  // namespace aegis::control
