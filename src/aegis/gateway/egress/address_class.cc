#include "aegis/gateway/egress/address_class.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <optional>
#include <vector>

namespace aegis::gateway {
namespace {

struct Row {
  const char* block;
  const char* name;
};

// More special blocks come before those that they are within.
constexpr Row kRows[] = {
    {"0.0.0.0/8", "unspecified"},
    {"10.0.0.0/8", "private"},
    {"100.64.0.0/10", "shared (carrier-grade NAT)"},
    {"127.0.0.0/8", "loopback"},
    {"169.254.0.0/16", "link-local"},
    {"172.16.0.0/12", "private"},
    {"192.0.0.0/24", "protocol assignments"},
    {"192.0.2.0/24", "documentation"},
    {"192.31.196.0/24", "AS112"},
    {"192.52.193.0/24", "AMT"},
    {"192.88.99.0/24", "6to4 relay"},
    {"192.168.0.0/16", "private"},
    {"192.175.48.0/24", "AS112"},
    {"198.18.0.0/15", "benchmarking"},
    {"198.51.100.0/24", "documentation"},
    {"203.0.113.0/24", "documentation"},
    {"224.0.0.0/4", "multicast"},
    {"255.255.255.255/32", "broadcast"},
    {"240.0.0.0/4", "reserved"},
    // A cloud's own services at an address of the public space (Azure; metadata of Alibaba Cloud is
    // within 100.64.0.0/10, that of Amazon, Google and others is link-local).
    {"168.63.129.16/32", "cloud platform"},
    {"::1/128", "loopback"},
    {"::/128", "unspecified"},
    {"64:ff9b:1::/48", "local-use NAT64"},
    {"100::/64", "discard-only"},
    {"100:0:0:1::/64", "dummy"},
    {"2001:db8::/32", "documentation"},
    {"2001::/23", "protocol assignments (Teredo, benchmarking, ORCHID)"},
    {"3fff::/20", "documentation"},
    {"5f00::/16", "segment routing"},
    {"fd00:ec2::/32", "cloud metadata"},
    {"fc00::/7", "unique local"},
    {"fe80::/10", "link-local"},
    {"fec0::/10", "site-local"},
    {"ff00::/8", "multicast"},
};

// Only 2000::/3 is given out for the internet; what carries IPv4 is looked at before.
constexpr Row kGlobal = {"2000::/3", "global"};
constexpr Row kOther = {"::/0", "reserved"};

SpecialBlock Read(const Row& row) {
  SpecialBlock special;
  ReadIpBlock(row.block, &special.block);
  special.name = row.name;
  return special;
}

const std::vector<SpecialBlock>& SpecialBlocks() {
  static const std::vector<SpecialBlock>* const blocks = [] {
    auto* made = new std::vector<SpecialBlock>;
    for (const Row& row : kRows) made->push_back(Read(row));
    return made;
  }();
  return *blocks;
}

IpBlock V4(const uint8_t* bytes) {
  IpBlock block;
  block.is_v4 = true;
  block.bits = 32;
  for (size_t i = 0; i < 4; ++i) block.bytes[i] = bytes[i];
  return block;
}

bool StartsWith(const IpBlock& address, std::string_view text) {
  IpBlock block;
  ReadIpBlock(text, &block);
  return block.Contains(address);
}

// The IPv4 address that an IPv6 address leads to, if it does.
std::optional<IpBlock> CarriedBy(const IpBlock& v6) {
  const uint8_t* bytes = v6.bytes.data();
  if (StartsWith(v6, "64:ff9b::/96")) return V4(bytes + 12);  // RFC 6052
  if (StartsWith(v6, "2002::/16")) return V4(bytes + 2);      // RFC 3056
  if (StartsWith(v6, "::/96")) return V4(bytes + 12);         // IPv4-compatible, RFC 4291
  // ISATAP (RFC 5214) within any prefix.
  if ((bytes[8] & 0xfd) == 0 && bytes[9] == 0 && bytes[10] == 0x5e && bytes[11] == 0xfe) {
    return V4(bytes + 12);
  }
  return std::nullopt;
}

}  // namespace

bool IpBlock::Contains(const IpBlock& other) const {
  if (is_v4 != other.is_v4 || bits > other.bits) return false;
  const size_t whole = bits / 8;
  if (std::memcmp(bytes.data(), other.bytes.data(), whole) != 0) return false;
  const unsigned rest = bits % 8;
  if (rest == 0) return true;
  const auto mask = static_cast<uint8_t>(0xff00u >> rest);
  return ((bytes[whole] ^ other.bytes[whole]) & mask) == 0;
}

IpBlock BlockOf(const net::SocketAddress& address) {
  IpBlock block;
  if (address.storage.ss_family == AF_INET6) {
    const in6_addr& v6 = reinterpret_cast<const sockaddr_in6*>(&address.storage)->sin6_addr;
    if (IN6_IS_ADDR_V4MAPPED(&v6)) return V4(&v6.s6_addr[12]);
    std::memcpy(block.bytes.data(), v6.s6_addr, 16);
    block.bits = 128;
    return block;
  }
  return V4(reinterpret_cast<const uint8_t*>(
      &reinterpret_cast<const sockaddr_in*>(&address.storage)->sin_addr));
}

bool ReadIpBlock(std::string_view text, IpBlock* block) {
  *block = IpBlock();
  const size_t slash = text.find('/');
  const std::string address(text.substr(0, slash));
  block->is_v4 = ::inet_pton(AF_INET, address.c_str(), block->bytes.data()) == 1;
  if (!block->is_v4 && ::inet_pton(AF_INET6, address.c_str(), block->bytes.data()) != 1) {
    return false;
  }
  const uint8_t most = block->is_v4 ? 32 : 128;
  block->bits = most;
  if (slash == std::string_view::npos) return true;
  const char* const end = text.data() + text.size();
  const auto [read, error] = std::from_chars(text.data() + slash + 1, end, block->bits);
  return error == std::errc() && read == end && block->bits <= most;
}

const SpecialBlock* FindSpecial(const IpBlock& address) {
  for (const SpecialBlock& special : SpecialBlocks()) {
    if (special.block.Contains(address)) return &special;
  }
  if (address.is_v4) return nullptr;
  static const SpecialBlock global = Read(kGlobal);
  static const SpecialBlock other = Read(kOther);
  if (const auto carried = CarriedBy(address)) return FindSpecial(*carried);
  return global.block.Contains(address) ? nullptr : &other;
}

bool IsReachable(const IpBlock& address, std::span<const IpBlock> listed, std::string_view* why) {
  const SpecialBlock* special = FindSpecial(address);
  if (special == nullptr) return true;
  // Who lists 0.0.0.0/0 means the internet, not the inside.
  constexpr uint8_t kNarrow = 8;
  const uint8_t least =
      special->block.is_v4 == address.is_v4 ? std::max(special->block.bits, kNarrow) : address.bits;
  for (const IpBlock& block : listed) {
    if (block.bits >= least && block.Contains(address)) return true;
  }
  *why = special->name;
  return false;
}

}  // namespace aegis::gateway
