#include "aegis/gateway/relay.h"

#include <algorithm>
#include <charconv>

#include "aegis/gateway/websocket.h"
#include "aegis/net/http1_grammar.h"

namespace aegis::gateway {
namespace {

using net::BodyKind;
using net::FieldId;
using telemetry::UpstreamError;

constexpr size_t kReadBytes = 16 * 1024;
constexpr size_t kBulkBytes = 64 * 1024;  // once an answer proves to be large
// Reads for one call before others get their turn.
constexpr int kTurns = 16;
constexpr int kMaxInterimHeads = 8;
constexpr int kFirstPauseMs = 50;  // before a second attempt; doubled for each that follows
constexpr int kLongestPauseMs = 1'000;
constexpr std::string_view kCrlf = "\r\n";
constexpr std::string_view kLastChunk = "0\r\n\r\n";

// "1f4\r\n"; the view is into `buffer`.
std::string_view ChunkHead(size_t size, std::array<char, 20>* buffer) {
  char* end = std::to_chars(buffer->data(), buffer->data() + 16, size, 16).ptr;
  *end++ = '\r';
  *end++ = '\n';
  return {buffer->data(), static_cast<size_t>(end - buffer->data())};
}

bool IsIdempotent(std::string_view method) {
  return method == "GET" || method == "HEAD" || method == "PUT" || method == "DELETE" ||
         method == "OPTIONS";
}

// Those by which a server says that it did not do what was asked, or that another one could.
bool IsRetriable(int status) { return status == 502 || status == 503 || status == 504; }

// Whether a field of the tool's answer goes on to the agent. Framing fields are written anew.
bool PassesOn(const net::HeaderField& field) {
  switch (field.id) {
    case FieldId::kAegis:
    case FieldId::kConnection:
    case FieldId::kContentLength:
    case FieldId::kKeepAlive:
    case FieldId::kProxyAuthenticate:
    case FieldId::kProxyConnection:
    case FieldId::kTe:
    case FieldId::kTrailer:
    case FieldId::kTransferEncoding:
    case FieldId::kUpgrade:
      return false;
    default:
      return !field.nominated;
  }
}

}  // namespace

Relay::Relay(RelayClient& client, Downstream& downstream, net::EventLoop& loop,
             telemetry::WorkerMetrics& metrics)
    : client_(client),
      downstream_(downstream),
      loop_(loop),
      metrics_(metrics),
      timer_([](void* self) { static_cast<Relay*>(self)->OnTimer(); }, this),
      call_timer_([](void* self) { static_cast<Relay*>(self)->OnCallTimer(); }, this) {}

void Relay::Start(const Request& request) {
  request_ = request;
  request_done_ = false;
  body_consumed_ = false;
  response_done_ = false;
  got_bytes_ = false;
  interim_heads_ = 0;
  switching_ = false;
  status_ = 0;
  attempts_ = 0;
  retry_after_seconds_ = 0;
  request_bytes_ = 0;
  response_bytes_ = 0;
  const UpstreamOptions& options = request.pool->options();
  first_byte_timeout_ms_ = options.first_byte_timeout_ms;
  idle_timeout_ms_ = options.idle_timeout_ms;
  if (!request.pool->BeginCall()) return OnUpstreamFailed(UpstreamFailure::kOverloaded);
  in_pool_ = true;
  if (options.call_timeout_ms > 0) call_timer_.Arm(loop_, options.call_timeout_ms);
  Connect(false);
}

void Relay::Cancel() {
  if (state_ == State::kOff) return;
  TakeTunnelFigures();
  LeavePool(false);
  state_ = State::kOff;
}

void Relay::ReleaseUpstream(bool reusable) {
  timer_.Disarm();
  if (!upstream_) return;
  request_.pool->Release(upstream_, reusable);
  upstream_ = nullptr;
}

// The call is over as far as the tool is concerned.
void Relay::LeavePool(bool reusable) {
  ReleaseUpstream(reusable);
  call_timer_.Disarm();
  if (!std::exchange(in_pool_, false)) return;
  request_.pool->Withdraw(this);
  if (std::exchange(retrying_, false)) request_.pool->EndRetry();
  request_.pool->EndCall();
}

void Relay::Connect(bool fresh) {
  ++attempts_;
  state_ = State::kConnecting;
  const UpstreamPool::Acquired got = request_.pool->Acquire(this, fresh);
  if (got.waits) {
    state_ = State::kWaiting;
    return timer_.Arm(loop_, request_.pool->options().connect_timeout_ms);
  }
  if (got.connection == nullptr) return OnUpstreamFailed(got.why);
  upstream_ = got.connection;
  if (upstream_->connected()) SendRequest();
}

void Relay::OnUpstreamAssigned(UpstreamConnection* connection) {
  timer_.Disarm();
  state_ = State::kConnecting;
  upstream_ = connection;
  if (upstream_->connected()) SendRequest();
}

void Relay::OnUpstreamConnected() { SendRequest(); }

void Relay::OnUpstreamFailed(UpstreamFailure why) {
  switch (why) {
    case UpstreamFailure::kConnect:
      return Fail(UpstreamError::kConnect, 502, "upstream_unreachable",
                  "the tool refuses connections");
    case UpstreamFailure::kTls:
      return Fail(UpstreamError::kTls, 502, "upstream_tls",
                  "no TLS connection to the tool, or its certificate is not accepted");
    case UpstreamFailure::kTimeout:
      return Fail(UpstreamError::kTimeout, 504, "upstream_timeout",
                  "the tool did not accept the connection in time");
    case UpstreamFailure::kOverloaded:
      return Fail(UpstreamError::kOverloaded, 503, "tool_overloaded",
                  "the tool has as many calls as it may have; try again");
    case UpstreamFailure::kUnavailable:
      return Fail(UpstreamError::kUnavailable, 503, "tool_unavailable",
                  "the tool failed again and again and is left alone for a while");
  }
}

// Whether the tool may get the request twice.
bool Relay::MayRepeat() const {
  return !body_consumed_ && !request_.streams && IsIdempotent(request_.method);
}

// Begins another attempt after a pause, if the tool's options and the budget let it.
bool Relay::Retry() {
  UpstreamPool& pool = *request_.pool;
  if (attempts_ >= pool.options().max_attempts || !MayRepeat()) return false;
  if (!retrying_ && !pool.BeginRetry()) return false;
  retrying_ = true;
  metrics_.upstream_retries.Add();
  ReleaseUpstream(false);
  state_ = State::kWaiting;
  pausing_ = true;
  timer_.Arm(loop_, std::min(kFirstPauseMs << (attempts_ - 1), kLongestPauseMs));
  return true;
}

void Relay::SendRequest() {
  state_ = State::kAwaiting;
  got_bytes_ = false;
  interim_heads_ = 0;
  timer_.Arm(loop_, first_byte_timeout_ms_);
  upstream_->parser.Reset(request_.method, !request_.websocket_key.empty());
  request_out_.Clear();
  request_out_.Add(request_.head);
  if (!request_.body.empty()) {
    if (request_.chunked) {
      request_out_.Add(ChunkHead(request_.body.size(), &request_chunk_head_));
      request_out_.Add(request_.body);
      request_out_.Add(kCrlf);
    } else {
      request_out_.Add(request_.body);
    }
  }
  request_bytes_ = request_.body.size();
  // Also while sending: a tool may answer before it has read everything.
  upstream_->WaitReadable();
  PumpRequest();
}

// True when all that was queued is sent.
bool Relay::FlushRequest() {
  switch (upstream_->Send(request_out_)) {
    case Outbox::Result::kSent:
      return true;
    case Outbox::Result::kBlocked:
      return false;
    case Outbox::Result::kFailed:
      // An answer may be waiting that tells why; reading it also tells when there is none.
      OnUpstreamReadable();
      return false;
  }
  return false;
}

void Relay::PumpRequest() {
  for (int turn = 0; FlushRequest(); ++turn) {
    // Others first; the tool takes bytes, so that this comes back soon.
    if (turn == kTurns) return upstream_->WaitWritable();
    if (!request_.streams) {
      request_done_ = true;
      return;
    }
    std::string_view piece;
    // From here on the body cannot be sent once more: even a call that brings nothing gives its
    // buffer back.
    body_consumed_ = true;
    switch (downstream_.NextBodyPiece(&piece)) {
      case Downstream::Piece::kData:
        request_bytes_ += piece.size();
        timer_.Arm(loop_, state_ == State::kAwaiting ? first_byte_timeout_ms_ : idle_timeout_ms_);
        if (request_.chunked) {
          request_out_.Add(ChunkHead(piece.size(), &request_chunk_head_));
          request_out_.Add(piece);
          request_out_.Add(kCrlf);
        } else {
          request_out_.Add(piece);
        }
        break;
      case Downstream::Piece::kBlocked:
        return;
      case Downstream::Piece::kDone:
        request_.streams = false;
        if (request_.chunked) request_out_.Add(kLastChunk);
        break;
      case Downstream::Piece::kGone:
        return Abort("client_gone");
      case Downstream::Piece::kBroken:
        if (state_ == State::kRelaying) return Abort("bad_body");
        return Fail(UpstreamError::kProtocol, 400, "bad_body",
                    "the framing of the request body is broken");
    }
  }
}

void Relay::OnClientReadable() {
  if (state_ == State::kTunnel) return tunnel_->OnReadable(Tunnel::Side::kAgent);
  if (wants_client_input() && state_ >= State::kAwaiting) PumpRequest();
}

void Relay::OnUpstreamWritable() {
  if (state_ == State::kTunnel) return tunnel_->OnWritable(Tunnel::Side::kUpstream);
  PumpRequest();
}

void Relay::OnUpstreamReadable() {
  if (state_ == State::kTunnel) return tunnel_->OnReadable(Tunnel::Side::kUpstream);
  PumpResponse();
}

void Relay::OnClientWritable() {
  if (state_ == State::kTunnel) return tunnel_->OnWritable(Tunnel::Side::kAgent);
  if (state_ == State::kRelaying) PumpResponse();
}

void Relay::PumpResponse() {
  for (int turn = 0; turn < kTurns; ++turn) {
    switch (downstream_.FlushAnswer()) {
      case Downstream::Flow::kSent:
        break;
      case Downstream::Flow::kBlocked:
        timer_.Arm(loop_, idle_timeout_ms_);
        return downstream_.AwaitWritable();
      case Downstream::Flow::kGone:
        return Abort("client_gone");
    }
    if (switching_) return BeginTunnel();
    if (response_done_) return Finish();
    Step step = FillClientOut();
    if (step == Step::kWait) step = ReadUpstream();
    if (step != Step::kAgain) return;
  }
  // Others first; the agent takes bytes, so that this comes back soon.
  state_ == State::kRelaying ? downstream_.AwaitWritable() : upstream_->WaitReadable();
}

Relay::Step Relay::ReadUpstream() {
  ByteBuffer& input = upstream_->input;
  if (input.empty()) {
    const size_t wanted = response_bytes_ >= 2 * kReadBytes ? kBulkBytes : kReadBytes;
    if (input.capacity() < wanted) input.Release();
    input.Reserve(wanted);
  } else {
    // Only a head that is not whole yet stays in the buffer.
    input.Reserve(4096);
  }
  const net::IoStep got = upstream_->Receive(input.room(), input.room_size());
  if (got.bytes > 0) {
    got_bytes_ = true;
    input.Commit(static_cast<size_t>(got.bytes));
    if (state_ == State::kRelaying) timer_.Arm(loop_, idle_timeout_ms_);
    return Step::kAgain;
  }
  if (got.want != net::IoWant::kNothing) return Step::kWait;
  OnUpstreamClosed(got.bytes == 0);
  return state_ == State::kRelaying && response_done_ ? Step::kAgain : Step::kOver;
}

// `orderly`: the tool has said that nothing follows; else the connection broke.
void Relay::OnUpstreamClosed(bool orderly) {
  if (state_ == State::kRelaying) {
    if (!orderly || !response_.OnClose()) return Abort("upstream_truncated");
    response_done_ = true;
    downstream_.EndAnswer();
    return;
  }
  // A kept connection that died before it answered: the tool closed it while it was idle. Once
  // more, if the tool cannot have acted on the request, or may act on it twice.
  const bool nothing_sent = !request_out_.sent_any();
  if (upstream_->reused() && !got_bytes_ && !body_consumed_ &&
      (nothing_sent || IsIdempotent(request_.method))) {
    ReleaseUpstream(false);
    return Connect(true);
  }
  request_.pool->Report(upstream_, false);
  if (Retry()) return;
  Fail(UpstreamError::kClosed, 502, "upstream_closed",
       "the tool closed the connection before it answered");
}

// Turns what was received into output. kWait: more must be received first.
Relay::Step Relay::FillClientOut() {
  ByteBuffer& input = upstream_->input;
  bool added = false;
  if (state_ != State::kRelaying) {
    const Step step = TakeHead();
    if (step != Step::kAgain || switching_) return step;
    added = true;
  }
  for (size_t i = 0; i < Downstream::kMaxPieces && !response_.done() && !input.empty(); ++i) {
    size_t consumed = 0;
    std::string_view piece;
    if (!response_.Next(input.view(), &consumed, &piece)) {
      Abort("upstream_protocol");
      return Step::kOver;
    }
    input.Consume(consumed);  // the bytes stay where they are until the next receive
    if (piece.empty()) continue;
    response_bytes_ += piece.size();
    downstream_.AddAnswerBody(piece);
    added = true;
  }
  if (response_.done() && !response_done_) {
    response_done_ = true;
    downstream_.EndAnswer();
    return Step::kAgain;
  }
  return added ? Step::kAgain : Step::kWait;
}

Relay::Step Relay::TakeHead() {
  ByteBuffer& input = upstream_->input;
  while (true) {
    if (input.empty()) return Step::kWait;
    switch (upstream_->parser.Parse(input.data(), input.size())) {
      case net::ParseStatus::kNeedMore:
        return Step::kWait;
      case net::ParseStatus::kError:
        request_.pool->Report(upstream_, false);
        Fail(UpstreamError::kProtocol, 502, "upstream_protocol", upstream_->parser.error().detail);
        return Step::kOver;
      case net::ParseStatus::kDone:
        break;
    }
    const net::ResponseHead& head = upstream_->parser.head();
    if (head.status >= 200) break;
    if (head.status == 101) return TakeSwitch();
    if (++interim_heads_ > kMaxInterimHeads) {
      Fail(UpstreamError::kProtocol, 502, "upstream_protocol",
           "the tool sent too many 1xx answers");
      return Step::kOver;
    }
    input.Consume(head.bytes);
  }
  const net::ResponseHead& head = upstream_->parser.head();
  request_.pool->Report(upstream_, !IsRetriable(head.status));
  // A tool that says when to come back is not asked before.
  if (IsRetriable(head.status) && head.Find("retry-after") == nullptr && Retry()) {
    return Step::kOver;
  }
  response_.Start(head.body, head.content_length, net::ChunkDecoder::Trailers::kDrop);
  StartAnswer();
  status_ = head.status;
  state_ = State::kRelaying;
  timer_.Arm(loop_, idle_timeout_ms_);
  input.Consume(head.bytes);
  return Step::kAgain;
}

void Relay::StartAnswer() {
  const net::ResponseHead& head = upstream_->parser.head();
  const UpstreamPool& pool = *request_.pool;
  for (net::HeaderField& field : head.fields) {
    field.nominated = !PassesOn(field) || pool.Reveals(field.value);
  }
  Downstream::AnswerHead answer;
  answer.status = head.status;
  if (!pool.Reveals(head.reason)) answer.phrase = head.reason;
  answer.fields = head.fields;
  answer.own = request_.own_headers;
  answer.body = head.body;
  // RFC 9110 §8.6: none in a 204, not even of zero.
  answer.has_length = head.has_content_length && head.status != 204;
  answer.length = head.content_length;
  answer.switches = head.status == 101;
  downstream_.StartAnswer(answer);
}

// The tool switches protocols, as it was asked to.
Relay::Step Relay::TakeSwitch() {
  const net::ResponseHead& head = upstream_->parser.head();
  const bool consents = AcceptsWebSocket(head, request_.websocket_key);
  request_.pool->Report(upstream_, consents);
  if (!consents) {
    Fail(UpstreamError::kProtocol, 502, "upstream_protocol",
         "the tool's answer to the WebSocket handshake is not a right one");
    return Step::kOver;
  }
  StartAnswer();
  status_ = head.status;
  state_ = State::kRelaying;
  switching_ = true;
  timer_.Arm(loop_, idle_timeout_ms_);
  upstream_->input.Consume(head.bytes);
  return Step::kAgain;
}

void Relay::BeginTunnel() {
  switching_ = false;
  std::string_view from_agent;
  TunnelEnd* agent = downstream_.Switch(&from_agent);
  if (agent == nullptr) return Abort("bad_upgrade");
  timer_.Disarm();
  state_ = State::kTunnel;
  Tunnel::User& self = *this;
  if (!tunnel_) tunnel_ = std::make_unique<Tunnel>(self, loop_, request_.pool->buffers());
  tunnel_->Start(*agent, *upstream_, {.idle_timeout_ms = idle_timeout_ms_}, from_agent,
                 upstream_->input.view());
  if (state_ == State::kTunnel) upstream_->input.Release();  // it was copied
}

void Relay::TakeTunnelFigures() {
  if (state_ != State::kTunnel) return;
  request_bytes_ = tunnel_->bytes_from_agent();
  response_bytes_ = tunnel_->bytes_from_upstream();
  tunnel_->Cancel();
}

void Relay::OnTunnelOver(Tunnel::Over why) {
  if (why != Tunnel::Over::kClosed) return Abort(TunnelError(why));
  TakeTunnelFigures();
  LeavePool(false);
  state_ = State::kOff;
  client_.OnRelayDone();
}

void Relay::OnTimer() {
  switch (state_) {
    case State::kWaiting:
      if (std::exchange(pausing_, false)) return Connect(false);
      return OnUpstreamFailed(UpstreamFailure::kOverloaded);
    case State::kAwaiting:
      request_.pool->Report(upstream_, false);
      return Fail(UpstreamError::kTimeout, 504, "upstream_timeout",
                  "the tool did not answer in time");
    case State::kRelaying:
      return Abort("idle_timeout");
    case State::kTunnel:  // these two have timers of their own
    case State::kConnecting:
    case State::kOff:
      return;
  }
}

void Relay::OnCallTimer() {
  if (state_ >= State::kRelaying) return Abort("call_timeout");
  Fail(UpstreamError::kTimeout, 504, "upstream_timeout", "the call took longer than it may");
}

void Relay::Finish() {
  const net::ResponseHead& head = upstream_->parser.head();
  const bool reusable = head.keep_alive && request_done_ && request_out_.empty();
  LeavePool(reusable);
  state_ = State::kOff;
  client_.OnRelayDone();
}

void Relay::Stop(int status, std::string_view reason, std::string_view detail) {
  if (state_ == State::kOff) return;
  if (state_ >= State::kRelaying) return Abort(reason);
  Fail(UpstreamError::kClosed, status, reason, detail);
}

void Relay::Fail(UpstreamError kind, int status, std::string_view reason, std::string_view detail) {
  if (status >= 500) metrics_.CountUpstreamError(kind);
  if (status == 503) retry_after_seconds_ = request_.pool->retry_after_seconds();
  pausing_ = false;
  LeavePool(false);
  state_ = State::kOff;
  status_ = status;
  client_.OnRelayFailed(status, reason, detail);
}

void Relay::Abort(std::string_view reason) {
  TakeTunnelFigures();
  if (reason.starts_with("upstream")) metrics_.CountUpstreamError(UpstreamError::kClosed);
  LeavePool(false);
  state_ = State::kOff;
  client_.OnRelayAborted(reason);
}

}  // namespace aegis::gateway
