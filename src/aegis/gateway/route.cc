#include "aegis/gateway/route.h"

#include <algorithm>

#include "aegis/net/http1_grammar.h"

namespace aegis::gateway {
namespace {

constexpr std::string_view kTools = "/tools/";
constexpr std::string_view kDecisions = "/v1/decisions";
constexpr std::string_view kResult = "/result";
constexpr std::string_view kData = "/v1/data";
constexpr std::string_view kExtAuthz = "/v1/ext_authz/";
constexpr std::string_view kExtAuthzFor = "/v1/ext_authz_for/";

// Why a call of a tool must not have this path; empty: it may.
std::string_view CheckToolPath(std::string_view path) {
  // Java servers cut "/pay;x" to "/pay": policy would judge another action than the tool runs.
  if (path.find(';') == std::string_view::npos && path.find("%3b") == std::string_view::npos &&
      path.find("%3B") == std::string_view::npos) {
    return {};
  }
  return "a path with ';' means different things to different servers";
}

// `rest`: what is behind the tool, with its '/'.
void ReadRest(std::string_view rest, std::string* storage, Route* route) {
  if (rest.empty()) rest = "/";
  route->rest = rest;
  route->path = rest;
  if (rest.find('%') != std::string_view::npos) {
    *storage = net::PercentDecode(rest, false).value_or("/");
    route->path = *storage;
  }
  // No segment has an encoded '/', so that they are the same decoded.
  route->action = route->path.substr(1, route->path.find('/', 1) - 1);
}

}  // namespace

Route FindRoute(std::string_view path, std::string* storage) {
  Route route;
  // Before the path is compared with anything: what could be read as another path has no door.
  route.error = net::CheckGovernedPath(path);
  if (!route.error.empty()) return route;
  if (path.starts_with(kTools)) {
    route.error = CheckToolPath(path);
    if (!route.error.empty()) return route;
    const std::string_view below = path.substr(kTools.size());
    const size_t slash = below.find('/');
    route.tool = below.substr(0, slash);
    if (route.tool.empty()) return route;
    route.door = Door::kProxy;
    ReadRest(slash == std::string_view::npos ? std::string_view() : below.substr(slash), storage,
             &route);
    return route;
  }
  if (path.starts_with(kExtAuthz)) {
    const std::string_view call_path = path.substr(kExtAuthz.size() - 1);
    route = FindRoute(call_path, storage);
    route.door = route.door == Door::kProxy ? Door::kExtAuthz : Door::kNone;
    route.call_path = call_path;
    return route;
  }
  if (path.starts_with(kExtAuthzFor)) {
    const std::string_view named = path.substr(kExtAuthzFor.size());
    const size_t slash = named.find('/');
    if (slash == 0 || slash == std::string_view::npos) return route;
    route = FindToolRoute(named.substr(0, slash), {}, named.substr(slash), storage);
    route.door = Door::kExtAuthz;
    route.call_path = route.rest;
    return route;
  }
  if (path.starts_with(kData) && (path.size() == kData.size() || path[kData.size()] == '/')) {
    route.door = Door::kData;
    route.data_path = path.substr(std::min(path.size(), kData.size() + 1));
    if (route.data_path.find('%') != std::string_view::npos) {
      *storage = net::PercentDecode(route.data_path, false).value_or(std::string());
      route.data_path = *storage;
    }
    return route;
  }
  if (path == kDecisions) {
    route.door = Door::kDecision;
  } else if (path.starts_with(kDecisions) && path.ends_with(kResult) &&
             path.size() > kDecisions.size() + 1 + kResult.size() &&
             path[kDecisions.size()] == '/') {
    route.decision_id =
        path.substr(kDecisions.size() + 1, path.size() - kDecisions.size() - 1 - kResult.size());
    if (route.decision_id.find('/') == std::string_view::npos) route.door = Door::kDecisionResult;
  }
  return route;
}

Route FindToolRoute(std::string_view tool, std::string_view prefix, std::string_view path,
                    std::string* storage) {
  Route route;
  route.error = net::CheckGovernedPath(path);
  if (route.error.empty()) route.error = CheckToolPath(path);
  if (!route.error.empty()) return route;
  if (!path.starts_with(prefix) || (path.size() > prefix.size() && path[prefix.size()] != '/')) {
    return route;
  }
  route.door = Door::kProxy;
  route.tool = tool;
  ReadRest(path.substr(prefix.size()), storage, &route);
  return route;
}

}  // namespace aegis::gateway
