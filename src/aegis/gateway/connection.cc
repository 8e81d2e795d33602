#include "aegis/gateway/connection.h"

#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <charconv>

#include "aegis/gateway/problem.h"
#include "aegis/gateway/worker.h"
#include "aegis/net/http1_grammar.h"

namespace aegis::gateway {
namespace {

using net::BodyKind;

constexpr size_t kFirstRead = 4 * 1024;
constexpr size_t kBodyRead = 16 * 1024;
constexpr int kLingerMs = 2'000;
constexpr size_t kLingerBytes = 1 << 20;
// RFC 9113 section 3.4. No request of HTTP/1.1 begins like it.
constexpr std::string_view kHttp2Preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
constexpr std::string_view kCrlf = "\r\n";
constexpr std::string_view kLastChunk = "0\r\n\r\n";

// Whether the request's line asks for an authorization, as far as it is there: Envoy gives the path
// its prefix, whatever the call is.
bool AsksForEnvoy(std::string_view head) {
  return head.substr(0, head.find('\r')).find(" /v1/ext_authz") != std::string_view::npos;
}

}  // namespace

Connection::Connection(Worker& worker)
    : worker_(worker),
      timer_([](void* self) { static_cast<Connection*>(self)->OnTimer(); }, this),
      reread_([](void* self) { static_cast<Connection*>(self)->OnReadable(); }, this),
      parser_(worker.limits().http),
      input_(worker.buffers()),
      collected_(worker.buffers()),
      leftover_(worker.buffers()),
      tunnel_end_(*this),
      exchange_(worker, *this) {}

void Connection::Start(FileDescriptor socket, net::Peer peer,
                       std::shared_ptr<const net::TlsServerContext> tls) {
  peer_ = std::move(peer);
  may_be_http2_ = !tls;
  stream_ = net::ServerStream(socket.get());
  if (!watch_.Open(worker_.loop(), std::move(socket), this)) return Close();
  if (!tls) {
    timer_.Arm(worker_.loop(), worker_.limits().keep_alive_timeout_ms);
    return watch_.WaitReadable();
  }
  state_ = State::kHandshake;
  timer_.Arm(worker_.loop(), worker_.limits().head_timeout_ms);
  if (!stream_.StartTls(std::move(tls))) return Close();
  watch_.WaitReadable();
}

void Connection::Handshake() {
  const net::IoStep step = stream_.Handshake();
  if (step.want == net::IoWant::kWrite) return watch_.WaitWritable();
  if (step.want == net::IoWant::kRead) return watch_.WaitReadable();
  if (step.bytes <= 0) return Close();
  if (stream_.protocol() == "h2") return BecomeHttp2();
  state_ = State::kIdle;
  timer_.Arm(worker_.loop(), worker_.limits().keep_alive_timeout_ms);
  AwaitReadable();
}

void Connection::BecomeHttp2() {
  state_ = State::kClosed;
  timer_.Disarm();
  reread_.Cancel();
  FileDescriptor socket = watch_.Release();
  worker_.ServeHttp2(std::move(socket), std::move(stream_), std::move(peer_), input_.view());
  input_.Release();
  worker_.Remove(this);
}

void Connection::Drain() {
  draining_ = true;
  if (state_ == State::kHandshake) return Close();
  if (state_ != State::kIdle) return;
  stream_.Shutdown();
  Close();
}

void Connection::Close() {
  if (state_ == State::kClosed) return;
  state_ = State::kClosed;
  timer_.Disarm();
  reread_.Cancel();
  exchange_.OnClientGone();
  ReleaseBody();
  watch_.Close();
  input_.Release();
  peer_.held.reset();
  worker_.Remove(this);
}

void Connection::Abort() {
  // A reset, not an orderly end: an answer without a length must not look whole.
  const linger hard{1, 0};
  if (watch_.is_open()) ::setsockopt(watch_.fd(), SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
  Close();
}

void Connection::OnTimer() {
  switch (state_) {
    case State::kHead:
      return Refuse({408, "request_timeout", "the head of the request did not arrive in time"});
    case State::kBody:
      return Refuse(kBodyTooSlow);
    default:
      return Close();
  }
}

void Connection::OnReadable() {
  switch (state_) {
    case State::kHandshake:
      return Handshake();
    case State::kIdle:
    case State::kHead:
      return ReadHead();
    case State::kBody:
      return ReadBody();
    case State::kBusy:
      return exchange_.wants_client_input() ? exchange_.OnClientReadable() : CheckGone();
    case State::kAnswering:
      return CheckGone();
    case State::kLinger:
      return ReadAway();
    case State::kClosed:
      return;
  }
}

void Connection::OnWritable() {
  const bool read_too = std::exchange(read_wants_write_, false);
  if (state_ == State::kHandshake) return Handshake();
  if (state_ == State::kAnswering) {
    SendAnswer();
  } else if (state_ == State::kBusy) {
    exchange_.OnClientWritable();
  }
  if (read_too) OnReadable();
}

ssize_t Connection::Receive(char* data, size_t size) {
  const net::IoStep step = stream_.Read(data, size);
  switch (step.want) {
    case net::IoWant::kRead:
      watch_.WaitReadable();
      return 0;
    case net::IoWant::kWrite:
      read_wants_write_ = true;
      watch_.WaitWritable();
      return 0;
    case net::IoWant::kNothing:
      break;
  }
  return step.bytes > 0 ? step.bytes : -1;
}

void Connection::AwaitReadable() {
  if (stream_.has_pending()) return reread_.Schedule(worker_.loop());
  watch_.WaitReadable();
}

void Connection::ReadHead() {
  input_.Reserve(input_.empty() ? kFirstRead : 1);
  const ssize_t got = Receive(input_.room(), input_.room_size());
  if (got == 0) return;
  if (got < 0) return Close();
  input_.Commit(static_cast<size_t>(got));
  ProcessInput();
}

// Requests that arrived together are worked off in a loop, not by recursion.
void Connection::ProcessInput() {
  if (processing_) {
    again_ = true;
    return;
  }
  processing_ = true;
  do {
    again_ = false;
    ParseHead();
  } while (again_ && (state_ == State::kIdle || state_ == State::kHead));
  processing_ = false;
}

void Connection::ParseHead() {
  if (state_ == State::kIdle) {
    state_ = State::kHead;
    started_ns_ = worker_.pipeline().clock().MonotonicNanos();
    timer_.Arm(worker_.loop(), worker_.limits().head_timeout_ms);
  }
  if (may_be_http2_) {
    const std::string_view begun = input_.view().substr(0, kHttp2Preface.size());
    if (begun == kHttp2Preface) return BecomeHttp2();
    if (kHttp2Preface.starts_with(begun)) return AwaitReadable();
    may_be_http2_ = false;
  }
  switch (parser_.Parse(input_.data(), input_.size())) {
    case net::ParseStatus::kNeedMore:
      return AwaitReadable();
    case net::ParseStatus::kError:
      return Refuse({parser_.error().status, parser_.error().reason, parser_.error().detail});
    case net::ParseStatus::kDone:
      break;
  }
  const net::RequestHead& request = parser_.head();
  body_.Start(request.body, request.content_length, net::ChunkDecoder::Trailers::kRefuse);
  body_at_ = request.bytes;
  body_bytes_ = 0;
  stream_at_ = 0;
  state_ = State::kBusy;
  timer_.Disarm();
  exchange_.OnHead();
}

void Connection::CollectBody(BodyType type) {
  const net::RequestHead& request = parser_.head();
  plan_.Start(type);
  in_place_ = request.body == BodyKind::kLength &&
              request.content_length <= input_.capacity() - request.bytes;
  if (plan_.judged() && request.body == BodyKind::kLength &&
      request.content_length > worker_.limits().max_body_bytes) {
    return Refuse(kBodyTooLargeToJudge);
  }
  state_ = State::kBody;
  if (request.expect_continue && !body_.done() && body_at_ == input_.size()) {
    constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";
    // Nothing else is on its way to the agent, so that these few bytes fit.
    if (stream_.Write(kContinue).bytes != static_cast<ssize_t>(kContinue.size())) return Close();
  }
  AdvanceBody();
}

// Takes the framing off `bytes`, as far as the body goes. False: it was refused.
bool Connection::TakeBody(std::string_view bytes, bool keep_pieces, size_t* used) {
  *used = 0;
  while (!body_.done() && *used < bytes.size()) {
    size_t consumed = 0;
    std::string_view piece;
    if (!body_.Next(bytes.substr(*used), &consumed, &piece)) {
      Refuse({400, body_.error().reason, body_.error().detail});
      return false;
    }
    *used += consumed;
    body_bytes_ += piece.size();
    if (plan_.judged() && body_bytes_ > worker_.limits().max_body_bytes) {
      Refuse(kBodyTooLargeToJudge);
      return false;
    }
    if (keep_pieces) collected_.Append(piece);
  }
  return true;
}

std::string_view Connection::CollectedBody() {
  if (!in_place_) return collected_.view();
  const size_t head_bytes = parser_.head().bytes;
  return input_.view().substr(head_bytes, body_at_ - head_bytes);
}

// Goes on with what input_ holds and judges, or waits for more.
void Connection::AdvanceBody() {
  size_t used = 0;
  if (!TakeBody(input_.view().substr(body_at_), !in_place_, &used)) return;
  body_at_ += used;
  if (!AccountBody()) return;
  if (plan_.EnoughWith(CollectedBody())) return ReadyToJudge();
  if (plan_.judged() && body_bytes_ + body_.left() > worker_.limits().max_body_bytes) {
    return Refuse(kBodyTooLargeToJudge);
  }
  if (body_.done()) return ReadyToJudge();
  if (!timer_.armed()) timer_.Arm(worker_.loop(), worker_.limits().body_timeout_ms);
  AwaitReadable();
}

bool Connection::AccountBody() {
  if (collected_.capacity() <= accounted_) return true;
  const size_t more = collected_.capacity() - accounted_;
  if (!worker_.AddBuffered(more)) {
    Refuse(kTooManyBodies);
    return false;
  }
  accounted_ += more;
  return true;
}

void Connection::ReadBody() {
  ssize_t got = 0;
  if (in_place_) {
    // Room was made sure of; bytes of a next request may come along.
    got = Receive(input_.room(), input_.room_size());
    if (got > 0) input_.Commit(static_cast<size_t>(got));
  } else {
    std::array<char, kBodyRead> buffer;
    size_t wanted = buffer.size();
    if (body_.kind() == BodyKind::kLength) {
      wanted = static_cast<size_t>(std::min<uint64_t>(wanted, body_.left()));
    }
    got = Receive(buffer.data(), wanted);
    if (got > 0) {
      const std::string_view bytes(buffer.data(), static_cast<size_t>(got));
      size_t used = 0;
      if (!TakeBody(bytes, true, &used)) return;
      leftover_.Append(bytes.substr(used));
    }
  }
  if (got == 0) return;
  if (got < 0) return Close();
  AdvanceBody();
}

void Connection::ReadyToJudge() {
  timer_.Disarm();
  state_ = State::kBusy;
  stream_at_ = collected_.size();
  const bool at_once = processing_;
  // From here on readable means a next request, or that the agent left.
  AwaitReadable();
  exchange_.OnBody(plan_.type(), CollectedBody(), body_.done(), at_once);
}

Downstream::Piece Connection::NextBodyPiece(std::string_view* piece) {
  while (!body_.done()) {
    const bool from_input = body_at_ < input_.size();
    std::string_view bytes =
        from_input ? input_.view().substr(body_at_) : collected_.view().substr(stream_at_);
    if (bytes.empty()) {
      collected_.Clear();
      stream_at_ = 0;
      collected_.Reserve(kBodyRead);
      size_t wanted = collected_.room_size();
      if (body_.kind() == BodyKind::kLength) {
        wanted = static_cast<size_t>(std::min<uint64_t>(wanted, body_.left()));
      }
      const ssize_t got = Receive(collected_.room(), wanted);
      if (got == 0) return Piece::kBlocked;
      if (got < 0) return Piece::kGone;
      collected_.Commit(static_cast<size_t>(got));
      bytes = collected_.view();
    }
    size_t consumed = 0;
    if (!body_.Next(bytes, &consumed, piece)) return Piece::kBroken;
    (from_input ? body_at_ : stream_at_) += consumed;
    if (body_.done()) {
      // What came along with the end of a chunked body begins the next request.
      if (!from_input) leftover_.Append(collected_.view().substr(stream_at_));
      AwaitReadable();
    }
    if (!piece->empty()) return Piece::kData;
  }
  return Piece::kDone;
}

void Connection::CheckGone() {
  const net::IoStep step = stream_.Peek();
  if (step.want == net::IoWant::kRead) return watch_.WaitReadable();
  if (step.want == net::IoWant::kWrite) {
    read_wants_write_ = true;
    return watch_.WaitWritable();
  }
  // Data is the next request; it stays where it is until its turn.
  if (step.bytes <= 0) Close();
}

bool Connection::may_keep_alive() const {
  return parser_.head().keep_alive && body_.done() && !draining_ && !worker_.draining();
}

void Connection::Refuse(const Refusal& refusal) {
  OwnAnswer own;
  own.SetProblem(refusal.status, refusal.reason, refusal.detail, nullptr);
  // An error of this server is one that Envoy's failure_mode_allow would let pass.
  if (refusal.status >= 500 && AsksForEnvoy(input_.view())) own.problem.status = 403;
  std::string text;
  AppendProblem(own.problem, text);
  Answer answer;
  answer.status = own.problem.status;
  answer.content_type = "application/problem+json";
  answer.headers = own.headers.items();
  answer.body = text;
  answer.close = true;
  Send(answer);
}

// A request that is refused by its head alone: what of its body is here already need not cost the
// connection.
void Connection::SkipReceivedBody() {
  while (!body_.done() && body_at_ < input_.size()) {
    size_t consumed = 0;
    std::string_view piece;
    if (!body_.Next(input_.view().substr(body_at_), &consumed, &piece)) return;
    body_at_ += consumed;
  }
}

void Connection::Send(const Answer& answer) {
  timer_.Disarm();
  if (!answer.close) SkipReceivedBody();
  // What is left of the body unread cannot be told from a next request.
  close_after_ = answer.close || !may_keep_alive();
  std::string& out = answer_;
  out.assign("HTTP/1.1 ");
  out.append(std::to_string(answer.status)).append(" ").append(net::StatusPhrase(answer.status));
  out.append("\r\nDate: ").append(worker_.HttpDate());
  out.append("\r\nContent-Type: ").append(answer.content_type);
  out.append("\r\nContent-Length: ").append(std::to_string(answer.body.size())).append("\r\n");
  AppendLines(answer.headers, out);
  AppendConnectionField(out);
  out.append(kCrlf);
  if (state_ == State::kHead || parser_.head().method != "HEAD") out.append(answer.body);
  state_ = State::kAnswering;
  out_.Clear();
  out_.Add(out);
  SendAnswer();
}

void Connection::AppendConnectionField(std::string& out) const {
  if (close_after_) {
    out.append("Connection: close\r\n");
  } else if (parser_.head().minor_version == 0) {
    out.append("Connection: keep-alive\r\n");
  }
}

void Connection::SendAnswer() {
  switch (out_.Flush(stream_)) {
    case Outbox::Result::kSent:
      break;
    case Outbox::Result::kBlocked:
      timer_.Arm(worker_.loop(), worker_.limits().idle_timeout_ms);
      return watch_.WaitWritable();
    case Outbox::Result::kFailed:
      return Close();
  }
  timer_.Disarm();
  exchange_.OnAnswered();
  if (close_after_) return BeginLinger();
  NextRequest();
}

void Connection::StartAnswer(const AnswerHead& head) {
  const bool unknown_length = head.body == BodyKind::kChunked || head.body == BodyKind::kUntilClose;
  const bool understands_chunks = parser_.head().minor_version >= 1;
  chunked_ = unknown_length && understands_chunks;
  // Also when the request's body was not read to its end: what follows is no request.
  close_after_ = head.switches || (unknown_length && !chunked_) || !may_keep_alive();

  std::string& out = answer_;
  out.assign("HTTP/1.1 ");
  char digits[24];
  out.append(digits, std::to_chars(digits, digits + sizeof digits, head.status).ptr);
  out.append(" ");
  out.append(head.phrase.empty() ? net::StatusPhrase(head.status) : head.phrase).append(kCrlf);
  for (const net::HeaderField& field : head.fields) {
    if (field.nominated) continue;
    out.append(field.name).append(": ").append(field.value).append(kCrlf);
  }
  if (head.has_length) {
    out.append("content-length: ");
    out.append(digits, std::to_chars(digits, digits + sizeof digits, head.length).ptr);
    out.append(kCrlf);
  }
  if (chunked_) out.append("transfer-encoding: chunked\r\n");
  AppendLines(head.own, out);
  if (head.switches) {
    out.append("connection: Upgrade\r\nupgrade: websocket\r\n");
  } else {
    AppendConnectionField(out);
  }
  out.append(kCrlf);
  out_.Clear();
  out_.Add(out);
  pieces_ = 0;
}

void Connection::AddAnswerBody(std::string_view piece) {
  if (!chunked_) return out_.Add(piece);
  std::array<char, 20>& head = chunk_heads_[pieces_++];
  char* end = std::to_chars(head.data(), head.data() + 16, piece.size(), 16).ptr;
  *end++ = '\r';
  *end++ = '\n';
  out_.Add({head.data(), static_cast<size_t>(end - head.data())});
  out_.Add(piece);
  out_.Add(kCrlf);
}

void Connection::EndAnswer() {
  if (chunked_) out_.Add(kLastChunk);
}

Downstream::Flow Connection::FlushAnswer() {
  if (out_.empty()) return Flow::kSent;
  switch (out_.Flush(stream_)) {
    case Outbox::Result::kSent:
      pieces_ = 0;
      return Flow::kSent;
    case Outbox::Result::kBlocked:
      return Flow::kBlocked;
    case Outbox::Result::kFailed:
      break;
  }
  return Flow::kGone;
}

TunnelEnd* Connection::Switch(std::string_view* received) {
  *received = input_.view().substr(body_at_);
  return &tunnel_end_;
}

void Connection::FinishAnswer() {
  if (close_after_ || !may_keep_alive()) return BeginLinger();
  NextRequest();
}

void Connection::NextRequest() {
  input_.Consume(body_at_);
  input_.Append(leftover_.view());
  ReleaseBody();
  parser_.Reset();
  state_ = State::kIdle;
  if (input_.empty()) {
    input_.Release();
    timer_.Arm(worker_.loop(), worker_.limits().keep_alive_timeout_ms);
    return AwaitReadable();
  }
  input_.Compact();
  ProcessInput();
}

void Connection::ReleaseBody() {
  collected_.Release();
  leftover_.Release();
  worker_.SubtractBuffered(accounted_);
  accounted_ = 0;
}

void Connection::BeginLinger() {
  ReleaseBody();
  input_.Release();
  stream_.Shutdown();
  state_ = State::kLinger;
  lingered_ = 0;
  timer_.Arm(worker_.loop(), kLingerMs);
  AwaitReadable();
}

void Connection::ReadAway() {
  std::array<char, kBodyRead> buffer;
  const ssize_t got = Receive(buffer.data(), buffer.size());
  if (got == 0) return;
  if (got < 0) return Close();
  lingered_ += static_cast<size_t>(got);
  if (lingered_ > kLingerBytes) return Close();
  AwaitReadable();
}

}  // namespace aegis::gateway
