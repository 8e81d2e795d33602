#include "aegis/store/migrations.h"

#include <string>

#include "aegis/store/sqlite.h"

namespace aegis::store {
namespace {

// Every table's key begins with (org, tenant), and every row hangs on its tenant's row.
constexpr const char* kInitialSchema = R"sql(
CREATE TABLE tenants (
  org               TEXT NOT NULL CHECK (length(org) BETWEEN 1 AND 128),
  tenant            TEXT NOT NULL CHECK (length(tenant) BETWEEN 1 AND 128),
  created_at        INTEGER NOT NULL,
  settings_revision INTEGER NOT NULL DEFAULT 0,
  revocation_epoch  INTEGER NOT NULL DEFAULT 0,
  active_policy     INTEGER,
  PRIMARY KEY (org, tenant),
  FOREIGN KEY (org, tenant, active_policy) REFERENCES policy_versions (org, tenant, version)
) STRICT, WITHOUT ROWID;

CREATE TABLE agents (
  org        TEXT NOT NULL,
  tenant     TEXT NOT NULL,
  name       TEXT NOT NULL CHECK (length(name) BETWEEN 1 AND 256),
  labels     TEXT NOT NULL CHECK (substr(labels, 1, 1) = '{'),  -- JSON object of strings
  status     TEXT NOT NULL CHECK (status IN ('active', 'suspended')),
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  revision   INTEGER NOT NULL CHECK (revision >= 1),
  PRIMARY KEY (org, tenant, name),
  FOREIGN KEY (org, tenant) REFERENCES tenants (org, tenant)
) STRICT, WITHOUT ROWID;

CREATE TABLE tools (
  org        TEXT NOT NULL,
  tenant     TEXT NOT NULL,
  name       TEXT NOT NULL CHECK (length(name) BETWEEN 1 AND 256),
  base_url   TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  revision   INTEGER NOT NULL CHECK (revision >= 1),
  PRIMARY KEY (org, tenant, name),
  FOREIGN KEY (org, tenant) REFERENCES tenants (org, tenant)
) STRICT, WITHOUT ROWID;

CREATE TABLE policy_versions (
  org           TEXT NOT NULL,
  tenant        TEXT NOT NULL,
  version       INTEGER NOT NULL CHECK (version >= 1),
  author        TEXT NOT NULL,
  message       TEXT NOT NULL,
  created_at    INTEGER NOT NULL,
  bundle_sha256 TEXT NOT NULL CHECK (length(bundle_sha256) = 64),
  bundle        BLOB NOT NULL,
  PRIMARY KEY (org, tenant, version),
  FOREIGN KEY (org, tenant) REFERENCES tenants (org, tenant)
) STRICT;

CREATE TABLE policy_sources (
  org      TEXT NOT NULL,
  tenant   TEXT NOT NULL,
  version  INTEGER NOT NULL,
  position INTEGER NOT NULL,
  name     TEXT NOT NULL,
  content  TEXT NOT NULL,
  PRIMARY KEY (org, tenant, version, position),
  UNIQUE (org, tenant, version, name),
  FOREIGN KEY (org, tenant, version) REFERENCES policy_versions (org, tenant, version)
) STRICT;

CREATE TABLE keys (
  org        TEXT NOT NULL,
  tenant     TEXT NOT NULL,
  use        TEXT NOT NULL CHECK (use IN ('token', 'bundle')),
  key_id     TEXT NOT NULL,
  algorithm  TEXT NOT NULL,
  public_key TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  retired_at INTEGER,
  PRIMARY KEY (org, tenant, use, key_id),
  FOREIGN KEY (org, tenant) REFERENCES tenants (org, tenant)
) STRICT, WITHOUT ROWID;

CREATE TABLE revocations (
  org    TEXT NOT NULL,
  tenant TEXT NOT NULL,
  jti    TEXT NOT NULL CHECK (length(jti) BETWEEN 1 AND 256),
  until  INTEGER NOT NULL,
  PRIMARY KEY (org, tenant, jti),
  FOREIGN KEY (org, tenant) REFERENCES tenants (org, tenant)
) STRICT, WITHOUT ROWID;

CREATE TABLE credentials (
  org           TEXT NOT NULL,
  tenant        TEXT NOT NULL,
  id            TEXT NOT NULL,
  role          TEXT NOT NULL CHECK (role IN ('admin', 'gateway')),
  secret_sha256 TEXT NOT NULL CHECK (length(secret_sha256) = 64),
  created_at    INTEGER NOT NULL,
  PRIMARY KEY (org, tenant, id),
  FOREIGN KEY (org, tenant) REFERENCES tenants (org, tenant)
) STRICT, WITHOUT ROWID;

CREATE TABLE operator_log (
  org        TEXT NOT NULL,
  tenant     TEXT NOT NULL,
  sequence   INTEGER NOT NULL CHECK (sequence >= 1),
  at         INTEGER NOT NULL,
  actor      TEXT NOT NULL,
  request_id TEXT NOT NULL,
  action     TEXT NOT NULL,
  object     TEXT NOT NULL,
  before     TEXT CHECK (before <> ''),
  after      TEXT CHECK (after <> ''),
  PRIMARY KEY (org, tenant, sequence),
  FOREIGN KEY (org, tenant) REFERENCES tenants (org, tenant)
) STRICT;

-- What has been published or logged stays as it was, even for a bug in the program above.
CREATE TRIGGER policy_versions_fixed BEFORE UPDATE ON policy_versions
BEGIN SELECT RAISE(ABORT, 'a published policy version cannot be changed'); END;
CREATE TRIGGER policy_versions_kept BEFORE DELETE ON policy_versions
BEGIN SELECT RAISE(ABORT, 'a published policy version cannot be deleted'); END;
CREATE TRIGGER policy_sources_fixed BEFORE UPDATE ON policy_sources
BEGIN SELECT RAISE(ABORT, 'a published policy source cannot be changed'); END;
CREATE TRIGGER policy_sources_kept BEFORE DELETE ON policy_sources
BEGIN SELECT RAISE(ABORT, 'a published policy source cannot be deleted'); END;
CREATE TRIGGER operator_log_fixed BEFORE UPDATE ON operator_log
BEGIN SELECT RAISE(ABORT, 'the operator log cannot be changed'); END;
CREATE TRIGGER operator_log_kept BEFORE DELETE ON operator_log
BEGIN SELECT RAISE(ABORT, 'the operator log cannot be deleted from'); END;
)sql";

constexpr const char* kUnknownCallers = R"sql(
CREATE TABLE unknown_callers (
  org        TEXT NOT NULL,
  tenant     TEXT NOT NULL,
  source     TEXT NOT NULL CHECK (length(source) BETWEEN 1 AND 64),
  name       TEXT NOT NULL CHECK (length(name) BETWEEN 1 AND 128),
  target     TEXT NOT NULL CHECK (length(target) BETWEEN 1 AND 128),
  reason     TEXT NOT NULL CHECK (length(reason) BETWEEN 1 AND 32),
  count      INTEGER NOT NULL CHECK (count >= 1),
  first_seen INTEGER NOT NULL,
  last_seen  INTEGER NOT NULL,
  PRIMARY KEY (org, tenant, source, name, target, reason),
  FOREIGN KEY (org, tenant) REFERENCES tenants (org, tenant)
) STRICT, WITHOUT ROWID;
CREATE INDEX unknown_callers_by_age ON unknown_callers (org, tenant, last_seen);
CREATE INDEX unknown_callers_by_name ON unknown_callers (org, tenant, name);

CREATE TABLE blocks (
  org        TEXT NOT NULL,
  tenant     TEXT NOT NULL,
  kind       TEXT NOT NULL CHECK (kind IN ('source', 'name')),
  value      TEXT NOT NULL CHECK (length(value) BETWEEN 1 AND 128),
  created_at INTEGER NOT NULL,
  PRIMARY KEY (org, tenant, kind, value),
  FOREIGN KEY (org, tenant) REFERENCES tenants (org, tenant)
) STRICT, WITHOUT ROWID;
)sql";

