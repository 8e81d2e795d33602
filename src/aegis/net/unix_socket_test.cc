#include "aegis/net/unix_socket.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <filesystem>

#include "aegis/net/tcp.h"

namespace aegis::net {
namespace {

class UnixSocketTest : public testing::Test {
 protected:
  void SetUp() override {
    // A short path: an address of a socket holds 107 bytes.
    folder_ = testing::TempDir() + "aegis-unix-" + std::to_string(::getpid());
    ASSERT_TRUE(std::filesystem::create_directory(folder_));
    path_ = folder_ + "/s";
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  int Connect() const {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path_.data(), path_.size());
    const FileDescriptor fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    return ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
  }

  std::string folder_;
  std::string path_;
};

TEST_F(UnixSocketTest, ListensWithPermissions) {
  const auto fd = ListenUnix(path_, 0600);
  ASSERT_TRUE(fd.has_value()) << fd.error().message;
  struct stat info{};
  ASSERT_EQ(::stat(path_.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600U);
  EXPECT_EQ(Connect(), 0);
  EXPECT_EQ(LocalAddress(fd->get()).ToString(), "unix");
}

TEST_F(UnixSocketTest, OneThatIsUsedStays) {
  const auto first = ListenUnix(path_);
  ASSERT_TRUE(first.has_value());
  const auto second = ListenUnix(path_);
  ASSERT_FALSE(second.has_value());
  EXPECT_EQ(second.error().reason, "address_in_use");
  EXPECT_EQ(Connect(), 0);
}

TEST_F(UnixSocketTest, OneLeftBehindIsReplaced) {
  {
    ASSERT_TRUE(ListenUnix(path_).has_value());
  }
  EXPECT_NE(Connect(), 0);
  const auto again = ListenUnix(path_);
  ASSERT_TRUE(again.has_value());
  EXPECT_EQ(Connect(), 0);
}

TEST_F(UnixSocketTest, AFileOfAnotherKindStays) {
  ASSERT_TRUE(WriteFileAtomic(path_, "text").has_value());
  const auto fd = ListenUnix(path_);
  ASSERT_FALSE(fd.has_value());
  EXPECT_EQ(fd.error().reason, "address_in_use");
  EXPECT_EQ(*ReadFile(path_), "text");
}

TEST_F(UnixSocketTest, PathsHaveALimit) {
  for (const std::string& path : {std::string(), std::string(200, 'p')}) {
    const auto fd = ListenUnix(path);
    ASSERT_FALSE(fd.has_value());
    EXPECT_EQ(fd.error().reason, "bad_address");
  }
}

TEST_F(UnixSocketTest, DuplicateListensToo) {
  auto first = ListenUnix(path_);
  const auto second = Duplicate(*first);
  ASSERT_TRUE(second.has_value());
  first->Close();
  EXPECT_EQ(Connect(), 0);
}

}  // namespace
}  // namespace aegis::net
