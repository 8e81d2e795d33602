// Which addresses are not of the public internet, so that a name that agents may reach cannot lead
// into the operator's own network.
//
// Sources: IANA IPv4 and IPv6 Special-Purpose Address Registries, IPv4 and IPv6 Multicast; RFC
// 6890.
//
// Threading: pure functions.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "aegis/net/tcp.h"

namespace aegis::gateway {

// An address or a block of addresses.
struct IpBlock {
  std::array<uint8_t, 16> bytes{};  // IPv4: the first four
  uint8_t bits = 0;                 // of the prefix
  bool is_v4 = false;

  bool Contains(const IpBlock& other) const;
};
// IPv4 in IPv6 (::ffff:0:0/96) is IPv4.
IpBlock BlockOf(const net::SocketAddress& address);
// "10.0.0.0/8", "::1". False: it is none.
bool ReadIpBlock(std::string_view text, IpBlock* block);

// The block that makes the address a special one, e.g. "private", or nullptr: it is an ordinary
// address. An IPv6 address that carries an IPv4 one (NAT64, 6to4, ISATAP, IPv4-compatible) is
// special if that one is, and ordinary else.
struct SpecialBlock {
  IpBlock block;
  std::string_view name;
};
const SpecialBlock* FindSpecial(const IpBlock& address);

// Whether a connection may lead to the address: an ordinary one, or one within a block that
// `listed` names, which is no wider than the special block (for a carrier: that names the address
// alone). False: `*why` names the special block.
bool IsReachable(const IpBlock& address, std::span<const IpBlock> listed, std::string_view* why);

}  // namespace aegis::gateway
