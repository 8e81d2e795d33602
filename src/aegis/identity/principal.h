// Who makes a call: the verified content of an agent token. Value types; no shared state.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace aegis::identity {

// One party behind the acting agent. `type` is "user" or "agent".
struct ChainLink {
  std::string type;
  std::string id;
  friend bool operator==(const ChainLink&, const ChainLink&) = default;
};

// The acting agent and everyone behind it. `chain` is in order of delegation: the one who started
// (usually a user) first, the one who called the acting agent last. In the token it is the nested
// `act` claim (RFC 8693 §4.1), whose outermost member is the last delegator.
struct Principal {
  std::string org;
  std::string tenant;
  std::string agent;
  std::vector<ChainLink> chain;
  std::string token_id;    // jti
  std::string scope;       // space-separated (RFC 6749 §3.3); empty: not restricted by scope
  int64_t issued_at = 0;   // seconds since the epoch
  int64_t expires_at = 0;  // seconds since the epoch
};

}  // namespace aegis::identity
