// What the egress door reads of hostile bytes: targets, addresses, and the first bytes of a
// connection.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "aegis/gateway/egress/address_class.h"
#include "aegis/gateway/egress/client_hello.h"
#include "aegis/gateway/egress/target.h"

namespace aegis::gateway {
namespace {

using State = ClientHello::State;

std::string Target(std::string_view text, uint16_t default_port = 0) {
  EgressTarget target;
  std::string_view why;
  if (!ReadEgressTarget(text, default_port, &target, &why)) {
    EXPECT_FALSE(why.empty());
    return "refused";
  }
  EXPECT_TRUE(!target.is_ip || target.address.port() == target.port);
  return target.host + " " + std::to_string(target.port) + (target.is_ip ? " ip" : "");
}

TEST(EgressTarget, InTheirOneForm) {
  EXPECT_EQ(Target("api.example.com:443"), "api.example.com 443");
  EXPECT_EQ(Target("API.Example.COM.:443"), "api.example.com 443");
  EXPECT_EQ(Target("localhost:1"), "localhost 1");
  EXPECT_EQ(Target("a_b.example:65535"), "a_b.example 65535");
  EXPECT_EQ(Target("10.0.0.1:80"), "10.0.0.1 80 ip");
  EXPECT_EQ(Target("[2001:DB8:0:0::1]:443"), "2001:db8::1 443 ip");
  EXPECT_EQ(Target("example.com", 80), "example.com 80");
  EXPECT_EQ(Target("[::1]", 80), "::1 80 ip");
}

TEST(EgressTarget, DisguisesAreRefused) {
  const std::vector<std::string> rows = {"",
                                         ":443",
                                         "a",
                                         "a:",
                                         "a:0",
                                         "a:65536",
                                         "a:0443",
                                         "a:+443",
                                         "a:-1",
                                         "a: 443",
                                         "a:443 ",
                                         "a:4e2",
                                         "a:0x1bb",
                                         "a:99999999999",
                                         "a:443:443",
                                         "a..b:443",
                                         ".a:443",
                                         "a..:443",
                                         "-a:443",
                                         "a-:443",
                                         "a b:443",
                                         "a\t:443",
                                         "a%2eb:443",
                                         "%61:443",
                                         "user@a:443",
                                         "a@b:443",
                                         "a/b:443",
                                         "a\\b:443",
                                         "a?b:443",
                                         "a#b:443",
                                         "a,b:443",
                                         "a;b:443",
                                         "*.a:443",
                                         "2130706433:443",
                                         "0x7f000001:443",
                                         "0x7f.0.0.1:443",
                                         "0177.0.0.1:443",
                                         "127.1:443",
                                         "127.0.1:443",
                                         "127.0.0.1.:443",
                                         "127.0.0.01:443",
                                         "127.0.0.0x1:443",
                                         "1.2.3.4.5:443",
                                         "a.0x:443",
                                         "256.0.0.1:443",
                                         "::1:443",
                                         "[::1:443",
                                         "::1]:443",
                                         "[::1]x:443",
                                         "[::1]443",
                                         "[::1%25lo]:443",
                                         "[::1%lo]:443",
                                         "[fe80::1%eth0]:443",
                                         "[::ffff:127.0.0.1]:443",
                                         "[::ffff:7f00:1]:443",
                                         "[::127.0.0.1]:443",
                                         "[::7f00:2]:443",
                                         "[127.0.0.1]:443",
                                         "[a.example]:443",
                                         "[]:443",
                                         "[[::1]]:443",
                                         "[64:ff9b::127.0.0.1]:443",
                                         "[::1 ]:443",
                                         "[ ::1]:443",
                                         "\xef\xbc\x91.0.0.1:443",
                                         "\xe2\x91\xa0.example:443",
                                         "a\xe3\x80\x82"
                                         "b:443",
                                         "b\xc3\xbc"
                                         "cher.example:443",
                                         std::string("a\0b:443", 7),
                                         "a\x7f:443",
                                         std::string(64, 'a') + ":443",
                                         std::string(300, 'a') + ":443",
                                         "http://a:443",
                                         "a:443/",
                                         "a:443?",
                                         "a:443#"};
  for (const std::string& row : rows) EXPECT_EQ(Target(row), "refused") << row;
}

std::string Special(std::string_view text) {
  IpBlock block;
  EXPECT_TRUE(ReadIpBlock(text, &block)) << text;
  const SpecialBlock* special = FindSpecial(block);
  return special == nullptr ? "" : std::string(special->name);
}

TEST(AddressClass, OrdinaryAddresses) {
  for (const char* text :
       {"1.1.1.1", "8.8.8.8", "93.184.216.34", "172.15.255.255", "172.32.0.1", "100.63.255.255",
        "100.128.0.1", "192.0.1.1", "198.17.255.255", "223.255.255.255", "2606:4700::1111",
        "2a00:1450::1", "64:ff9b::101:101", "2002:101:101::1"}) {
    EXPECT_EQ(Special(text), "") << text;
  }
}

TEST(AddressClass, SpecialOnes) {
  for (const char* text : {"0.0.0.0",
                           "0.1.2.3",
                           "10.0.0.1",
                           "10.255.255.255",
                           "100.64.0.1",
                           "100.100.100.200",
                           "127.0.0.1",
                           "127.255.255.255",
                           "169.254.169.254",
                           "172.16.0.1",
                           "172.31.255.255",
                           "192.0.0.8",
                           "192.0.2.1",
                           "192.88.99.1",
                           "192.168.0.1",
                           "198.18.0.1",
                           "198.19.255.255",
                           "198.51.100.1",
                           "203.0.113.1",
                           "224.0.0.1",
                           "239.255.255.250",
                           "240.0.0.1",
                           "255.255.255.255",
                           "168.63.129.16",
                           "::",
                           "::1",
                           "fc00::1",
                           "fd00:ec2::254",
                           "fe80::1",
                           "febf::1",
                           "fec0::1",
                           "ff02::1",
                           "2001:db8::1",
                           "2001::1",
                           "2001:10::1",
                           "2001:20::1",
                           "2001:2::1",
                           "100::1",
                           "3fff::1",
                           "5f00::1",
                           "64:ff9b:1::1",
                           "64:ff9b::7f00:1",
                           "64:ff9b::a9fe:a9fe",
                           "64:ff9b::a00:1",
                           "2002:7f00:1::1",
                           "2002:a00:1::",
                           "2002:a9fe:a9fe::",
                           "::7f00:1",
                           "::a00:1",
                           "::ffff:0:7f00:1",
                           "4000::1",
                           "2606:4700::5efe:7f00:1",
                           "2606:4700::200:5efe:a00:1"}) {
    EXPECT_NE(Special(text), "") << text;
  }
}

bool Reachable(std::string_view address, const std::vector<std::string_view>& listed) {
  std::vector<IpBlock> blocks;
  for (const std::string_view text : listed) ReadIpBlock(text, &blocks.emplace_back());
  IpBlock block;
  ReadIpBlock(address, &block);
  std::string_view why;
  return IsReachable(block, blocks, &why);
}

TEST(AddressClass, ListedBlocksOpenWhatTheyName) {
  EXPECT_TRUE(Reachable("1.1.1.1", {}));
  EXPECT_FALSE(Reachable("10.0.0.1", {}));
  EXPECT_TRUE(Reachable("10.0.0.1", {"10.0.0.0/8"}));
  EXPECT_TRUE(Reachable("10.0.0.1", {"192.168.0.0/16", "10.0.0.1"}));
  EXPECT_FALSE(Reachable("10.1.0.1", {"10.0.0.0/16"}));
  EXPECT_TRUE(Reachable("127.0.0.1", {"127.0.0.1/32"}));
  // All of the internet is not the inside.
  EXPECT_FALSE(Reachable("10.0.0.1", {"0.0.0.0/0"}));
  EXPECT_FALSE(Reachable("169.254.169.254", {"0.0.0.0/0", "::/0", "128.0.0.0/1"}));
  EXPECT_FALSE(Reachable("::1", {"::/0"}));
  EXPECT_FALSE(Reachable("4000::1", {"::/0"}));
  EXPECT_TRUE(Reachable("::1", {"::1/128"}));
  // A carrier of IPv4 only by itself.
  EXPECT_FALSE(Reachable("64:ff9b::a00:1", {"10.0.0.0/8", "64:ff9b::/96"}));
  EXPECT_TRUE(Reachable("64:ff9b::a00:1", {"64:ff9b::a00:1/128"}));
}

// --- ClientHello ---

std::string Number(size_t value, size_t bytes) {
  std::string out;
  for (size_t i = bytes; i-- > 0;) out.push_back(static_cast<char>(value >> (8 * i)));
  return out;
}
std::string Vector(const std::string& body, size_t bytes) {
  return Number(body.size(), bytes) + body;
}
std::string Extension(size_t type, const std::string& body) {
  return Number(type, 2) + Vector(body, 2);
}
std::string Sni(const std::string& name) {
  return Extension(0, Vector(Number(0, 1) + Vector(name, 2), 2));
}
std::string Message(const std::string& extensions) {
  const std::string body = Number(0x0303, 2) + std::string(32, 'r') + Vector("session", 1) +
                           Vector(Number(0x1301, 2), 2) + Vector(Number(0, 1), 1) +
                           Vector(extensions, 2);
  return Number(1, 1) + Vector(body, 3);
}
std::string Record(const std::string& content) {
  return Number(22, 1) + Number(0x0301, 2) + Vector(content, 2);
}
std::string Hello(const std::string& extensions) { return Record(Message(extensions)); }

// Also fed byte by byte, which must not differ.
ClientHello Read(const std::string& bytes) {
  const ClientHello whole = ReadClientHello(bytes);
  ClientHello slow;
  for (size_t i = 0; i <= bytes.size() && slow.state == State::kNeedMore; ++i) {
    slow = ReadClientHello(std::string_view(bytes).substr(0, i));
  }
  EXPECT_EQ(whole.state, slow.state);
  EXPECT_EQ(whole.sni, slow.sni);
  return whole;
}

TEST(ClientHelloTest, NamesTheHost) {
  const ClientHello hello = Read(Hello(Extension(43, "\2\3\4") + Sni("API.example.com")));
  EXPECT_EQ(hello.state, State::kTls);
  EXPECT_TRUE(hello.has_sni);
  EXPECT_EQ(hello.sni, "api.example.com");
  EXPECT_FALSE(hello.has_ech);
}

TEST(ClientHelloTest, OverSeveralRecordsAndWithoutName) {
  const std::string message = Message(Sni("a.example"));
  std::string records;
  for (const char c : message) records += Record(std::string(1, c));
  EXPECT_EQ(Read(records).sni, "a.example");
  const ClientHello nameless = Read(Hello(Extension(43, "\2\3\4")));
  EXPECT_EQ(nameless.state, State::kTls);
  EXPECT_FALSE(nameless.has_sni);
  EXPECT_TRUE(Read(Hello(Sni("a.example") + Extension(0xfe0d, "x"))).has_ech);
}

TEST(ClientHelloTest, WhatNoHostIsCalledNamesNone) {
  for (const char* name :
       {"a.example.", "10.0.0.1", "a example", "\xc3\xbc.example", "a..b", "-a"}) {
    const ClientHello hello = Read(Hello(Sni(name)));
    EXPECT_EQ(hello.state, State::kTls) << name;
    EXPECT_TRUE(hello.has_sni) << name;
    EXPECT_EQ(hello.sni, "") << name;
  }
}

TEST(ClientHelloTest, WhatIsNotOneWellFormedHelloIsPlain) {
  const std::string name = Number(0, 1) + Vector("a.example", 2);
  const std::string good = Hello(Sni("a.example"));
  const std::vector<std::string> rows = {
      "GET / HTTP/1.1\r\n",
      "SSH-2.0-x\r\n",
      std::string("\x16\x02\x01", 3),
      std::string("\x16\x03\x04", 3),
      std::string("\x17\x03\x03\x00\x01x", 6),
      std::string("\x80\x2e\x01\x03\x01", 5),  // SSL 2
      Number(22, 1) + Number(0x0301, 2) + Number(0, 2),
      Number(22, 1) + Number(0x0301, 2) + Number(0x4001, 2),
      Record(Number(2, 1) + Vector("x", 3)),        // another message
      Record(Message(Sni("a.example")) + "x"),      // more behind it
      Hello(Sni("a.example") + Sni("b.example")),   // twice
      Hello(Extension(0, Vector(name + name, 2))),  // two names
      Hello(Extension(0, Vector(Number(1, 1) + Vector("a", 2), 2))),
      Hello(Extension(0, Vector(name, 2) + "x")),
      Hello(Extension(0, Vector(Number(0, 1) + Vector("", 2), 2))),
      Hello(Extension(41, "x") + Sni("a.example")),  // PSK not last
      Hello(Number(0, 2) + Number(200, 2) + "short"),
      Record(Number(1, 1) + Vector(Number(0x0303, 2) + std::string(32, 'r'), 3)),
  };
  for (const std::string& row : rows) EXPECT_EQ(Read(row).state, State::kPlain) << row;
  for (size_t i = 0; i < good.size(); ++i) {
    EXPECT_EQ(ReadClientHello(good.substr(0, i)).state, State::kNeedMore) << i;
  }
}

TEST(ClientHelloTest, HasALimit) {
  std::string extensions = Sni("a.example");
  for (size_t i = 0; i < 3; ++i) extensions += Extension(1000 + i, std::string(5000, 'x'));
  const std::string message = Message(extensions);
  EXPECT_EQ(ReadClientHello(Record(message)).state, State::kTls);
  EXPECT_EQ(ReadClientHello(Record(Number(1, 1) + Number(0x10000, 3))).state, State::kPlain);
  std::string endless = Record(Number(1, 1) + Number(kMaxClientHelloBytes, 3));
  endless += Number(22, 1) + Number(0x0301, 2) + Number(0x4000, 2) + std::string(0x4000, 'x');
  EXPECT_EQ(ReadClientHello(endless).state, State::kPlain);
}

}  // namespace
}  // namespace aegis::gateway
