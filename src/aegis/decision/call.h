// A Call: what every door turns its protocol into, and all that a policy may look at.
//
// Lifetime: views point into the door's request and the call's arena; a Call is built, decided,
// recorded and dropped on one worker.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "aegis/identity/principal.h"
#include "aegis/rego/value.h"

namespace aegis::decision {

enum class Door : uint8_t { kHttp, kSdk, kCli, kExtAuthz, kExtProc, kOpaEnvoy, kExtMcp, kEgress };
// "http", "sdk", "cli", "ext_authz", "ext_proc", "opa_envoy", "ext_mcp", "egress"
std::string_view DoorName(Door door);

struct Header {
  std::string_view name;  // lower case
  std::string_view value;
};

struct Call {
  const identity::Principal* principal = nullptr;
  rego::Value agent_labels;  // object of strings; undefined: none
  Door door = Door::kHttp;
  std::string_view tool;
  std::string_view action;
  rego::Value params;  // object
  // The HTTP request as it came in; empty for the SDK door.
  std::string_view method;
  std::string_view host;
  std::string_view path;
  std::span<const Header> headers;  // never Authorization nor any x-aegis-*
  std::string_view session;         // X-Aegis-Session; empty: none
  int64_t time_unix_ns = 0;
};

}  // namespace aegis::decision
