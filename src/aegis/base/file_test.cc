#include "aegis/base/file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>

namespace aegis {
namespace {

class FileTest : public testing::Test {
 protected:
  FileTest() : folder_(testing::TempDir() + "aegis-file-test") {
    std::filesystem::remove_all(folder_);
  }
  ~FileTest() override { std::filesystem::remove_all(folder_); }
  std::string folder_;
};

TEST_F(FileTest, WritesReadsAndReplaces) {
  ASSERT_TRUE(MakeDirectories(folder_ + "/a/b"));
  ASSERT_TRUE(MakeDirectories(folder_ + "/a/b"));
  const std::string path = folder_ + "/a/b/file";
  ASSERT_TRUE(WriteFileAtomic(path, "one", 0600));
  ASSERT_TRUE(WriteFileAtomic(path, "two", 0600));
  EXPECT_EQ(*ReadFile(path), "two");
  struct stat info{};
  ASSERT_EQ(::stat(path.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder_ + "/a/b"), {}), 1);
}

TEST_F(FileTest, SaysWhatWentWrong) {
  EXPECT_EQ(ReadFile(folder_ + "/none").error().code, Code::kNotFound);
  ASSERT_TRUE(MakeDirectories(folder_));
  ASSERT_TRUE(WriteFileAtomic(folder_ + "/big", std::string(100, 'x')));
  EXPECT_EQ(ReadFile(folder_ + "/big", 99).error().reason, "file_too_large");
  EXPECT_EQ(ReadFile(folder_ + "/big", 100)->size(), 100u);
  EXPECT_FALSE(WriteFileAtomic(folder_ + "/no/such/folder/x", "x"));
}

}  // namespace
}  // namespace aegis
