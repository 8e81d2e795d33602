#include "aegis/control/data_folder.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "aegis/control/test_support.h"

namespace aegis::control {
namespace {

class DataFolderTest : public testing::Test {
 protected:
  std::string At(const std::string& name) const { return path_ + "/" + name; }
  static unsigned ModeOf(const std::string& path) {
    struct stat status{};
    return ::stat(path.c_str(), &status) == 0 ? status.st_mode & 0777 : 0;
  }
  TestFolder root_;
  const std::string path_ = root_.path() + "/nested/data";
};

TEST_F(DataFolderTest, InitMakesWhatIsMissingAndNothingElse) {
  const auto made = DataFolder::Init(path_);
  ASSERT_TRUE(made) << made.error().ToString();
  EXPECT_EQ(made->size(), 7u);
  EXPECT_EQ(ModeOf(path_), 0700u);
  for (const char* folder : {"keys", "audit", "bundles"}) EXPECT_EQ(ModeOf(At(folder)), 0700u);
  for (const char* file :
       {"admin.key", "gateway.key", "keys/token-signing.pem", "keys/bundle-signing.pem"}) {
    EXPECT_EQ(ModeOf(At(file)), 0600u) << file;
  }
  const auto again = DataFolder::Init(path_);
  ASSERT_TRUE(again);
  EXPECT_TRUE(again->empty());

  const std::string admin = *ReadFile(At("admin.key"));
  std::filesystem::remove(At("gateway.key"));
  const auto repaired = DataFolder::Init(path_);
  ASSERT_TRUE(repaired);
  EXPECT_EQ(*repaired, std::vector<std::string>{"gateway.key"});
  EXPECT_EQ(*ReadFile(At("admin.key")), admin);
}

TEST_F(DataFolderTest, OpenGivesTheKeys) {
  ASSERT_TRUE(DataFolder::Init(path_));
  const auto folder = DataFolder::Open(path_);
  ASSERT_TRUE(folder) << folder.error().ToString();
  EXPECT_EQ(folder->token_key().algorithm(), crypto::Algorithm::kEd25519);
  EXPECT_EQ(folder->bundle_key().algorithm(), crypto::Algorithm::kEs256);
  EXPECT_EQ(folder->admin_key().size(), kAdminKeyPrefix.size() + 64);
  EXPECT_NE(folder->admin_key(), folder->gateway_key());
  const auto public_key =
      crypto::VerificationKey::FromPem(*ReadFile(At("keys/bundle-signing.pub.pem")));
  ASSERT_TRUE(public_key);
  EXPECT_EQ(public_key->kid(), folder->bundle_key().kid());
}

TEST_F(DataFolderTest, OnlyOneProcessMayHaveIt) {
  ASSERT_TRUE(DataFolder::Init(path_));
  auto first = DataFolder::Open(path_);
  ASSERT_TRUE(first);
  const auto second = DataFolder::Open(path_);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().reason, "data_folder_in_use");
  EXPECT_NE(second.error().message.find("process " + std::to_string(::getpid())), std::string::npos)
      << second.error().message;
  EXPECT_TRUE(DataFolder::Init(path_)) << "nothing is missing, so nothing needs the lock";
  std::filesystem::remove(At("admin.key"));
  EXPECT_FALSE(DataFolder::Init(path_));
  {
    [[maybe_unused]] const DataFolder released = *std::move(first);
  }
  EXPECT_TRUE(DataFolder::Init(path_));
  EXPECT_TRUE(DataFolder::Open(path_));
}

TEST_F(DataFolderTest, RefusesWhatOthersCouldReadOrReplace) {
  ASSERT_TRUE(DataFolder::Init(path_));
  for (const char* file :
       {"admin.key", "gateway.key", "keys/token-signing.pem", "keys/bundle-signing.pem"}) {
    ASSERT_EQ(::chmod(At(file).c_str(), 0640), 0);
    for (const auto& reason : {DataFolder::Open(path_).error(), DataFolder::Init(path_).error()}) {
      EXPECT_EQ(reason.reason, "data_folder_permissions") << file;
      EXPECT_NE(reason.message.find("chmod 600"), std::string::npos) << reason.message;
    }
    ASSERT_EQ(::chmod(At(file).c_str(), 0600), 0);
  }
  ASSERT_EQ(::chmod(path_.c_str(), 0755), 0);
  EXPECT_EQ(DataFolder::Open(path_).error().reason, "data_folder_permissions");
  ASSERT_EQ(::chmod(path_.c_str(), 0700), 0);
  std::filesystem::rename(At("admin.key"), At("elsewhere"));
  std::filesystem::create_symlink("elsewhere", At("admin.key"));
  EXPECT_EQ(DataFolder::Open(path_).error().reason, "data_folder_permissions");
}

TEST_F(DataFolderTest, RefusesAnotherUsersFiles) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can give files away";
  ASSERT_TRUE(DataFolder::Init(path_));
  ASSERT_EQ(::chown(At("admin.key").c_str(), 12345, 12345), 0);
  const auto opened = DataFolder::Open(path_);
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().reason, "data_folder_permissions");
  EXPECT_NE(opened.error().message.find("12345"), std::string::npos);
}

