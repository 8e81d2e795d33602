// How a tool is reached and how much is asked of it. Plain values.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "aegis/net/tcp.h"
#include "aegis/net/tls_stream.h"

namespace aegis::gateway {

// Times in milliseconds.
struct UpstreamOptions {
  // 0: as Limits has it for all tools.
  int connect_timeout_ms = 0;     // to a connection, TLS included
  int first_byte_timeout_ms = 0;  // from the request sent to the answer's head
  int idle_timeout_ms = 0;        // no progress in either direction
  int call_timeout_ms = 0;        // the whole call; 0: no such limit

  // Of each worker. A call beyond max_connections waits, one beyond the others is refused.
  size_t max_connections = 1024;
  size_t max_pending = 1024;  // calls that wait for a connection
  size_t max_requests = 0;    // calls at a time, waiting ones included; 0: no such limit

  // How often a request is sent at most, when it may be sent more than once.
  int max_attempts = 1;

  // After so many failures in a row an address gets no calls for a time, which grows with every
  // failure that follows it. 0: never.
  int ejection_failures = 5;
  int ejection_ms = 5'000;
  int max_ejection_ms = 300'000;
  // Whether time-outs, lost connections, malformed answers, 502, 503 and 504 are failures too, and
  // not only connections that cannot be made. Agents may be able to cause those.
  bool answers_are_failures = false;

  bool operator==(const UpstreamOptions&) const = default;
};

struct UpstreamTarget {
  std::vector<net::SocketAddress> addresses;  // tried in turn
  // nullptr: in clear. A pool's never changes, since sessions are resumed without a new look at
  // the certificate.
  std::shared_ptr<const net::TlsContext> tls;
  std::string server_name;  // whose certificate it must be: a name, or an IP without brackets
};

}  // namespace aegis::gateway
