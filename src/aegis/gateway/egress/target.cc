#include "aegis/gateway/egress/target.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <charconv>
#include <cstring>

#include "aegis/base/host_name.h"

namespace aegis::gateway {
namespace {

bool ReadPort(std::string_view text, uint16_t* port) {
  if (text.empty() || text.size() > 5 || text.front() == '0') return false;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *port);
  return error == std::errc() && end == text.data() + text.size();
}

// Four decimal numbers without leading zeros.
bool ReadIpv4(const std::string& text, in_addr* address) {
  if (::inet_pton(AF_INET, text.c_str(), address) != 1) return false;
  char written[INET_ADDRSTRLEN];
  ::inet_ntop(AF_INET, address, written, sizeof written);
  return text == written;
}

bool ReadIpv6(const std::string& text, in6_addr* address) {
  // IPv4 within IPv6 is never needed to name a host, and often used to disguise one.
  return text.find('.') == std::string::npos && ::inet_pton(AF_INET6, text.c_str(), address) == 1 &&
         !IN6_IS_ADDR_V4MAPPED(address) && !IN6_IS_ADDR_V4COMPAT(address);
}

void SetAddress(const in_addr& address, EgressTarget* target) {
  char text[INET_ADDRSTRLEN];
  target->host = ::inet_ntop(AF_INET, &address, text, sizeof text);
  sockaddr_in socket{};
  socket.sin_family = AF_INET;
  socket.sin_port = htons(target->port);
  socket.sin_addr = address;
  std::memcpy(&target->address.storage, &socket, sizeof socket);
  target->address.size = sizeof socket;
}

void SetAddress(const in6_addr& address, EgressTarget* target) {
  char text[INET6_ADDRSTRLEN];
  target->host = ::inet_ntop(AF_INET6, &address, text, sizeof text);
  sockaddr_in6 socket{};
  socket.sin6_family = AF_INET6;
  socket.sin6_port = htons(target->port);
  socket.sin6_addr = address;
  std::memcpy(&target->address.storage, &socket, sizeof socket);
  target->address.size = sizeof socket;
}

}  // namespace

std::string EgressTarget::HostField() const {
  std::string field = host.find(':') == std::string::npos ? host : "[" + host + "]";
  if (port != 80) field += ":" + std::to_string(port);
  return field;
}

bool ReadEgressTarget(std::string_view authority, uint16_t default_port, EgressTarget* target,
                      std::string_view* why) {
  *target = EgressTarget();
  *why = "the target is not host:port, with a host name or an IP address in its usual form";
  constexpr size_t kMaxBytes = 253 + 1 + 6;
  if (authority.size() > kMaxBytes) return false;
  const bool brackets = authority.starts_with('[');
  const size_t host_end = brackets ? authority.find(']') : authority.find(':');
  std::string_view host = authority.substr(0, host_end);
  std::string_view port;
  if (host_end != std::string_view::npos) {
    port = authority.substr(host_end + (brackets ? 1 : 0));
  } else if (brackets) {
    return false;
  }
  if (port.empty() && default_port != 0) {
    target->port = default_port;
  } else if (!port.starts_with(':') || !ReadPort(port.substr(1), &target->port)) {
    *why = "the target has no plain decimal port of 1 to 65535";
    return false;
  }
  in6_addr v6{};
  if (brackets) {
    if (!ReadIpv6(std::string(host.substr(1)), &v6)) return false;
    target->is_ip = true;
    SetAddress(v6, target);
    return true;
  }
  in_addr v4{};
  if (ReadIpv4(std::string(host), &v4)) {
    target->is_ip = true;
    SetAddress(v4, target);
    return true;
  }
  target->host = CanonicalHostName(host);
  return !target->host.empty();
}

}  // namespace aegis::gateway
