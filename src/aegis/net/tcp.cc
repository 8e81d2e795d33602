#include "aegis/net/tcp.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include <cerrno>
#include <cstring>

namespace aegis::net {
namespace {

constexpr int64_t kAcceptPauseMs = 100;
constexpr int kAcceptsAtOnce = 64;  // then other work gets its turn

}  // namespace

uint16_t SocketAddress::port() const {
  if (storage.ss_family == AF_INET6) {
    return ntohs(reinterpret_cast<const sockaddr_in6*>(&storage)->sin6_port);
  }
  return ntohs(reinterpret_cast<const sockaddr_in*>(&storage)->sin_port);
}

bool SocketAddress::is_loopback() const {
  if (storage.ss_family == AF_INET6) {
    const in6_addr& address = reinterpret_cast<const sockaddr_in6*>(&storage)->sin6_addr;
    if (!IN6_IS_ADDR_V4MAPPED(&address)) return IN6_IS_ADDR_LOOPBACK(&address);
    return address.s6_addr[12] == 127;
  }
  if (storage.ss_family != AF_INET) return false;
  const in_addr& address = reinterpret_cast<const sockaddr_in*>(&storage)->sin_addr;
  return ntohl(address.s_addr) >> 24 == 127;
}

std::string SocketAddress::ToString() const {
  if (storage.ss_family == AF_UNIX) return "unix";
  char text[INET6_ADDRSTRLEN] = "";
  if (storage.ss_family == AF_INET6) {
    ::inet_ntop(AF_INET6, &reinterpret_cast<const sockaddr_in6*>(&storage)->sin6_addr, text,
                sizeof text);
    return "[" + std::string(text) + "]:" + std::to_string(port());
  }
  ::inet_ntop(AF_INET, &reinterpret_cast<const sockaddr_in*>(&storage)->sin_addr, text,
              sizeof text);
  return std::string(text) + ":" + std::to_string(port());
}

std::string CanonicalIp(std::string_view text) {
  char address[INET6_ADDRSTRLEN] = "";
  if (text.size() >= sizeof address || text.find('\0') != std::string_view::npos) return {};
  text.copy(address, text.size());
  in6_addr v6{};
  in_addr v4{};
  if (::inet_pton(AF_INET6, address, &v6) == 1) {
    if (!IN6_IS_ADDR_V4MAPPED(&v6)) {
      ::inet_ntop(AF_INET6, &v6, address, sizeof address);
      return address;
    }
    std::memcpy(&v4, &v6.s6_addr[12], sizeof v4);
  } else if (::inet_pton(AF_INET, address, &v4) != 1) {
    return {};
  }
  ::inet_ntop(AF_INET, &v4, address, sizeof address);
  return address;
}

std::string IpOfAddress(std::string_view address) {
  if (address.starts_with('[')) return CanonicalIp(address.substr(1, address.find(']') - 1));
  // One colon: a port follows; more: IPv6 alone.
  const size_t colon = address.find(':');
  return CanonicalIp(colon == address.rfind(':') ? address.substr(0, colon) : address);
}

bool SocketAddress::operator==(const SocketAddress& other) const {
  return size == other.size && std::memcmp(&storage, &other.storage, size) == 0;
}

Result<SocketAddress> ResolveAddress(const std::string& address) {
  AEGIS_TRY(const std::vector<SocketAddress> all, ResolveAddresses(address));
  return all.front();
}

Result<std::vector<SocketAddress>> ResolveAddresses(const std::string& address, bool numeric) {
  constexpr size_t kMostAddresses = 16;
  const size_t colon = address.rfind(':');
  if (colon == std::string::npos || colon + 1 == address.size() ||
      address.find_first_not_of("0123456789", colon + 1) != std::string::npos ||
      address.size() - colon > 6 || std::stoi(address.substr(colon + 1)) > 65535) {
    return Fail(Code::kInvalidArgument, "bad_address",
                "'" + address + "' is not an address: write host:port, e.g. 127.0.0.1:8080");
  }
  std::string host = address.substr(0, colon);
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') {
    host = host.substr(1, host.size() - 2);
  }
  if (host.empty() || host == "*") host = "0.0.0.0";
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  if (numeric) hints.ai_flags = AI_NUMERICHOST;
  addrinfo* found = nullptr;
  const int error = ::getaddrinfo(host.c_str(), address.c_str() + colon + 1, &hints, &found);
  if (error != 0) {
    return Fail(Code::kInvalidArgument, "bad_address",
                "cannot resolve '" + address + "': " + ::gai_strerror(error));
  }
  // IPv4 first: "localhost" then means the address that servers bind by default.
  std::vector<SocketAddress> out;
  for (const bool v4 : {true, false}) {
    for (const addrinfo* item = found; item && out.size() < kMostAddresses; item = item->ai_next) {
      if ((item->ai_family == AF_INET) != v4) continue;
      SocketAddress& next = out.emplace_back();
      std::memcpy(&next.storage, item->ai_addr, item->ai_addrlen);
      next.size = item->ai_addrlen;
    }
  }
  ::freeaddrinfo(found);
  return out;
}

