// Keys, credentials, revocations and the operator log of the SQLite repository.
#include <charconv>

#include "aegis/store/record_json.h"
#include "aegis/store/sqlite_repository_internal.h"

namespace aegis::store::internal {

Status SqliteRepository::Log(const TenantKey& tenant, std::string_view action,
                             std::string_view object, std::string_view before,
                             std::string_view after, const Operator& by) {
  return database_->Run(
      "INSERT INTO operator_log (org, tenant, sequence, at, actor, request_id, action, object,"
      " before, after) VALUES (?1, ?2, (SELECT coalesce(max(sequence), 0) + 1 FROM operator_log"
      " WHERE org = ?1 AND tenant = ?2), ?3, ?4, ?5, ?6, ?7, nullif(?8, ''), nullif(?9, ''))",
      tenant.org, tenant.tenant, by.at, by.actor, by.request_id, action, object, before, after);
}

Status SqliteRepository::SetCurrentKey(const TenantKey& tenant, const KeyRecord& key,
                                       const Operator& by) {
  const std::lock_guard lock(mutex_);
  AEGIS_RETURN_IF_ERROR(CheckTenant(tenant));
  AEGIS_TRY(Transaction transaction, Transaction::Begin(*database_));
  {
    AEGIS_TRY(Query query, database_->Start("SELECT retired_at, public_key FROM keys WHERE org = ?1"
                                            " AND tenant = ?2 AND use = ?3 AND key_id = ?4",
                                            tenant.org, tenant.tenant, key.use, key.key_id));
    AEGIS_TRY(bool known, query.Step());
    if (known && query.Text(1) != key.public_key) {
      return Fail(Code::kFailedPrecondition, "key_conflict",
                  "key id '" + key.key_id + "' is already recorded for another key");
    }
    if (known && query.IsNull(0)) return Ok();
  }
  AEGIS_RETURN_IF_ERROR(
      database_->Run("UPDATE keys SET retired_at = ?4 WHERE org = ?1 AND tenant = ?2 AND use = ?3"
                     " AND retired_at IS NULL",
                     tenant.org, tenant.tenant, key.use, by.at));
  AEGIS_RETURN_IF_ERROR(database_->Run(
      "INSERT INTO keys (org, tenant, use, key_id, algorithm, public_key, created_at)"
      " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)"
      " ON CONFLICT (org, tenant, use, key_id) DO UPDATE SET retired_at = NULL",
      tenant.org, tenant.tenant, key.use, key.key_id, key.algorithm, key.public_key, by.at));
  AEGIS_RETURN_IF_ERROR(
      Log(tenant, "key.activate", "key/" + key.use + "/" + key.key_id, "", KeyJson(key), by));
  return transaction.Commit();
}

Result<std::vector<KeyRecord>> SqliteRepository::ListKeys(const TenantKey& tenant) {
  const std::lock_guard lock(mutex_);
  AEGIS_TRY(Query query,
            database_->Start("SELECT use, key_id, algorithm, public_key, created_at, retired_at"
                             " FROM keys WHERE org = ?1 AND tenant = ?2"
                             " ORDER BY use, created_at, key_id",
                             tenant.org, tenant.tenant));
  std::vector<KeyRecord> keys;
  for (;;) {
    AEGIS_TRY(bool row, query.Step());
    if (!row) return keys;
    KeyRecord key{query.Text(0), query.Text(1), query.Text(2), query.Text(3), query.Int(4), {}};
    if (!query.IsNull(5)) key.retired_at = query.Int(5);
    keys.push_back(std::move(key));
  }
}

Status SqliteRepository::RevokeToken(const TenantKey& tenant, const Revocation& revocation,
                                     const Operator& by) {
  const std::lock_guard lock(mutex_);
  AEGIS_RETURN_IF_ERROR(CheckTenant(tenant));
  AEGIS_TRY(Transaction transaction, Transaction::Begin(*database_));
  AEGIS_RETURN_IF_ERROR(
      database_->Run("DELETE FROM revocations WHERE org = ?1 AND tenant = ?2 AND until <= ?3",
                     tenant.org, tenant.tenant, by.at));
  AEGIS_RETURN_IF_ERROR(database_->Run(
      "INSERT INTO revocations (org, tenant, jti, until) VALUES (?1, ?2, ?3, ?4)"
      " ON CONFLICT (org, tenant, jti) DO UPDATE SET until = max(until, excluded.until)",
      tenant.org, tenant.tenant, revocation.jti, revocation.until));
  AEGIS_RETURN_IF_ERROR(TouchSettings(tenant, true));
  AEGIS_RETURN_IF_ERROR(
      Log(tenant, "token.revoke", "token/" + revocation.jti, "", RevocationJson(revocation), by));
  return transaction.Commit();
}

Status SqliteRepository::SetCredential(const TenantKey& tenant, const Credential& credential,
                                       const Operator& by) {
  const std::lock_guard lock(mutex_);
  AEGIS_RETURN_IF_ERROR(CheckTenant(tenant));
  AEGIS_TRY(Transaction transaction, Transaction::Begin(*database_));
  std::string before;
  {
    AEGIS_TRY(Query query, database_->Start("SELECT role, secret_sha256 FROM credentials"
                                            " WHERE org = ?1 AND tenant = ?2 AND id = ?3",
                                            tenant.org, tenant.tenant, credential.id));
    AEGIS_TRY(bool known, query.Step());
    if (known) {
      const Credential old{credential.id, query.Text(0), query.Text(1), 0};
      if (old.role == credential.role && old.secret_sha256 == credential.secret_sha256) return Ok();
      before = CredentialJson(old);
    }
  }
  AEGIS_RETURN_IF_ERROR(database_->Run(
      "INSERT INTO credentials (org, tenant, id, role, secret_sha256, created_at)"
      " VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (org, tenant, id) DO UPDATE SET"
      " role = excluded.role, secret_sha256 = excluded.secret_sha256,"
      " created_at = excluded.created_at",
      tenant.org, tenant.tenant, credential.id, credential.role, credential.secret_sha256, by.at));
  AEGIS_RETURN_IF_ERROR(Log(tenant, before.empty() ? "credential.create" : "credential.replace",
                            "credential/" + credential.id, before, CredentialJson(credential), by));
  return transaction.Commit();
}

Result<std::vector<Credential>> SqliteRepository::ListCredentials(const TenantKey& tenant) {
  const std::lock_guard lock(mutex_);
  AEGIS_TRY(Query query, database_->Start("SELECT id, role, secret_sha256, created_at"
                                          " FROM credentials WHERE org = ?1 AND tenant = ?2"
                                          " ORDER BY id",
                                          tenant.org, tenant.tenant));
  std::vector<Credential> credentials;
  for (;;) {
    AEGIS_TRY(bool row, query.Step());
    if (!row) return credentials;
    credentials.push_back({query.Text(0), query.Text(1), query.Text(2), query.Int(3)});
  }
}

Status SqliteRepository::RecordOperation(const TenantKey& tenant, std::string_view action,
                                         std::string_view object, std::string_view detail_json,
                                         const Operator& by) {
  const std::lock_guard lock(mutex_);
  AEGIS_RETURN_IF_ERROR(CheckTenant(tenant));
  AEGIS_TRY(Transaction transaction, Transaction::Begin(*database_));
  AEGIS_RETURN_IF_ERROR(Log(tenant, action, object, "", detail_json, by));
  return transaction.Commit();
}

Result<Page<OperatorEntry>> SqliteRepository::ListOperations(const TenantKey& tenant,
                                                             const PageRequest& page) {
  const std::lock_guard lock(mutex_);
  const size_t limit = ClampLimit(page.limit);
  int64_t below = INT64_MAX;
  if (!page.after.empty()) {
    const char* end = page.after.data() + page.after.size();
    const auto parsed = std::from_chars(page.after.data(), end, below);
    if (parsed.ec != std::errc() || parsed.ptr != end) {
      return Fail(Code::kInvalidArgument, "bad_cursor", "the cursor is not a sequence number");
    }
  }
  AEGIS_TRY(Query query,
            database_->Start("SELECT sequence, at, actor, request_id, action, object,"
                             " coalesce(before, ''), coalesce(after, '') FROM operator_log"
                             " WHERE org = ?1 AND tenant = ?2 AND sequence < ?3"
                             " ORDER BY sequence DESC LIMIT ?4",
                             tenant.org, tenant.tenant, below, static_cast<int64_t>(limit + 1)));
  return ReadPage<OperatorEntry>(query, limit, [](const Query& row) {
    return OperatorEntry{row.Int(0),  row.Int(1),  row.Text(2), row.Text(3),
                         row.Text(4), row.Text(5), row.Text(6), row.Text(7)};
  });
}

}  // namespace aegis::store::internal
