// All that a gateway needs to know of a tenant to decide its calls, immutable. A new State replaces
// the old one as a whole; calls that run keep what they took from the old one.
//
// Threading: shared by all workers as shared_ptr<const State>.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "aegis/base/result.h"
#include "aegis/decision/snapshot.h"
#include "aegis/gateway/upstream_options.h"
#include "aegis/identity/agent_token.h"
#include "aegis/identity/revocation.h"
#include "aegis/tool/action_map.h"

namespace aegis::gateway {

struct StringHash {
  using is_transparent = void;
  size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
};
template <typename T>
using StringMap = std::unordered_map<std::string, T, StringHash, std::equal_to<>>;

using StringSet = std::unordered_set<std::string, StringHash, std::equal_to<>>;

// Why a tool cannot be called. `reason` and `detail` have static storage and are told to agents;
// `message` is for operators.
struct ToolProblem {
  int status = 0;  // what its calls are answered with; 0: there is no problem
  std::string_view reason;
  std::string_view detail;
  std::string message;
};

// A header that every call of a tool gets, whatever the agent sent under its name.
struct ToolCredential {
  std::string header;  // in lower case
  std::string value;   // with the secret in it
  std::string secret;
  bool operator==(const ToolCredential&) const = default;
};

// Where calls of a tool go.
struct Tool {
  std::string base_url;     // as registered
  std::string host;         // of base_url, for the Host field
  std::string authority;    // the same, always with a port
  std::string path_prefix;  // of base_url, without the final '/'
  bool https = false;
  std::string pool_key;  // two tools with the same one share their connections
  UpstreamTarget target;
  UpstreamOptions upstream;
  std::vector<ToolCredential> credentials;
  ToolProblem problem;
  // Which requests are which of its actions; nullptr: the first path segment is the action.
  std::shared_ptr<const tool::ActionMap> actions;
};

struct Agent {
  bool suspended = false;
  std::vector<std::pair<std::string, std::string>> labels;
};

struct State {
  std::string org;
  std::string tenant;
  std::string revision;                                // of the settings
  std::shared_ptr<const decision::Snapshot> snapshot;  // nullptr: every call is denied, no_policy
  std::shared_ptr<const identity::TokenVerifier> verifier;     // never nullptr
  std::shared_ptr<const identity::RevocationSet> revocations;  // never nullptr
  StringMap<Tool> tools;
  StringMap<std::string> tool_hosts;  // name in a Host field -> tool whose requests all of it are
  StringMap<Agent> agents;
  // Whom the operator has blocked: IP addresses as net::CanonicalIp writes them, and names under
  // which no agent is registered.
  StringSet blocked_sources, blocked_names;
};

// Reads a tool's base URL; the Tool has no addresses yet, and no TLS. Errors: tool_url (not
// http(s)://host[:port][/path], or a path that is not plain).
Result<Tool> ReadTool(std::string_view base_url);

// The same, with its addresses: asks for the name, which may block. A name that does not resolve is
// not an error: the Tool then says so in `problem`.
Result<Tool> MakeTool(std::string_view base_url);

// The problem of a tool whose name has no address.
ToolProblem Unresolved(std::string message);

}  // namespace aegis::gateway
