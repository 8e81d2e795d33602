// Which door a request goes through, from its path alone.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace aegis::gateway {

enum class Door : uint8_t {
  kNone,            // no such path: 404
  kProxy,           // /tools/<tool>/<action>[/...]
  kDecision,        // /v1/decisions
  kDecisionResult,  // /v1/decisions/<id>/result
  kData,            // /v1/data[/<path>], as OPA's
  kExtAuthz,        // /v1/ext_authz/<path of a call>, as Envoy's http_service asks
};

struct Route {
  Door door = Door::kNone;
  std::string_view tool;         // kProxy; as sent
  std::string_view rest;         // kProxy: what is behind "/tools/<tool>", with its '/', as sent
  std::string_view path;         // kProxy: the rest, percent-decoded
  std::string_view action;       // kProxy: first segment of the path, or what ResolveAction finds
  std::string_view decision_id;  // kDecisionResult
  std::string_view data_path;    // kData: "aegis/decision", percent-decoded
  std::string_view call_path;    // kExtAuthz: that of the call that is asked about
  std::string_view error;        // why the path is refused (400); static; empty: it is fine
};

// Envoy asks with the call's path behind a prefix of its configuration: /v1/ext_authz, or
// /v1/ext_authz_for/<tool> where that path does not name the tool.
//
// Views are into `path`, and into `storage` when what they show had to be decoded. A path that
// names no action is ResolveAction's to refuse (tool_call.h).
Route FindRoute(std::string_view path, std::string* storage);

// The same of a call whose tool is named otherwise: kProxy, its rest being what is below `prefix`
// ("" or "/a/b"); kNone when the path is not below it.
Route FindToolRoute(std::string_view tool, std::string_view prefix, std::string_view path,
                    std::string* storage);

}  // namespace aegis::gateway
