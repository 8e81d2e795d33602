// How many connections one address has open, for a limit that all workers share.
//
// Threading: any thread; locks, so that it is asked once a connection and not once a call.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <unordered_map>

#include "aegis/net/tcp.h"

namespace aegis::gateway {

class AddressLimit {
 public:
  // An IPv4 address, also within IPv6; of an IPv6 address its /64, which one machine has to itself.
  using Source = std::array<uint8_t, 16>;
  static Source SourceOf(const net::SocketAddress& address);

  // `most`: 0 for no limit.
  explicit AddressLimit(size_t most) : most_(most) {}

  // False: it has as many as it may. Else Leave follows when the connection ends.
  bool Enter(const Source& source);
  void Leave(const Source& source);
  size_t count(const Source& source) const;

 private:
  struct Hash {
    size_t operator()(const Source& source) const;
  };
  const size_t most_;
  mutable std::mutex mutex_;
  std::unordered_map<Source, size_t, Hash> open_;  // guarded by mutex_
};

}  // namespace aegis::gateway
