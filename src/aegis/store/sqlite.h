// An owned SQLite connection: prepared statements kept for reuse, values bound by type, errors as
// values. Internal to the store; nothing outside src/aegis/store includes it.
//
// Threading: one thread at a time (the repository holds a mutex). Files are opened in WAL mode with
// synchronous=FULL, so that a transaction whose Commit returned survives a kill and a power cut
// (https://www.sqlite.org/pragma.html#pragma_synchronous).
//
// Errors of every call: store_busy (another process writes), store_full (disk or page limit),
// store_io_error, store_corrupt, store_constraint (a CHECK, key or trigger refused the change),
// store_readonly, store_error.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "aegis/base/result.h"

struct sqlite3;
struct sqlite3_stmt;

namespace aegis::store {

// Marks bytes to be bound as a BLOB; plain string_views are bound as TEXT.
struct Blob {
  std::string_view bytes;
};
struct Null {};

class Database;

// One run of a prepared statement; hands the statement back to the connection's cache when
// destroyed. Columns are valid after Step returned true, until the next Step.
class Query {
 public:
  Query(Query&& other) noexcept;
  Query& operator=(Query&&) = delete;
  ~Query();

  // True: a row is ready. False: done.
  Result<bool> Step();

  int64_t Int(int column) const;
  std::string Text(int column) const;  // TEXT or BLOB
  bool IsNull(int column) const;

 private:
  friend class Database;
  Query(Database* database, sqlite3_stmt* statement) : database_(database), statement_(statement) {}

  Database* database_;
  sqlite3_stmt* statement_;
};

class Database {
 public:
  // Opens or creates the file (mode 0600). `create`: false refuses a missing file.
  static Result<std::unique_ptr<Database>> Open(const std::string& path, bool create = true);
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;
  ~Database();

  // Prepares `sql`, or takes it from the cache, and binds `args` to ?1, ?2, …
  template <typename... Args>
  Result<Query> Start(std::string_view sql, const Args&... args) {
    AEGIS_TRY(sqlite3_stmt * statement, Take(sql));
    int index = 0;
    const bool bound = (BindOne(statement, ++index, args) && ... && true);
    Query query(this, statement);
    if (!bound) return Fail(LastError("binding a value"));
    return query;
  }

  // Runs a statement that returns no rows.
  template <typename... Args>
  Status Run(std::string_view sql, const Args&... args) {
    AEGIS_TRY(Query query, Start(sql, args...));
    AEGIS_TRY([[maybe_unused]] bool row, query.Step());
    return Ok();
  }

  // Runs `sql`, which may hold several statements; not cached.
  Status Script(const char* sql);

  // Rows the last Run changed.
  int64_t changes() const;
  const std::string& path() const { return path_; }

 private:
  friend class Query;
  friend class Transaction;

  Database(sqlite3* handle, std::string path) : handle_(handle), path_(std::move(path)) {}
  Result<sqlite3_stmt*> Take(std::string_view sql);
  void GiveBack(sqlite3_stmt* statement);
  Error LastError(std::string_view doing) const;

  static bool BindOne(sqlite3_stmt* statement, int index, std::string_view text);
  static bool BindOne(sqlite3_stmt* statement, int index, const std::string& text) {
    return BindOne(statement, index, std::string_view(text));
  }
  static bool BindOne(sqlite3_stmt* statement, int index, const char* text) {
    return BindOne(statement, index, std::string_view(text));
  }
  static bool BindOne(sqlite3_stmt* statement, int index, int64_t value);
  static bool BindOne(sqlite3_stmt* statement, int index, Blob blob);
  static bool BindOne(sqlite3_stmt* statement, int index, Null);

  sqlite3* handle_;
  std::string path_;
  // Idle prepared statements by their SQL; a statement in use is not in here.
  std::map<std::string, std::vector<sqlite3_stmt*>, std::less<>> idle_;
};

// BEGIN IMMEDIATE … COMMIT; rolls back when destroyed without Commit, or when Commit failed.
class Transaction {
 public:
  static Result<Transaction> Begin(Database& database);
  Transaction(Transaction&& other) noexcept : database_(other.database_) {
    other.database_ = nullptr;
  }
  Transaction& operator=(Transaction&&) = delete;
  ~Transaction();

  // Durable once this returned without an error.
  Status Commit();

 private:
  explicit Transaction(Database* database) : database_(database) {}
  Database* database_;
};

}  // namespace aegis::store
