// Where a proxy's request goes, read so that no two programs can read it differently.
//
// Refused is everything but a canonical host name (base/host_name.h) or an IP address as RFC 5952
// and dotted decimal write it, with a decimal port: IPv4 in fewer parts, octal, hexadecimal or as
// one number; IPv6 with a zone, without brackets, or with IPv4 in it; userinfo; percent-encoding;
// bytes that are not ASCII; ports with signs, leading zeros, spaces, or out of range.
//
// Threading: pure functions.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "aegis/net/tcp.h"

namespace aegis::gateway {

struct EgressTarget {
  std::string host;   // "api.example.com", "10.0.0.1", "2001:db8::1" (without brackets)
  uint16_t port = 0;  // > 0
  bool is_ip = false;
  net::SocketAddress address;  // is_ip: with the port

  // As a Host field has it: with brackets if need be, without the port 80 of http.
  std::string HostField() const;
};

// Of "host:port"; `default_port`: what is meant when there is none, 0: there must be one. False: it
// is refused, `*why` says so in a static text.
bool ReadEgressTarget(std::string_view authority, uint16_t default_port, EgressTarget* target,
                      std::string_view* why);

}  // namespace aegis::gateway