Result<FileDescriptor> ListenTcp(const SocketAddress& address, bool reuse_port) {
  FileDescriptor fd(
      ::socket(address.storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd) return Fail(SystemError("cannot make a socket for", address.ToString(), errno));
  const int one = 1;
  ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  if (reuse_port) ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEPORT, &one, sizeof one);
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address.storage), address.size) != 0 ||
      ::listen(fd.get(), 1024) != 0) {
    if (errno == EADDRINUSE) {
      return Fail(Code::kAlreadyExists, "address_in_use",
                  "cannot listen on " + address.ToString() +
                      ": the port is in use; stop what uses it or choose another port");
    }
    return Fail(SystemError("cannot listen on", address.ToString(), errno));
  }
  return fd;
}

Status CheckAddressFree(const SocketAddress& address) {
  if (address.port() == 0) return Ok();
  AEGIS_RETURN_IF_ERROR(ListenTcp(address, false));
  return Ok();
}

SocketAddress LocalAddress(int fd) {
  SocketAddress out;
  out.size = sizeof out.storage;
  ::getsockname(fd, reinterpret_cast<sockaddr*>(&out.storage), &out.size);
  return out;
}

Result<FileDescriptor> StartConnect(const SocketAddress& address) {
  FileDescriptor fd(
      ::socket(address.storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd && (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)) {
    return Fail(Code::kResourceExhausted, "no_socket",
                std::string("no socket can be made: ") + std::strerror(errno));
  }
  if (fd && (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address.storage),
                       address.size) == 0 ||
             errno == EINPROGRESS)) {
    SetNoDelay(fd.get());
    return fd;
  }
  return Fail(Code::kUnavailable, "connect_failed",
              "cannot connect to " + address.ToString() + ": " + std::strerror(errno));
}

int ConnectResult(int fd) {
  int error = 0;
  socklen_t size = sizeof error;
  if (::getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0) return errno;
  return error;
}

void SetNoDelay(int fd) {
  const int one = 1;
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
}

Acceptor::Acceptor(EventLoop& loop, FileDescriptor listening, OnAccept on_accept)
    : loop_(loop),
      pause_([](void* self) { static_cast<Acceptor*>(self)->OnReadable(); }, this),
      on_accept_(std::move(on_accept)) {
  if (watch_.Open(loop, std::move(listening), this)) watch_.WaitReadable();
}

void Acceptor::Close() {
  pause_.Disarm();
  watch_.Close();
}

void Acceptor::OnReadable() {
  for (int i = 0; i < kAcceptsAtOnce && watch_.is_open(); ++i) {
    SocketAddress peer;
    peer.size = sizeof peer.storage;
    FileDescriptor socket(::accept4(watch_.fd(), reinterpret_cast<sockaddr*>(&peer.storage),
                                    &peer.size, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (!socket) {
      if (errno == EAGAIN || errno == EWOULDBLOCK) break;
      if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
        pause_.Arm(loop_, kAcceptPauseMs);
        return;
      }
      continue;  // the connection died before it was accepted
    }
    SetNoDelay(socket.get());
    on_accept_(std::move(socket), peer);
  }
  if (watch_.is_open()) watch_.WaitReadable();
}

}  // namespace aegis::net
