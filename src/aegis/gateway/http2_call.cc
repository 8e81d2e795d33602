#include "aegis/gateway/http2_call.h"

#include <array>
#include <charconv>
#include <vector>

#include "aegis/gateway/http2_door.h"
#include "aegis/gateway/problem.h"
#include "aegis/gateway/worker.h"

namespace aegis::gateway {
namespace {

using net::BodyKind;
using net::Http2Field;

constexpr size_t kMaxOwnName = 40;

// The fields of an answer. Own names are put to lower case here (RFC 9113 section 8.2.1).
class AnswerFields {
 public:
  AnswerFields(std::vector<Http2Field>& fields, int status) : fields_(fields) {
    fields_.clear();
    char* end = std::to_chars(status_.data(), status_.data() + status_.size(), status).ptr;
    Add(":status", {status_.data(), static_cast<size_t>(end - status_.data())});
  }
  void Add(std::string_view name, std::string_view value) { fields_.push_back({name, value}); }
  void AddLength(uint64_t length) {
    char* end = std::to_chars(length_.data(), length_.data() + length_.size(), length).ptr;
    Add("content-length", {length_.data(), static_cast<size_t>(end - length_.data())});
  }
  void AddOwn(std::span<const OwnHeader> headers) {
    for (const OwnHeader& header : headers) {
      std::array<char, kMaxOwnName>& name = names_[own_++];
      size_t size = 0;
      for (const char c : header.name.substr(0, name.size())) {
        name[size++] = c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c;
      }
      Add({name.data(), size}, header.value);
    }
  }
  std::span<const Http2Field> all() const { return fields_; }

