// The control plane's state: what operators have registered and published. Free of any database's
// types, so that SQLite (embedded) and PostgreSQL (fleet) can stand behind it.
//
// Every record belongs to a tenant of an org, and every call names both. Every change takes an
// Operator and writes an entry to the tenant's operator log in the same transaction: a change that
// is not recorded cannot happen, and neither can a record of a change that did not. Only sightings
// of unknown callers are no operator's change: what strangers cause must not grow the log.
//
// Durability: when a changing call returns without an error, the change survives a kill of the
// process and a loss of power. When it returns an error, nothing was changed.
// Threading: all methods may be called from any thread; calls are serialised and may wait for the
// disk, so do not call them from an event loop.
// Units: times are nanoseconds since the Unix epoch; text is UTF-8.
// Errors of all methods: those named at each, and store_busy, store_full, store_io_error,
// store_corrupt, store_readonly, store_error from the database.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "aegis/base/result.h"

namespace aegis::store {

struct TenantKey {
  std::string org;
  std::string tenant;
  friend bool operator==(const TenantKey&, const TenantKey&) = default;
};

// Who makes a change, for the operator log.
struct Operator {
  std::string actor;       // "apikey:<credential id>", "system"
  std::string request_id;  // of the API request; may be empty
  int64_t at = 0;          // time of the change
};

// Part of an ordered list: at most `limit` items whose key comes after `after`.
struct PageRequest {
  std::string after;  // empty: from the start
  size_t limit = 100;
};
template <typename T>
struct Page {
  std::vector<T> items;
  bool more = false;  // items follow the last one
};

enum class AgentStatus { kActive, kSuspended };
std::string_view AgentStatusName(AgentStatus status);  // "active", "suspended"

struct Agent {
  std::string name;
  std::map<std::string, std::string> labels;
  AgentStatus status = AgentStatus::kActive;
  int64_t created_at = 0;
  int64_t updated_at = 0;
  int64_t revision = 1;  // rises by one with each change of this agent
};

// Calls that were refused because nobody knows who made them, of one source under one claimed name
// to one target for one reason. "*" stands for several where they were too many to be kept apart.
struct UnknownCaller {
  std::string source;  // IP address, "unix" or what else a gateway says
  std::string name;    // what the caller says of itself; "-": nothing
  std::string target;  // tool, host or path
  std::string reason;  // "token_missing", "agent_unknown", …
  int64_t count = 0;
  int64_t first_seen = 0;
  int64_t last_seen = 0;
};
// Beyond these the oldest go into the rows of "*".
inline constexpr size_t kMaxUnknownCallers = 5'000;
inline constexpr size_t kMaxUnknownCallersOfASource = 200;

// Calls from this source, or unknown callers under this name, are refused and not listed.
enum class BlockKind { kSource, kName };
std::string_view BlockKindName(BlockKind kind);  // "source", "name"
struct Block {
  BlockKind kind = BlockKind::kSource;
  std::string value;
  int64_t created_at = 0;
};
inline constexpr size_t kMaxBlocks = 5'000;

struct Tool {
  std::string name;
  std::string document;  // as aegis::tool::SpecJson writes it, the name in it
  int64_t created_at = 0;
  int64_t updated_at = 0;
  int64_t revision = 1;
};

struct NewTool {
  std::string name;
  std::string document;
  std::vector<std::string> hosts;  // that the document claims
};

struct PolicySource {
  std::string name;
  std::string content;
};

// A published set of policies. Never changes once written.
struct PolicyVersion {
  int64_t version = 0;  // 1, 2, 3, … per tenant
  std::string author;
  std::string message;
  int64_t created_at = 0;
  std::string bundle_sha256;  // lower-case hex of the bundle's bytes
  int64_t bundle_bytes = 0;
  std::vector<std::string> source_names;  // in the order given
};

struct NewPolicyVersion {
  int64_t version = 0;  // must be the one after the newest
  std::string message;
  std::vector<PolicySource> sources;
  std::string bundle;
  std::string bundle_sha256;
};

// The public half of a key this Aegis has signed with; the private half is never in the database.
struct KeyRecord {
  std::string use;  // "token", "bundle"
  std::string key_id;
  std::string algorithm;   // JWA name: "EdDSA", "ES256"
  std::string public_key;  // PEM (SubjectPublicKeyInfo)
  int64_t created_at = 0;
  std::optional<int64_t> retired_at;
};

struct Revocation {
  std::string jti;
  int64_t until = 0;  // the token is expired by then, and the entry is no longer needed
};

// An API key. Only the SHA-256 of the key is kept; the key has 256 random bits, so a plain hash
// cannot be searched.
struct Credential {
  std::string id;             // e.g. "admin"
  std::string role;           // "admin", "gateway"
  std::string secret_sha256;  // 64 lower-case hex digits
  int64_t created_at = 0;
};

// One line of the operator log. `before` and `after` are JSON texts, empty when there is none.
struct OperatorEntry {
  int64_t sequence = 0;  // 1, 2, 3, … per tenant, without gaps
  int64_t at = 0;
  std::string actor;
  std::string request_id;
  std::string action;  // "agent.register", "policy.publish", …
  std::string object;  // "agent/finance-agent"
  std::string before;
  std::string after;
};

// What a gateway must know besides the policy bundle, read at one moment.
struct Settings {
  int64_t revision = 0;                 // rises with each change of what is below
  int64_t revocation_epoch = 0;         // rises with each revocation
  std::vector<Revocation> revocations;  // by jti; those whose `until` had not passed
  std::vector<Tool> tools;              // by name; empty in a part
  std::vector<Agent> agents;            // by name; empty in a part
  std::vector<std::string> blocked_sources, blocked_names;  // sorted
};
enum class SettingsPart {
  kAll,
  kChanging,  // all but tools and agents, which the caller has from the changes themselves
};

struct Counts {
  int64_t agents = 0;
  int64_t suspended_agents = 0;
  int64_t tools = 0;
  int64_t policy_versions = 0;
  int64_t active_policy = 0;  // 0: none published
  int64_t revocations = 0;
  int64_t operator_entries = 0;
};

class Repository {
 public:
  virtual ~Repository() = default;

