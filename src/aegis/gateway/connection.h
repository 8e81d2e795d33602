// One connection from an agent, in clear or by TLS. While it speaks HTTP/1.1: receives requests,
// one at a time, and writes their answers; what a request means is the Exchange's business. One
// that speaks HTTP/2, by ALPN or by its preface in clear, is handed over to the worker's Http2Door.
//
// States:
//   kHandshake  TLS is being set up
//   kIdle       between requests; holds no buffer
//   kHead       receiving a head
//   kBody       receiving a body that must be whole (or begun) before the call is judged
//   kBusy       the exchange works; the socket is read only where the exchange streams a body
//   kAnswering  an answer that was given as a whole is being sent
//   kLinger     all is said; what still arrives is thrown away, so that the answer is not lost to a
//               reset
//   kClosed
//
// Threading: belongs to one worker.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "aegis/gateway/body_plan.h"
#include "aegis/gateway/body_reader.h"
#include "aegis/gateway/buffer.h"
#include "aegis/gateway/downstream.h"
#include "aegis/gateway/exchange.h"
#include "aegis/gateway/graveyard.h"
#include "aegis/gateway/outbox.h"
#include "aegis/gateway/params.h"
#include "aegis/gateway/tunnel.h"
#include "aegis/net/event_loop.h"
#include "aegis/net/http1_parser.h"
#include "aegis/net/peer.h"
#include "aegis/net/tls_server.h"

namespace aegis::gateway {

class Worker;

class Connection final : public Mortal, public Downstream, private net::Watch::Listener {
 public:
  explicit Connection(Worker& worker);

  // `tls`: nullptr for a connection in clear.
  void Start(FileDescriptor socket, net::Peer peer,
             std::shared_ptr<const net::TlsServerContext> tls);
  // Closes now when idle, else after the current answer.
  void Drain();
  void Close();
  bool closed() const { return state_ == State::kClosed; }
  // The worker has a new state, in which the call at hand may not go on.
  void OnNewState() { exchange_.OnNewState(); }

  // Downstream
  const net::RequestHead& head() const override { return parser_.head(); }
  int64_t started_ns() const override { return started_ns_; }
  const std::string& peer() const override { return peer_.address; }
  void CollectBody(BodyType type) override;
  Piece NextBodyPiece(std::string_view* piece) override;
  void Send(const Answer& answer) override;
  void StartAnswer(const AnswerHead& head) override;
  void AddAnswerBody(std::string_view piece) override;
  void EndAnswer() override;
  Flow FlushAnswer() override;
  void AwaitWritable() override { watch_.WaitWritable(); }
  TunnelEnd* Switch(std::string_view* received) override;
  void FinishAnswer() override;
  void Abort() override;

  size_t index = 0;  // in the worker's list

 private:
  enum class State : uint8_t {
    kHandshake,
    kIdle,
    kHead,
    kBody,
    kBusy,
    kAnswering,
    kLinger,
    kClosed,
  };

  // Of a tunnel: the connection as it is, with its TLS.
  class AgentEnd final : public TunnelEnd {
   public:
    explicit AgentEnd(Connection& connection) : connection_(connection) {}
    net::IoStep Read(char* data, size_t size) override {
      const net::IoStep step = connection_.stream_.Read(data, size);
      drained_ = step.want == net::IoWant::kRead;
      return step;
    }
    net::IoStep Write(std::string_view data) override { return connection_.stream_.Write(data); }
    void CloseWriting() override { connection_.stream_.Shutdown(); }
    void AwaitReadable() override {
      // What TLS holds after that is part of a record that is not whole.
      drained_ ? connection_.watch_.WaitReadable() : connection_.AwaitReadable();
    }
    void AwaitWritable() override { connection_.watch_.WaitWritable(); }

   private:
    Connection& connection_;
    bool drained_ = false;
  };

  void OnReadable() override;
  void OnWritable() override;
  void OnTimer();

  void Handshake();
  // Hands the connection over, with what it has received.
  void BecomeHttp2();
  // Reads; 0: nothing now, and more is waited for; negative: the agent is gone.
  ssize_t Receive(char* data, size_t size);
  void AwaitReadable();
  void ReadHead();
  void ProcessInput();
  void ParseHead();
  void ReadBody();
  bool TakeBody(std::string_view bytes, bool keep_pieces, size_t* used);
  void AdvanceBody();
  std::string_view CollectedBody();
  bool AccountBody();
  void ReadyToJudge();
  void CheckGone();
  void SkipReceivedBody();
  void SendAnswer();
  void AppendConnectionField(std::string& out) const;
  // Whether the connection can go on after the current answer, as far as the request is concerned.
  bool may_keep_alive() const;
  void NextRequest();
  void BeginLinger();
  void ReadAway();
  void Refuse(const Refusal& refusal);
  void ReleaseBody();

  Worker& worker_;
  net::Watch watch_;
  net::Timer timer_;
  net::Deferred reread_;  // what TLS holds already does not make the socket readable
  net::ServerStream stream_{-1};
  net::Peer peer_;
  State state_ = State::kIdle;
  bool may_be_http2_ = false;      // in clear, and nothing was said yet
  bool read_wants_write_ = false;  // TLS must write before it can read
  bool processing_ = false;
  bool again_ = false;
  bool draining_ = false;
  bool close_after_ = false;
  bool in_place_ = false;  // the body is collected behind its head
  BodyPlan plan_;
  int64_t started_ns_ = 0;  // arrival of the request's first byte

  net::RequestParser parser_;
  ByteBuffer input_;  // from the first byte of the head; not moved until the request is over
  BodyReader body_;
  size_t body_at_ = 0;     // in input_: behind what was taken of the body
  size_t body_bytes_ = 0;  // taken, without framing
  ByteBuffer collected_;   // the body when it is not in place; later what is being streamed
  size_t stream_at_ = 0;   // in collected_: behind what was streamed
  ByteBuffer leftover_;    // of the next request, received together with a chunked body
  size_t accounted_ = 0;   // bytes counted into the worker's total

  Outbox out_;
  std::string answer_;    // of an answer given as a whole; else its head
  bool chunked_ = false;  // the answer's body goes out in chunks
  size_t pieces_ = 0;     // of the answer's body in out_
  std::array<std::array<char, 20>, kMaxPieces> chunk_heads_;
  size_t lingered_ = 0;
  AgentEnd tunnel_end_;

  Exchange exchange_;
};

}  // namespace aegis::gateway
