// A client's bytes on an HTTP/2 connection to a gRPC service: no input may crash the server, read
// out of bounds, lose a call, or make it hold more than its limits say.
//
// The first byte says in what pieces the rest arrives, and whether the connection's preface and a
// large window come before it by themselves.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>

#include "aegis/grpc/server.h"
#include "aegis/grpc/server_testing.h"
#include "aegis/net/http2_session.h"
#include "aegis/net/http2_testing.h"

namespace {

class Connection final : public aegis::net::Http2Session::Application {
 public:
  Connection(aegis::grpc::Server& server, const aegis::net::Http2Limits& limits)
      : server_(server), session_(limits, *this) {}

  // False: the connection is over.
  bool Exchange(std::string_view bytes) {
    constexpr size_t kWriteBytes = 64 * 1024;
    constexpr size_t kMaxOutput = kWriteBytes + 32 * 1024;
    session_.Receive(bytes);
    for (;;) {
      output_.clear();
      session_.Produce(output_, kWriteBytes);
      if (output_.size() > kMaxOutput) std::abort();
      if (output_.empty()) return !session_.over();
    }
  }

 private:
  aegis::net::Http2Stream* NewStream() override { return server_.NewStream(peer_); }
  void OnOutput() override {}

  aegis::grpc::Server& server_;
  aegis::grpc::Peer peer_;
  std::string output_;
  aegis::net::Http2Session session_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  static aegis::net::EventLoop loop;
  aegis::grpc::Server::Options options;
  options.max_message_bytes = 16 * 1024;
  options.max_buffered_bytes = 64 * 1024;
  aegis::net::Http2Limits& limits = options.connections.http2;
  limits.max_streams = 16;
  limits.max_head_bytes = 4 * 1024;
  limits.max_idle_frames = 100;
  aegis::grpc::Server server(loop, options);
  aegis::grpc::EchoService echo;
  server.AddService("test.Echo", &echo);

  const size_t step = data[0] % 32 == 0 ? size : size_t{data[0]} % 32;
  aegis::net::Http2TestClient client;
  if ((data[0] & 0x20) != 0) client.Preface();
  if ((data[0] & 0x40) != 0) client.Credit(0, 1 << 20);
  {
    Connection connection(server, limits);
    bool open = client.out.empty() || connection.Exchange(client.out);
    for (size_t at = 1; open && at < size; at += step) {
      const size_t piece = std::min(step, size - at);
      // A copy of its own size lets the sanitizer see any byte read beyond it.
      const auto part = std::make_unique<char[]>(piece);
      std::copy(data + at, data + at + piece, part.get());
      open = connection.Exchange({part.get(), piece});
      if (server.call_count() > 2 * limits.max_streams) std::abort();
    }
  }
  if (server.call_count() != 0 || echo.released != echo.started) std::abort();
  return 0;
}
