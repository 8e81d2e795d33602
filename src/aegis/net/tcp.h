// TCP sockets: addresses, listening, connecting without blocking, accepting.
//
// Threading: the functions may be called from any thread; an Acceptor belongs to its loop.
#pragma once

#include <sys/socket.h>

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "aegis/base/file.h"
#include "aegis/base/result.h"
#include "aegis/net/event_loop.h"

namespace aegis::net {

struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t size = 0;

  uint16_t port() const;
  bool is_loopback() const;      // 127.0.0.0/8, also within IPv6, or ::1
  std::string ToString() const;  // "127.0.0.1:8080", "[::1]:8080", "unix"
  bool operator==(const SocketAddress& other) const;
};

// "host:port", "[v6]:port" or ":port" (all IPv4 interfaces). Names are resolved, which may block.
// Errors: bad_address (malformed, or the name is unknown).
Result<SocketAddress> ResolveAddress(const std::string& address);
// All addresses of it, at most 16, IPv4 first; never empty. `numeric`: names are not asked for, so
// that it does not block. Errors: the same.
Result<std::vector<SocketAddress>> ResolveAddresses(const std::string& address,
                                                    bool numeric = false);

// An IP address (without brackets and port) in the one way that inet_ntop writes it; IPv4 in IPv6
// ("::ffff:10.0.0.1") as IPv4. Empty: it is none.
std::string CanonicalIp(std::string_view text);
// The same of an address with its port, as ToString writes it; the port may be missing.
std::string IpOfAddress(std::string_view address);

// A listening socket that does not block, with SO_REUSEADDR, and SO_REUSEPORT if asked for.
// Errors: address_in_use, io_error.
Result<FileDescriptor> ListenTcp(const SocketAddress& address, bool reuse_port);
// Whether the address can be bound by one socket alone; to be asked before binding it with
// SO_REUSEPORT, which would share it with any other process that does the same. Errors:
// address_in_use, io_error.
Status CheckAddressFree(const SocketAddress& address);
SocketAddress LocalAddress(int fd);

// Begins to connect; the socket becomes writable when that is settled, then ConnectResult tells.
// Errors: connect_failed; no_socket (kResourceExhausted: this process or machine is out of them).
Result<FileDescriptor> StartConnect(const SocketAddress& address);
// 0 or the errno of a failed connect.
int ConnectResult(int fd);
// Small writes go out at once.
void SetNoDelay(int fd);

// Accepts connections and hands them over. When the process is out of descriptors it pauses a
// little instead of spinning.
class Acceptor final : public Watch::Listener {
 public:
  using OnAccept = std::function<void(FileDescriptor socket, const SocketAddress& peer)>;
  Acceptor(EventLoop& loop, FileDescriptor listening, OnAccept on_accept);
  // Stops accepting and closes the listening socket.
  void Close();
  bool is_open() const { return watch_.is_open(); }

 private:
  void OnReadable() override;
  void OnWritable() override {}

  EventLoop& loop_;
  Watch watch_;
  Timer pause_;
  OnAccept on_accept_;
};

}  // namespace aegis::net
