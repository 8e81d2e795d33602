#include "client.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>

#include "framing.h"

namespace aegis::bench {
namespace {

constexpr uint64_t kSecond = 1'000'000'000;

uint64_t Now() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * kSecond + static_cast<uint64_t>(now.tv_nsec);
}

double CpuSeconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

struct Connection {
  int fd = -1;
  const Request* request = nullptr;  // in flight; nullptr: idle
  size_t sent = 0;
  uint64_t due = 0;
  uint64_t sent_at = 0;
  std::string in;
};

class Load {
 public:
  Load(const std::vector<Request>& requests, const LoadOptions& options)
      : requests_(requests), options_(options) {}

  LoadResult Run() {
    epoll_ = epoll_create1(EPOLL_CLOEXEC);
    connections_.resize(static_cast<size_t>(options_.connections));
    for (Connection& connection : connections_) {
      Open(connection);
      idle_.push_back(&connection);
    }
    start_ = Now();
    counted_from_ = start_ + static_cast<uint64_t>(options_.warmup * 1e9);
    end_ = counted_from_ + static_cast<uint64_t>(options_.seconds * 1e9);
    double cpu_before = -1;
    uint64_t next_timeout_check = start_ + kSecond;
    while (true) {
      const uint64_t now = Now();
      if (cpu_before < 0 && now >= counted_from_) cpu_before = CpuSeconds();
      if (now >= end_ && cpu_after_ < 0) cpu_after_ = CpuSeconds();
      SendDue(now);
      const bool sending_over = options_.rate > 0 ? DueAt(next_) >= end_ : now >= end_;
      if (sending_over && in_flight_ == 0) break;
      if (now >= end_ + static_cast<uint64_t>(options_.grace * 1e9)) break;
      if (now >= next_timeout_check) {
        FailLate(now);
        next_timeout_check = now + kSecond;
      }
      Wait(now);
    }
    result_.unfinished = static_cast<uint64_t>(in_flight_);
    if (options_.rate > 0) {
      for (; DueAt(next_) < end_; ++next_) ++result_.unfinished;
    }
    if (cpu_after_ < 0) cpu_after_ = CpuSeconds();
    result_.cpu_seconds = cpu_after_ - cpu_before;
    result_.counted_seconds =
        static_cast<double>(std::max(last_answer_, counted_from_ + 1) - counted_from_) / 1e9;
    for (const Connection& connection : connections_) close(connection.fd);
    close(epoll_);
    return std::move(result_);
  }

 private:
  uint64_t DueAt(uint64_t k) const {
    return start_ + static_cast<uint64_t>(static_cast<double>(k) * 1e9 / options_.rate);
  }

