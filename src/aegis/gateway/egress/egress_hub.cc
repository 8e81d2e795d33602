#include "aegis/gateway/egress/egress_hub.h"

#include <ifaddrs.h>
#include <netinet/in.h>

#include <algorithm>
#include <cstring>

namespace aegis::gateway {
namespace {

bool IsUnspecified(const IpBlock& address) {
  return std::all_of(address.bytes.begin(), address.bytes.end(),
                     [](uint8_t byte) { return byte == 0; });
}

bool IsOfThisMachine(const IpBlock& address) {
  const SpecialBlock* special = FindSpecial(address);
  if (special != nullptr && special->name == "loopback") return true;
  ifaddrs* list = nullptr;
  if (::getifaddrs(&list) != 0) return true;  // it cannot be told: then it is
  bool found = false;
  for (const ifaddrs* item = list; item != nullptr && !found; item = item->ifa_next) {
    if (item->ifa_addr == nullptr) continue;
    const int family = item->ifa_addr->sa_family;
    if (family != AF_INET && family != AF_INET6) continue;
    net::SocketAddress own;
    own.size = family == AF_INET ? sizeof(sockaddr_in) : sizeof(sockaddr_in6);
    std::memcpy(&own.storage, item->ifa_addr, own.size);
    found = BlockOf(own).Contains(address);
  }
  ::freeifaddrs(list);
  return found;
}

}  // namespace

void EgressHub::Guard(const net::SocketAddress& address) {
  std::lock_guard lock(mutex_);
  guarded_.push_back(address);
}

bool EgressHub::IsGuarded(const net::SocketAddress& address) const {
  const IpBlock block = BlockOf(address);
  std::lock_guard lock(mutex_);
  for (const net::SocketAddress& guarded : guarded_) {
    if (guarded.port() != address.port()) continue;
    const IpBlock own = BlockOf(guarded);
    // To connect to an unspecified address is to connect to this machine.
    if (own.Contains(block) || IsUnspecified(block)) return true;
    if (IsUnspecified(own) && IsOfThisMachine(block)) return true;
  }
  return false;
}

bool EgressHub::Enter() {
  if (connections_.fetch_add(1, std::memory_order_relaxed) < options_.max_connections) return true;
  Leave();
  return false;
}

bool EgressHub::EnterAs(const std::string& agent) {
  std::lock_guard lock(mutex_);
  size_t& count = by_agent_[agent];
  if (count >= options_.max_connections_per_agent) return false;
  ++count;
  return true;
}

void EgressHub::LeaveAs(const std::string& agent) {
  std::lock_guard lock(mutex_);
  const auto found = by_agent_.find(agent);
  if (found != by_agent_.end() && --found->second == 0) by_agent_.erase(found);
}

}  // namespace aegis::gateway
