#include "aegis/store/sqlite_repository.h"

#include <algorithm>

#include "aegis/store/migrations.h"
#include "aegis/store/record_json.h"
#include "aegis/store/sqlite_repository_internal.h"

namespace aegis::store {

std::string_view AgentStatusName(AgentStatus status) {
  return status == AgentStatus::kSuspended ? "suspended" : "active";
}

Result<std::unique_ptr<Repository>> OpenSqliteRepository(const SqliteOptions& options) {
  AEGIS_TRY(std::unique_ptr<Database> database, Database::Open(options.path));
  AEGIS_RETURN_IF_ERROR(Migrate(*database, SqliteMigrations(), options.now));
  return std::unique_ptr<Repository>(new internal::SqliteRepository(std::move(database)));
}

namespace internal {
namespace {

constexpr std::string_view kAgentColumns =
    "SELECT name, labels, status, created_at, updated_at, revision FROM agents ";
constexpr std::string_view kToolColumns =
    "SELECT name, document, created_at, updated_at, revision FROM tools ";

Result<Agent> ReadAgent(const Query& row) {
  Agent agent;
  agent.name = row.Text(0);
  AEGIS_TRY(agent.labels, LabelsFromJson(row.Text(1)));
  agent.status = row.Text(2) == "active" ? AgentStatus::kActive : AgentStatus::kSuspended;
  agent.created_at = row.Int(3);
  agent.updated_at = row.Int(4);
  agent.revision = row.Int(5);
  return agent;
}

Tool ReadTool(const Query& row) {
  return {row.Text(0), row.Text(1), row.Int(2), row.Int(3), row.Int(4)};
}

Error RevisionMismatch(std::string_view what, int64_t wanted, int64_t actual) {
  return {Code::kAborted, "revision_mismatch",
          std::string(what) + " is at revision " + std::to_string(actual) + ", not " +
              std::to_string(wanted) + ": someone changed it; read it again"};
}

}  // namespace

size_t ClampLimit(size_t limit) { return std::clamp<size_t>(limit, 1, 1000); }

Status SqliteRepository::CheckTenant(const TenantKey& tenant) {
  AEGIS_TRY(Query query, database_->Start("SELECT 1 FROM tenants WHERE org = ?1 AND tenant = ?2",
                                          tenant.org, tenant.tenant));
  AEGIS_TRY(bool exists, query.Step());
  if (!exists) {
    return Fail(Code::kNotFound, "tenant_not_found", "there is no such tenant in this database");
  }
  return Ok();
}

Status SqliteRepository::EnsureTenant(const TenantKey& tenant, const Operator& by) {
  const std::lock_guard lock(mutex_);
  AEGIS_TRY(Transaction transaction, Transaction::Begin(*database_));
  if (CheckTenant(tenant)) return Ok();
  AEGIS_RETURN_IF_ERROR(
      database_->Run("INSERT INTO tenants (org, tenant, created_at) VALUES (?1, ?2, ?3)",
                     tenant.org, tenant.tenant, by.at));
  AEGIS_RETURN_IF_ERROR(Log(tenant, "tenant.create", "tenant/" + tenant.tenant, "", "{}", by));
  return transaction.Commit();
}

Status SqliteRepository::TouchSettings(const TenantKey& tenant, bool revoked) {
  return database_->Run(
      "UPDATE tenants SET settings_revision = settings_revision + 1,"
      " revocation_epoch = revocation_epoch + ?3 WHERE org = ?1 AND tenant = ?2",
      tenant.org, tenant.tenant, int64_t{revoked});
}

Result<Agent> SqliteRepository::FindAgent(const TenantKey& tenant, const std::string& name) {
  AEGIS_TRY(Query query, database_->Start(std::string(kAgentColumns) +
                                              "WHERE org = ?1 AND tenant = ?2 AND name = ?3",
                                          tenant.org, tenant.tenant, name));
  AEGIS_TRY(bool found, query.Step());
  if (!found) {
    return Fail(Code::kNotFound, "agent_not_found",
                "no agent named '" + name + "' is registered in this tenant");
  }
  return ReadAgent(query);
}

Result<Agent> SqliteRepository::AddAgent(const TenantKey& tenant, const std::string& name,
                                         const std::map<std::string, std::string>& labels,
                                         const Operator& by) {
  const std::lock_guard lock(mutex_);
  AEGIS_RETURN_IF_ERROR(CheckTenant(tenant));
  AEGIS_TRY(Transaction transaction, Transaction::Begin(*database_));
  AEGIS_TRY(Agent agent, InsertAgent(tenant, name, labels, "agent.register", by));
  AEGIS_RETURN_IF_ERROR(transaction.Commit());
  return agent;
}

Result<Agent> SqliteRepository::AdoptAgent(const TenantKey& tenant, const std::string& claimed,
                                           const std::string& name,
                                           const std::map<std::string, std::string>& labels,
                                           const Operator& by) {
  const std::lock_guard lock(mutex_);
  AEGIS_RETURN_IF_ERROR(CheckTenant(tenant));
  AEGIS_TRY(Transaction transaction, Transaction::Begin(*database_));
  AEGIS_RETURN_IF_ERROR(
      database_->Run("DELETE FROM unknown_callers WHERE org = ?1 AND tenant = ?2 AND name = ?3",
                     tenant.org, tenant.tenant, claimed));
  if (database_->changes() == 0) {
    return Fail(Code::kNotFound, "caller_not_found",
                "no unknown caller was seen under the name '" + claimed + "' in this tenant");
  }
  AEGIS_TRY(Agent agent, InsertAgent(tenant, name, labels, "agent.adopt", by));
  AEGIS_RETURN_IF_ERROR(transaction.Commit());
  return agent;
}

Result<Agent> SqliteRepository::InsertAgent(const TenantKey& tenant, const std::string& name,
                                            const std::map<std::string, std::string>& labels,
                                            std::string_view action, const Operator& by) {
  Agent agent{name, labels, AgentStatus::kActive, by.at, by.at, 1};
  AEGIS_TRY(const bool blocked, IsBlocked(tenant, BlockKind::kName, name));
  if (blocked) {
    return Fail(Code::kFailedPrecondition, "name_blocked",
                "the name '" + name + "' is blocked in this tenant; unblock it first");
  }
  if (FindAgent(tenant, name)) {
    return Fail(Code::kAlreadyExists, "agent_exists",
                "an agent named '" + name + "' is already registered in this tenant");
  }
  AEGIS_RETURN_IF_ERROR(database_->Run(
      "INSERT INTO agents (org, tenant, name, labels, status, created_at, updated_at,"
      " revision) VALUES (?1, ?2, ?3, ?4, 'active', ?5, ?5, 1)",
      tenant.org, tenant.tenant, name, LabelsToJson(labels), by.at));
  AEGIS_RETURN_IF_ERROR(
      database_->Run("DELETE FROM unknown_callers WHERE org = ?1 AND tenant = ?2 AND name = ?3",
                     tenant.org, tenant.tenant, name));
  AEGIS_RETURN_IF_ERROR(TouchSettings(tenant, false));
  AEGIS_RETURN_IF_ERROR(Log(tenant, action, "agent/" + name, "", AgentJson(agent), by));
  return agent;
}

Result<Agent> SqliteRepository::ChangeAgent(const TenantKey& tenant, const std::string& name,
                                            const AgentChange& change, const Operator& by) {
  const std::lock_guard lock(mutex_);
  AEGIS_TRY(Transaction transaction, Transaction::Begin(*database_));
  AEGIS_TRY(Agent before, FindAgent(tenant, name));
  if (change.if_revision && *change.if_revision != before.revision) {
    return Fail(RevisionMismatch("agent '" + name + "'", *change.if_revision, before.revision));
  }
  Agent after = before;
  if (change.status) after.status = *change.status;
  if (change.labels) after.labels = *change.labels;
  if (after.status == before.status && after.labels == before.labels) return before;
  after.updated_at = by.at;
  ++after.revision;
  AEGIS_RETURN_IF_ERROR(
      database_->Run("UPDATE agents SET labels = ?4, status = ?5, updated_at = ?6, revision = ?7"
                     " WHERE org = ?1 AND tenant = ?2 AND name = ?3",
                     tenant.org, tenant.tenant, name, LabelsToJson(after.labels),
                     AgentStatusName(after.status), by.at, after.revision));
  const bool suspended =
      before.status != AgentStatus::kSuspended && after.status == AgentStatus::kSuspended;
  const bool resumed =
      before.status == AgentStatus::kSuspended && after.status != AgentStatus::kSuspended;
  AEGIS_RETURN_IF_ERROR(TouchSettings(tenant, suspended));
  AEGIS_RETURN_IF_ERROR(Log(tenant,
                            suspended ? "agent.suspend"
                            : resumed ? "agent.resume"
                                      : "agent.change",
                            "agent/" + name, AgentJson(before), AgentJson(after), by));
  AEGIS_RETURN_IF_ERROR(transaction.Commit());
  return after;
}

Result<Agent> SqliteRepository::GetAgent(const TenantKey& tenant, const std::string& name) {
  const std::lock_guard lock(mutex_);
  return FindAgent(tenant, name);
}

Result<Page<Agent>> SqliteRepository::ListAgents(const TenantKey& tenant, const PageRequest& page) {
  const std::lock_guard lock(mutex_);
  const size_t limit = ClampLimit(page.limit);
  AEGIS_TRY(
      Query query,
      database_->Start(std::string(kAgentColumns) + "WHERE org = ?1 AND tenant = ?2 AND name > ?3"
                                                    " ORDER BY name LIMIT ?4",
                       tenant.org, tenant.tenant, page.after, static_cast<int64_t>(limit + 1)));
  return ReadPage<Agent>(query, limit, ReadAgent);
}

Result<Tool> SqliteRepository::FindTool(const TenantKey& tenant, const std::string& name) {
  AEGIS_TRY(Query query, database_->Start(std::string(kToolColumns) +
                                              "WHERE org = ?1 AND tenant = ?2 AND name = ?3",
                                          tenant.org, tenant.tenant, name));
  AEGIS_TRY(bool found, query.Step());
  if (!found) {
    return Fail(Code::kNotFound, "tool_not_found",
                "no tool named '" + name + "' is registered in this tenant");
  }
  return ReadTool(query);
}

Status SqliteRepository::SetToolHosts(const TenantKey& tenant, const NewTool& tool) {
  AEGIS_RETURN_IF_ERROR(
      database_->Run("DELETE FROM tool_hosts WHERE org = ?1 AND tenant = ?2 AND tool = ?3",
                     tenant.org, tenant.tenant, tool.name));
  for (const std::string& host : tool.hosts) {
    AEGIS_TRY(Query query, database_->Start("SELECT tool FROM tool_hosts"
                                            " WHERE org = ?1 AND tenant = ?2 AND host = ?3",
                                            tenant.org, tenant.tenant, host));
    AEGIS_TRY(const bool taken, query.Step());
    if (taken) {
      return Fail(Code::kAlreadyExists, "host_taken",
                  "the host '" + host + "' is that of the tool '" + query.Text(0) + "' already");
    }
    AEGIS_RETURN_IF_ERROR(
        database_->Run("INSERT INTO tool_hosts (org, tenant, host, tool) VALUES (?1, ?2, ?3, ?4)",
                       tenant.org, tenant.tenant, host, tool.name));
  }
  return Ok();
}

Result<Tool> SqliteRepository::AddTool(const TenantKey& tenant, const NewTool& tool,
                                       const Operator& by) {
  const std::lock_guard lock(mutex_);
  AEGIS_RETURN_IF_ERROR(CheckTenant(tenant));
  AEGIS_TRY(Transaction transaction, Transaction::Begin(*database_));
  Tool added{tool.name, tool.document, by.at, by.at, 1};
  if (FindTool(tenant, tool.name)) {
    return Fail(Code::kAlreadyExists, "tool_exists",
                "a tool named '" + tool.name + "' is already registered in this tenant");
  }
  AEGIS_RETURN_IF_ERROR(database_->Run(
      "INSERT INTO tools (org, tenant, name, document, created_at, updated_at, revision)"
      " VALUES (?1, ?2, ?3, ?4, ?5, ?5, 1)",
      tenant.org, tenant.tenant, tool.name, tool.document, by.at));
  AEGIS_RETURN_IF_ERROR(SetToolHosts(tenant, tool));
  AEGIS_RETURN_IF_ERROR(TouchSettings(tenant, false));
  AEGIS_RETURN_IF_ERROR(Log(tenant, "tool.add", "tool/" + tool.name, "", ToolJson(added), by));
  AEGIS_RETURN_IF_ERROR(transaction.Commit());
  return added;
}

Result<Tool> SqliteRepository::ChangeTool(const TenantKey& tenant, const NewTool& tool,
                                          std::optional<int64_t> if_revision, const Operator& by) {
  const std::lock_guard lock(mutex_);
  AEGIS_TRY(Transaction transaction, Transaction::Begin(*database_));
  AEGIS_TRY(Tool before, FindTool(tenant, tool.name));
  if (if_revision && *if_revision != before.revision) {
    return Fail(RevisionMismatch("tool '" + tool.name + "'", *if_revision, before.revision));
  }
  if (before.document == tool.document) return before;
  Tool after = before;
  after.document = tool.document;
  after.updated_at = by.at;
  ++after.revision;
  AEGIS_RETURN_IF_ERROR(
      database_->Run("UPDATE tools SET document = ?4, updated_at = ?5, revision = ?6"
                     " WHERE org = ?1 AND tenant = ?2 AND name = ?3",
                     tenant.org, tenant.tenant, tool.name, tool.document, by.at, after.revision));
  AEGIS_RETURN_IF_ERROR(SetToolHosts(tenant, tool));
  AEGIS_RETURN_IF_ERROR(TouchSettings(tenant, false));
  AEGIS_RETURN_IF_ERROR(
      Log(tenant, "tool.change", "tool/" + tool.name, ToolJson(before), ToolJson(after), by));
  AEGIS_RETURN_IF_ERROR(transaction.Commit());
  return after;
}

Result<Tool> SqliteRepository::GetTool(const TenantKey& tenant, const std::string& name) {
  const std::lock_guard lock(mutex_);
  return FindTool(tenant, name);
}

Result<Page<Tool>> SqliteRepository::ListTools(const TenantKey& tenant, const PageRequest& page) {
  const std::lock_guard lock(mutex_);
  const size_t limit = ClampLimit(page.limit);
  AEGIS_TRY(
      Query query,
      database_->Start(std::string(kToolColumns) + "WHERE org = ?1 AND tenant = ?2 AND name > ?3"
                                                   " ORDER BY name LIMIT ?4",
                       tenant.org, tenant.tenant, page.after, static_cast<int64_t>(limit + 1)));
  return ReadPage<Tool>(query, limit, ReadTool);
}

Result<Settings> SqliteRepository::ReadSettings(const TenantKey& tenant, int64_t now,
                                                SettingsPart part) {
  const std::lock_guard lock(mutex_);
  Settings settings;
  {
    AEGIS_TRY(Query query,
              database_->Start("SELECT settings_revision, revocation_epoch FROM tenants"
                               " WHERE org = ?1 AND tenant = ?2",
                               tenant.org, tenant.tenant));
    AEGIS_TRY(bool row, query.Step());
    if (!row) {
      return Fail(Code::kNotFound, "tenant_not_found", "there is no such tenant in this database");
    }
    settings.revision = query.Int(0);
    settings.revocation_epoch = query.Int(1);
  }
  {
    AEGIS_TRY(Query query, database_->Start("SELECT jti, until FROM revocations"
                                            " WHERE org = ?1 AND tenant = ?2 AND until > ?3"
                                            " ORDER BY jti",
                                            tenant.org, tenant.tenant, now));
    for (;;) {
      AEGIS_TRY(bool row, query.Step());
      if (!row) break;
      settings.revocations.push_back({query.Text(0), query.Int(1)});
    }
  }
  AEGIS_RETURN_IF_ERROR(ReadBlocks(tenant, settings));
  if (part == SettingsPart::kChanging) return settings;
  {
    AEGIS_TRY(Query query, database_->Start(std::string(kToolColumns) +
                                                "WHERE org = ?1 AND tenant = ?2 ORDER BY name",
                                            tenant.org, tenant.tenant));
    for (;;) {
      AEGIS_TRY(bool row, query.Step());
      if (!row) break;
      settings.tools.push_back(ReadTool(query));
    }
  }
  AEGIS_TRY(Query query, database_->Start(std::string(kAgentColumns) +
                                              "WHERE org = ?1 AND tenant = ?2 ORDER BY name",
                                          tenant.org, tenant.tenant));
  for (;;) {
    AEGIS_TRY(bool row, query.Step());
    if (!row) break;
    AEGIS_TRY(Agent agent, ReadAgent(query));
    settings.agents.push_back(std::move(agent));
  }
  return settings;
}

Result<Counts> SqliteRepository::ReadCounts(const TenantKey& tenant) {
  const std::lock_guard lock(mutex_);
  AEGIS_RETURN_IF_ERROR(CheckTenant(tenant));
  AEGIS_TRY(
      Query query,
      database_->Start(
          "SELECT (SELECT count(*) FROM agents WHERE org = ?1 AND tenant = ?2),"
          " (SELECT count(*) FROM agents WHERE org = ?1 AND tenant = ?2 AND status = 'suspended'),"
          " (SELECT count(*) FROM tools WHERE org = ?1 AND tenant = ?2),"
          " (SELECT count(*) FROM policy_versions WHERE org = ?1 AND tenant = ?2),"
          " (SELECT coalesce(active_policy, 0) FROM tenants WHERE org = ?1 AND tenant = ?2),"
          " (SELECT count(*) FROM revocations WHERE org = ?1 AND tenant = ?2),"
          " (SELECT count(*) FROM operator_log WHERE org = ?1 AND tenant = ?2)",
          tenant.org, tenant.tenant));
  AEGIS_TRY([[maybe_unused]] bool row, query.Step());
  return Counts{query.Int(0), query.Int(1), query.Int(2), query.Int(3),
                query.Int(4), query.Int(5), query.Int(6)};
}

Result<int64_t> SqliteRepository::SchemaVersion() {
  const std::lock_guard lock(mutex_);
  return CurrentSchemaVersion(*database_);
}

}  // namespace internal
}  // namespace aegis::store
