// The table of all that the control plane serves. api/openapi.yaml says the same to the world; a
// test compares the two.
//
// Threading: immutable.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace aegis::control {

enum class Endpoint : uint8_t {
  kListAgents,
  kRegisterAgent,
  kGetAgent,
  kChangeAgent,
  kListUnknownAgents,
  kListBlocks,
  kAddBlock,
  kRemoveBlock,
  kIssueToken,
  kRevokeToken,
  kListTools,
  kAddTool,
  kGetTool,
  kPutTool,
  kChangeTool,
  kListPolicies,
  kPublishPolicy,
  kGetPolicy,
  kListOperations,
  kGetStatus,
  kReportUnknownAgents,
  // The data plane's side: answered without the database.
  kGetBundle,
  kGetSettings,
  kGetJwks,
};

// Who may call.
enum class Access : uint8_t { kOpen, kAdmin, kGateway, kAdminOrGateway };

struct Route {
  Endpoint endpoint;
  std::string_view method;
  std::string_view path;  // "{name}" stands for one segment
  Access access;
  size_t max_body_bytes;                    // 0: no body
  std::span<const std::string_view> query;  // known parameters; others are refused
};

std::span<const Route> Routes();

struct RouteMatch {
  const Route* route = nullptr;         // nullptr: see `allowed`
  std::vector<std::string> parameters;  // percent-decoded, in order
  std::vector<std::string_view>
      allowed;  // methods of the path when the method is wrong; empty: no such path
};
RouteMatch FindRoute(std::string_view method, std::string_view path);

}  // namespace aegis::control
