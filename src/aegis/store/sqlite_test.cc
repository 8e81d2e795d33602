#include "aegis/store/sqlite.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>

#include "aegis/store/test_folder.h"

namespace aegis::store {
namespace {

class SqliteTest : public testing::Test {
 protected:
  void SetUp() override {
    auto opened = Database::Open(folder_.File("test.db"));
    ASSERT_TRUE(opened) << opened.error().ToString();
    database_ = *std::move(opened);
    ASSERT_TRUE(database_->Script("CREATE TABLE t (k TEXT PRIMARY KEY, n INTEGER, b BLOB) STRICT"));
  }

  int64_t CountRows() {
    auto query = database_->Start("SELECT count(*) FROM t");
    EXPECT_TRUE(query && query->Step());
    return query->Int(0);
  }

  TestFolder folder_;
  std::unique_ptr<Database> database_;
};

TEST_F(SqliteTest, ValuesComeBackAsTheyWereBound) {
  const std::string bytes("\0\xff\x01", 3);
  ASSERT_TRUE(
      database_->Run("INSERT INTO t VALUES (?1, ?2, ?3)", "schlüssel", INT64_MIN, Blob{bytes}));
  ASSERT_TRUE(
      database_->Run("INSERT INTO t VALUES (?1, ?2, ?3)", std::string_view(), Null{}, Blob{{}}));
  auto query = database_->Start("SELECT k, n, b FROM t ORDER BY n DESC");
  ASSERT_TRUE(query && *query->Step());
  EXPECT_EQ(query->Text(0), "schlüssel");
  EXPECT_EQ(query->Int(1), INT64_MIN);
  EXPECT_EQ(query->Text(2), bytes);
  ASSERT_TRUE(*query->Step());
  EXPECT_EQ(query->Text(0), "");
  EXPECT_TRUE(query->IsNull(1));
  EXPECT_FALSE(query->IsNull(2));
  EXPECT_FALSE(*query->Step());
}

TEST_F(SqliteTest, FilesAreOnlyTheOwners) {
  ASSERT_TRUE(database_->Run("INSERT INTO t (k) VALUES ('a')"));
  for (const char* name : {"test.db", "test.db-wal", "test.db-shm"}) {
    struct stat status{};
    ASSERT_EQ(::stat(folder_.File(name).c_str(), &status), 0) << name;
    EXPECT_EQ(status.st_mode & 0777, 0600u) << name;
  }
}

TEST_F(SqliteTest, DurabilityPragmasAreOn) {
  const std::pair<const char*, const char*> expected[] = {
      {"PRAGMA journal_mode", "wal"}, {"PRAGMA synchronous", "2"}, {"PRAGMA foreign_keys", "1"}};
  for (const auto& [pragma, value] : expected) {
    auto query = database_->Start(pragma);
    ASSERT_TRUE(query && *query->Step());
    EXPECT_EQ(query->Text(0), value) << pragma;
  }
}

TEST_F(SqliteTest, ATransactionWithoutCommitLeavesNothing) {
  {
    auto transaction = Transaction::Begin(*database_);
    ASSERT_TRUE(transaction);
    ASSERT_TRUE(database_->Run("INSERT INTO t (k) VALUES ('a')"));
  }
  EXPECT_EQ(CountRows(), 0);
  auto transaction = Transaction::Begin(*database_);
  ASSERT_TRUE(transaction);
  ASSERT_TRUE(database_->Run("INSERT INTO t (k) VALUES ('a')"));
  ASSERT_TRUE(transaction->Commit());
  EXPECT_EQ(CountRows(), 1);
}

TEST_F(SqliteTest, TheSameStatementCanRunInsideItself) {
  for (const char* key : {"a", "b"})
    ASSERT_TRUE(database_->Run("INSERT INTO t (k) VALUES (?1)", key));
  int pairs = 0;
  auto outer = database_->Start("SELECT k FROM t");
  while (outer && *outer->Step()) {
    auto inner = database_->Start("SELECT k FROM t");
    while (inner && *inner->Step()) ++pairs;
  }
  EXPECT_EQ(pairs, 4);
}

TEST_F(SqliteTest, ErrorsHaveTheirReasons) {
  ASSERT_TRUE(database_->Run("INSERT INTO t (k) VALUES ('a')"));
  auto duplicate = database_->Run("INSERT INTO t (k) VALUES ('a')");
  ASSERT_FALSE(duplicate);
  EXPECT_EQ(duplicate.error().reason, "store_constraint");
  auto typed = database_->Run("INSERT INTO t (k, n) VALUES ('b', 'not a number')");
  ASSERT_FALSE(typed);
  EXPECT_EQ(typed.error().reason, "store_constraint");
  auto syntax = database_->Run("SELEKT 1");
  ASSERT_FALSE(syntax);
  EXPECT_EQ(syntax.error().reason, "store_error");
}

TEST_F(SqliteTest, AFullDiskChangesNothing) {
  ASSERT_TRUE(database_->Run("INSERT INTO t (k) VALUES ('before')"));
  ASSERT_TRUE(database_->Script("PRAGMA max_page_count = 8"));
  auto transaction = Transaction::Begin(*database_);
  ASSERT_TRUE(transaction);
  auto full =
      database_->Run("INSERT INTO t (k, b) VALUES ('big', ?1)", Blob{std::string(1 << 20, 'x')});
  ASSERT_FALSE(full);
  EXPECT_EQ(full.error().reason, "store_full");
  EXPECT_EQ(full.error().code, Code::kResourceExhausted);
  {
    [[maybe_unused]] Transaction dropped = std::move(*transaction);
  }
  EXPECT_EQ(CountRows(), 1);
  ASSERT_TRUE(database_->Script("PRAGMA max_page_count = 100000"));
  EXPECT_TRUE(database_->Run("INSERT INTO t (k) VALUES ('after')"));
}

TEST(SqliteOpenTest, RefusesWhatIsNotADatabase) {
  TestFolder folder;
  std::ofstream(folder.File("text.db")) << std::string(4096, 'x');
  auto opened = Database::Open(folder.File("text.db"));
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().reason, "store_corrupt");
  EXPECT_FALSE(Database::Open(folder.File("missing.db"), /*create=*/false));
  EXPECT_FALSE(Database::Open(folder.File("no/such/folder.db")));
}

}  // namespace
}  // namespace aegis::store
