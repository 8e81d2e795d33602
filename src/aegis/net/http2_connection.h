// One client's HTTP/2 connection on an event loop: socket or TLS, a session, time-outs.
//
// States:
//   kHandshake  TLS is being set up
//   kOpen       requests and answers
//   kLinger     all is said; what still arrives is thrown away, so that the last answer is not lost
//               to a reset
//   kClosed
//
// While the client does not take what was written, nothing more is read from it.
//
// Threading: belongs to its loop's thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "aegis/base/file.h"
#include "aegis/net/event_loop.h"
#include "aegis/net/http2_session.h"
#include "aegis/net/peer.h"
#include "aegis/net/tls_server.h"

namespace aegis::net {

class Http2Server;

class Http2Connection final : private Watch::Listener, private Http2Session::Application {
 public:
  // `stream` is of the socket that it is started with.
  Http2Connection(Http2Server& server, ServerStream stream, Peer peer);

  // `tls`: nullptr for HTTP/2 with prior knowledge.
  void Start(FileDescriptor socket, std::shared_ptr<const TlsServerContext> tls);
  // With TLS set up, if there is any; `received` came already.
  void StartOpen(FileDescriptor socket, std::string_view received);
  // Ends when the streams that run have ended.
  void Drain();
  // Ends now. Not from within a stream's method.
  void Close();

  const Peer& peer() const { return peer_; }
  size_t stream_count() const { return session_.stream_count(); }

  size_t index = 0;  // in the server's list

 private:
  enum class State : uint8_t { kHandshake, kOpen, kLinger, kClosed };

  void OnReadable() override;
  void OnWritable() override;
  Http2Stream* NewStream() override;
  void OnOutput() override;
  void OnTimer();

  void Handshake();
  void Read();
  void Take(std::string_view received);
  void Flush();
  bool WritePending();
  void BeginLinger();
  void ReadAway();
  void Wait(IoWant want);

  Http2Server& server_;
  Watch watch_;
  Timer timer_;
  Deferred flush_;
  Deferred reread_;
  ServerStream stream_;
  Http2Session session_;
  Peer peer_;
  State state_ = State::kHandshake;
  bool blocked_ = false;    // the client does not take what was written
  std::string pending_;     // what it did not take
  int64_t started_ms_ = 0;  // of the connection; monotonic, as the others
  int64_t read_ms_ = 0;     // last time that something arrived
  int64_t blocked_ms_ = 0;
  int64_t head_ms_ = 0;  // a head that is not whole began; 0: none
  int64_t ping_ms_ = 0;  // when a keep-alive was sent; 0: none is open
  int64_t drain_ms_ = 0;
  int64_t no_streams_ms_ = 0;  // since when no stream was seen open
  size_t lingered_ = 0;
};

}  // namespace aegis::net