  // Makes the tenant if it is not there. Every other method fails with tenant_not_found without it.
  virtual Status EnsureTenant(const TenantKey& tenant, const Operator& by) = 0;

  // Forgets what was seen of it as an unknown caller. Errors: agent_exists, name_blocked.
  virtual Result<Agent> AddAgent(const TenantKey& tenant, const std::string& name,
                                 const std::map<std::string, std::string>& labels,
                                 const Operator& by) = 0;
  // As AddAgent, of a caller that was seen under the name `claimed` and is forgotten as unknown.
  // Errors: caller_not_found too (nobody of that name was seen).
  virtual Result<Agent> AdoptAgent(const TenantKey& tenant, const std::string& claimed,
                                   const std::string& name,
                                   const std::map<std::string, std::string>& labels,
                                   const Operator& by) = 0;
  // Changes what is given. `if_revision`: refused with revision_mismatch unless it is the agent's.
  // Suspending also raises the revocation epoch. Errors: agent_not_found, revision_mismatch.
  struct AgentChange {
    std::optional<AgentStatus> status;
    std::optional<std::map<std::string, std::string>> labels;
    std::optional<int64_t> if_revision;
  };
  virtual Result<Agent> ChangeAgent(const TenantKey& tenant, const std::string& name,
                                    const AgentChange& change, const Operator& by) = 0;
  // Errors: agent_not_found.
  virtual Result<Agent> GetAgent(const TenantKey& tenant, const std::string& name) = 0;
  // In byte order of names.
  virtual Result<Page<Agent>> ListAgents(const TenantKey& tenant, const PageRequest& page) = 0;