  void Open(Connection& connection) {
    connection.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(options_.port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (connect(connection.fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
      std::fprintf(stderr, "loadgen: cannot connect to 127.0.0.1:%d: %s\n", options_.port,
                   std::strerror(errno));
      std::exit(1);
    }
    const int one = 1;
    setsockopt(connection.fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.ptr = &connection;
    epoll_ctl(epoll_, EPOLL_CTL_ADD, connection.fd, &event);
  }

  void Reopen(Connection& connection) {
    close(connection.fd);
    connection.in.clear();
    ++result_.reconnects;
    Open(connection);
  }

  void SendDue(uint64_t now) {
    while (!idle_.empty()) {
      uint64_t due = now;
      if (options_.rate > 0) {
        due = DueAt(next_);
        if (due > now || due >= end_) return;
      } else if (now >= end_) {
        return;
      }
      Connection& connection = *idle_.back();
      idle_.pop_back();
      connection.request = &requests_[next_ % requests_.size()];
      ++next_;
      connection.sent = 0;
      connection.due = due;
      connection.sent_at = now;
      ++in_flight_;
      ++result_.sent;
      Write(connection);
    }
  }

  void Write(Connection& connection) {
    const std::string& bytes = connection.request->bytes;
    while (connection.sent < bytes.size()) {
      const ssize_t n = send(connection.fd, bytes.data() + connection.sent,
                             bytes.size() - connection.sent, MSG_NOSIGNAL | MSG_DONTWAIT);
      if (n < 0) {
        if (errno == EAGAIN) {
          Watch(connection, EPOLLIN | EPOLLOUT);
          waits_for_room_ = true;
          return;
        }
        if (errno == EINTR) continue;
        Fail(connection);
        return;
      }
      connection.sent += static_cast<size_t>(n);
    }
    if (waits_for_room_) Watch(connection, EPOLLIN);
  }

  void Watch(Connection& connection, uint32_t events) {
    epoll_event event{};
    event.events = events;
    event.data.ptr = &connection;
    epoll_ctl(epoll_, EPOLL_CTL_MOD, connection.fd, &event);
  }

  void Wait(uint64_t now) {
    epoll_event events[256];
    timespec timeout{0, 0};
    if (!options_.poll) {
      uint64_t until = now + kSecond / 20;
      if (options_.rate > 0 && !idle_.empty()) until = std::clamp(DueAt(next_), now, until);
      timeout.tv_nsec = static_cast<long>(until - now);
    }
    const int n = epoll_pwait2(epoll_, events, 256, &timeout, nullptr);
    for (int i = 0; i < n; ++i) {
      Connection& connection = *static_cast<Connection*>(events[i].data.ptr);
      if ((events[i].events & EPOLLOUT) != 0 && connection.request != nullptr) Write(connection);
      if ((events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) Read(connection);
    }
  }

  void Read(Connection& connection) {
    char buffer[65536];
    const ssize_t n = recv(connection.fd, buffer, sizeof buffer, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (n <= 0) {
      if (connection.request != nullptr) {
        Fail(connection);
      } else {
        Reopen(connection);  // an idle connection may be closed by the server
      }
      return;
    }
    connection.in.append(buffer, static_cast<size_t>(n));
    if (connection.request == nullptr) {  // bytes that nobody asked for
      ++result_.wrong;
      Note(connection.in);
      Reopen(connection);
      return;
    }
    const Frame frame = MeasureMessage(connection.in);
    if (frame.state == Frame::State::kIncomplete) return;
    if (frame.state == Frame::State::kBad || connection.in.size() != frame.total_bytes) {
      Note(connection.in);
      Fail(connection);
      return;
    }
    Judge(connection, frame);
  }

  void Judge(Connection& connection, const Frame& frame) {
    const uint64_t now = Now();
    const Request& request = *connection.request;
    const std::string_view answer = connection.in;
    const int status = answer.size() > 12 ? std::atoi(connection.in.c_str() + 9) : 0;
    ++result_.statuses[status];
    const bool right = status == request.status &&
                       (request.marker.empty() ||
                        answer.find(request.marker, frame.header_bytes) != std::string_view::npos);
    if (right) {
      ++result_.right;
      if (connection.due >= counted_from_ && connection.due < end_) {
        result_.latencies_ns.push_back(now - connection.due);
        last_answer_ = now;
      }
    } else {
      ++result_.wrong;
      Note(connection.in);
    }
    connection.in.clear();
    Free(connection);
    if (frame.close) Reopen(connection);
  }

  void Note(const std::string& answer) {
    if (result_.first_wrong.empty()) result_.first_wrong = answer.substr(0, 600);
  }

  void Fail(Connection& connection) {
    ++result_.failed;
    Free(connection);
    Reopen(connection);
  }

  void Free(Connection& connection) {
    connection.request = nullptr;
    --in_flight_;
    idle_.push_back(&connection);
  }

  void FailLate(uint64_t now) {
    for (Connection& connection : connections_) {
      if (connection.request != nullptr &&
          now - connection.sent_at > static_cast<uint64_t>(options_.timeout * 1e9)) {
        Fail(connection);
      }
    }
  }

  const std::vector<Request>& requests_;
  const LoadOptions options_;
  int epoll_ = -1;
  std::vector<Connection> connections_;
  std::vector<Connection*> idle_;
  uint64_t start_ = 0, counted_from_ = 0, end_ = 0;
  uint64_t next_ = 0;  // number of the request that is sent next
  int in_flight_ = 0;
  uint64_t last_answer_ = 0;
  double cpu_after_ = -1;
  bool waits_for_room_ = false;  // some send once found the socket full
  LoadResult result_;
};

}  // namespace

LoadResult RunLoad(const std::vector<Request>& requests, const LoadOptions& options) {
  return Load(requests, options).Run();
}

}  // namespace aegis::bench