 private:
  std::vector<Http2Field>& fields_;
  std::array<char, 4> status_;
  std::array<char, 24> length_;
  std::array<std::array<char, kMaxOwnName>, OwnHeaders::kMax> names_;
  size_t own_ = 0;
};

}  // namespace

Http2Call::Http2Call(Worker& worker, Http2Door& door)
    : worker_(worker),
      door_(door),
      resume_([](void* self) { static_cast<Http2Call*>(self)->OnWritable(); }, this),
      exchange_(worker, *this),
      collected_(worker.buffers()),
      incoming_(worker.buffers()),
      taken_(worker.buffers()) {}

void Http2Call::OnHead() {
  started_ns_ = worker_.pipeline().clock().MonotonicNanos();
  streams_ = ended_ = sent_ = false;
  state_ = State::kBusy;
  in_head_ = true;
  if (request_.Read(Http2Stream::head(), received_all(), worker_.limits().http)) {
    exchange_.OnHead();
  } else {
    const net::Http1Error& error = request_.error();
    Refuse({error.status, error.reason, error.detail});
  }
  in_head_ = false;
}

void Http2Call::CollectBody(BodyType type) {
  plan_.Start(type);
  const net::RequestHead& request = request_.head();
  if (plan_.judged() && request.content_length > worker_.limits().max_body_bytes) {
    return Refuse(kBodyTooLargeToJudge);
  }
  state_ = State::kBody;
  if (request.expect_continue && !received_all()) SendInterim(100);
  AdvanceBody();
}

void Http2Call::OnData(std::string_view bytes) {
  if (state_ == State::kBody) {
    if (plan_.judged() && collected_.size() + bytes.size() > worker_.limits().max_body_bytes) {
      return Refuse(kBodyTooLargeToJudge);
    }
    collected_.Append(bytes);
    if (!Account()) return Refuse(kTooManyBodies);
    Consume(bytes.size());
    return AdvanceBody();
  }
  if (!takes_pieces()) return;  // of a call that is refused without its body nothing is kept
  incoming_.Append(bytes);
  if (!Account()) return Reset(kEnhanceYourCalm);
  exchange_.OnClientReadable();
}

void Http2Call::OnEnd() {
  if (state_ == State::kBody) return AdvanceBody();
  if (takes_pieces()) exchange_.OnClientReadable();
}

void Http2Call::AdvanceBody() {
  // As of a chunked body: a tool could take them for fields that were judged.
  if (received_trailers()) {
    return Refuse({400, "trailers", "trailer fields are not accepted"});
  }
  if (received_all() || plan_.EnoughWith(collected_.view())) return ReadyToJudge();
  if (plan_.judged() && collected_.size() > worker_.limits().max_body_bytes) {
    Refuse(kBodyTooLargeToJudge);
  }
}

void Http2Call::ReadyToJudge() {
  state_ = State::kBusy;
  streams_ = !received_all();
  exchange_.OnBody(plan_.type(), collected_.view(), received_all(), in_head_);
}

bool Http2Call::Account() {
  const size_t held = collected_.capacity() + incoming_.capacity() + taken_.capacity();
  if (held <= accounted_) return true;
  if (!worker_.AddBuffered(held - accounted_)) return false;
  accounted_ = held;
  return true;
}

Downstream::Piece Http2Call::NextBodyPiece(std::string_view* piece) {
  Consume(taken_.size());
  taken_.Clear();
  taken_.Swap(incoming_);
  *piece = taken_.view();
  if (!piece->empty()) return Piece::kData;
  if (received_trailers()) return Piece::kBroken;
  return received_all() ? Piece::kDone : Piece::kBlocked;
}

void Http2Call::Refuse(const Refusal& refusal) {
  OwnAnswer own;
  own.SetProblem(refusal.status, refusal.reason, refusal.detail, nullptr);
  // An error of this server is one that Envoy's failure_mode_allow would let pass.
  if (refusal.status >= 500 && head().path.starts_with("/v1/ext_authz")) own.problem.status = 403;
  std::string text;
  AppendProblem(own.problem, text);
  Answer answer;
  answer.status = own.problem.status;
  answer.content_type = "application/problem+json";
  answer.headers = own.headers.items();
  answer.body = text;
  Send(answer);
}

void Http2Call::Send(const Answer& answer) {
  state_ = State::kAnswering;
  AnswerFields fields(door_.fields(), answer.status);
  fields.Add("date", worker_.HttpDate());
  fields.Add("content-type", answer.content_type);
  fields.AddLength(answer.body.size());
  fields.AddOwn(answer.headers);
  const bool no_data = answer.body.empty() || Http2Stream::head().method() == "HEAD";
  ended_ = true;
  SendHead(fields.all(), no_data);
  if (no_data) return;
  SendData(answer.body);
  SendTrailers({});
}

void Http2Call::StartAnswer(const AnswerHead& answer) {
  state_ = State::kRelaying;
  AnswerFields fields(door_.fields(), answer.status);
  for (const net::HeaderField& field : answer.fields) {
    if (!field.nominated) fields.Add(field.name, field.value);
  }
  if (answer.has_length) fields.AddLength(answer.length);
  fields.AddOwn(answer.own);
  const bool empty =
      answer.body == BodyKind::kNone || (answer.body == BodyKind::kLength && answer.length == 0);
  SendHead(fields.all(), empty);
}

void Http2Call::EndAnswer() {
  ended_ = true;
  SendTrailers({});
}

Downstream::Flow Http2Call::FlushAnswer() {
  // What of it the agent took is known only at the end.
  if (ended_) return sent_ ? Flow::kSent : Flow::kBlocked;
  return congested() ? Flow::kBlocked : Flow::kSent;
}

void Http2Call::AwaitWritable() {
  if (!ended_ && !congested()) resume_.Schedule(worker_.loop());
}

void Http2Call::OnWritable() {
  if (state_ == State::kRelaying) exchange_.OnClientWritable();
}

void Http2Call::FinishAnswer() { state_ = State::kOver; }

void Http2Call::Abort() {
  state_ = State::kOver;
  Reset(kInternalError);
}

void Http2Call::OnTick(int64_t now_ms) {
  if (state_ != State::kBody) return;
  if (now_ms - started_ns_ / 1'000'000 >= worker_.limits().body_timeout_ms) Refuse(kBodyTooSlow);
}

void Http2Call::OnGone(uint32_t error_code) {
  resume_.Cancel();
  sent_ = ended_ && error_code == kNoError;
  if (sent_ && state_ == State::kAnswering) {
    exchange_.OnAnswered();
  } else if (sent_ && state_ == State::kRelaying) {
    exchange_.OnClientWritable();
  }
  // Whatever is not over by now.
  exchange_.OnClientGone();
  state_ = State::kIdle;
  Release();
  door_.TakeBack(this);
}

void Http2Call::Release() {
  collected_.Release();
  incoming_.Release();
  taken_.Release();
  worker_.SubtractBuffered(accounted_);
  accounted_ = 0;
  request_.Clear();
}

}  // namespace aegis::gateway