// What a tool is becomes a document; the hosts in it are rows too, so that no two tools claim one.
constexpr const char* kToolDocuments = R"sql(
ALTER TABLE tools ADD COLUMN document TEXT NOT NULL DEFAULT '{}'
  CHECK (substr(document, 1, 1) = '{');
UPDATE tools SET document = json_object('name', name, 'base_url', base_url);
ALTER TABLE tools DROP COLUMN base_url;

CREATE TABLE tool_hosts (
  org    TEXT NOT NULL,
  tenant TEXT NOT NULL,
  host   TEXT NOT NULL CHECK (length(host) BETWEEN 1 AND 253),
  tool   TEXT NOT NULL,
  PRIMARY KEY (org, tenant, host),
  FOREIGN KEY (org, tenant, tool) REFERENCES tools (org, tenant, name)
) STRICT, WITHOUT ROWID;
)sql";

constexpr Migration kMigrations[] = {
    {1, "initial schema", kInitialSchema},
    {2, "unknown callers and blocks", kUnknownCallers},
    {3, "documents of tools", kToolDocuments},
};

}  // namespace

std::span<const Migration> SqliteMigrations() { return kMigrations; }

Result<int64_t> CurrentSchemaVersion(Database& database) {
  {
    AEGIS_TRY(Query table,
              database.Start("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?1",
                             "schema_version"));
    AEGIS_TRY(bool exists, table.Step());
    if (!exists) return 0;
  }
  AEGIS_TRY(Query query, database.Start("SELECT coalesce(max(version), 0) FROM schema_version"));
  AEGIS_TRY([[maybe_unused]] bool row, query.Step());
  return query.Int(0);
}

Status Migrate(Database& database, std::span<const Migration> migrations, int64_t applied_at) {
  AEGIS_RETURN_IF_ERROR(
      database.Script("CREATE TABLE IF NOT EXISTS schema_version ("
                      "version INTEGER PRIMARY KEY, name TEXT NOT NULL, applied_at INTEGER NOT NULL"
                      ") STRICT"));
  const int64_t newest = migrations.empty() ? 0 : migrations.back().version;
  for (const Migration& migration : migrations) {
    AEGIS_TRY(Transaction transaction, Transaction::Begin(database));
    // Read inside the transaction: another process may have migrated in the meantime.
    AEGIS_TRY(const int64_t current, CurrentSchemaVersion(database));
    if (migration.version <= current) continue;
    if (auto done = database.Script(migration.sql); !done) {
      return Fail(Annotate(done.error(), "migration " + std::to_string(migration.version)));
    }
    AEGIS_RETURN_IF_ERROR(
        database.Run("INSERT INTO schema_version (version, name, applied_at) VALUES (?1, ?2, ?3)",
                     migration.version, migration.name, applied_at));
    AEGIS_RETURN_IF_ERROR(transaction.Commit());
  }
  AEGIS_TRY(const int64_t current, CurrentSchemaVersion(database));
  if (current > newest) {
    return Fail(Code::kFailedPrecondition, "store_too_new",
                database.path() + ": schema version " + std::to_string(current) +
                    " was written by a newer Aegis; this one knows up to " +
                    std::to_string(newest) +
                    ". Use the newer version, or restore a backup made before the upgrade");
  }
  return Ok();
}

}  // namespace aegis::store
