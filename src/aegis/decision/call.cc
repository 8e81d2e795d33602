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
  }
  return "http";
}

}  // namespace aegis::decision