TEST_F(DataFolderTest, SaysWhatIsMissingOrDamaged) {
  EXPECT_EQ(DataFolder::Open(path_).error().reason, "data_folder_incomplete");
  ASSERT_TRUE(DataFolder::Init(path_));
  const struct {
    const char* file;
    const char* content;
  } cases[] = {
      {"admin.key", "short\n"},
      {"gateway.key", ""},
      {"keys/token-signing.pem", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"},
      {"keys/bundle-signing.pem", "garbage"}};
  for (const auto& [file, content] : cases) {
    const std::string before = *ReadFile(At(file));
    std::ofstream(At(file), std::ios::trunc) << content;
    EXPECT_EQ(DataFolder::Open(path_).error().reason, "data_folder_damaged") << file;
    std::ofstream(At(file), std::ios::trunc) << before;
  }
  // A key of the wrong kind is damage too.
  const std::string token_key = *ReadFile(At("keys/token-signing.pem"));
  std::ofstream(At("keys/token-signing.pem"), std::ios::trunc)
      << *ReadFile(At("keys/bundle-signing.pem"));
  EXPECT_EQ(DataFolder::Open(path_).error().reason, "data_folder_damaged");
  std::ofstream(At("keys/token-signing.pem"), std::ios::trunc) << token_key;
  EXPECT_TRUE(DataFolder::Open(path_));
  std::filesystem::remove(At("keys/bundle-signing.pem"));
  EXPECT_EQ(DataFolder::Open(path_).error().reason, "data_folder_incomplete");
}

TEST_F(DataFolderTest, TheFolderMayBeReachedThroughALink) {
  ASSERT_TRUE(DataFolder::Init(path_));
  std::filesystem::create_directory_symlink(path_, root_.path() + "/link");
  EXPECT_TRUE(DataFolder::Open(root_.path() + "/link"));
}

TEST_F(DataFolderTest, RunInfoIsWrittenAndTakenAway) {
  ASSERT_TRUE(DataFolder::Init(path_));
  const auto folder = DataFolder::Open(path_);
  ASSERT_TRUE(folder);
  ASSERT_TRUE(folder->WriteRunInfo({"http://127.0.0.1:8090", "http://127.0.0.1:8080", "", 42}));
  const auto run = nlohmann::json::parse(*ReadFile(At("run.json")));
  EXPECT_EQ(run, nlohmann::json({{"control", "http://127.0.0.1:8090"},
                                 {"gateway", "http://127.0.0.1:8080"},
                                 {"admin", ""},
                                 {"pid", 42}}));
  folder->RemoveRunInfo();
  EXPECT_FALSE(FileExists(At("run.json")));
}

}  // namespace
}  // namespace aegis::control