  // Adds to what was seen; those that are blocked, or registered by now, are left out.
  virtual Status RecordUnknownCallers(const TenantKey& tenant,
                                      const std::vector<UnknownCaller>& seen) = 0;
  // In byte order of source, name, target and reason; `page.after` is an UnknownCallerKey.
  virtual Result<Page<UnknownCaller>> ListUnknownCallers(const TenantKey& tenant,
                                                         const PageRequest& page) = 0;
  // Blocking twice is fine. What was seen of it is forgotten. Errors: agent_exists (the name of a
  // registered agent: suspend it), too_many_blocks.
  virtual Result<Block> AddBlock(const TenantKey& tenant, BlockKind kind, const std::string& value,
                                 const Operator& by) = 0;
  // Errors: block_not_found.
  virtual Status RemoveBlock(const TenantKey& tenant, BlockKind kind, const std::string& value,
                             const Operator& by) = 0;
  // In order of kind and value; `page.after` is a BlockKey.
  virtual Result<Page<Block>> ListBlocks(const TenantKey& tenant, const PageRequest& page) = 0;

  // Errors: tool_exists, host_taken.
  virtual Result<Tool> AddTool(const TenantKey& tenant, const NewTool& tool,
                               const Operator& by) = 0;
  // Puts the document in the place of the tool's. Errors: tool_not_found, revision_mismatch,
  // host_taken.
  virtual Result<Tool> ChangeTool(const TenantKey& tenant, const NewTool& tool,
                                  std::optional<int64_t> if_revision, const Operator& by) = 0;
  // Errors: tool_not_found.
  virtual Result<Tool> GetTool(const TenantKey& tenant, const std::string& name) = 0;
  virtual Result<Page<Tool>> ListTools(const TenantKey& tenant, const PageRequest& page) = 0;

  // The version a publish must carry now: the newest + 1.
  virtual Result<int64_t> NextPolicyVersion(const TenantKey& tenant) = 0;
  // Writes the version and makes it the active one. Errors: version_conflict (not the next one).
  virtual Result<PolicyVersion> PublishPolicy(const TenantKey& tenant,
                                              const NewPolicyVersion& policy,
                                              const Operator& by) = 0;
  // Errors: policy_not_found.
  virtual Result<PolicyVersion> GetPolicy(const TenantKey& tenant, int64_t version) = 0;
  virtual Result<std::vector<PolicySource>> GetPolicySources(const TenantKey& tenant,
                                                             int64_t version) = 0;
  virtual Result<std::string> GetPolicyBundle(const TenantKey& tenant, int64_t version) = 0;
  // The active version; 0 when nothing has been published.
  virtual Result<int64_t> ActivePolicy(const TenantKey& tenant) = 0;
  // Newest first; `page.after` is a decimal version.
  virtual Result<Page<PolicyVersion>> ListPolicies(const TenantKey& tenant,
                                                   const PageRequest& page) = 0;

  // Adds the key if it is new; the other keys of the same use become retired.
  virtual Status SetCurrentKey(const TenantKey& tenant, const KeyRecord& key,
                               const Operator& by) = 0;
  virtual Result<std::vector<KeyRecord>> ListKeys(const TenantKey& tenant) = 0;

  // Revokes a token until its expiry; forgets revocations that have passed by `by.at`.
  // Revoking twice is fine and keeps the later `until`.
  virtual Status RevokeToken(const TenantKey& tenant, const Revocation& revocation,
                             const Operator& by) = 0;

  // Makes `credential` the only one with its id. Writes nothing when it is the same already.
  virtual Status SetCredential(const TenantKey& tenant, const Credential& credential,
                               const Operator& by) = 0;
  virtual Result<std::vector<Credential>> ListCredentials(const TenantKey& tenant) = 0;

  virtual Result<Settings> ReadSettings(const TenantKey& tenant, int64_t now,
                                        SettingsPart part = SettingsPart::kAll) = 0;
  virtual Result<Counts> ReadCounts(const TenantKey& tenant) = 0;

  // Records something that changed no row of its own (a token that was issued).
  virtual Status RecordOperation(const TenantKey& tenant, std::string_view action,
                                 std::string_view object, std::string_view detail_json,
                                 const Operator& by) = 0;
  // Newest first; `page.after` is a decimal sequence number.
  virtual Result<Page<OperatorEntry>> ListOperations(const TenantKey& tenant,
                                                     const PageRequest& page) = 0;

  // The schema's version, for status pages.
  virtual Result<int64_t> SchemaVersion() = 0;
};

// Keys for PageRequest::after.
std::string UnknownCallerKey(const UnknownCaller& caller);
std::string BlockKey(const Block& block);

}  // namespace aegis::store
