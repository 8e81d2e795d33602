// The members of a tool's document that say how the tool is reached and how much is asked of it:
// timeouts, retries, circuit_breaker, tls and credentials. docs/proxy.md describes them for users.
//
// Threading: values.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace aegis::tool {

inline constexpr size_t kMaxCredentials = 8;
inline constexpr size_t kMaxPrefixBytes = 64;

// A header that every call gets, with a secret that only the gateway knows.
struct Credential {
  std::string header;  // in lower case
  std::string prefix;  // before the secret: "Bearer "
  std::string secret;  // its name in the gateway's configuration
  bool operator==(const Credential&) const = default;
};

struct Upstream {
  // Milliseconds; 0: the gateway's default, for call none.
  int connect_ms = 0;
  int first_byte_ms = 0;
  int idle_ms = 0;
  int call_ms = 0;

  int attempts = 1;  // how often a request is sent at most

  // Of each worker thread; max_requests 0: no limit.
  int max_connections = 1024;
  int max_pending = 1024;
  int max_requests = 0;
  int consecutive_failures = 5;  // 0: an address is never left alone
  int base_ejection_ms = 5'000;
  int max_ejection_ms = 300'000;
  int count_answers = 0;  // as a flag

  // Names in the gateway's configuration; empty: the system's certificates, and none.
  std::string certificate_authority;
  std::string client_certificate;

  std::vector<Credential> credentials;

  bool operator==(const Upstream&) const = default;
};

}  // namespace aegis::tool
