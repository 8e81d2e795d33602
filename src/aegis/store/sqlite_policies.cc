// Policy versions of the SQLite repository.
#include <charconv>

#include "aegis/store/record_json.h"
#include "aegis/store/sqlite_repository_internal.h"

namespace aegis::store::internal {
namespace {

constexpr std::string_view kVersionColumns =
    "SELECT version, author, message, created_at, bundle_sha256, length(bundle)"
    " FROM policy_versions ";

PolicyVersion ReadVersion(const Query& row) {
  PolicyVersion version;
  version.version = row.Int(0);
  version.author = row.Text(1);
  version.message = row.Text(2);
  version.created_at = row.Int(3);
  version.bundle_sha256 = row.Text(4);
  version.bundle_bytes = row.Int(5);
  return version;
}

tl::unexpected<Error> NotFound(int64_t version) {
  return Fail(
      Code::kNotFound, "policy_not_found",
      "no policy version " + std::to_string(version) + " has been published in this tenant");
}

}  // namespace

Result<int64_t> SqliteRepository::NewestPolicy(const TenantKey& tenant) {
  AEGIS_TRY(Query query, database_->Start("SELECT coalesce(max(version), 0) FROM policy_versions"
                                          " WHERE org = ?1 AND tenant = ?2",
                                          tenant.org, tenant.tenant));
  AEGIS_TRY([[maybe_unused]] bool row, query.Step());
  return query.Int(0);
}

Result<int64_t> SqliteRepository::FindActivePolicy(const TenantKey& tenant) {
  AEGIS_TRY(Query query, database_->Start("SELECT coalesce(active_policy, 0) FROM tenants"
                                          " WHERE org = ?1 AND tenant = ?2",
                                          tenant.org, tenant.tenant));
  AEGIS_TRY(bool row, query.Step());
  if (!row) {
    return Fail(Code::kNotFound, "tenant_not_found", "there is no such tenant in this database");
  }
  return query.Int(0);
}

Result<std::vector<std::string>> SqliteRepository::SourceNames(const TenantKey& tenant,
                                                               int64_t version) {
  AEGIS_TRY(Query query,
            database_->Start("SELECT name FROM policy_sources"
                             " WHERE org = ?1 AND tenant = ?2 AND version = ?3 ORDER BY position",
                             tenant.org, tenant.tenant, version));
  std::vector<std::string> names;
  for (;;) {
    AEGIS_TRY(bool row, query.Step());
    if (!row) return names;
    names.push_back(query.Text(0));
  }
}

Result<PolicyVersion> SqliteRepository::FindPolicy(const TenantKey& tenant, int64_t version) {
  AEGIS_TRY(Query query, database_->Start(std::string(kVersionColumns) +
                                              "WHERE org = ?1 AND tenant = ?2 AND version = ?3",
                                          tenant.org, tenant.tenant, version));
  AEGIS_TRY(bool found, query.Step());
  if (!found) return NotFound(version);
  PolicyVersion result = ReadVersion(query);
  AEGIS_TRY(result.source_names, SourceNames(tenant, version));
  return result;
}

Result<int64_t> SqliteRepository::NextPolicyVersion(const TenantKey& tenant) {
  const std::lock_guard lock(mutex_);
  AEGIS_RETURN_IF_ERROR(CheckTenant(tenant));
  AEGIS_TRY(const int64_t newest, NewestPolicy(tenant));
  return newest + 1;
}

Result<PolicyVersion> SqliteRepository::PublishPolicy(const TenantKey& tenant,
                                                      const NewPolicyVersion& policy,
                                                      const Operator& by) {
  const std::lock_guard lock(mutex_);
  AEGIS_TRY(Transaction transaction, Transaction::Begin(*database_));
  AEGIS_TRY(const int64_t active, FindActivePolicy(tenant));
  AEGIS_TRY(const int64_t newest, NewestPolicy(tenant));
  if (policy.version != newest + 1) {
    return Fail(Code::kAborted, "version_conflict",
                "the next policy version is " + std::to_string(newest + 1) + ", not " +
                    std::to_string(policy.version) + ": someone else has published; try again");
  }
  std::string before;
  if (active != 0) {
    AEGIS_TRY(const PolicyVersion running, FindPolicy(tenant, active));
    before = PolicyJson(running.version, running.bundle_sha256, running.message);
  }
  AEGIS_RETURN_IF_ERROR(database_->Run(
      "INSERT INTO policy_versions (org, tenant, version, author, message, created_at,"
      " bundle_sha256, bundle) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
      tenant.org, tenant.tenant, policy.version, by.actor, policy.message, by.at,
      policy.bundle_sha256, Blob{policy.bundle}));
  int64_t position = 0;
  for (const PolicySource& source : policy.sources) {
    AEGIS_RETURN_IF_ERROR(database_->Run(
        "INSERT INTO policy_sources (org, tenant, version, position, name, content)"
        " VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        tenant.org, tenant.tenant, policy.version, position++, source.name, source.content));
  }
  AEGIS_RETURN_IF_ERROR(
      database_->Run("UPDATE tenants SET active_policy = ?3 WHERE org = ?1 AND tenant = ?2",
                     tenant.org, tenant.tenant, policy.version));
  AEGIS_RETURN_IF_ERROR(Log(tenant, "policy.publish", "policy/" + std::to_string(policy.version),
                            before,
                            PolicyJson(policy.version, policy.bundle_sha256, policy.message), by));
  AEGIS_RETURN_IF_ERROR(transaction.Commit());

  PolicyVersion result{policy.version,
                       by.actor,
                       policy.message,
                       by.at,
                       policy.bundle_sha256,
                       static_cast<int64_t>(policy.bundle.size()),
                       {}};
  for (const PolicySource& source : policy.sources) result.source_names.push_back(source.name);
  return result;
}

Result<PolicyVersion> SqliteRepository::GetPolicy(const TenantKey& tenant, int64_t version) {
  const std::lock_guard lock(mutex_);
  return FindPolicy(tenant, version);
}

Result<std::vector<PolicySource>> SqliteRepository::GetPolicySources(const TenantKey& tenant,
                                                                     int64_t version) {
  const std::lock_guard lock(mutex_);
  AEGIS_TRY([[maybe_unused]] PolicyVersion exists, FindPolicy(tenant, version));
  AEGIS_TRY(Query query,
            database_->Start("SELECT name, content FROM policy_sources"
                             " WHERE org = ?1 AND tenant = ?2 AND version = ?3 ORDER BY position",
                             tenant.org, tenant.tenant, version));
  std::vector<PolicySource> sources;
  for (;;) {
    AEGIS_TRY(bool row, query.Step());
    if (!row) return sources;
    sources.push_back({query.Text(0), query.Text(1)});
  }
}

Result<std::string> SqliteRepository::GetPolicyBundle(const TenantKey& tenant, int64_t version) {
  const std::lock_guard lock(mutex_);
  AEGIS_TRY(Query query, database_->Start("SELECT bundle FROM policy_versions"
                                          " WHERE org = ?1 AND tenant = ?2 AND version = ?3",
                                          tenant.org, tenant.tenant, version));
  AEGIS_TRY(bool found, query.Step());
  if (!found) return NotFound(version);
  return query.Text(0);
}

Result<int64_t> SqliteRepository::ActivePolicy(const TenantKey& tenant) {
  const std::lock_guard lock(mutex_);
  return FindActivePolicy(tenant);
}

Result<Page<PolicyVersion>> SqliteRepository::ListPolicies(const TenantKey& tenant,
                                                           const PageRequest& page) {
  const std::lock_guard lock(mutex_);
  const size_t limit = ClampLimit(page.limit);
  int64_t below = INT64_MAX;
  if (!page.after.empty()) {
    const char* end = page.after.data() + page.after.size();
    const auto parsed = std::from_chars(page.after.data(), end, below);
    if (parsed.ec != std::errc() || parsed.ptr != end) {
      return Fail(Code::kInvalidArgument, "bad_cursor", "the cursor is not a policy version");
    }
  }
  AEGIS_TRY(Query query,
            database_->Start(std::string(kVersionColumns) +
                                 "WHERE org = ?1 AND tenant = ?2 AND version < ?3"
                                 " ORDER BY version DESC LIMIT ?4",
                             tenant.org, tenant.tenant, below, static_cast<int64_t>(limit + 1)));
  return ReadPage<PolicyVersion>(query, limit, [&](const Query& row) -> Result<PolicyVersion> {
    PolicyVersion version = ReadVersion(row);
    AEGIS_TRY(version.source_names, SourceNames(tenant, version.version));
    return version;
  });
}

}  // namespace aegis::store::internal
