#include "aegis/net/tcp.h"

#include <gtest/gtest.h>

namespace aegis::net {
namespace {

TEST(TcpTest, AnIpAddressIsWrittenInOneWay) {
  const struct {
    const char* text;
    const char* canonical;
  } cases[] = {
      {"10.0.0.1", "10.0.0.1"},
      {"::ffff:10.0.0.1", "10.0.0.1"},
      {"::FFFF:0a00:0001", "10.0.0.1"},
      {"2001:DB8:0:0::1", "2001:db8::1"},
      {"::1", "::1"},
      {"", ""},
      {"*", ""},
      {"unix", ""},
      {"10.0.0", ""},
      {"010.0.0.1", ""},
      {"10.0.0.1:80", ""},
      {"10.0.0.0/8", ""},
      {"[::1]", ""},
      {"::1%lo", ""},
      {"2001:db8:0:0:0:0:0:0:0:0:0:0:0:0:0:0:0:0:0:0:0:0:1", ""},
  };
  for (const auto& [text, canonical] : cases) EXPECT_EQ(CanonicalIp(text), canonical) << text;
  EXPECT_EQ(CanonicalIp(std::string_view("10.0.0.1\0x", 10)), "");
}

TEST(TcpTest, LoopbackAddresses) {
  for (const char* own : {"127.0.0.1:1", "127.255.0.9:1", "[::1]:1", "[::ffff:127.0.0.1]:1"}) {
    EXPECT_TRUE(ResolveAddress(own)->is_loopback()) << own;
  }
  for (const char* other : {":1", "0.0.0.0:1", "126.0.0.1:1", "128.0.0.1:1", "[::]:1", "[::2]:1",
                            "[::ffff:10.0.0.1]:1", "[7f00::1]:1"}) {
    EXPECT_FALSE(ResolveAddress(other)->is_loopback()) << other;
  }
}

TEST(TcpTest, ThePortIsNoPartOfTheIpAddress) {
  const struct {
    const char* address;
    const char* ip;
  } cases[] = {
      {"127.0.0.1:80", "127.0.0.1"},
      {"127.0.0.1", "127.0.0.1"},
      {"[::1]:80", "::1"},
      {"[::1]", "::1"},
      {"::1", "::1"},
      {"[::ffff:10.0.0.1]:80", "10.0.0.1"},
      {"unix", ""},
      {"", ""},
      {"[", ""},
      {":", ""},
  };
  for (const auto& [address, ip] : cases) EXPECT_EQ(IpOfAddress(address), ip) << address;
}

}  // namespace
}  // namespace aegis::net
