// One connection from an agent: receives requests, one at a time, and sends the answers that Aegis
// gives itself. What a request means is the Exchange's business.
//
// States:
//   kIdle       between requests; holds no buffer
//   kHead       receiving a head
//   kBody       receiving a body that must be whole (or begun) before the call is judged
//   kBusy       the exchange works; the socket is read only where the exchange streams a body
//   kAnswering  an own answer is being sent
//   kLinger     all is said; what still arrives is thrown away, so that the answer is not lost to a
//   reset kClosed
//
// Threading: belongs to one worker.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "aegis/gateway/body_reader.h"
#include "aegis/gateway/buffer.h"
#include "aegis/gateway/exchange.h"
#include "aegis/gateway/graveyard.h"
#include "aegis/gateway/outbox.h"
#include "aegis/gateway/params.h"
#include "aegis/net/event_loop.h"
#include "aegis/net/http1_parser.h"
#include "aegis/net/tcp.h"

namespace aegis::gateway {

class Worker;

class Connection final : public Mortal, private net::Watch::Listener {
 public:
  explicit Connection(Worker& worker);

  void Start(FileDescriptor socket, const net::SocketAddress& peer);
  // Closes now when idle, else after the current answer.
  void Drain();
  void Close();
  bool closed() const { return state_ == State::kClosed; }

  // --- For the exchange ---
  const net::RequestHead& head() const { return parser_.head(); }
  int fd() const { return watch_.fd(); }
  int64_t started_ns() const { return started_ns_; }
  const std::string& peer() const { return peer_; }  // "127.0.0.1:5123"
  // Receives the body as far as judging needs it, then calls Exchange::OnBody; it may do so at
  // once.
  void CollectBody(BodyType type);
  // The rest of a body that OnBody got only the beginning of.
  RelayClient::Piece NextBodyPiece(std::string_view* piece);
  bool body_complete() const { return body_.done(); }
  // Whether the connection can go on after the current answer, as far as the request is concerned.
  bool may_keep_alive() const;
  void AwaitWritable() { watch_.WaitWritable(); }

  struct Answer {
    int status = 200;
    std::string_view content_type = "application/json";
    std::string_view headers;  // whole lines with CRLF
    std::string_view body;
    bool close = false;  // even if the connection could go on
  };
  void Send(const Answer& answer);
  // The exchange has sent the whole answer itself. `reusable`: its framing lets the connection go
  // on.
  void OnAnswered(bool reusable);
  // Cuts the connection, so that the agent sees that the answer is not whole.
  void Abort();

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
  void FlushAnswer();
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
  std::string answer_;
  size_t lingered_ = 0;

  Exchange exchange_;
};

}  // namespace aegis::gateway
