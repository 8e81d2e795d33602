#include "aegis/store/migrations.h"

#include <gtest/gtest.h>

#include "aegis/store/sqlite.h"
#include "aegis/store/test_folder.h"

namespace aegis::store {
namespace {

constexpr Migration kFirst{1, "first", "CREATE TABLE a (x INTEGER) STRICT"};
constexpr Migration kSecond{2, "second", "CREATE TABLE b (x INTEGER) STRICT"};
// Fails in its last statement.
constexpr Migration kBroken{2, "broken",
                            "CREATE TABLE b (x INTEGER) STRICT; CREATE TABLE a (y INTEGER)"};

class MigrationsTest : public testing::Test {
 protected:
  std::unique_ptr<Database> Open() {
    auto opened = Database::Open(folder_.File("test.db"));
    EXPECT_TRUE(opened);
    return opened ? *std::move(opened) : nullptr;
  }
  TestFolder folder_;
};

TEST_F(MigrationsTest, AppliesOnlyWhatIsNew) {
  auto database = Open();
  EXPECT_EQ(*CurrentSchemaVersion(*database), 0);
  const Migration one[] = {kFirst};
  const Migration two[] = {kFirst, kSecond};
  ASSERT_TRUE(Migrate(*database, one, 1));
  EXPECT_EQ(*CurrentSchemaVersion(*database), 1);
  ASSERT_TRUE(Migrate(*database, two, 2));
  ASSERT_TRUE(Migrate(*database, two, 3));
  EXPECT_EQ(*CurrentSchemaVersion(*database), 2);
}

TEST_F(MigrationsTest, AFailedStepLeavesTheVersionBeforeIt) {
  auto database = Open();
  const Migration steps[] = {kFirst, kBroken};
  auto migrated = Migrate(*database, steps, 1);
  ASSERT_FALSE(migrated);
  EXPECT_NE(migrated.error().message.find("migration 2"), std::string::npos);
  EXPECT_EQ(*CurrentSchemaVersion(*database), 1);
  const Migration repaired[] = {kFirst, kSecond};
  EXPECT_TRUE(Migrate(*database, repaired, 2));
}

TEST_F(MigrationsTest, RefusesAFileOfANewerProgram) {
  auto database = Open();
  const Migration two[] = {kFirst, kSecond};
  ASSERT_TRUE(Migrate(*database, two, 1));
  const Migration one[] = {kFirst};
  auto migrated = Migrate(*database, one, 1);
  ASSERT_FALSE(migrated);
  EXPECT_EQ(migrated.error().reason, "store_too_new");
}

TEST_F(MigrationsTest, VersionsAreNumberedFromOneWithoutGaps) {
  int64_t expected = 1;
  for (const Migration& migration : SqliteMigrations()) EXPECT_EQ(migration.version, expected++);
}

TEST_F(MigrationsTest, EveryTableButTheVersionIsKeyedByOrgAndTenant) {
  auto database = Open();
  ASSERT_TRUE(Migrate(*database, SqliteMigrations(), 1));
  auto tables = database->Start(
      "SELECT name FROM sqlite_schema WHERE type = 'table' AND name <> 'schema_version'");
  ASSERT_TRUE(tables);
  int count = 0;
  while (*tables->Step()) {
    const std::string table = tables->Text(0);
    auto key =
        database->Start("SELECT name FROM pragma_table_info(?1) WHERE pk > 0 ORDER BY pk", table);
    ASSERT_TRUE(key && *key->Step()) << table;
    EXPECT_EQ(key->Text(0), "org") << table;
    ASSERT_TRUE(*key->Step()) << table;
    EXPECT_EQ(key->Text(0), "tenant") << table;
    auto strict = database->Start("SELECT strict FROM pragma_table_list WHERE name = ?1", table);
    ASSERT_TRUE(strict && *strict->Step()) << table;
    EXPECT_EQ(strict->Int(0), 1) << table;
    ++count;
  }
  EXPECT_EQ(count, 12);
}

TEST_F(MigrationsTest, AFileOfTheFirstReleaseKeepsItsRows) {
  auto database = Open();
  ASSERT_TRUE(Migrate(*database, SqliteMigrations().first(1), 1));
  ASSERT_TRUE(
      database->Script("INSERT INTO tenants (org, tenant, created_at) VALUES ('o', 't', 1);"
                       "INSERT INTO agents VALUES ('o', 't', 'finance', '{}', 'active', 1, 1, 1);"
                       "INSERT INTO tools VALUES ('o', 't', 'mail', 'http://h/x\"', 1, 1, 4);"));
  ASSERT_TRUE(Migrate(*database, SqliteMigrations(), 2));
  auto agent = database->Start("SELECT name FROM agents");
  ASSERT_TRUE(agent && *agent->Step());
  EXPECT_EQ(agent->Text(0), "finance");
  auto tool = database->Start("SELECT document, revision FROM tools");
  ASSERT_TRUE(tool && *tool->Step());
  EXPECT_EQ(tool->Text(0), R"({"name":"mail","base_url":"http://h/x\""})");
  EXPECT_EQ(tool->Int(1), 4);
  EXPECT_TRUE(database->Run("INSERT INTO blocks VALUES ('o', 't', 'source', '10.0.0.1', 1)"));
}

TEST_F(MigrationsTest, PublishedAndLoggedRowsCannotBeChanged) {
  auto database = Open();
  ASSERT_TRUE(Migrate(*database, SqliteMigrations(), 1));
  ASSERT_TRUE(database->Script(
      "INSERT INTO tenants (org, tenant, created_at) VALUES ('o', 't', 1);"
      "INSERT INTO policy_versions VALUES ('o', 't', 1, 'a', 'm', 1, hex(randomblob(32)), x'00');"
      "INSERT INTO policy_sources VALUES ('o', 't', 1, 0, 'p.yaml', 'x');"
      "INSERT INTO operator_log VALUES ('o', 't', 1, 1, 'a', 'r', 'x', 'y', NULL, NULL);"));
  for (const char* change :
       {"UPDATE policy_versions SET message = 'other'", "DELETE FROM policy_versions",
        "UPDATE policy_sources SET content = 'other'", "DELETE FROM policy_sources",
        "UPDATE operator_log SET actor = 'other'", "DELETE FROM operator_log"}) {
    auto refused = database->Run(change);
    ASSERT_FALSE(refused) << change;
    EXPECT_EQ(refused.error().reason, "store_constraint") << change;
  }
}

}  // namespace
}  // namespace aegis::store
