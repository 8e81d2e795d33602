// Unknown callers and blocks of the SQLite repository.
#include <algorithm>
#include <array>
#include <set>

#include "aegis/base/text.h"
#include "aegis/store/record_json.h"
#include "aegis/store/sqlite_repository_internal.h"

namespace aegis::store {
namespace {

constexpr std::string_view kMany = "*";
constexpr char kKeySeparator = '\n';
constexpr int64_t kMaxCount = int64_t{1} << 53;  // what every reader of JSON can hold

}  // namespace

std::string_view BlockKindName(BlockKind kind) {
  return kind == BlockKind::kSource ? "source" : "name";
}

std::string UnknownCallerKey(const UnknownCaller& caller) {
  return caller.source + kKeySeparator + caller.name + kKeySeparator + caller.target +
         kKeySeparator + caller.reason;
}

std::string BlockKey(const Block& block) {
  return std::string(BlockKindName(block.kind)) + kKeySeparator + block.value;
}

namespace internal {
namespace {

constexpr std::string_view kCallerColumns =
    "SELECT source, name, target, reason, count, first_seen, last_seen FROM unknown_callers"
    " WHERE org = ?1 AND tenant = ?2 ";

UnknownCaller ReadCaller(const Query& row) {
  return {row.Text(0), row.Text(1), row.Text(2), row.Text(3), row.Int(4), row.Int(5), row.Int(6)};
}

Block ReadBlock(const Query& row) {
  return {row.Text(0) == "source" ? BlockKind::kSource : BlockKind::kName, row.Text(1), row.Int(2)};
}

// The parts of a page's key; empty ones when there is no key. Errors: bad_cursor.
template <size_t kParts>
Result<std::array<std::string, kParts>> SplitKey(const std::string& key) {
  std::array<std::string, kParts> parts;
  if (key.empty()) return parts;
  const auto pieces = Split(key, kKeySeparator);
  if (pieces.size() != kParts) {
    return Fail(Code::kInvalidArgument, "bad_cursor", "the cursor is not one of this list");
  }
  std::copy(pieces.begin(), pieces.end(), parts.begin());
  return parts;
}

}  // namespace

Result<bool> SqliteRepository::IsBlocked(const TenantKey& tenant, BlockKind kind,
                                         std::string_view value) {
  AEGIS_TRY(Query query, database_->Start("SELECT 1 FROM blocks WHERE org = ?1 AND tenant = ?2"
                                          " AND kind = ?3 AND value = ?4",
                                          tenant.org, tenant.tenant, BlockKindName(kind), value));
  return query.Step();
}

Result<bool> SqliteRepository::IsDecidedUpon(const TenantKey& tenant, const UnknownCaller& caller) {
  AEGIS_TRY(const bool source, IsBlocked(tenant, BlockKind::kSource, caller.source));
  if (source) return true;
  AEGIS_TRY(const bool name, IsBlocked(tenant, BlockKind::kName, caller.name));
  if (name) return true;
  // What a gateway saw before it was told of the registration.
  return caller.reason == "agent_unknown" && FindAgent(tenant, caller.name).has_value();
}

Status SqliteRepository::AddSightings(const TenantKey& tenant, const UnknownCaller& caller) {
  return database_->Run(
      "INSERT INTO unknown_callers (org, tenant, source, name, target, reason, count, first_seen,"
      " last_seen) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)"
      " ON CONFLICT (org, tenant, source, name, target, reason) DO UPDATE SET"
      " count = min(count + excluded.count, ?10), first_seen = min(first_seen, "
      "excluded.first_seen),"
      " last_seen = max(last_seen, excluded.last_seen)",
      tenant.org, tenant.tenant, caller.source, caller.name, caller.target, caller.reason,
      std::min(caller.count, kMaxCount), caller.first_seen, caller.last_seen, kMaxCount);
}

Status SqliteRepository::KeepNewest(const TenantKey& tenant, const std::string& source) {
  const bool all = source.empty();
  int64_t excess = -static_cast<int64_t>(all ? kMaxUnknownCallers : kMaxUnknownCallersOfASource);
  {
    AEGIS_TRY(Query query, database_->Start(all ? "SELECT count(*) FROM unknown_callers"
                                                  " WHERE org = ?1 AND tenant = ?2 AND ?3 = ''"
                                                : "SELECT count(*) FROM unknown_callers"
                                                  " WHERE org = ?1 AND tenant = ?2 AND source = ?3",
                                            tenant.org, tenant.tenant, source));
    AEGIS_TRY([[maybe_unused]] bool row, query.Step());
    excess += query.Int(0);
  }
  if (excess <= 0) return Ok();
  std::vector<UnknownCaller> oldest;
  {
    AEGIS_TRY(Query query, database_->Start(std::string(kCallerColumns) +
                                                (all ? "AND source <> '*' AND ?3 = ''"
                                                     : "AND source = ?3 AND name <> '*'") +
                                                " ORDER BY last_seen LIMIT ?4",
                                            tenant.org, tenant.tenant, source, excess));
    for (;;) {
      AEGIS_TRY(bool row, query.Step());
      if (!row) break;
      oldest.push_back(ReadCaller(query));
    }
  }
  for (UnknownCaller& caller : oldest) {
    AEGIS_RETURN_IF_ERROR(database_->Run(
        "DELETE FROM unknown_callers WHERE org = ?1 AND tenant = ?2 AND source = ?3"
        " AND name = ?4 AND target = ?5 AND reason = ?6",
        tenant.org, tenant.tenant, caller.source, caller.name, caller.target, caller.reason));
    if (all) caller.source = kMany;
    caller.name = kMany;
    caller.target = kMany;
    AEGIS_RETURN_IF_ERROR(AddSightings(tenant, caller));
  }
  return Ok();
}

Status SqliteRepository::RecordUnknownCallers(const TenantKey& tenant,
                                              const std::vector<UnknownCaller>& seen) {
  const std::lock_guard lock(mutex_);
  AEGIS_RETURN_IF_ERROR(CheckTenant(tenant));
  AEGIS_TRY(Transaction transaction, Transaction::Begin(*database_));
  std::set<std::string> sources;
  for (const UnknownCaller& caller : seen) {
    AEGIS_TRY(const bool decided, IsDecidedUpon(tenant, caller));
    if (decided) continue;
    AEGIS_RETURN_IF_ERROR(AddSightings(tenant, caller));
    if (caller.source != kMany) sources.insert(caller.source);
  }
  for (const std::string& source : sources) {
    AEGIS_RETURN_IF_ERROR(KeepNewest(tenant, source));
  }
  AEGIS_RETURN_IF_ERROR(KeepNewest(tenant, ""));
  return transaction.Commit();
}

Result<Page<UnknownCaller>> SqliteRepository::ListUnknownCallers(const TenantKey& tenant,
                                                                 const PageRequest& page) {
  const std::lock_guard lock(mutex_);
  AEGIS_TRY(const auto after, SplitKey<4>(page.after));
  const size_t limit = ClampLimit(page.limit);
  AEGIS_TRY(Query query,
            database_->Start(std::string(kCallerColumns) +
                                 "AND (source, name, target, reason) > (?3, ?4, ?5, ?6)"
                                 " ORDER BY source, name, target, reason LIMIT ?7",
                             tenant.org, tenant.tenant, after[0], after[1], after[2], after[3],
                             static_cast<int64_t>(limit + 1)));
  return ReadPage<UnknownCaller>(query, limit, ReadCaller);
}

Result<Block> SqliteRepository::AddBlock(const TenantKey& tenant, BlockKind kind,
                                         const std::string& value, const Operator& by) {
  const std::lock_guard lock(mutex_);
  AEGIS_RETURN_IF_ERROR(CheckTenant(tenant));
  AEGIS_TRY(Transaction transaction, Transaction::Begin(*database_));
  const std::string_view kind_name = BlockKindName(kind);
  {
    AEGIS_TRY(Query query, database_->Start("SELECT kind, value, created_at FROM blocks"
                                            " WHERE org = ?1 AND tenant = ?2 AND kind = ?3"
                                            " AND value = ?4",
                                            tenant.org, tenant.tenant, kind_name, value));
    AEGIS_TRY(const bool known, query.Step());
    if (known) return ReadBlock(query);
  }
  if (kind == BlockKind::kName && FindAgent(tenant, value)) {
    return Fail(Code::kAlreadyExists, "agent_exists",
                "'" + value + "' is a registered agent; suspend it instead");
  }
  {
    AEGIS_TRY(Query query,
              database_->Start("SELECT count(*) FROM blocks WHERE org = ?1 AND tenant = ?2",
                               tenant.org, tenant.tenant));
    AEGIS_TRY([[maybe_unused]] bool row, query.Step());
    if (query.Int(0) >= static_cast<int64_t>(kMaxBlocks)) {
      return Fail(Code::kFailedPrecondition, "too_many_blocks",
                  "there are " + std::to_string(kMaxBlocks) + " blocks in this tenant already");
    }
  }
  Block block{kind, value, by.at};
  AEGIS_RETURN_IF_ERROR(database_->Run(
      "INSERT INTO blocks (org, tenant, kind, value, created_at) VALUES (?1, ?2, ?3, ?4, ?5)",
      tenant.org, tenant.tenant, kind_name, value, by.at));
  AEGIS_RETURN_IF_ERROR(database_->Run(
      kind == BlockKind::kSource
          ? "DELETE FROM unknown_callers WHERE org = ?1 AND tenant = ?2 AND source = ?3"
          : "DELETE FROM unknown_callers WHERE org = ?1 AND tenant = ?2 AND name = ?3",
      tenant.org, tenant.tenant, value));
  AEGIS_RETURN_IF_ERROR(TouchSettings(tenant, false));
  AEGIS_RETURN_IF_ERROR(Log(tenant, "caller.block", "block/" + std::string(kind_name) + "/" + value,
                            "", BlockJson(block), by));
  AEGIS_RETURN_IF_ERROR(transaction.Commit());
  return block;
}

Status SqliteRepository::RemoveBlock(const TenantKey& tenant, BlockKind kind,
                                     const std::string& value, const Operator& by) {
  const std::lock_guard lock(mutex_);
  AEGIS_RETURN_IF_ERROR(CheckTenant(tenant));
  AEGIS_TRY(Transaction transaction, Transaction::Begin(*database_));
  const std::string_view kind_name = BlockKindName(kind);
  AEGIS_RETURN_IF_ERROR(database_->Run(
      "DELETE FROM blocks WHERE org = ?1 AND tenant = ?2 AND kind = ?3 AND value = ?4", tenant.org,
      tenant.tenant, kind_name, value));
  if (database_->changes() == 0) {
    return Fail(Code::kNotFound, "block_not_found",
                "no " + std::string(kind_name) + " '" + value + "' is blocked in this tenant");
  }
  AEGIS_RETURN_IF_ERROR(TouchSettings(tenant, false));
  AEGIS_RETURN_IF_ERROR(Log(tenant, "caller.unblock",
                            "block/" + std::string(kind_name) + "/" + value,
                            BlockJson({kind, value, 0}), "", by));
  return transaction.Commit();
}

Result<Page<Block>> SqliteRepository::ListBlocks(const TenantKey& tenant, const PageRequest& page) {
  const std::lock_guard lock(mutex_);
  AEGIS_TRY(const auto after, SplitKey<2>(page.after));
  const size_t limit = ClampLimit(page.limit);
  AEGIS_TRY(Query query, database_->Start("SELECT kind, value, created_at FROM blocks"
                                          " WHERE org = ?1 AND tenant = ?2"
                                          " AND (kind, value) > (?3, ?4)"
                                          " ORDER BY kind, value LIMIT ?5",
                                          tenant.org, tenant.tenant, after[0], after[1],
                                          static_cast<int64_t>(limit + 1)));
  return ReadPage<Block>(query, limit, ReadBlock);
}

Status SqliteRepository::ReadBlocks(const TenantKey& tenant, Settings& settings) {
  AEGIS_TRY(Query query, database_->Start("SELECT kind, value, created_at FROM blocks"
                                          " WHERE org = ?1 AND tenant = ?2 ORDER BY kind, value",
                                          tenant.org, tenant.tenant));
  for (;;) {
    AEGIS_TRY(bool row, query.Step());
    if (!row) return Ok();
    Block block = ReadBlock(query);
    (block.kind == BlockKind::kSource ? settings.blocked_sources : settings.blocked_names)
        .push_back(std::move(block.value));
  }
}

}  // namespace internal
}  // namespace aegis::store
