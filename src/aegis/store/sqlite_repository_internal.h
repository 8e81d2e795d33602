// The class behind OpenSqliteRepository. Its methods are spread over sqlite_repository.cc (tenants,
// agents, tools, settings), sqlite_policies.cc, sqlite_security.cc (keys, credentials, revocations,
// operator log) and sqlite_callers.cc (unknown callers, blocks).
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>

#include "aegis/store/repository.h"
#include "aegis/store/sqlite.h"

namespace aegis::store::internal {

class SqliteRepository final : public Repository {
 public:
  explicit SqliteRepository(std::unique_ptr<Database> database) : database_(std::move(database)) {}

  Status EnsureTenant(const TenantKey& tenant, const Operator& by) override;

  Result<Agent> AddAgent(const TenantKey& tenant, const std::string& name,
                         const std::map<std::string, std::string>& labels,
                         const Operator& by) override;
  Result<Agent> AdoptAgent(const TenantKey& tenant, const std::string& claimed,
                           const std::string& name,
                           const std::map<std::string, std::string>& labels,
                           const Operator& by) override;
  Result<Agent> ChangeAgent(const TenantKey& tenant, const std::string& name,
                            const AgentChange& change, const Operator& by) override;
  Result<Agent> GetAgent(const TenantKey& tenant, const std::string& name) override;
  Result<Page<Agent>> ListAgents(const TenantKey& tenant, const PageRequest& page) override;

  Status RecordUnknownCallers(const TenantKey& tenant,
                              const std::vector<UnknownCaller>& seen) override;
  Result<Page<UnknownCaller>> ListUnknownCallers(const TenantKey& tenant,
                                                 const PageRequest& page) override;
  Result<Block> AddBlock(const TenantKey& tenant, BlockKind kind, const std::string& value,
                         const Operator& by) override;
  Status RemoveBlock(const TenantKey& tenant, BlockKind kind, const std::string& value,
                     const Operator& by) override;
  Result<Page<Block>> ListBlocks(const TenantKey& tenant, const PageRequest& page) override;

  Result<Tool> AddTool(const TenantKey& tenant, const NewTool& tool, const Operator& by) override;
  Result<Tool> ChangeTool(const TenantKey& tenant, const NewTool& tool,
                          std::optional<int64_t> if_revision, const Operator& by) override;
  Result<Tool> GetTool(const TenantKey& tenant, const std::string& name) override;
  Result<Page<Tool>> ListTools(const TenantKey& tenant, const PageRequest& page) override;

  Result<int64_t> NextPolicyVersion(const TenantKey& tenant) override;
  Result<PolicyVersion> PublishPolicy(const TenantKey& tenant, const NewPolicyVersion& policy,
                                      const Operator& by) override;
  Result<PolicyVersion> GetPolicy(const TenantKey& tenant, int64_t version) override;
  Result<std::vector<PolicySource>> GetPolicySources(const TenantKey& tenant,
                                                     int64_t version) override;
  Result<std::string> GetPolicyBundle(const TenantKey& tenant, int64_t version) override;
  Result<int64_t> ActivePolicy(const TenantKey& tenant) override;
  Result<Page<PolicyVersion>> ListPolicies(const TenantKey& tenant,
                                           const PageRequest& page) override;

  Status SetCurrentKey(const TenantKey& tenant, const KeyRecord& key, const Operator& by) override;
  Result<std::vector<KeyRecord>> ListKeys(const TenantKey& tenant) override;
  Status RevokeToken(const TenantKey& tenant, const Revocation& revocation,
                     const Operator& by) override;
  Status SetCredential(const TenantKey& tenant, const Credential& credential,
                       const Operator& by) override;
  Result<std::vector<Credential>> ListCredentials(const TenantKey& tenant) override;
  Result<Settings> ReadSettings(const TenantKey& tenant, int64_t now, SettingsPart part) override;
  Result<Counts> ReadCounts(const TenantKey& tenant) override;
  Status RecordOperation(const TenantKey& tenant, std::string_view action, std::string_view object,
                         std::string_view detail_json, const Operator& by) override;
  Result<Page<OperatorEntry>> ListOperations(const TenantKey& tenant,
                                             const PageRequest& page) override;
  Result<int64_t> SchemaVersion() override;

 private:
  // All of these: mutex_ held.
  Status CheckTenant(const TenantKey& tenant);
  Result<Agent> FindAgent(const TenantKey& tenant, const std::string& name);
  // The rest of AddAgent and AdoptAgent, in their transaction. `action`: for the operator log.
  Result<Agent> InsertAgent(const TenantKey& tenant, const std::string& name,
                            const std::map<std::string, std::string>& labels,
                            std::string_view action, const Operator& by);
  Result<Tool> FindTool(const TenantKey& tenant, const std::string& name);
  // In the place of those that the tool had. Errors: host_taken.
  Status SetToolHosts(const TenantKey& tenant, const NewTool& tool);
  Result<bool> IsBlocked(const TenantKey& tenant, BlockKind kind, std::string_view value);
  // Whether it is one that the list leaves out.
  Result<bool> IsDecidedUpon(const TenantKey& tenant, const UnknownCaller& caller);
  Status AddSightings(const TenantKey& tenant, const UnknownCaller& caller);
  // Moves the oldest callers beyond the limit into the rows of "*". `source`: only its callers, and
  // its limit; empty: those of the tenant.
  Status KeepNewest(const TenantKey& tenant, const std::string& source);
  Status ReadBlocks(const TenantKey& tenant, Settings& settings);
  Result<int64_t> NewestPolicy(const TenantKey& tenant);
  Result<int64_t> FindActivePolicy(const TenantKey& tenant);
  Result<PolicyVersion> FindPolicy(const TenantKey& tenant, int64_t version);
  Result<std::vector<std::string>> SourceNames(const TenantKey& tenant, int64_t version);
  // Raises the settings revision, and the revocation epoch if asked.
  Status TouchSettings(const TenantKey& tenant, bool revoked);
  // Appends to the operator log; part of the caller's transaction. Empty `before`/`after`: none.
  Status Log(const TenantKey& tenant, std::string_view action, std::string_view object,
             std::string_view before, std::string_view after, const Operator& by);

  std::mutex mutex_;
  std::unique_ptr<Database> database_;
};

// The limit a page really has: 1 to 1000.
size_t ClampLimit(size_t limit);

// The page of a query for at most `limit` + 1 rows. `read`: a row as a T or a Result<T>.
template <typename T, typename Read>
Result<Page<T>> ReadPage(Query& query, size_t limit, Read read) {
  Page<T> page;
  for (;;) {
    AEGIS_TRY(const bool row, query.Step());
    page.more = row && page.items.size() == limit;
    if (!row || page.more) return page;
    AEGIS_TRY(T item, Result<T>(read(query)));
    page.items.push_back(std::move(item));
  }
}

}  // namespace aegis::store::internal
