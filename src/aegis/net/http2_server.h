// HTTP/2 connections of one event loop: listens, accepts within limits, drains. The application
// gives the streams; what their requests mean is its business.
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

#include "aegis/base/file.h"
#include "aegis/net/event_loop.h"
#include "aegis/net/http2_connection.h"
#include "aegis/net/http2_session.h"
#include "aegis/net/peer.h"
#include "aegis/net/tcp.h"
#include "aegis/net/tls_server.h"

namespace aegis::net {

class Http2Server {
 public:
  struct Limits {
    Http2Limits http2;
    size_t max_connections = 4096;
    int setup_timeout_ms = 10'000;  // TLS and the client's first frame
    int head_timeout_ms = 10'000;   // from a head's first byte to its last
    int idle_timeout_ms = 600'000;  // without any stream
    int keep_alive_ms = 60'000;     // nothing arrives: a PING asks whether the client is there,
    int keep_alive_timeout_ms = 20'000;  // and without an answer the connection is closed
    int write_timeout_ms = 30'000;       // the client takes nothing
  };
  struct Counters {
    uint64_t accepted = 0;
    uint64_t refused = 0;  // over the limit, or draining
    uint64_t broken = 0;   // closed for a violation of the protocol, a limit or a time-out
    uint64_t handshakes_failed = 0;
  };
  class Application {
   public:
    // The stream of a request that begins; nullptr refuses it. `peer` stays as the stream does.
    virtual Http2Stream* NewStream(const Peer& peer) = 0;

   protected:
    ~Application() = default;
  };

  Http2Server(EventLoop& loop, const Limits& limits, Application& application);
  ~Http2Server();
  Http2Server(const Http2Server&) = delete;
  Http2Server& operator=(const Http2Server&) = delete;

  // `tls`: nullptr for HTTP/2 with prior knowledge.
  void Listen(FileDescriptor listening, std::shared_ptr<const TlsServerContext> tls = nullptr);
  // For new connections of all listeners that have TLS: certificates run out and are renewed.
  void SetTls(std::shared_ptr<const TlsServerContext> tls) { tls_ = std::move(tls); }
  // A connected socket that does not block.
  void Adopt(FileDescriptor socket, std::shared_ptr<const TlsServerContext> tls, Peer peer);

  // The same after somebody else has set up TLS or found HTTP/2 in what came first: `received`,
  // which begins with the client's preface or is empty. `stream` is of the socket.
  void AdoptOpen(FileDescriptor socket, ServerStream stream, Peer peer, std::string_view received);

  // No new connections, and no new streams on those that are; each is closed after its last one.
  void BeginDrain();
  // Closes all. Not from within a stream's method.
  void Close();
  size_t connection_count() const { return connections_.size(); }
  const Counters& counters() const { return counters_; }

  // --- For connections ---
  EventLoop& loop() { return loop_; }
  const Limits& limits() const { return limits_; }
  Application& application() { return application_; }
  Counters& counters() { return counters_; }
  // Memory for one read or one write at a time, shared by all.
  static constexpr size_t kReadBytes = 64 * 1024;
  static constexpr size_t kWriteBytes = 128 * 1024;
  char* input() { return input_.get(); }
  std::string& output() { return output_; }
  void Remove(Http2Connection* connection);

 private:
  Http2Connection* Add(ServerStream stream, Peer peer);

  EventLoop& loop_;
  const Limits limits_;
  Application& application_;
  Counters counters_;
  std::unique_ptr<char[]> input_;
  std::string output_;
  std::shared_ptr<const TlsServerContext> tls_;  // newer than what a listener was given; or null
  std::vector<std::unique_ptr<Acceptor>> acceptors_;
  std::vector<std::unique_ptr<Http2Connection>> connections_;
  // Connections that are closed, until the callback that closed them has returned.
  std::vector<std::unique_ptr<Http2Connection>> dead_;
  Deferred bury_;
  bool draining_ = false;
};

}  // namespace aegis::net
