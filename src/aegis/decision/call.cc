#include "aegis/decision/call.h"

namespace aegis::decision {

std::string_view DoorName(Door door) {
  switch (door) {
    case Door::kHttp:
      return "http";
    case Door::kSdk:
      return "sdk";
    case Door::kCli:
      return "cli";
    case Door::kExtAuthz:
      return "ext_authz";
    case Door::kExtProc:
      return "ext_proc";
    case Door::kOpaEnvoy:
      return "opa_envoy";
    case Door::kExtMcp:
      return "ext_mcp";
    case Door::kEgress:
      return "egress";
  }
  return "http";
}

}  // namespace aegis::decision
