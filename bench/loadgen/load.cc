#include "load.h"

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

namespace aegis::bench {
namespace {

constexpr uint64_t kSecond = 1'000'000'000;

double CpuSeconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

}  // namespace

Load::Load(const std::vector<Request>& requests, const LoadOptions& options)
    : requests_(requests), options_(options), epoll_(epoll_create1(EPOLL_CLOEXEC)) {}

Load::~Load() { close(epoll_); }

uint64_t Load::Now() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * kSecond + static_cast<uint64_t>(now.tv_nsec);
}

LoadResult Load::Run() {
  Start();
  start_ = Now();
  counted_from_ = start_ + static_cast<uint64_t>(options_.warmup * 1e9);
  end_ = counted_from_ + static_cast<uint64_t>(options_.seconds * 1e9);
  // Room for every sample of an open loop, so that none waits while the vector grows.
  result_.latencies_ns.reserve(static_cast<size_t>(options_.rate * options_.seconds) + (1 << 20));
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
      const auto timeout = static_cast<uint64_t>(options_.timeout * 1e9);
      if (now > timeout) FailLate(now - timeout);
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
  return std::move(result_);
}

uint64_t Load::DueAt(uint64_t k) const {
  return start_ + static_cast<uint64_t>(static_cast<double>(k) * 1e9 / options_.rate);
}

void Load::SendDue(uint64_t now) {
  while (HasFreeSlot()) {
    uint64_t due = now;
    if (options_.rate > 0) {
      due = DueAt(next_);
      if (due > now || due >= end_) break;
    } else if (now >= end_) {
      break;
    }
    const Request& request = requests_[next_ % requests_.size()];
    ++next_;
    ++in_flight_;
    ++result_.sent;
    Send(request, due, now);
  }
  Flush();
}

void Load::Wait(uint64_t now) {
  epoll_event events[256];
  timespec timeout{0, 0};
  if (!options_.poll) {
    uint64_t until = now + kSecond / 20;
    if (options_.rate > 0 && HasFreeSlot()) until = std::clamp(DueAt(next_), now, until);
    timeout.tv_nsec = static_cast<long>(until - now);
  }
  const int n = epoll_pwait2(epoll_, events, 256, &timeout, nullptr);
  for (int i = 0; i < n; ++i) OnEvents(events[i].data.ptr, events[i].events);
}

int Load::Connect(void* what) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(options_.port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
    std::fprintf(stderr, "loadgen: cannot connect to 127.0.0.1:%d: %s\n", options_.port,
                 std::strerror(errno));
    std::exit(1);
  }
  const int one = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.ptr = what;
  epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event);
  return fd;
}

void Load::WatchRoom(int fd, void* what, bool wanted) {
  epoll_event event{};
  event.events = wanted ? EPOLLIN | EPOLLOUT : EPOLLIN;
  event.data.ptr = what;
  epoll_ctl(epoll_, EPOLL_CTL_MOD, fd, &event);
}

void Load::Right(uint64_t due, uint64_t now) {
  --in_flight_;
  ++result_.right;
  if (due >= counted_from_ && due < end_) {
    result_.latencies_ns.push_back(now - due);
    last_answer_ = now;
  }
}

void Load::Wrong(std::string_view answer) {
  --in_flight_;
  Unasked(answer);
}

void Load::Failed() {
  --in_flight_;
  ++result_.failed;
}

void Load::Unasked(std::string_view answer) {
  ++result_.wrong;
  Note(answer);
}

void Load::Note(std::string_view answer) {
  if (result_.first_wrong.empty()) result_.first_wrong = answer.substr(0, 600);
}

}  // namespace aegis::bench
