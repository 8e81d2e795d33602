// One call on one HTTP/2 stream: checks the head, cuts what arrives into messages, writes the
// answer.
//
// States:
//   kNew       no handler yet
//   kOpen      the handler has the call
//   kFinished  the status is queued, or the call was refused; what still arrives is thrown away
//
// While the client does not take the handler's output, messages are held back and their bytes are
// not credited, so that a call holds at most its stream's window beyond one message.
//
// Threading: belongs to one server.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "aegis/grpc/service.h"
#include "aegis/net/event_loop.h"
#include "aegis/net/http2_session.h"

namespace aegis::grpc {

class Server;

class ServerCall final : public net::Http2Stream, private Call {
 public:
  explicit ServerCall(Server& server);

  // For the next call, of this client.
  void Begin(const Peer& peer);

 private:
  enum class State : uint8_t { kNew, kOpen, kFinished };

  // Call
  std::string_view method() const override { return head().path(); }
  std::string_view Metadata(std::string_view name) const override { return head().Find(name); }
  const Peer& peer() const override { return *peer_; }
  int64_t deadline_ns() const override { return deadline_ns_; }
  int64_t started_ns() const override { return started_ns_; }
  void Send(std::string_view message) override;
  size_t unsent() const override { return Http2Stream::unsent(); }
  void Finish(Code code, std::string_view message) override;
  void FinishOk() override { Finish(Code{0}, {}); }

  // Http2Stream
  void OnHead() override;
  void OnData(std::string_view bytes) override;
  void OnEnd() override;
  void OnWritable() override;
  void OnTick(int64_t now_ms) override;
  void OnGone(uint32_t error_code) override;

  void Start();
  size_t TakeMessages(std::string_view bytes);
  void Hold(std::string_view bytes);
  void AfterMessages();
  void TakeHeld();
  void ReleaseHeld();
  void ReleaseCharge();
  void OnDeadline();
  void ArmDeadline(int64_t now_ns);
  // Takes the call from its handler.
  void Abort(Code code, std::string_view message);
  void SendStatus(Code code, std::string_view message);
  void RefuseHttp(std::string_view status);

  Server& server_;
  net::Timer timer_;
  const Peer* peer_ = nullptr;
  Handler* handler_ = nullptr;
  State state_ = State::kNew;
  bool compressed_ = false;  // a message was: the answer names what is accepted
  bool has_message_ = false;
  bool end_told_ = false;
  int64_t started_ns_ = 0;
  int64_t deadline_ns_ = 0;
  std::string held_;       // bytes that are not a whole message yet, or that must wait
  size_t charged_ = 0;     // of the server's buffered bytes, for the call and its head
  size_t uncredited_ = 0;  // of them: not credited to the stream's window yet
  std::string text_;       // of the status
};

}  // namespace aegis::grpc
