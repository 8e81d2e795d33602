#include "aegis/store/sqlite.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "aegis/base/file.h"

namespace aegis::store {
namespace {

constexpr int kBusyTimeoutMs = 5'000;
constexpr size_t kIdlePerStatement = 4;

Error MakeError(int code, std::string_view doing, std::string_view detail, std::string_view path) {
  std::string message = std::string(path) + ": " + std::string(doing) + ": " + std::string(detail);
  switch (code & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return {Code::kUnavailable, "store_busy",
              message + " (another process is writing; stop it and try again)"};
    case SQLITE_FULL:
      return {Code::kResourceExhausted, "store_full",
              message + " (free disk space; nothing was changed)"};
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
      return {Code::kUnavailable, "store_io_error", message};
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return {Code::kDataLoss, "store_corrupt",
              message +
                  " (restore the file from a backup, or look at it with 'sqlite3 FILE .recover')"};
    case SQLITE_CONSTRAINT:
      return {Code::kFailedPrecondition, "store_constraint", message};
    case SQLITE_READONLY:
    case SQLITE_PERM:
      return {Code::kPermissionDenied, "store_readonly", message};
    default:
      return {Code::kInternal, "store_error", message};
  }
}

}  // namespace

Query::Query(Query&& other) noexcept : database_(other.database_), statement_(other.statement_) {
  other.statement_ = nullptr;
}

Query::~Query() {
  if (statement_) database_->GiveBack(statement_);
}

Result<bool> Query::Step() {
  switch (sqlite3_step(statement_)) {
    case SQLITE_ROW:
      return true;
    case SQLITE_DONE:
      return false;
    default:
      return Fail(database_->LastError("running a statement"));
  }
}

int64_t Query::Int(int column) const { return sqlite3_column_int64(statement_, column); }

std::string Query::Text(int column) const {
  const void* bytes = sqlite3_column_blob(statement_, column);
  const int size = sqlite3_column_bytes(statement_, column);
  return bytes ? std::string(static_cast<const char*>(bytes), static_cast<size_t>(size))
               : std::string();
}

bool Query::IsNull(int column) const {
  return sqlite3_column_type(statement_, column) == SQLITE_NULL;
}

Result<std::unique_ptr<Database>> Database::Open(const std::string& path, bool create) {
  // SQLite creates files with 0644 & ~umask, and its -wal and -shm files take the main file's mode:
  // making the file first keeps all three to their owner.
  const int flags = O_RDWR | O_CLOEXEC | (create ? O_CREAT : 0);
  FileDescriptor file(::open(path.c_str(), flags, 0600));
  if (!file) return Fail(SystemError("cannot open the database", path, errno));
  file.Close();

  sqlite3* handle = nullptr;
  const int code = sqlite3_open_v2(
      path.c_str(), &handle,
      SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE | SQLITE_OPEN_NOFOLLOW,
      nullptr);
  std::unique_ptr<Database> database(new Database(handle, path));
  if (code != SQLITE_OK) {
    return Fail(
        MakeError(code, "opening", handle ? sqlite3_errmsg(handle) : "out of memory", path));
  }
  sqlite3_busy_timeout(handle, kBusyTimeoutMs);
  // Defensive mode and an untrusted schema: a tampered file cannot run functions or write shadow
  // tables through our statements (https://www.sqlite.org/security.html).
  sqlite3_db_config(handle, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
  sqlite3_db_config(handle, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, nullptr);
  AEGIS_RETURN_IF_ERROR(database->Script(
      "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON;"
      // Pages that are not in SQLite's cache of 512 KiB are in the system's.
      "PRAGMA cell_size_check=ON; PRAGMA temp_store=MEMORY; PRAGMA cache_size=-512;"));
  {
    AEGIS_TRY(Query mode, database->Start("PRAGMA journal_mode"));
    AEGIS_TRY(bool row, mode.Step());
    if (!row || mode.Text(0) != "wal") {
      return Fail(Code::kFailedPrecondition, "store_error",
                  path +
                      ": the file system does not support SQLite's write-ahead log; put the data "
                      "folder on a local disk");
    }
  }
  return database;
}

Database::~Database() {
  for (auto& [sql, statements] : idle_) {
    for (sqlite3_stmt* statement : statements) sqlite3_finalize(statement);
  }
  sqlite3_close_v2(handle_);
}

Result<sqlite3_stmt*> Database::Take(std::string_view sql) {
  if (auto found = idle_.find(sql); found != idle_.end() && !found->second.empty()) {
    sqlite3_stmt* statement = found->second.back();
    found->second.pop_back();
    return statement;
  }
  sqlite3_stmt* statement = nullptr;
  if (sqlite3_prepare_v3(handle_, sql.data(), static_cast<int>(sql.size()),
                         SQLITE_PREPARE_PERSISTENT, &statement, nullptr) != SQLITE_OK) {
    return Fail(LastError("preparing a statement"));
  }
  return statement;
}

void Database::GiveBack(sqlite3_stmt* statement) {
  sqlite3_reset(statement);
  sqlite3_clear_bindings(statement);
  const std::string_view sql = sqlite3_sql(statement);
  auto found = idle_.find(sql);
  if (found == idle_.end())
    found = idle_.emplace(std::string(sql), std::vector<sqlite3_stmt*>()).first;
  if (found->second.size() < kIdlePerStatement) {
    found->second.push_back(statement);
  } else {
    sqlite3_finalize(statement);
  }
}

Error Database::LastError(std::string_view doing) const {
  return MakeError(sqlite3_extended_errcode(handle_), doing, sqlite3_errmsg(handle_), path_);
}

Status Database::Script(const char* sql) {
  if (sqlite3_exec(handle_, sql, nullptr, nullptr, nullptr) != SQLITE_OK) {
    return Fail(LastError("running a script"));
  }
  return Ok();
}

int64_t Database::changes() const { return sqlite3_changes64(handle_); }

bool Database::BindOne(sqlite3_stmt* statement, int index, std::string_view text) {
  return sqlite3_bind_text64(statement, index, text.data() ? text.data() : "", text.size(),
                             SQLITE_TRANSIENT, SQLITE_UTF8) == SQLITE_OK;
}

bool Database::BindOne(sqlite3_stmt* statement, int index, int64_t value) {
  return sqlite3_bind_int64(statement, index, value) == SQLITE_OK;
}

bool Database::BindOne(sqlite3_stmt* statement, int index, Blob blob) {
  return sqlite3_bind_blob64(statement, index, blob.bytes.data() ? blob.bytes.data() : "",
                             blob.bytes.size(), SQLITE_TRANSIENT) == SQLITE_OK;
}

bool Database::BindOne(sqlite3_stmt* statement, int index, Null) {
  return sqlite3_bind_null(statement, index) == SQLITE_OK;
}

Result<Transaction> Transaction::Begin(Database& database) {
  AEGIS_RETURN_IF_ERROR(database.Run("BEGIN IMMEDIATE"));
  return Transaction(&database);
}

Transaction::~Transaction() {
  if (database_ && !sqlite3_get_autocommit(database_->handle_)) {
    // A failed rollback leaves nothing to do: SQLite has already rolled back by itself.
    (void)database_->Run("ROLLBACK");
  }
}

Status Transaction::Commit() {
  AEGIS_RETURN_IF_ERROR(database_->Run("COMMIT"));
  database_ = nullptr;
  return Ok();
}

}  // namespace aegis::store
