#include "server.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <unordered_map>

#include "framing.h"

namespace aegis::bench {
namespace {

std::string CannedAnswer(size_t body_bytes) {
  std::string body = R"({"id":"pay_0001","status":"accepted","note":")";
  const std::string end = "\"}";
  if (body.size() + end.size() < body_bytes)
    body.append(body_bytes - body.size() - end.size(), 'x');
  body += end;
  return "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: " +
         std::to_string(body.size()) + "\r\n\r\n" + body;
}

int Listen(uint16_t port) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int one = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  if (bind(fd, reinterpret_cast<sockaddr*>(&address), size) != 0 || listen(fd, 1024) != 0 ||
      getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) != 0) {
    std::fprintf(stderr, "loadgen: cannot listen on 127.0.0.1:%d: %s\n", port,
                 std::strerror(errno));
    std::exit(1);
  }
  std::printf("%d\n", ntohs(address.sin_port));
  std::fflush(stdout);
  return fd;
}

struct Peer {
  std::string in, out;
};

// Answers all whole requests of the peer's buffer. False: the connection is over.
bool Serve(int fd, Peer& peer, const std::string& answer, uint64_t* served) {
  char buffer[65536];
  const ssize_t n = recv(fd, buffer, sizeof buffer, MSG_DONTWAIT);
  if (n < 0) return errno == EAGAIN || errno == EINTR;
  if (n == 0) return false;
  peer.in.append(buffer, static_cast<size_t>(n));
  bool close_after = false;
  size_t at = 0;
  while (at < peer.in.size()) {
    const Frame frame = MeasureMessage(std::string_view(peer.in).substr(at));
    if (frame.state == Frame::State::kBad) return false;
    if (frame.state == Frame::State::kIncomplete) break;
    at += frame.total_bytes;
    peer.out += answer;
    ++*served;
    close_after = close_after || frame.close;
  }
  peer.in.erase(0, at);
  while (!peer.out.empty()) {
    const ssize_t sent = send(fd, peer.out.data(), peer.out.size(), MSG_NOSIGNAL);
    if (sent < 0) {
      if (errno == EINTR) continue;
      return false;
    }
    peer.out.erase(0, static_cast<size_t>(sent));
  }
  return !close_after;
}

}  // namespace

uint64_t RunServer(uint16_t port, size_t body_bytes) {
  const std::string answer = CannedAnswer(body_bytes);
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  sigprocmask(SIG_BLOCK, &signals, nullptr);
  const int stop = signalfd(-1, &signals, SFD_CLOEXEC);
  const int listener = Listen(port);
  const int epoll = epoll_create1(EPOLL_CLOEXEC);
  for (const int fd : {listener, stop}) {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.fd = fd;
    epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
  }
  std::unordered_map<int, std::unique_ptr<Peer>> peers;
  uint64_t served = 0;
  while (true) {
    epoll_event events[256];
    const int n = epoll_wait(epoll, events, 256, -1);
    for (int i = 0; i < n; ++i) {
      const int fd = events[i].data.fd;
      if (fd == stop) return served;
      if (fd == listener) {
        const int peer = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
        if (peer < 0) continue;
        const int one = 1;
        setsockopt(peer, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        epoll_event event{};
        event.events = EPOLLIN;
        event.data.fd = peer;
        epoll_ctl(epoll, EPOLL_CTL_ADD, peer, &event);
        peers[peer] = std::make_unique<Peer>();
      } else if (!Serve(fd, *peers[fd], answer, &served)) {
        peers.erase(fd);
        close(fd);
      }
    }
  }
}

}  // namespace aegis::bench
