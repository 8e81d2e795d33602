#include "aegis/grpc/server_call.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

#include "aegis/base/clock.h"
#include "aegis/grpc/server.h"
#include "aegis/grpc/wire.h"

namespace aegis::grpc {
namespace {

using net::Http2Field;

constexpr size_t kKeptBytes = 4 * 1024;  // of input, while the object waits for its next call
// What an open call costs beside its head, about: this object, its handler, and nghttp2's stream.
constexpr size_t kCallBytes = 4 * 1024;
constexpr int64_t kNanosPerMs = 1'000'000;
constexpr Http2Field kStatusOk = {":status", "200"};
constexpr Http2Field kContentType = {"content-type", "application/grpc"};
constexpr Http2Field kAccepted = {"grpc-accept-encoding", "identity"};

// RFC 9110: the type's name in any case, parameters may follow.
bool IsGrpc(std::string_view type) {
  constexpr std::string_view kGrpc = "application/grpc";
  if (type.size() < kGrpc.size()) return false;
  for (size_t i = 0; i < kGrpc.size(); ++i) {
    const char c = type[i];
    if ((c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c) != kGrpc[i]) return false;
  }
  type.remove_prefix(kGrpc.size());
  return type.empty() || type.front() == ';' || type.starts_with("+proto");
}

}  // namespace

ServerCall::ServerCall(Server& server)
    : server_(server),
      timer_([](void* self) { static_cast<ServerCall*>(self)->OnDeadline(); }, this) {}

void ServerCall::Begin(const Peer& peer) {
  peer_ = &peer;
  handler_ = nullptr;
  state_ = State::kNew;
  compressed_ = has_message_ = end_told_ = false;
  started_ns_ = deadline_ns_ = 0;
}

void ServerCall::OnHead() {
  if (head().method() != "POST") return RefuseHttp("405");
  if (!IsGrpc(head().Find("content-type"))) return RefuseHttp("415");
  started_ns_ = Clock::System().MonotonicNanos();
  charged_ = kCallBytes + head().counted_bytes();
  server_.buffered_bytes_ += charged_;
  if (server_.buffered_bytes_ > server_.options_.max_buffered_bytes) {
    return Abort(Code::kResourceExhausted, "the server holds too many calls");
  }
  const std::string_view timeout = head().Find("grpc-timeout");
  if (timeout.data() != nullptr) {
    const auto nanos = ParseTimeout(timeout);
    if (!nanos) return Abort(Code::kInvalidArgument, "malformed grpc-timeout");
    deadline_ns_ = started_ns_ + *nanos;
    if (*nanos == 0) return Abort(Code::kDeadlineExceeded, "the deadline has passed");
  }
  Start();
}

void ServerCall::Start() {
  const std::string_view path = head().path();
  const size_t slash = path.rfind('/');
  Service* service = slash == std::string_view::npos || slash == 0
                         ? nullptr
                         : server_.FindService(path.substr(1, slash - 1));
  if (service == nullptr) return Abort(Code::kUnimplemented, "there is no such service");
  handler_ = service->Start(*this);
  if (handler_ == nullptr) return Abort(Code::kUnimplemented, "the service has no such method");
  ++server_.counters_.calls;
  state_ = State::kOpen;
  if (deadline_ns_ != 0) ArmDeadline(started_ns_);
}

void ServerCall::ArmDeadline(int64_t now_ns) {
  timer_.Arm(server_.loop_, std::max<int64_t>(1, (deadline_ns_ - now_ns) / kNanosPerMs));
}

void ServerCall::OnDeadline() {
  const int64_t now = Clock::System().MonotonicNanos();
  if (now < deadline_ns_) return ArmDeadline(now);
  Abort(Code::kDeadlineExceeded, "the deadline has passed");
}

void ServerCall::OnTick(int64_t now_ms) {
  if (state_ != State::kOpen || received_all() || (has_message_ && handler_->takes_stream()))
    return;
  if (now_ms - started_ns_ / kNanosPerMs < server_.options_.request_timeout_ms) return;
  Abort(Code::kDeadlineExceeded, "the request did not come in time");
}

void ServerCall::OnData(std::string_view bytes) {
  if (state_ != State::kOpen) return Consume(bytes.size());
  if (!held_.empty() || congested()) {
    Hold(bytes);
    return TakeHeld();
  }
  // The usual case: messages are taken from where they arrived.
  const size_t taken = TakeMessages(bytes);
  Consume(taken);
  if (state_ != State::kOpen) return Consume(bytes.size() - taken);
  if (taken < bytes.size()) Hold(bytes.substr(taken));
  AfterMessages();
}

void ServerCall::OnEnd() {
  if (state_ == State::kOpen) AfterMessages();
}

void ServerCall::OnWritable() {
  if (state_ != State::kOpen) return;
  handler_->OnWritable();
  if (state_ == State::kOpen) TakeHeld();
}

// Hands whole messages to the handler, as long as it may have them; the number of bytes they took.
size_t ServerCall::TakeMessages(std::string_view bytes) {
  size_t taken = 0;
  while (state_ == State::kOpen && !congested() && bytes.size() - taken >= kPrefixBytes) {
    const auto prefix = ReadPrefix(bytes.data() + taken);
    if (!prefix) {
      Abort(Code::kInternal, "the prefix of a message is malformed");
      break;
    }
    if (prefix->compressed) {
      compressed_ = true;
      Abort(Code::kUnimplemented, "compressed messages are not supported");
      break;
    }
    if (prefix->size > server_.options_.max_message_bytes) {
      Abort(Code::kResourceExhausted, "the message is larger than the server accepts");
      break;
    }
    const size_t whole = kPrefixBytes + prefix->size;
    if (bytes.size() - taken < whole) break;
    const std::string_view message = bytes.substr(taken + kPrefixBytes, prefix->size);
    taken += whole;
    has_message_ = true;
    handler_->OnMessage(message);
  }
  return taken;
}

void ServerCall::Hold(std::string_view bytes) {
  held_.append(bytes);
  uncredited_ += bytes.size();
  server_.buffered_bytes_ += bytes.size();
  if (server_.buffered_bytes_ > server_.options_.max_buffered_bytes) {
    Abort(Code::kResourceExhausted, "the server holds too many messages that are not whole");
  }
}

void ServerCall::TakeHeld() {
  if (state_ == State::kOpen) {
    const size_t taken = TakeMessages(held_);
    held_.erase(0, taken);
    server_.buffered_bytes_ -= taken;
  }
  AfterMessages();
}

// Settles what is left when no more messages can be taken for now.
void ServerCall::AfterMessages() {
  if (state_ != State::kOpen) return ReleaseHeld();
  if (congested()) return;
  // What is held is the beginning of a message: the client may go on with it.
  Consume(std::exchange(uncredited_, 0));
  if (!received_all() || end_told_) return;
  if (!held_.empty()) return Abort(Code::kInternal, "the last message is cut short");
  end_told_ = true;
  handler_->OnEnd();
}

void ServerCall::ReleaseHeld() {
  Consume(std::exchange(uncredited_, 0));
  server_.buffered_bytes_ -= held_.size();
  held_.clear();
  if (held_.capacity() > kKeptBytes) std::string().swap(held_);
}

void ServerCall::ReleaseCharge() {
  server_.buffered_bytes_ -= std::exchange(charged_, 0);
  ReleaseHead();
}

void ServerCall::Send(std::string_view message) {
  if (state_ != State::kOpen) return;
  if (!head_sent()) SendHead(std::array{kStatusOk, kContentType}, false);
  const auto prefix = WritePrefix(static_cast<uint32_t>(message.size()));
  SendData({prefix.data(), prefix.size()});
  SendData(message);
}

void ServerCall::Finish(Code code, std::string_view message) {
  if (state_ != State::kOpen) return;
  SendStatus(code, message);
}

void ServerCall::Abort(Code code, std::string_view message) {
  if (state_ == State::kFinished) return;
  if (code == Code::kDeadlineExceeded) {
    ++server_.counters_.cancelled;
  } else {
    ++server_.counters_.refused;
  }
  if (handler_ != nullptr) handler_->OnCancelled();
  // The client may be slow to take the status.
  ReleaseCharge();
  SendStatus(code, message);
}

void ServerCall::SendStatus(Code code, std::string_view message) {
  state_ = State::kFinished;
  timer_.Disarm();
  std::array<char, 4> digits;
  const auto end = std::to_chars(digits.begin(), digits.end(), static_cast<int>(code)).ptr;
  text_.clear();
  AppendPercentEncoded(message, text_);
  std::array<Http2Field, 5> fields;
  size_t count = 0;
  if (!head_sent()) {
    fields[count++] = kStatusOk;
    fields[count++] = kContentType;
  }
  if (compressed_) fields[count++] = kAccepted;
  fields[count++] = {"grpc-status", {digits.data(), static_cast<size_t>(end - digits.data())}};
  if (!text_.empty()) fields[count++] = {"grpc-message", text_};
  if (head_sent()) {
    SendTrailers({fields.data(), count});
  } else {
    SendHead({fields.data(), count}, true);
  }
}

void ServerCall::RefuseHttp(std::string_view status) {
  ++server_.counters_.refused;
  state_ = State::kFinished;
  ReleaseHead();
  SendHead(std::array{Http2Field{":status", status}, Http2Field{"content-length", "0"}}, true);
}

void ServerCall::OnGone(uint32_t) {
  timer_.Disarm();
  if (state_ == State::kOpen) {
    state_ = State::kFinished;
    ++server_.counters_.cancelled;
    handler_->OnCancelled();
  }
  ReleaseHeld();
  ReleaseCharge();
  if (handler_ != nullptr) std::exchange(handler_, nullptr)->Release();
  server_.Recycle(this);
}

}  // namespace aegis::grpc
