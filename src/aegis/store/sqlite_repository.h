// The repository on one SQLite file: the embedded state of `aegis up`.
#pragma once

#include <memory>
#include <string>

#include "aegis/store/repository.h"

namespace aegis::store {

struct SqliteOptions {
  std::string path;
  int64_t now = 0;  // recorded as the time of migrations
};

// Opens the file (made with mode 0600 if missing) and brings its schema up to date.
// Errors: store_too_new, and those of the database.
Result<std::unique_ptr<Repository>> OpenSqliteRepository(const SqliteOptions& options);

}  // namespace aegis::store
