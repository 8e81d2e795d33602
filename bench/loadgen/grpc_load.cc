#include "grpc_load.h"

#include <nghttp2/nghttp2.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "check_answer.h"

namespace aegis::bench {
namespace {

constexpr size_t kPrefixBytes = 5;  // of a gRPC message: a flag, its length in 4 bytes
constexpr uint32_t kWindow = 1 << 20;
constexpr size_t kWriteBytes = 64 << 10;

struct Connection;

// One slot, used for one call after the other.
struct Call {
  Connection* connection = nullptr;
  const Request* request = nullptr;  // in flight; nullptr: free
  size_t sent = 0;                   // of prefix and message
  uint64_t due = 0;
  uint64_t sent_at = 0;
  int http_status = 0;
  int grpc_status = -1;
  std::string error;  // grpc-message
  std::string body;
};

class GrpcLoad;

struct Connection {
  GrpcLoad* load = nullptr;
  int fd = -1;
  nghttp2_session* session = nullptr;
  bool broken = false;          // of no more use: its calls are lost
  bool waits_for_room = false;  // the socket was full
  std::vector<Call> calls;      // never moved: nghttp2 holds pointers
  std::vector<Call*> free;
  std::string out;
  size_t out_sent = 0;
};

nghttp2_nv Field(std::string_view name, std::string_view value) {
  // nghttp2 changes neither; it takes pointers to what may be changed.
  return {reinterpret_cast<uint8_t*>(const_cast<char*>(name.data())),
          reinterpret_cast<uint8_t*>(const_cast<char*>(value.data())), name.size(), value.size(),
          NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE};
}

std::string_view View(const uint8_t* bytes, size_t size) {
  return {reinterpret_cast<const char*>(bytes), size};
}

int Number(std::string_view text) {
  int number = -1;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

void Check(int result, const char* what) {
  if (result >= 0) return;
  std::fprintf(stderr, "loadgen: %s: %s\n", what, nghttp2_strerror(result));
  std::exit(1);
}

// The part of a call's message, behind its prefix, that fits into `buffer`.
ssize_t ReadMessage(nghttp2_session*, int32_t, uint8_t* buffer, size_t size, uint32_t* flags,
                    nghttp2_data_source* source, void*) {
  Call& call = *static_cast<Call*>(source->ptr);
  const std::string& message = call.request->bytes;
  const size_t end = std::min(kPrefixBytes + message.size(), call.sent + size);
  const size_t begin = call.sent;
  for (; call.sent < std::min(end, kPrefixBytes); ++call.sent) {
    const size_t shift = 8 * (kPrefixBytes - 1 - call.sent);
    *buffer++ = call.sent == 0 ? 0 : static_cast<uint8_t>(message.size() >> shift);
  }
  if (call.sent < end) {
    std::memcpy(buffer, message.data() + (call.sent - kPrefixBytes), end - call.sent);
    call.sent = end;
  }
  if (end == kPrefixBytes + message.size()) *flags |= NGHTTP2_DATA_FLAG_EOF;
  return static_cast<ssize_t>(end - begin);
}

class GrpcLoad : public Load {
 public:
  GrpcLoad(const std::vector<Request>& requests, const LoadOptions& options)
      : Load(requests, options), authority_("127.0.0.1:" + std::to_string(options.port)) {
    nghttp2_session_callbacks_new(&callbacks_);
    nghttp2_session_callbacks_set_on_header_callback(callbacks_, OnHeader);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks_, OnData);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks_, OnFrame);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks_, OnClose);
  }

  ~GrpcLoad() override {
    for (Connection& connection : connections_) {
      nghttp2_session_del(connection.session);
      close(connection.fd);
    }
    nghttp2_session_callbacks_del(callbacks_);
  }

 private:
  void Start() override {
    connections_.resize(static_cast<size_t>(options().connections));
    for (Connection& connection : connections_) {
      connection.load = this;
      connection.calls.resize(static_cast<size_t>(options().streams));
      for (Call& call : connection.calls) {
        call.connection = &connection;
        connection.free.push_back(&call);
      }
      Open(connection);
    }
    free_ = connections_.size() * static_cast<size_t>(options().streams);
  }

