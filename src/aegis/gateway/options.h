// What a gateway is told at start. Plain values.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "aegis/net/http1_parser.h"

namespace aegis::gateway {

// Sizes in bytes, times in milliseconds.
struct Limits {
  net::Http1Limits http;                 // heads, of both directions
  size_t max_body_bytes = 1 << 20;       // of bodies that are judged, which are held in memory
  size_t max_request_bytes = 1 << 20;    // most of a body that Envoy hands over to authorization
  size_t max_buffered_bytes = 64 << 20;  // of all such bodies of a worker; beyond: 503
  size_t max_connections = 8192;  // from agents, all workers together; more are closed at once
  size_t max_connections_per_address = 0;  // of one IPv4 address or IPv6 /64; 0: no such limit
  size_t max_requests = 8192;              // at work at once, all workers together; beyond: 503
  size_t max_idle_upstream = 256;          // kept connections per tool and worker

  int head_timeout_ms = 10'000;        // from the first byte of a request to the end of its head
  int body_timeout_ms = 60'000;        // for a body that is judged to be whole
  int keep_alive_timeout_ms = 75'000;  // between requests
  int connect_timeout_ms = 5'000;      // to a tool
  int first_byte_timeout_ms = 60'000;  // from the request sent to the head of the tool's answer
  int idle_timeout_ms = 60'000;        // no progress in either direction of a body
  int upstream_keep_alive_ms = 60'000;
};

// Where agents call, or Envoys ask by gRPC. Files are PEM.
struct Listener {
  std::string address = {};           // host:port, for Envoys also unix:PATH; empty: nowhere
  std::string certificate_file = {};  // with key_file; empty: in clear
  std::string key_file = {};
  std::string client_ca_file = {};  // each client must show a certificate that leads to one of it
  bool allow_plaintext = false;     // without a certificate at other than loopback addresses, too
};

// The egress door: a forward proxy. Sizes in bytes, times in milliseconds.
struct EgressOptions {
  std::string address;                     // host:port; empty: there is none
  size_t max_connections = 4096;           // all workers together
  size_t max_connections_per_agent = 256;  // likewise
  int idle_timeout_ms = 300'000;           // nothing moves either way
  int64_t lifetime_ms = 3'600'000;
  uint64_t max_upload_bytes = uint64_t{1} << 30;    // of one connection, from the agent
  uint64_t max_download_bytes = uint64_t{8} << 30;  // of one connection, to the agent
};

// Members of JSON objects that external processing replaces by "[redacted]" (docs/envoy.md): names,
// with those of outer members before them, separated by dots.
struct Redaction {
  std::vector<std::string> request;
  std::vector<std::string> response;
};

// Where Envoys ask as they would ask opa-envoy-plugin, whose configuration this is.
struct OpaEnvoyOptions {
  std::string address;                     // host:port or unix:PATH; empty: nowhere
  std::string path = "envoy/authz/allow";  // the entrypoint
  bool dry_run = false;                    // what the policy denies is recorded and may go on
  bool skip_request_body_parse = false;
  bool enable_reflection = false;
};

}  // namespace aegis::gateway
