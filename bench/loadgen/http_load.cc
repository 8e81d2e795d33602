#include "http_load.h"

#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

#include "framing.h"

namespace aegis::bench {
namespace {

struct Connection {
  int fd = -1;
  const Request* request = nullptr;  // in flight; nullptr: idle
  size_t sent = 0;
  uint64_t due = 0;
  uint64_t sent_at = 0;
  std::string in;
};

class HttpLoad : public Load {
 public:
  using Load::Load;
  ~HttpLoad() override {
    for (const Connection& connection : connections_) close(connection.fd);
  }

 private:
  void Start() override {
    connections_.resize(static_cast<size_t>(options().connections));
    for (Connection& connection : connections_) {
      connection.fd = Connect(&connection);
      idle_.push_back(&connection);
    }
  }

  bool HasFreeSlot() const override { return !idle_.empty(); }

  void Send(const Request& request, uint64_t due, uint64_t now) override {
    Connection& connection = *idle_.back();
    idle_.pop_back();
    connection.request = &request;
    connection.sent = 0;
    connection.due = due;
    connection.sent_at = now;
    Write(connection);
  }

  void OnEvents(void* what, uint32_t events) override {
    Connection& connection = *static_cast<Connection*>(what);
    if ((events & EPOLLOUT) != 0 && connection.request != nullptr) Write(connection);
    if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) Read(connection);
  }

  void FailLate(uint64_t oldest) override {
    for (Connection& connection : connections_) {
      if (connection.request != nullptr && connection.sent_at < oldest) Fail(connection);
    }
  }

  void Reopen(Connection& connection) {
    close(connection.fd);
    connection.in.clear();
    CountReconnect();
    connection.fd = Connect(&connection);
  }

  void Write(Connection& connection) {
    const std::string& bytes = connection.request->bytes;
    while (connection.sent < bytes.size()) {
      const ssize_t n = send(connection.fd, bytes.data() + connection.sent,
                             bytes.size() - connection.sent, MSG_NOSIGNAL | MSG_DONTWAIT);
      if (n < 0) {
        if (errno == EAGAIN) {
          WatchRoom(connection.fd, &connection, true);
          waits_for_room_ = true;
          return;
        }
        if (errno == EINTR) continue;
        Fail(connection);
        return;
      }
      connection.sent += static_cast<size_t>(n);
    }
    if (waits_for_room_) WatchRoom(connection.fd, &connection, false);
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
      Unasked(connection.in);
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
    CountStatus(status);
    if (status == request.status &&
        (request.marker.empty() ||
         answer.find(request.marker, frame.header_bytes) != std::string_view::npos)) {
      Right(connection.due, now);
    } else {
      Wrong(answer);
    }
    connection.in.clear();
    Free(connection);
    if (frame.close) Reopen(connection);
  }

  void Fail(Connection& connection) {
    Failed();
    Free(connection);
    Reopen(connection);
  }

  void Free(Connection& connection) {
    connection.request = nullptr;
    idle_.push_back(&connection);
  }

  std::vector<Connection> connections_;
  std::vector<Connection*> idle_;
  bool waits_for_room_ = false;  // some send once found the socket full
};

}  // namespace

LoadResult RunHttpLoad(const std::vector<Request>& requests, const LoadOptions& options) {
  return HttpLoad(requests, options).Run();
}

}  // namespace aegis::bench
