// One agent's connection to the egress door, from its request to the end of its tunnel. It serves
// one request: a CONNECT, or one of absolute-form.
//
// States:
//   kHead        receiving the request's head
//   kResolving   the policy lets the agent reach the host; its addresses are looked up
//   kRecording   judged; nothing leaves, nor is anything connected, before the record is durable
//   kConnecting  to one of the very addresses that were checked
//   kLooking     CONNECT: connected and said so; the agent's first bytes are looked at
//   kTunnel      bytes go both ways
//   kAnswering   an own answer is being sent
//   kLinger      all is said; what still arrives is thrown away, so that the answer is not lost
//   kClosed
//
// Threading: belongs to one worker.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "aegis/gateway/address_limit.h"
#include "aegis/gateway/buffer.h"
#include "aegis/gateway/egress/address_class.h"
#include "aegis/gateway/egress/proxy_request.h"
#include "aegis/gateway/egress/resolver.h"
#include "aegis/gateway/egress/target.h"
#include "aegis/gateway/graveyard.h"
#include "aegis/gateway/outbox.h"
#include "aegis/gateway/own_answer.h"
#include "aegis/gateway/pipeline.h"
#include "aegis/gateway/recorder.h"
#include "aegis/gateway/tunnel.h"
#include "aegis/net/event_loop.h"
#include "aegis/net/http1_parser.h"

namespace aegis::gateway {

class EgressDoor;

class EgressConnection final : public Mortal, private RecordWaiter, private Tunnel::User {
 public:
  explicit EgressConnection(EgressDoor& door);
  ~EgressConnection() override;

  void Start(FileDescriptor socket, const net::SocketAddress& peer);
  // Who calls, or what the policy says, may have changed.
  void OnState();
  // Closes when nothing was asked yet.
  void Drain();
  // `why`: for the outcome of a call that goes on.
  void Close(std::string_view why);

  size_t index = 0;               // in the door's list
  AddressLimit::Source source{};  // of the agent

 private:
  enum class State : uint8_t {
    kHead,
    kResolving,
    kRecording,
    kConnecting,
    kLooking,
    kTunnel,
    kAnswering,
    kLinger,
    kClosed
  };
  // One of the two sockets.
  class Port final : private net::Watch::Listener {
   public:
    Port(EgressConnection& owner, Tunnel::Side side) : owner_(owner), side_(side) {}
    bool Open(net::EventLoop& loop, FileDescriptor fd) {
      return watch.Open(loop, std::move(fd), this);
    }
    net::Watch watch;
    SocketEnd end{watch};

   private:
    void OnReadable() override { owner_.OnReadable(side_); }
    void OnWritable() override { owner_.OnWritable(side_); }
    EgressConnection& owner_;
    const Tunnel::Side side_;
  };
  // What the policy lets this connection do that others may not.
  struct Leave {
    std::vector<IpBlock> networks;
    bool missing_sni = false, ech = false, plain = false;
  };

  void OnRecorded(bool durable) override;
  void OnTunnelOver(Tunnel::Over why) override;
  void OnReadable(Tunnel::Side side);
  void OnWritable(Tunnel::Side side);
  void OnTimer();

  void ReadHead();
  void OnHead();
  bool CheckRequest();
  Pipeline::Input MakeInput();
  rego::Value Params();
  // Whether the policy lets the agent go on, as of now; sets `leave_`.
  bool AskPolicy();
  // Finds the agent in the current state. False: the token is revoked.
  bool FindAgent();
  void Resolve();
  void OnResolved(const Resolved& resolved);
  // Why none of the addresses may be connected to; empty: all of them may.
  std::string_view CheckAddresses() const;
  void JudgeAddresses();
  // Whether a registered tool is there.
  bool IsTool() const;
  void Judge(std::string_view refusal, bool firm);
  void Connect();
  void OnConnectFailed(int status, std::string_view reason, std::string_view detail);
  void OnConnected();
  void ReadFirst();
  void Look();
  // What the first bytes are, is not allowed: the end, but in shadow mode.
  void OnForbiddenHello(std::string_view why);
  void StartTunnel();
  void Reset();
  void Cut(std::string_view why);

  void AnswerUnauthenticated(const Error& error);
  void AnswerProblem(int status, std::string_view reason, std::string_view detail);
  void SendOwn();
  void FlushOwn();
  void ReadAway();
  void Settle(int status, std::string_view error);

  EgressDoor& door_;
  Port agent_{*this, Tunnel::Side::kAgent};
  Port upstream_{*this, Tunnel::Side::kUpstream};
  net::Timer timer_;
  State state_ = State::kHead;
  std::string peer_;
  int64_t started_ns_ = 0;

  ByteBuffer input_;  // the head and what came with it
  net::RequestParser parser_;
  bool is_connect_ = false;
  EgressTarget target_;
  std::string action_;
  std::string session_;
  Caller caller_;
  std::string counted_agent_;  // whose connections this one is among; empty: nobody's
  Ticket ticket_;
  RecordSlot* pending_ = nullptr;
  CallSpans::End span_;
  bool decided_ = false;  // a decision is on record, by which the call may go on
  Leave leave_;
  std::vector<net::SocketAddress> addresses_;  // resolved; all with the port
  size_t next_address_ = 0;
  std::string_view resolve_error_;           // then there are none
  std::shared_ptr<EgressConnection*> self_;  // for the resolver's answer

  std::string_view noted_;  // what the first bytes were, in shadow mode
  RequestEnd request_end_{agent_.end};
  AnswerEnd answer_end_{upstream_.end};
  std::string request_head_;
  Tunnel tunnel_;

  OwnAnswer own_;
  std::string answer_, text_;
  Outbox out_;
  size_t lingered_ = 0;
};

}  // namespace aegis::gateway
