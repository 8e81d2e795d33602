#include "aegis/gateway/relay.h"

#include <sys/socket.h>

#include <cerrno>
#include <charconv>

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
             const Limits& limits, telemetry::WorkerMetrics& metrics)
    : client_(client),
      downstream_(downstream),
      loop_(loop),
      limits_(limits),
      metrics_(metrics),
      timer_([](void* self) { static_cast<Relay*>(self)->OnTimer(); }, this) {}

void Relay::Start(const Request& request) {
  request_ = request;
  request_done_ = false;
  body_consumed_ = false;
  response_done_ = false;
  got_bytes_ = false;
  interim_heads_ = 0;
  status_ = 0;
  request_bytes_ = 0;
  response_bytes_ = 0;
  Connect(false);
}

void Relay::Cancel() {
  if (state_ == State::kOff) return;
  ReleaseUpstream(false);
  state_ = State::kOff;
}

void Relay::ReleaseUpstream(bool reusable) {
  timer_.Disarm();
  if (!upstream_) return;
  request_.pool->Release(upstream_, reusable);
  upstream_ = nullptr;
}

void Relay::Connect(bool fresh) {
  state_ = State::kConnecting;
  upstream_ = request_.pool->Acquire(this, fresh);
  if (!upstream_) {
    return Fail(UpstreamError::kConnect, 502, "upstream_unreachable",
                "no connection to the tool can be made");
  }
  if (upstream_->connected()) return SendRequest();
  timer_.Arm(loop_, limits_.connect_timeout_ms);
}

void Relay::OnUpstreamConnected() { SendRequest(); }

void Relay::OnUpstreamConnectFailed(int) {
  Fail(UpstreamError::kConnect, 502, "upstream_unreachable", "the tool refuses connections");
}

void Relay::SendRequest() {
  state_ = State::kAwaiting;
  timer_.Arm(loop_, limits_.first_byte_timeout_ms);
  upstream_->parser.Reset(request_.method);
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
  switch (request_out_.Flush(upstream_->fd())) {
    case Outbox::Result::kSent:
      return true;
    case Outbox::Result::kBlocked:
      upstream_->WaitWritable();
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
        timer_.Arm(loop_, state_ == State::kAwaiting ? limits_.first_byte_timeout_ms
                                                     : limits_.idle_timeout_ms);
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
  if (wants_client_input() && state_ >= State::kAwaiting) PumpRequest();
}

void Relay::OnUpstreamWritable() { PumpRequest(); }

void Relay::OnUpstreamReadable() { PumpResponse(); }

void Relay::OnClientWritable() {
  if (state_ == State::kRelaying) PumpResponse();
}

void Relay::PumpResponse() {
  for (int turn = 0; turn < kTurns; ++turn) {
    switch (downstream_.FlushAnswer()) {
      case Downstream::Flow::kSent:
        break;
      case Downstream::Flow::kBlocked:
        timer_.Arm(loop_, limits_.idle_timeout_ms);
        return downstream_.AwaitWritable();
      case Downstream::Flow::kGone:
        return Abort("client_gone");
    }
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
  const size_t room = input.room_size();
  const ssize_t got = ::recv(upstream_->fd(), input.room(), room, 0);
  if (got > 0) {
    got_bytes_ = true;
    input.Commit(static_cast<size_t>(got));
    if (state_ == State::kRelaying) timer_.Arm(loop_, limits_.idle_timeout_ms);
    return Step::kAgain;
  }
  if (got < 0 && errno == EINTR) return Step::kAgain;
  if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
    upstream_->WaitReadable();
    return Step::kWait;
  }
  OnUpstreamClosed();
  return state_ == State::kRelaying && response_done_ ? Step::kAgain : Step::kOver;
}

void Relay::OnUpstreamClosed() {
  if (state_ == State::kRelaying) {
    if (!response_.OnClose()) return Abort("upstream_truncated");
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
  Fail(UpstreamError::kClosed, 502, "upstream_closed",
       "the tool closed the connection before it answered");
}

// Turns what was received into output. kWait: more must be received first.
Relay::Step Relay::FillClientOut() {
  ByteBuffer& input = upstream_->input;
  bool added = false;
  if (state_ != State::kRelaying) {
    const Step step = TakeHead();
    if (step != Step::kAgain) return step;
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
        Fail(UpstreamError::kProtocol, 502, "upstream_protocol", upstream_->parser.error().detail);
        return Step::kOver;
      case net::ParseStatus::kDone:
        break;
    }
    const net::ResponseHead& head = upstream_->parser.head();
    if (head.status >= 200) break;
    if (++interim_heads_ > kMaxInterimHeads) {
      Fail(UpstreamError::kProtocol, 502, "upstream_protocol",
           "the tool sent too many 1xx answers");
      return Step::kOver;
    }
    input.Consume(head.bytes);
  }
  const net::ResponseHead& head = upstream_->parser.head();
  response_.Start(head.body, head.content_length, net::ChunkDecoder::Trailers::kDrop);
  StartAnswer();
  status_ = head.status;
  state_ = State::kRelaying;
  timer_.Arm(loop_, limits_.idle_timeout_ms);
  input.Consume(head.bytes);
  return Step::kAgain;
}

void Relay::StartAnswer() {
  const net::ResponseHead& head = upstream_->parser.head();
  for (net::HeaderField& field : head.fields) field.nominated = !PassesOn(field);
  Downstream::AnswerHead answer;
  answer.status = head.status;
  answer.phrase = head.reason;
  answer.fields = head.fields;
  answer.own = request_.own_headers;
  answer.body = head.body;
  // RFC 9110 §8.6: none in a 204, not even of zero.
  answer.has_length = head.has_content_length && head.status != 204;
  answer.length = head.content_length;
  downstream_.StartAnswer(answer);
}

void Relay::OnTimer() {
  switch (state_) {
    case State::kConnecting:
      return Fail(UpstreamError::kTimeout, 504, "upstream_timeout",
                  "the tool did not accept the connection in time");
    case State::kAwaiting:
      return Fail(UpstreamError::kTimeout, 504, "upstream_timeout",
                  "the tool did not answer in time");
    case State::kRelaying:
      return Abort("idle_timeout");
    case State::kOff:
      return;
  }
}

void Relay::Finish() {
  const net::ResponseHead& head = upstream_->parser.head();
  const bool reusable = head.keep_alive && request_done_ && request_out_.empty();
  ReleaseUpstream(reusable);
  state_ = State::kOff;
  client_.OnRelayDone();
}

void Relay::Fail(UpstreamError kind, int status, std::string_view reason, std::string_view detail) {
  if (status >= 500) metrics_.CountUpstreamError(kind);
  ReleaseUpstream(false);
  state_ = State::kOff;
  status_ = status;
  client_.OnRelayFailed(status, reason, detail);
}

void Relay::Abort(std::string_view reason) {
  if (reason.starts_with("upstream")) metrics_.CountUpstreamError(UpstreamError::kClosed);
  ReleaseUpstream(false);
  state_ = State::kOff;
  client_.OnRelayAborted(reason);
}

}  // namespace aegis::gateway
