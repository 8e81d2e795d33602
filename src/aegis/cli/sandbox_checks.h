// `aegis doctor --sandbox`: run inside an agent's sandbox, looks for ways around Aegis.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "aegis/base/result.h"
#include "aegis/cli/doctor_report.h"

namespace aegis::cli {

struct SandboxOptions {
  std::vector<std::string> doors;            // of Aegis, IP:port: all that an agent may reach
  std::vector<std::string> others;           // IP:port: more that it must not reach
  std::chrono::milliseconds timeout{2'000};  // of all network checks together
};

// Tries: the doors; TCP, DNS by UDP, ICMP to public addresses in IPv4 and IPv6; the metadata
// services of clouds; other ports on the machines of the doors; `others`. Looks at: routes,
// capabilities, proxy variables, sockets of container runtimes, abstract sockets. What answers at
// all is a way around: whether it is a refusal does not matter.
// Errors: bad_address (not IP:port; names would need the DNS that a sandbox does not have).
Status CheckSandbox(const SandboxOptions& options, DoctorReport& report);

}  // namespace aegis::cli
