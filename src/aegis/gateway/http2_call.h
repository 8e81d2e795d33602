// One call that came by HTTP/2: a stream, its request held to the rules of HTTP/1.1 text.
//
// States:
//   kIdle       no call
//   kBody       receiving a body that must be whole (or begun) before the call is judged
//   kBusy       the exchange works; a body that is streamed is kept until it is taken
//   kAnswering  an answer that was given as a whole is being sent
//   kRelaying   an answer is relayed
//   kOver       the exchange is over; the stream is not yet
//
// Back-pressure: the agent may send as much of a streamed body as the stream's window holds beyond
// what the tool took; answers are asked for only while less than the session's high mark waits.
//
// Threading: belongs to one worker. An object serves one call after another (Http2Door).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "aegis/gateway/body_plan.h"
#include "aegis/gateway/buffer.h"
#include "aegis/gateway/downstream.h"
#include "aegis/gateway/exchange.h"
#include "aegis/gateway/graveyard.h"
#include "aegis/net/event_loop.h"
#include "aegis/net/http2_request_head.h"
#include "aegis/net/http2_session.h"
#include "aegis/net/peer.h"

namespace aegis::gateway {

class Http2Door;
class Worker;

class Http2Call final : public Mortal, public net::Http2Stream, public Downstream {
 public:
  Http2Call(Worker& worker, Http2Door& door);
  // Before it is given to a session. `peer` stays as the stream does.
  void Begin(const net::Peer& peer) { peer_ = &peer; }

  void OnNewState() { exchange_.OnNewState(); }

  // Downstream
  const net::RequestHead& head() const override { return request_.head(); }
  int64_t started_ns() const override { return started_ns_; }
  const std::string& peer() const override { return peer_->address; }
  void CollectBody(BodyType type) override;
  Piece NextBodyPiece(std::string_view* piece) override;
  void Send(const Answer& answer) override;
  void StartAnswer(const AnswerHead& head) override;
  void AddAnswerBody(std::string_view piece) override { SendData(piece); }
  void EndAnswer() override;
  Flow FlushAnswer() override;
  void AwaitWritable() override;
  void FinishAnswer() override;
  void Abort() override;

  size_t index = 0;  // in the door's list

 private:
  enum class State : uint8_t { kIdle, kBody, kBusy, kAnswering, kRelaying, kOver };

  // net::Http2Stream
  void OnHead() override;
  void OnData(std::string_view bytes) override;
  void OnEnd() override;
  void OnWritable() override;
  void OnTick(int64_t now_ms) override;
  void OnGone(uint32_t error_code) override;

  bool takes_pieces() const {
    return streams_ && (state_ == State::kBusy || state_ == State::kRelaying);
  }
  void AdvanceBody();
  void ReadyToJudge();
  bool Account();
  void Refuse(const Refusal& refusal);
  void Release();

  Worker& worker_;
  Http2Door& door_;
  const net::Peer* peer_ = nullptr;
  net::Deferred resume_;  // a relay that gave others their turn
  net::Http2RequestHead request_;
  Exchange exchange_;
  State state_ = State::kIdle;
  bool in_head_ = false;
  bool streams_ = false;  // the exchange takes the rest of the body piece by piece
  bool ended_ = false;    // the answer was given to its end
  bool sent_ = false;     // and the agent's side of the stream took it
  BodyPlan plan_;
  int64_t started_ns_ = 0;
  ByteBuffer collected_;  // what is judged of the body; not moved until the call is over
  ByteBuffer incoming_;   // streamed: what came and was not asked for yet
  ByteBuffer taken_;      // streamed: the piece that was given last
  size_t accounted_ = 0;  // bytes counted into the worker's total
};

}  // namespace aegis::gateway
