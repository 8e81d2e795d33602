// Forwards one allowed call to its tool and the tool's answer back.
//
// Bodies stream both ways at once. Back-pressure: at most one buffer is in flight in each
// direction; while one side does not take bytes, the other side is not read. The request is sent as
// it was judged; the answer's head is parsed strictly and written anew.
//
// States (the two directions go on independently once connected):
//   kOff         no call
//   kWaiting     too many calls have a connection to the tool; or a pause before another attempt
//   kConnecting  waiting for a connection to the tool
//   kAwaiting    the request is on its way; no head of an answer yet
//   kRelaying    the answer's head went out; its body follows
//   kTunnel      both sides speak the WebSocket protocol
// Before kRelaying a failure becomes a 502, 503 or 504; from there on it can only be shown by
// cutting the agent's connection.
//
// A request is sent again only where that is safe: when the tool cannot have got it, or, if the
// tool's options ask for it, when its method is idempotent (RFC 9110 §9.2.2) and its body is at
// hand.
//
// Threading: belongs to one worker. A Relay serves one connection and is used call after call.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "aegis/gateway/body_reader.h"
#include "aegis/gateway/downstream.h"
#include "aegis/gateway/outbox.h"
#include "aegis/gateway/upstream.h"
#include "aegis/telemetry/metrics.h"

namespace aegis::gateway {

// Who is told how a call ended. Exactly one of these is called, last: the relay does nothing more.
class RelayClient {
 public:
  // The answer was sent to its end.
  virtual void OnRelayDone() = 0;
  // Nothing was sent to the agent yet: answer with this. `reason` and `detail` are static.
  virtual void OnRelayFailed(int status, std::string_view reason, std::string_view detail) = 0;
  // The agent's answer must be cut.
  virtual void OnRelayAborted(std::string_view reason) = 0;

 protected:
  ~RelayClient() = default;
};

class Relay final : private UpstreamUser, private Tunnel::User {
 public:
  // What is forwarded. The views must stay until the relay is over.
  struct Request {
    UpstreamPool* pool = nullptr;
    std::string_view method;
    std::string_view head;           // whole, with its empty line
    std::string_view body;           // what of the body is at hand; without framing
    bool streams = false;            // more of the body follows from Downstream::NextBodyPiece
    bool chunked = false;            // frame the body as chunks (only with `streams`)
    std::string_view websocket_key;  // of a handshake, which may be answered by 101; else empty
    std::span<const OwnHeader> own_headers;  // put into the answer's head
  };

  Relay(RelayClient& client, Downstream& downstream, net::EventLoop& loop,
        telemetry::WorkerMetrics& metrics);
  ~Relay() { Cancel(); }

  void Start(const Request& request);
  // Stops at once without a word to the client.
  void Cancel();
  // Stops at once, by OnRelayFailed with that status if that is possible still, else by
  // OnRelayAborted.
  void Stop(int status, std::string_view reason, std::string_view detail);

  void OnClientReadable();
  void OnClientWritable();
  bool active() const { return state_ != State::kOff; }
  // Whether more is to be read from the client: of the request's body, or for a tunnel.
  bool wants_client_input() const {
    return state_ == State::kTunnel || (active() && request_.streams && !request_done_);
  }

  // Of the current or last call.
  int status() const { return status_; }      // sent to the agent; 0: none
  int attempts() const { return attempts_; }  // how often the request was sent, or tried to be
  int retry_after_seconds() const { return retry_after_seconds_; }  // of a 503
  uint64_t request_bytes() const { return request_bytes_; }
  uint64_t response_bytes() const { return response_bytes_; }

 private:
  enum class State : uint8_t { kOff, kWaiting, kConnecting, kAwaiting, kRelaying, kTunnel };
  enum class Step : uint8_t { kAgain, kWait, kOver };

  void OnUpstreamAssigned(UpstreamConnection* connection) override;
  void OnUpstreamConnected() override;
  void OnUpstreamFailed(UpstreamFailure why) override;
  void OnUpstreamReadable() override;
  void OnUpstreamWritable() override;
  void OnTunnelOver(Tunnel::Over why) override;

  void Connect(bool fresh);
  bool MayRepeat() const;
  bool Retry();
  void SendRequest();
  void PumpRequest();
  bool FlushRequest();
  void PumpResponse();
  Step ReadUpstream();
  Step FillClientOut();
  Step TakeHead();
  Step TakeSwitch();
  void BeginTunnel();
  void TakeTunnelFigures();
  void StartAnswer();
  void OnUpstreamClosed(bool orderly);
  void OnTimer();
  void OnCallTimer();

  void Finish();
  void Fail(telemetry::UpstreamError kind, int status, std::string_view reason,
            std::string_view detail);
  void Abort(std::string_view reason);
  void ReleaseUpstream(bool reusable);
  void LeavePool(bool reusable);

  RelayClient& client_;
  Downstream& downstream_;
  net::EventLoop& loop_;
  telemetry::WorkerMetrics& metrics_;
  net::Timer timer_;
  net::Timer call_timer_;

  State state_ = State::kOff;
  Request request_;
  UpstreamConnection* upstream_ = nullptr;
  int first_byte_timeout_ms_ = 0;
  int idle_timeout_ms_ = 0;
  int attempts_ = 0;
  bool in_pool_ = false;   // counted in the pool's calls,
  bool retrying_ = false;  // and in its retries
  bool pausing_ = false;   // kWaiting: before another attempt

  // To the tool.
  Outbox request_out_;
  bool request_done_ = false;   // all of it was sent
  bool body_consumed_ = false;  // parts of the body are gone and cannot be sent again
  std::array<char, 20> request_chunk_head_;

  // To the agent.
  BodyReader response_;
  bool response_done_ = false;
  bool got_bytes_ = false;  // the tool has answered something
  int interim_heads_ = 0;
  bool switching_ = false;          // the head of a 101 is on its way to the agent
  std::unique_ptr<Tunnel> tunnel_;  // made when first needed

  int status_ = 0;
  int retry_after_seconds_ = 0;
  uint64_t request_bytes_ = 0;
  uint64_t response_bytes_ = 0;
};

}  // namespace aegis::gateway