  bool HasFreeSlot() const override { return free_ > 0; }

  // The connections take turns.
  void Send(const Request& request, uint64_t due, uint64_t now) override {
    do {
      last_ = (last_ + 1) % connections_.size();
    } while (connections_[last_].free.empty());
    Connection& connection = connections_[last_];
    Call& call = *connection.free.back();
    connection.free.pop_back();
    --free_;
    call.request = &request;
    call.sent = 0;
    call.due = due;
    call.sent_at = now;
    call.http_status = 0;
    call.grpc_status = -1;
    call.error.clear();
    call.body.clear();
    const nghttp2_nv fields[] = {
        Field(":method", "POST"),
        Field(":path", "/envoy.service.auth.v3.Authorization/Check"),
        Field(":authority", authority_),
        Field(":scheme", "http"),
        Field("te", "trailers"),
        Field("grpc-timeout", "2S"),  // Envoy's calls carry one
        Field("content-type", "application/grpc"),
        Field("user-agent", "aegis-bench/1"),
    };
    nghttp2_data_provider provider{{.ptr = &call}, ReadMessage};
    const int32_t stream = nghttp2_submit_request(connection.session, nullptr, fields,
                                                  std::size(fields), &provider, &call);
    if (stream < 0) {
      Free(call);
      Failed();
    }
  }

  void Flush() override {
    for (Connection& connection : connections_) {
      if (!connection.waits_for_room) Write(connection);
      if (connection.broken) Break(connection);
    }
  }

