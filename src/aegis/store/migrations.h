// The schema and how it came to be: a list of forward-only steps, each applied once and in order.
#pragma once

#include <cstdint>
#include <span>

#include "aegis/base/result.h"

namespace aegis::store {

class Database;

struct Migration {
  int64_t version;   // 1, 2, 3, …
  const char* name;  // recorded beside the version
  const char* sql;
};

// All steps this build knows. A released step is never edited: add another.
std::span<const Migration> SqliteMigrations();

// Brings the file to the newest schema, each step in a transaction of its own, recorded in
// schema_version. Safe to interrupt and to repeat. `applied_at`: nanoseconds since the epoch.
// Errors: store_too_new (the file was written by a newer Aegis), and those of Database.
Status Migrate(Database& database, std::span<const Migration> migrations, int64_t applied_at);

// 0 for an empty file.
Result<int64_t> CurrentSchemaVersion(Database& database);

}  // namespace aegis::store
