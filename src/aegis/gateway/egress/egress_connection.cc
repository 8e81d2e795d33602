#include "aegis/gateway/egress/egress_connection.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <string>

#include "aegis/gateway/egress/client_hello.h"
#include "aegis/gateway/egress/egress_door.h"
#include "aegis/gateway/tool_call.h"
#include "aegis/net/http1_grammar.h"

namespace aegis::gateway {
namespace {

using Side = Tunnel::Side;

constexpr size_t kFirstRead = 4 * 1024;
constexpr int kLingerMs = 2'000;
constexpr size_t kLingerBytes = 1 << 20;
constexpr size_t kMaxAddressesTold = 16;  // to the policy

constexpr std::string_view kPrivateAddress =
    "the host has an address that is not of the public internet, and no entry of the policy lists "
    "its block";
constexpr std::string_view kGuardedAddress = "the host has an address of Aegis itself";
constexpr std::string_view kIsTool =
    "the host is that of a registered tool: call the tool at the gateway, where its rules hold";

bool WouldBlock() { return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR; }

void SetPort(uint16_t port, net::SocketAddress* address) {
  if (address->storage.ss_family == AF_INET6) {
    reinterpret_cast<sockaddr_in6*>(&address->storage)->sin6_port = htons(port);
  } else {
    reinterpret_cast<sockaddr_in*>(&address->storage)->sin_port = htons(port);
  }
}

}  // namespace

EgressConnection::EgressConnection(EgressDoor& door)
    : door_(door),
      timer_([](void* self) { static_cast<EgressConnection*>(self)->OnTimer(); }, this),
      input_(door.parts().buffers),
      parser_(door.parts().limits.http, net::TargetForm::kProxy),
      tunnel_(*this, door.parts().loop, door.parts().buffers) {}

EgressConnection::~EgressConnection() {
  if (pending_ != nullptr) pending_->waiter = nullptr;
}

void EgressConnection::Start(FileDescriptor socket, const net::SocketAddress& peer) {
  peer_ = peer.ToString();
  source = AddressLimit::SourceOf(peer);
  net::SetNoDelay(socket.get());
  if (!agent_.Open(door_.parts().loop, std::move(socket))) return Close({});
  timer_.Arm(door_.parts().loop, door_.parts().limits.head_timeout_ms);
  agent_.watch.WaitReadable();
}

void EgressConnection::Drain() {
  if (state_ == State::kHead && input_.empty()) Close({});
}

void EgressConnection::Close(std::string_view why) {
  if (state_ == State::kClosed) return;
  const bool connected = is_connect_ && state_ >= State::kLooking;
  if (decided_) Settle(connected ? 200 : answer_end_.status(), why);
  state_ = State::kClosed;
  door_.parts().pipeline.spans().Finish(&ticket_, span_);
  timer_.Disarm();
  tunnel_.Cancel();
  self_.reset();
  if (pending_ != nullptr) pending_->waiter = nullptr;
  pending_ = nullptr;
  agent_.watch.Close();
  upstream_.watch.Close();
  input_.Release();
  caller_ = Caller();
  if (!counted_agent_.empty()) door_.parts().hub.LeaveAs(counted_agent_);
  counted_agent_.clear();
  door_.Remove(this);
}

// The agent is to see that it was not the host that ended.
void EgressConnection::Reset() {
  const linger hard{1, 0};
  if (agent_.watch.is_open()) {
    ::setsockopt(agent_.watch.fd(), SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
  }
}

void EgressConnection::Cut(std::string_view why) {
  door_.parts().logger.Warn("egress connection cut", {{"agent", ticket_.agent}, {"why", why}});
  Reset();
  Close(why);
}

void EgressConnection::OnTimer() {
  switch (state_) {
    case State::kHead:
      return AnswerProblem(408, "request_timeout", "the request did not arrive in time");
    case State::kResolving: {
      Resolved late;
      late.error = "resolver_timeout";
      return OnResolved(late);
    }
    case State::kConnecting:
      upstream_.watch.Close();
      if (next_address_ < addresses_.size()) return Connect();
      return OnConnectFailed(504, "upstream_timeout",
                             "the host did not accept the connection in time");
    case State::kLooking:
      return Cut("hello_timeout");
    default:
      return Close("idle_timeout");
  }
}

void EgressConnection::OnReadable(Side side) {
  switch (state_) {
    case State::kHead:
      return ReadHead();
    case State::kLooking:
      // Whoever is let speak anything need not speak first.
      return side == Side::kAgent ? ReadFirst() : StartTunnel();
    case State::kTunnel:
      return tunnel_.OnReadable(side);
    case State::kLinger:
      return ReadAway();
    default:
      return;
  }
}

void EgressConnection::OnWritable(Side side) {
  switch (state_) {
    case State::kConnecting:
      if (side != Side::kUpstream) return;
      if (net::ConnectResult(upstream_.watch.fd()) == 0) return OnConnected();
      upstream_.watch.Close();
      if (next_address_ < addresses_.size()) return Connect();
      return OnConnectFailed(502, "upstream_unreachable", "the host refuses connections");
    case State::kTunnel:
      return tunnel_.OnWritable(side);
    case State::kAnswering:
      return FlushOwn();
    default:
      return;
  }
}

// --- The request ---

void EgressConnection::ReadHead() {
  if (input_.empty()) started_ns_ = door_.parts().pipeline.clock().MonotonicNanos();
  input_.Reserve(input_.empty() ? kFirstRead : 1);
  const ssize_t got = ::recv(agent_.watch.fd(), input_.room(), input_.room_size(), 0);
  if (got < 0 && WouldBlock()) return agent_.watch.WaitReadable();
  if (got <= 0) return Close({});
  input_.Commit(static_cast<size_t>(got));
  switch (parser_.Parse(input_.data(), input_.size())) {
    case net::ParseStatus::kNeedMore:
      return agent_.watch.WaitReadable();
    case net::ParseStatus::kError:
      return AnswerProblem(parser_.error().status, parser_.error().reason, parser_.error().detail);
    case net::ParseStatus::kDone:
      return OnHead();
  }
}

void EgressConnection::OnHead() {
  Pipeline& pipeline = door_.parts().pipeline;
  timer_.Disarm();
  net::RequestHead& head = parser_.head();
  head.host = head.authority;
  is_connect_ = head.method == "CONNECT";
  span_.method = SpanMethod(head.method);
  pipeline.Begin(&head, started_ns_, &ticket_);
  std::string token;
  auto caller = pipeline.Authenticate(FindProxyCredential(head, &token), {peer_, head.authority});
  if (!caller) return AnswerUnauthenticated(caller.error());
  caller_ = *std::move(caller);
  if (!CheckRequest()) return;
  // The call of somebody who may not call at all is judged as what it is, and goes no way.
  if (caller_.agent == nullptr || caller_.agent->suspended) return Judge({}, false);
  counted_agent_ = caller_.principal->agent;
  if (!door_.parts().hub.EnterAs(counted_agent_)) {
    counted_agent_.clear();
    return AnswerProblem(429, "too_many_connections",
                         "the agent has as many egress connections as it may have");
  }
  // Names are not even looked up for whom the policy does not let reach them: a look-up tells
  // whoever serves the name's zone.
  if (!AskPolicy()) return Judge({}, false);
  if (target_.is_ip) {
    addresses_ = {target_.address};
    return JudgeAddresses();
  }
  IsTool() ? Judge(kIsTool, false) : Resolve();
}

bool EgressConnection::CheckRequest() {
  const net::RequestHead& head = parser_.head();
  std::string_view why;
  if (!ReadEgressTarget(head.authority, is_connect_ ? 0 : 80, &target_, &why)) {
    door_.parts().logger.Warn("egress target refused", {{"agent", caller_.principal->agent}});
    AnswerProblem(400, "bad_target", why);
    return false;
  }
  action_ = "connect";
  if (is_connect_) {
    if (head.body == net::BodyKind::kChunked || head.content_length > 0) {
      AnswerProblem(400, "body_in_connect", "a CONNECT has no body");
      return false;
    }
  } else {
    if (!IsToolMethod(head.method)) {
      AnswerProblem(kMethodRefusal.status, kMethodRefusal.reason, kMethodRefusal.detail);
      return false;
    }
    if (const std::string_view why_not = net::CheckGovernedPath(head.path); !why_not.empty()) {
      AnswerProblem(400, "bad_path", why_not);
      return false;
    }
    action_ = "http_";
    for (const char c : head.method) action_ += static_cast<char>(c | 0x20);
  }
  Refusal refusal;
  session_ = FindSession(head, &refusal);
  if (refusal.status == 0) return true;
  AnswerProblem(refusal.status, refusal.reason, refusal.detail);
  return false;
}

rego::Value EgressConnection::Params() {
  Arena& arena = door_.parts().pipeline.arena();
  rego::ObjectBuilder params(arena, 6);
  params.Add("host", rego::MakeStringView(target_.host));
  params.Add("port", rego::Value::Int(target_.port));
  params.Add("scheme", rego::MakeStringView(is_connect_ ? "tcp" : "http"));
  if (!is_connect_) {
    params.Add("method", rego::MakeStringView(parser_.head().method));
    params.Add("path", rego::MakeStringView(parser_.head().path));
  }
  if (!addresses_.empty()) {
    const size_t count = std::min(addresses_.size(), kMaxAddressesTold);
    rego::ArrayBuilder addresses(arena, count);
    for (size_t i = 0; i < count; ++i) {
      addresses.Add(rego::MakeString(arena, net::IpOfAddress(addresses_[i].ToString())));
    }
    params.Add("addresses", addresses.Build());
  }
  return params.Build();
}

Pipeline::Input EgressConnection::MakeInput() {
  Pipeline::Input input;
  input.caller = &caller_;
  input.door = decision::Door::kEgress;
  input.tool = target_.host;
  input.action = action_;
  input.params = Params();
  // Of a CONNECT there is nothing more to see, and its head may be gone by now.
  if (!is_connect_ && state_ <= State::kRecording) input.head = &parser_.head();
  input.session = session_;
  return input;
}

bool EgressConnection::AskPolicy() {
  Pipeline& pipeline = door_.parts().pipeline;
  pipeline.arena().Reset();
  leave_ = Leave();
  bool proceeds = false;
  const decision::Decision decision = pipeline.Preview(MakeInput(), &proceeds);
  if (proceeds && decision.egress.is_object()) {
    for (const rego::Value network : decision.egress.Get("networks").elements()) {
      IpBlock block;
      if (ReadIpBlock(network.string_value(), &block)) leave_.networks.push_back(block);
    }
    for (const rego::Value allowed : decision.egress.Get("tls").elements()) {
      leave_.missing_sni |= allowed.string_value() == "missing_sni";
      leave_.ech |= allowed.string_value() == "ech";
      leave_.plain |= allowed.string_value() == "plain";
    }
  }
  pipeline.arena().Reset();
  return proceeds;
}

bool EgressConnection::FindAgent() {
  const gateway::State* state = door_.parts().pipeline.state();
  const auto found = state->agents.find(caller_.principal->agent);
  caller_.agent = found == state->agents.end() ? nullptr : &found->second;
  return !state->revocations->IsRevoked(*caller_.principal);
}

void EgressConnection::OnState() {
  if (state_ < State::kResolving || state_ > State::kTunnel) return;
  if (door_.parts().pipeline.state() == nullptr) return Cut("not_ready");
  if (!FindAgent()) return Cut("token_revoked");
  if (caller_.agent == nullptr) return Cut("agent_unknown");
  if (caller_.agent->suspended) return Cut("agent_suspended");
  const bool refused = counted_agent_.empty() || (state_ == State::kRecording && !decided_);
  if (refused) return;  // its denial is on its way
  if (!AskPolicy() || (!addresses_.empty() && !CheckAddresses().empty())) {
    return Cut("policy_changed");
  }
  // One that was registered since: its rules hold at the gateway.
  if (!door_.parts().pipeline.shadow() && !ticket_.shadowed && IsTool()) Cut("policy_changed");
}

// --- Where it leads ---

void EgressConnection::Resolve() {
  state_ = State::kResolving;
  timer_.Arm(door_.parts().loop, Resolver::kWaitMs);
  self_ = std::make_shared<EgressConnection*>(this);
  door_.parts().hub.resolver().Resolve(
      target_.host, counted_agent_, door_.mailbox(),
      [self = std::weak_ptr<EgressConnection*>(self_)](const Resolved& resolved) {
        if (const auto alive = self.lock()) (*alive)->OnResolved(resolved);
      });
}

void EgressConnection::OnResolved(const Resolved& resolved) {
  if (state_ != State::kResolving) return;
  self_.reset();
  timer_.Disarm();
  addresses_ = resolved.addresses;
  resolve_error_ = resolved.error;
  for (net::SocketAddress& address : addresses_) SetPort(target_.port, &address);
  JudgeAddresses();
}

void EgressConnection::JudgeAddresses() {
  const std::string_view refusal = CheckAddresses();
  if (!refusal.empty()) return Judge(refusal, true);
  Judge(IsTool() ? kIsTool : std::string_view(), false);
}

std::string_view EgressConnection::CheckAddresses() const {
  for (const net::SocketAddress& address : addresses_) {
    if (door_.parts().hub.IsGuarded(address)) return kGuardedAddress;
    std::string_view special;
    if (!IsReachable(BlockOf(address), leave_.networks, &special)) return kPrivateAddress;
  }
  return {};
}

bool EgressConnection::IsTool() const {
  for (const auto& [name, tool] : door_.parts().pipeline.state()->tools) {
    EgressTarget of_tool;
    std::string_view why;
    if (ReadEgressTarget(tool.authority, 0, &of_tool, &why) && of_tool.host == target_.host &&
        of_tool.port == target_.port) {
      return true;
    }
    // By another name; addresses of the internet are those of many hosts.
    for (const net::SocketAddress& of_pool : tool.target.addresses) {
      if (of_pool.port() != target_.port || FindSpecial(BlockOf(of_pool)) == nullptr) continue;
      for (const net::SocketAddress& address : addresses_) {
        if (BlockOf(address).Contains(BlockOf(of_pool))) return true;
      }
    }
  }
  return false;
}

void EgressConnection::Judge(std::string_view refusal, bool firm) {
  Pipeline& pipeline = door_.parts().pipeline;
  pipeline.arena().Reset();
  Pipeline::Input input = MakeInput();
  input.refusal = refusal;
  input.refusal_is_firm = firm;
  pending_ = pipeline.Judge(input, this, &ticket_);
  if (pending_ == nullptr) {
    ticket_.decided = false;
    return AnswerProblem(kUnrecorded.status, kUnrecorded.reason, kUnrecorded.detail);
  }
  state_ = State::kRecording;
  decided_ = ticket_.proceeds;
}

void EgressConnection::OnRecorded(bool durable) {
  pending_ = nullptr;
  if (!durable) {
    decided_ = false;
    ticket_.proceeds = false;
    ticket_.decided = false;
    return AnswerProblem(kUnrecorded.status, kUnrecorded.reason, kUnrecorded.detail);
  }
  if (!ticket_.proceeds) {
    own_.SetDenied(ticket_);
    return SendOwn();
  }
  if (addresses_.empty()) {
    if (resolve_error_ == "resolver_timeout") {
      return OnConnectFailed(504, resolve_error_, "the host's name was not resolved in time");
    }
    return OnConnectFailed(502, resolve_error_.empty() ? "name_unknown" : resolve_error_,
                           "the host's name cannot be resolved");
  }
  Connect();
}

void EgressConnection::OnConnectFailed(int status, std::string_view reason,
                                       std::string_view detail) {
  Settle(status, reason);
  AnswerProblem(status, reason, detail);
}

void EgressConnection::Connect() {
  state_ = State::kConnecting;
  while (next_address_ < addresses_.size()) {
    auto fd = net::StartConnect(addresses_[next_address_++]);
    if (!fd || !upstream_.Open(door_.parts().loop, *std::move(fd))) continue;
    timer_.Arm(door_.parts().loop, door_.parts().limits.connect_timeout_ms);
    return upstream_.watch.WaitWritable();
  }
  OnConnectFailed(502, "upstream_unreachable", "no connection to the host can be made");
}

void EgressConnection::OnConnected() {
  net::SetNoDelay(upstream_.watch.fd());
  const size_t head_bytes = parser_.head().bytes;
  if (!is_connect_) {
    request_head_.clear();
    AppendRequestHead(parser_.head(), target_, telemetry::Traceparent(ticket_.trace).text(),
                      ticket_.forward_tracestate, request_head_);
    request_end_.Start(parser_.head(), input_.view().substr(head_bytes));
    return StartTunnel();
  }
  OwnHeaders headers;
  headers.AddDecision(ticket_);
  answer_.assign("HTTP/1.1 200 Connection established\r\n");
  AppendLines(headers.items(), answer_);
  answer_.append("\r\n");
  // Nothing else was sent to the agent, so that these few bytes fit.
  if (agent_.end.Write(answer_).bytes != static_cast<ssize_t>(answer_.size())) {
    return Close("client_gone");
  }
  input_.Consume(head_bytes);
  state_ = State::kLooking;
  timer_.Arm(door_.parts().loop, door_.parts().limits.head_timeout_ms);
  if (leave_.plain) upstream_.watch.WaitReadable();
  Look();
}

// --- The first bytes ---

void EgressConnection::ReadFirst() {
  input_.Reserve(kFirstRead);
  const ssize_t got = ::recv(agent_.watch.fd(), input_.room(), input_.room_size(), 0);
  if (got < 0 && WouldBlock()) return agent_.watch.WaitReadable();
  if (got <= 0) return Close("client_gone");
  input_.Commit(static_cast<size_t>(got));
  Look();
}

void EgressConnection::Look() {
  const ClientHello hello = ReadClientHello(input_.view());
  switch (hello.state) {
    case ClientHello::State::kNeedMore:
      return agent_.watch.WaitReadable();
    case ClientHello::State::kPlain: {
      // What begins as TLS and cannot be read could be TLS to the host.
      constexpr char kHandshake = 0x16;
      const bool is_tls = input_.view().starts_with(kHandshake);
      return leave_.plain && !is_tls ? StartTunnel() : OnForbiddenHello("not_tls");
    }
    case ClientHello::State::kTls:
      break;
  }
  // What is said outside of it says nothing of the host that is meant within.
  if (hello.has_ech) return leave_.ech ? StartTunnel() : OnForbiddenHello("ech");
  if (!hello.has_sni) {
    // RFC 6066 §3: addresses are not named.
    return target_.is_ip || leave_.missing_sni ? StartTunnel() : OnForbiddenHello("sni_missing");
  }
  if (hello.sni != target_.host) return OnForbiddenHello("sni_mismatch");
  StartTunnel();
}

void EgressConnection::OnForbiddenHello(std::string_view why) {
  if (!door_.parts().pipeline.shadow() && !ticket_.shadowed) return Cut(why);
  noted_ = why;
  StartTunnel();
}

void EgressConnection::StartTunnel() {
  timer_.Disarm();
  state_ = State::kTunnel;
  const EgressOptions& options = door_.parts().hub.options();
  Tunnel::Limits limits;
  limits.idle_timeout_ms = options.idle_timeout_ms;
  limits.lifetime_ms = options.lifetime_ms;
  limits.max_bytes_from_agent = options.max_upload_bytes;
  limits.max_bytes_from_upstream = options.max_download_bytes;
  if (is_connect_) {
    const std::string first(input_.view());
    input_.Release();
    return tunnel_.Start(agent_.end, upstream_.end, limits, first);
  }
  tunnel_.Start(request_end_, answer_end_, limits, request_head_);
}

void EgressConnection::OnTunnelOver(Tunnel::Over why) {
  std::string_view error = TunnelError(why);
  if (error.empty()) error = noted_;
  Settle(is_connect_ ? 200 : answer_end_.status(), error);
  if (why != Tunnel::Over::kClosed) Reset();
  Close({});
}

void EgressConnection::Settle(int status, std::string_view error) {
  if (!decided_) return;
  decided_ = false;
  Pipeline::OutcomeFigures figures;
  figures.status = status;
  figures.error = error;
  span_.status = status;
  span_.error = error;
  span_.failed = status >= 500 || error == "upstream_reset";
  if (state_ == State::kTunnel) {
    figures.request_bytes = tunnel_.bytes_from_agent();
    figures.response_bytes = tunnel_.bytes_from_upstream();
  }
  door_.parts().pipeline.RecordOutcome(ticket_, ticket_.id.text(), figures);
}

// --- Own answers ---

void EgressConnection::AnswerUnauthenticated(const Error& error) {
  if (error.code == Code::kUnauthenticated) {
    door_.parts().logger.Warn("agent refused", {{"why", error.reason}});
  }
  own_.SetUnauthenticated(error, nullptr);
  SendOwn();
}

void EgressConnection::AnswerProblem(int status, std::string_view reason, std::string_view detail) {
  const bool judged = state_ == State::kRecording || state_ == State::kConnecting;
  own_.SetProblem(status, reason, detail, judged ? &ticket_ : nullptr);
  SendOwn();
}

void EgressConnection::SendOwn() {
  timer_.Disarm();
  // RFC 9110 §11.7.1: a proxy asks for its own credentials.
  const bool asks = own_.problem.status == 401;
  if (asks) own_.problem.status = 407;
  text_.clear();
  AppendProblem(own_.problem, text_);
  span_.status = own_.problem.status;
  span_.failed = own_.problem.status >= 500;
  if (span_.error.empty()) span_.error = own_.problem.reason;
  answer_.assign("HTTP/1.1 ").append(std::to_string(own_.problem.status)).append(" ");
  answer_.append(net::StatusPhrase(own_.problem.status)).append("\r\n");
  for (const OwnHeader& header : own_.headers.items()) {
    const bool challenge = header.name == "WWW-Authenticate";
    answer_.append(challenge ? "Proxy-Authenticate" : header.name).append(": ");
    answer_.append(header.value).append("\r\n");
  }
  // Clients that know proxies' passwords only.
  if (asks) answer_.append("Proxy-Authenticate: Basic realm=\"aegis\"\r\n");
  answer_.append("Content-Type: application/problem+json\r\nContent-Length: ");
  answer_.append(std::to_string(text_.size())).append("\r\nConnection: close\r\n\r\n");
  if (parser_.head().method != "HEAD") answer_.append(text_);
  state_ = State::kAnswering;
  out_.Clear();
  out_.Add(answer_);
  FlushOwn();
}

void EgressConnection::FlushOwn() {
  switch (out_.Flush(agent_.watch.fd())) {
    case Outbox::Result::kSent:
      break;
    case Outbox::Result::kBlocked:
      timer_.Arm(door_.parts().loop, kLingerMs);
      return agent_.watch.WaitWritable();
    case Outbox::Result::kFailed:
      return Close({});
  }
  input_.Release();
  upstream_.watch.Close();
  ::shutdown(agent_.watch.fd(), SHUT_WR);
  state_ = State::kLinger;
  timer_.Arm(door_.parts().loop, kLingerMs);
  agent_.watch.WaitReadable();
}

void EgressConnection::ReadAway() {
  std::array<char, kFirstRead> buffer;
  const ssize_t got = ::recv(agent_.watch.fd(), buffer.data(), buffer.size(), 0);
  if (got < 0 && WouldBlock()) return agent_.watch.WaitReadable();
  if (got <= 0) return Close({});
  lingered_ += static_cast<size_t>(got);
  if (lingered_ > kLingerBytes) return Close({});
  agent_.watch.WaitReadable();
}

}  // namespace aegis::gateway
