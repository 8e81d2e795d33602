// gRPC on one event loop: services by name, their calls on HTTP/2 connections.
//
// A request that is no gRPC is answered as HTTP (405, 415); an unknown service or method is
// UNIMPLEMENTED; a message that is compressed is UNIMPLEMENTED with grpc-accept-encoding: identity;
// one too large, or more than the server may hold, is RESOURCE_EXHAUSTED, and so is a call when the
// server holds too many.
//
// Threading: everything belongs to the loop's thread (or to the thread that builds and destroys it
// while the loop is not running).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "aegis/grpc/service.h"
#include "aegis/net/event_loop.h"
#include "aegis/net/http2_server.h"

namespace aegis::grpc {

class ServerCall;

class Server final : public net::Http2Server::Application {
 public:
  struct Options {
    net::Http2Server::Limits connections;
    // From a call's head to the end of its request, or, of a handler that takes a stream, of the
    // first message; then DEADLINE_EXCEEDED.
    int request_timeout_ms = 10'000;
    size_t max_message_bytes = 4 << 20;  // of one request message
    // Of open calls (4 KiB each, and their heads) and request messages that are not whole yet,
    // together.
    size_t max_buffered_bytes = 64 << 20;
  };
  struct Counters {
    uint64_t calls = 0;      // that reached a handler
    uint64_t cancelled = 0;  // of them: by the client, its deadline, or a lost connection
    uint64_t refused = 0;    // that reached none, or whose messages were refused
  };

  Server(net::EventLoop& loop, const Options& options);
  ~Server();

  // `name`: "envoy.service.auth.v3.Authorization". The service must outlive the server.
  void AddService(std::string name, Service* service);
  const std::vector<std::pair<std::string, Service*>>& services() const { return services_; }

  // `tls`: nullptr for HTTP/2 with prior knowledge; else its protocols must be {"h2"}.
  void Listen(FileDescriptor listening,
              std::shared_ptr<const net::TlsServerContext> tls = nullptr) {
    connections_.Listen(std::move(listening), std::move(tls));
  }
  // For new connections of all listeners that have TLS.
  void SetTls(std::shared_ptr<const net::TlsServerContext> tls) {
    connections_.SetTls(std::move(tls));
  }
  // A connected socket that does not block.
  void Adopt(FileDescriptor socket, Peer peer) {
    connections_.Adopt(std::move(socket), nullptr, std::move(peer));
  }

  // Accepts nothing new; connections close when the calls that run have ended.
  void BeginDrain() { connections_.BeginDrain(); }
  // Cuts all. Not from within a handler's method.
  void Close() { connections_.Close(); }
  size_t connection_count() const { return connections_.connection_count(); }
  size_t call_count() const { return live_calls_; }
  const Counters& counters() const { return counters_; }
  const net::Http2Server::Counters& connection_counters() const { return connections_.counters(); }

  // For the connections.
  net::Http2Stream* NewStream(const Peer& peer) override;

 private:
  friend class ServerCall;

  Service* FindService(std::string_view name) const;
  void Recycle(ServerCall* call);

  net::EventLoop& loop_;
  const Options options_;
  std::vector<std::pair<std::string, Service*>> services_;
  std::vector<std::unique_ptr<ServerCall>> free_calls_;
  size_t live_calls_ = 0;
  size_t buffered_bytes_ = 0;
  Counters counters_;
  net::Http2Server connections_;  // last: its end hands the calls back
};

}  // namespace aegis::grpc
