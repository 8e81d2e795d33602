#include "aegis/gateway/address_limit.h"

#include <netinet/in.h>

#include <cstring>
#include <functional>
#include <string_view>

namespace aegis::gateway {

AddressLimit::Source AddressLimit::SourceOf(const net::SocketAddress& address) {
  Source source{};
  if (address.storage.ss_family == AF_INET) {
    const auto* v4 = reinterpret_cast<const sockaddr_in*>(&address.storage);
    source[10] = source[11] = 0xFF;
    std::memcpy(source.data() + 12, &v4->sin_addr, 4);
  } else if (address.storage.ss_family == AF_INET6) {
    const auto* v6 = reinterpret_cast<const sockaddr_in6*>(&address.storage);
    const bool mapped = IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr);
    std::memcpy(source.data(), &v6->sin6_addr, mapped ? 16 : 8);
  }
  return source;
}

size_t AddressLimit::Hash::operator()(const Source& source) const {
  return std::hash<std::string_view>()(
      {reinterpret_cast<const char*>(source.data()), source.size()});
}

bool AddressLimit::Enter(const Source& source) {
  if (most_ == 0) return true;
  const std::lock_guard lock(mutex_);
  size_t& open = open_[source];
  if (open >= most_) return false;
  ++open;
  return true;
}

void AddressLimit::Leave(const Source& source) {
  if (most_ == 0) return;
  const std::lock_guard lock(mutex_);
  const auto found = open_.find(source);
  if (found != open_.end() && --found->second == 0) open_.erase(found);
}

size_t AddressLimit::count(const Source& source) const {
  const std::lock_guard lock(mutex_);
  const auto found = open_.find(source);
  return found == open_.end() ? 0 : found->second;
}

}  // namespace aegis::gateway
