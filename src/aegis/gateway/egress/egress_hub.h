// What the egress doors of all workers share: the resolver, how many connections each agent has,
// and the addresses that nobody reaches through them.
//
// Threading: all methods may be called from any thread.
#pragma once

#include <atomic>
#include <cstddef>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "aegis/gateway/egress/address_class.h"
#include "aegis/gateway/egress/resolver.h"
#include "aegis/gateway/options.h"
#include "aegis/gateway/state.h"
#include "aegis/net/tcp.h"

namespace aegis::gateway {

class EgressHub {
 public:
  explicit EgressHub(EgressOptions options) : options_(std::move(options)) {}

  const EgressOptions& options() const { return options_; }
  Resolver& resolver() { return resolver_; }

  // A listener of this process, or of one beside it. 0.0.0.0 and :: are all addresses of this
  // machine.
  void Guard(const net::SocketAddress& address);
  bool IsGuarded(const net::SocketAddress& address) const;

  // One more connection in all. False: no more may be.
  bool Enter();
  void Leave() { connections_.fetch_sub(1, std::memory_order_relaxed); }
  // One more of the agent.
  bool EnterAs(const std::string& agent);
  void LeaveAs(const std::string& agent);

 private:
  EgressOptions options_;
  Resolver resolver_;
  std::atomic<size_t> connections_{0};
  mutable std::mutex mutex_;
  std::vector<net::SocketAddress> guarded_;  // guarded by mutex_
  StringMap<size_t> by_agent_;               // guarded by mutex_
};

}  // namespace aegis::gateway