  void OnEvents(void* what, uint32_t events) override {
    Connection& connection = *static_cast<Connection*>(what);
    if ((events & EPOLLOUT) != 0) Write(connection);
    if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) Read(connection);
    if (connection.broken) Break(connection);
  }

  void FailLate(uint64_t oldest) override {
    for (Connection& connection : connections_) {
      for (Call& call : connection.calls) {
        if (call.request != nullptr && call.sent_at < oldest) connection.broken = true;
      }
      if (connection.broken) Break(connection);
    }
  }

  void Open(Connection& connection) {
    connection.fd = Connect(&connection);
    Check(nghttp2_session_client_new(&connection.session, callbacks_, &connection), "nghttp2");
    const nghttp2_settings_entry settings[] = {{NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
                                               {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, kWindow}};
    Check(nghttp2_submit_settings(connection.session, NGHTTP2_FLAG_NONE, settings,
                                  std::size(settings)),
          "settings");
    Check(nghttp2_session_set_local_window_size(connection.session, NGHTTP2_FLAG_NONE, 0,
                                                16 * kWindow),
          "window");
  }

  void Reopen(Connection& connection) {
    close(connection.fd);
    nghttp2_session_del(connection.session);
    connection.out.clear();
    connection.out_sent = 0;
    connection.broken = connection.waits_for_room = false;
    CountReconnect();
    Open(connection);
  }

  // Its calls are lost.
  void Break(Connection& connection) {
    for (Call& call : connection.calls) {
      if (call.request == nullptr) continue;
      Free(call);
      Failed();
    }
    Reopen(connection);
  }

  void Free(Call& call) {
    call.request = nullptr;
    call.connection->free.push_back(&call);
    ++free_;
  }

  // Sends what nghttp2 has, many frames at once.
  void Write(Connection& connection) {
    while (true) {
      while (connection.out.size() < kWriteBytes) {
        const uint8_t* bytes = nullptr;
        const ssize_t n = nghttp2_session_mem_send(connection.session, &bytes);
        if (n < 0) connection.broken = true;
        if (n <= 0) break;
        connection.out.append(View(bytes, static_cast<size_t>(n)));
      }
      if (connection.out.empty()) break;
      const ssize_t n =
          send(connection.fd, connection.out.data() + connection.out_sent,
               connection.out.size() - connection.out_sent, MSG_NOSIGNAL | MSG_DONTWAIT);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) {
        if (errno != EAGAIN) {
          connection.broken = true;
        } else if (!connection.waits_for_room) {
          connection.waits_for_room = true;
          WatchRoom(connection.fd, &connection, true);
        }
        return;
      }
      connection.out_sent += static_cast<size_t>(n);
      if (connection.out_sent < connection.out.size()) continue;
      connection.out.clear();
      connection.out_sent = 0;
    }
    if (connection.waits_for_room) {
      connection.waits_for_room = false;
      WatchRoom(connection.fd, &connection, false);
    }
  }

  void Read(Connection& connection) {
    uint8_t buffer[65536];
    const ssize_t n = recv(connection.fd, buffer, sizeof buffer, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (n <= 0) {
      connection.broken = true;
      return;
    }
    const auto size = static_cast<size_t>(n);
    const ssize_t used = nghttp2_session_mem_recv(connection.session, buffer, size);
    if (used == n && nghttp2_session_want_read(connection.session) != 0) return;
    Note("not HTTP/2 any more: " + std::string(View(buffer, size)));
    connection.broken = true;
  }

  void Judge(Call& call, uint32_t error) {
    const uint64_t now = Now();
    if (error != NGHTTP2_NO_ERROR) {
      Note(std::string("stream reset: ") + nghttp2_http2_strerror(error));
      Free(call);
      Failed();
      return;
    }
    const int code = call.grpc_status == 0 ? Code(call.body) : -call.grpc_status;
    CountStatus(code);
    const Request& request = *call.request;
    if (call.http_status == 200 && call.grpc_status == 0 && code == request.status &&
        (request.marker.empty() || call.body.find(request.marker) != std::string::npos)) {
      Right(call.due, now);
    } else {
      Wrong("HTTP " + std::to_string(call.http_status) + ", gRPC " +
            std::to_string(call.grpc_status) + " " + call.error + ", code " + std::to_string(code) +
            " for " + std::to_string(request.status) + ": " + call.body);
    }
    Free(call);
  }

  // Of the one message that the body must be.
  static int Code(std::string_view body) {
    if (body.size() < kPrefixBytes || body[0] != 0) return kBadAnswer;
    size_t length = 0;
    for (size_t i = 1; i < kPrefixBytes; ++i) length = length << 8 | static_cast<uint8_t>(body[i]);
    body.remove_prefix(kPrefixBytes);
    return length == body.size() ? CheckAnswerCode(body) : kBadAnswer;
  }

  static Call* CallOf(nghttp2_session* session, int32_t stream) {
    return static_cast<Call*>(nghttp2_session_get_stream_user_data(session, stream));
  }

  static int OnHeader(nghttp2_session* session, const nghttp2_frame* frame, const uint8_t* name,
                      size_t name_size, const uint8_t* value, size_t value_size, uint8_t, void*) {
    Call* call = CallOf(session, frame->hd.stream_id);
    if (call == nullptr) return 0;
    const std::string_view text = View(name, name_size);
    if (text == ":status") {
      call->http_status = Number(View(value, value_size));
    } else if (text == "grpc-status") {
      call->grpc_status = Number(View(value, value_size));
    } else if (text == "grpc-message") {
      call->error = View(value, value_size);
    }
    return 0;
  }

  static int OnData(nghttp2_session* session, uint8_t, int32_t stream, const uint8_t* bytes,
                    size_t size, void*) {
    if (Call* call = CallOf(session, stream)) call->body.append(View(bytes, size));
    return 0;
  }

  // A server that takes leave in the middle of a measurement fails its calls.
  static int OnFrame(nghttp2_session*, const nghttp2_frame* frame, void* connection) {
    if (frame->hd.type == NGHTTP2_GOAWAY) static_cast<Connection*>(connection)->broken = true;
    return 0;
  }

  static int OnClose(nghttp2_session* session, int32_t stream, uint32_t error, void* connection) {
    if (Call* call = CallOf(session, stream)) {
      static_cast<Connection*>(connection)->load->Judge(*call, error);
    }
    return 0;
  }

  const std::string authority_;
  nghttp2_session_callbacks* callbacks_ = nullptr;
  std::vector<Connection> connections_;
  size_t free_ = 0;  // slots
  size_t last_ = 0;  // the connection that was used last
};

}  // namespace

LoadResult RunGrpcLoad(const std::vector<Request>& requests, const LoadOptions& options) {
  return GrpcLoad(requests, options).Run();
}

}  // namespace aegis::bench
