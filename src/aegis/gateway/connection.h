// One connection from an agent that speaks HTTP/1.1: receives requests, one at a time, and writes
// their answers. What a request means is the Exchange's business.
//
// States:
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
#include <string>
#include <string_view>

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
#include "aegis/net/tcp.h"

namespace aegis::gateway {

class Worker;

class Connection final : public Mortal, public Downstream, private net::Watch::Listener {
 public:
  explicit Connection(Worker& worker);

  void Start(FileDescriptor socket, const net::SocketAddress& peer);
  // Closes now when idle, else after the current answer.
  void Drain();
  void Close();
  bool closed() const { return state_ == State::kClosed; }
  // The worker has a new state, in which the call at hand may not go on.
  void OnNewState() { exchange_.OnNewState(); }

  // Downstream
  const net::RequestHead& head() const override { return parser_.head(); }
  int64_t started_ns() const override { return started_ns_; }
  const std::string& peer() const override { return peer_; }
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
  enum class State : uint8_t { kIdle, kHead, kBody, kBusy, kAnswering, kLinger, kClosed };

  void OnReadable() override;
  void OnWritable() override;
  void OnTimer();

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
  void Refuse(int status, std::string_view reason, std::string_view detail);
  void ReleaseBody();

  Worker& worker_;
  net::Watch watch_;
  net::Timer timer_;
  std::string peer_;
  State state_ = State::kIdle;
  bool processing_ = false;
  bool again_ = false;
  bool draining_ = false;
  bool close_after_ = false;
  bool in_place_ = false;  // the body is collected behind its head
  bool judged_ = false;    // the body must be whole to be judged
  BodyType body_type_ = BodyType::kNone;
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
  SocketEnd tunnel_end_;

  Exchange exchange_;
};

}  // namespace aegis::gateway
