// The agent's end of one call: what an Exchange and its Relay need of the connection or stream that
// the call came by. Which protocol that speaks, and whether TLS is around it, only it knows.
//
// Threading: belongs to one worker.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "aegis/gateway/own_answer.h"
#include "aegis/gateway/params.h"
#include "aegis/gateway/tunnel.h"
#include "aegis/net/http1_parser.h"

namespace aegis::gateway {

class Downstream {
 public:
  // --- The request ---
  // Valid until the exchange is over.
  virtual const net::RequestHead& head() const = 0;
  virtual int64_t started_ns() const = 0;       // arrival of its first byte; monotonic
  virtual const std::string& peer() const = 0;  // "127.0.0.1:5123"
  // Receives the body as far as judging needs it, then calls Exchange::OnBody; it may do so at
  // once.
  virtual void CollectBody(BodyType type) = 0;
  enum class Piece : uint8_t {
    kData,     // a piece is there; valid until the next call
    kBlocked,  // nothing yet; Exchange::OnClientReadable follows
    kDone,     // the body ended
    kGone,     // the agent closed
    kBroken,   // the body's framing is broken
  };
  // The rest of a body that OnBody got only the beginning of.
  virtual Piece NextBodyPiece(std::string_view* piece) = 0;

  // --- An answer that is at hand as a whole ---
  struct Answer {
    int status = 200;
    std::string_view content_type = "application/json";
    std::span<const OwnHeader> headers;
    std::string_view body;
    bool close = false;  // the connection ends even if it could go on (HTTP/1.1)
  };
  // All is copied. Exchange::OnAnswered follows when it was sent.
  virtual void Send(const Answer& answer) = 0;

  // --- An answer that is relayed: StartAnswer, AddAnswerBody…, EndAnswer, FinishAnswer ---
  struct AnswerHead {
    int status = 0;
    std::string_view phrase;                    // the tool's reason phrase; may be empty
    std::span<const net::HeaderField> fields;   // without those that are nominated
    std::span<const OwnHeader> own;             // what Aegis adds
    net::BodyKind body = net::BodyKind::kNone;  // as the tool framed it
    bool has_length = false;                    // also of answers without a body (HEAD)
    uint64_t length = 0;
    bool switches = false;  // to the WebSocket protocol (101); Switch follows
  };
  // Before FlushAnswer at most one head, kMaxPieces pieces and one end may be put in a row; their
  // bytes must stay until it says kSent.
  static constexpr size_t kMaxPieces = 8;
  virtual void StartAnswer(const AnswerHead& head) = 0;
  virtual void AddAnswerBody(std::string_view piece) = 0;  // not empty
  virtual void EndAnswer() = 0;
  enum class Flow : uint8_t {
    kSent,     // more may be put
    kBlocked,  // AwaitWritable tells when to go on
    kGone,     // the agent is gone
  };
  // After EndAnswer kSent means that the whole answer left.
  virtual Flow FlushAnswer() = 0;
  // Exchange::OnClientWritable follows.
  virtual void AwaitWritable() = 0;
  // After the head of a 101 was sent: from here on the connection's bytes are a tunnel's, and
  // Exchange::OnClientReadable and OnClientWritable tell of its events. `*received` came behind the
  // request already; valid until the next call. nullptr: this protocol cannot; it does not let an
  // Upgrade through.
  virtual TunnelEnd* Switch(std::string_view* received) {
    *received = {};
    return nullptr;
  }
  // The exchange is over, and its answer was sent to its end.
  virtual void FinishAnswer() = 0;
  // Cuts the answer so that the agent sees that it is not whole.
  virtual void Abort() = 0;

 protected:
  ~Downstream() = default;
};

}  // namespace aegis::gateway
