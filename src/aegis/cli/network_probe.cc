#include "aegis/cli/network_probe.h"

#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <sys/socket.h>

#include <cerrno>
#include <string_view>

namespace aegis::cli {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

// The root's name servers (RFC 1035 §4.1): any resolver answers something.
constexpr std::string_view kDnsQuestion(
    "\x61\x67\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\x01", 17);

const sockaddr* SockaddrOf(const Probe& probe) {
  return reinterpret_cast<const sockaddr*>(&probe.address.storage);
}

bool IsV6(const Probe& probe) { return probe.address.storage.ss_family == AF_INET6; }

FileDescriptor OpenSocket(const Probe& probe) {
  constexpr int kFlags = SOCK_NONBLOCK | SOCK_CLOEXEC;
  const int family = probe.address.storage.ss_family;
  switch (probe.kind) {
    case Probe::Kind::kTcp:
      return FileDescriptor(::socket(family, SOCK_STREAM | kFlags, 0));
    case Probe::Kind::kDns:
      return FileDescriptor(::socket(family, SOCK_DGRAM | kFlags, 0));
    case Probe::Kind::kPing: {
      const int protocol = IsV6(probe) ? static_cast<int>(IPPROTO_ICMPV6) : IPPROTO_ICMP;
      return FileDescriptor(::socket(family, SOCK_DGRAM | kFlags, protocol));
    }
  }
  return {};
}

void Send(Probe& probe) {
  if (probe.kind == Probe::Kind::kDns) {
    ::send(probe.fd.get(), kDnsQuestion.data(), kDnsQuestion.size(), MSG_NOSIGNAL);
  } else if (IsV6(probe)) {
    icmp6_hdr echo{};
    echo.icmp6_type = ICMP6_ECHO_REQUEST;
    ::send(probe.fd.get(), &echo, sizeof echo, MSG_NOSIGNAL);
  } else {
    icmphdr echo{};
    echo.type = ICMP_ECHO;
    ::send(probe.fd.get(), &echo, sizeof echo, MSG_NOSIGNAL);
  }
}

void Start(Probe& probe) {
  probe.fd = OpenSocket(probe);
  if (!probe.fd) return;
  if (::connect(probe.fd.get(), SockaddrOf(probe), probe.address.size) == 0) {
    if (probe.kind != Probe::Kind::kTcp) return Send(probe);
    probe.answer = Probe::Answer::kReached;
  } else if (errno == EINPROGRESS) {
    return;
  } else if (errno == ECONNREFUSED) {
    probe.answer = Probe::Answer::kRefused;
  }
  probe.fd.Close();
}

// The socket has something to say.
void Settle(Probe& probe) {
  if (probe.kind == Probe::Kind::kTcp) {
    const int error = net::ConnectResult(probe.fd.get());
    if (error == 0) probe.answer = Probe::Answer::kReached;
    if (error == ECONNREFUSED) probe.answer = Probe::Answer::kRefused;
  } else {
    char bytes[512];
    if (::recv(probe.fd.get(), bytes, sizeof bytes, 0) > 0) {
      probe.answer = Probe::Answer::kReached;
    } else if (errno == ECONNREFUSED) {
      probe.answer = Probe::Answer::kRefused;  // the host said so by ICMP
    }
  }
  probe.fd.Close();
}

}  // namespace

void RunProbes(std::vector<Probe>& probes, milliseconds timeout) {
  const auto end = steady_clock::now() + timeout;
  for (Probe& probe : probes) Start(probe);
  while (true) {
    std::vector<pollfd> items;
    std::vector<Probe*> waiting;
    for (Probe& probe : probes) {
      if (!probe.fd) continue;
      const bool tcp = probe.kind == Probe::Kind::kTcp;
      items.push_back({probe.fd.get(), static_cast<short>(tcp ? POLLOUT : POLLIN), 0});
      waiting.push_back(&probe);
    }
    const auto left = std::chrono::ceil<milliseconds>(end - steady_clock::now()).count();
    if (items.empty() || left <= 0) break;
    if (::poll(items.data(), items.size(), static_cast<int>(left)) < 0 && errno != EINTR) break;
    for (size_t i = 0; i < items.size(); ++i) {
      if (items[i].revents != 0) Settle(*waiting[i]);
    }
  }
  for (Probe& probe : probes) probe.fd.Close();
}

}  // namespace aegis::cli
