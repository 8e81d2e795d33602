#include "aegis/gateway/envoy/ext_proc_service.h"

#include <charconv>
#include <string>

#include "aegis/gateway/envoy/check_request.h"
#include "aegis/gateway/envoy/checked_call.h"
#include "aegis/gateway/envoy/header_changes.h"
#include "aegis/gateway/envoy/processing_message.h"
#include "aegis/gateway/envoy/processing_order.h"
#include "aegis/gateway/envoy/response_inspector.h"
#include "aegis/gateway/own_answer.h"
#include "aegis/gateway/tool_call.h"

namespace aegis::gateway {
namespace {

using Phase = ProcessingOrder::State;
using telemetry::EnvoyAnswer;

constexpr std::string_view kMethod = "/envoy.service.ext_proc.v3.ExternalProcessor/Process";
constexpr size_t kChunkBytes = size_t{64} << 10;  // of streamed bodies, as Envoy advises
constexpr size_t kMaxHeldMessages = 16'384;       // that one body may come in while it is held
constexpr size_t kKeptBytes = size_t{64} << 10;   // of a buffer, from call to call

constexpr Refusal kMalformed{400, "check_malformed",
                             "the message is not what Envoy's interface describes"};
constexpr Refusal kOutOfOrder{502, "out_of_order",
                              "Envoy told of this call in an order in which it cannot be judged"};
constexpr Refusal kNoConfig{
    403, "route_misconfigured",
    "Envoy does not say how it sends bodies (protocol_config): an Envoy from 1.34 on is needed"};
constexpr Refusal kBadMode{
    403, "route_misconfigured",
    "request_body_mode and response_body_mode must be NONE, BUFFERED or FULL_DUPLEX_STREAMED"};
constexpr Refusal kAnswerUnseen{
    403, "route_misconfigured",
    "answers must be inspected, and Envoy does not show them: set response_body_mode"};
constexpr Refusal kWrongTenant{
    403, "wrong_tenant",
    "Envoy's configuration of the route names a tenant that is not served here"};
constexpr Refusal kLengthRequired{
    411, "length_required",
    "a body that Envoy buffers must have a Content-Length; in mode FULL_DUPLEX_STREAMED it need "
    "not"};
constexpr Refusal kTooLarge{413, "body_too_large", "the body is larger than the gateway judges"};
constexpr Refusal kAnswerTooLarge{502, "answer_not_inspected",
                                  "the tool's answer came in too many pieces to be inspected"};
constexpr Refusal kTooManyPieces{413, "body_too_large", "the body came in too many pieces"};
constexpr Refusal kTooSlow{408, "body_timeout", "the body did not come in time"};
constexpr Refusal kOverloaded{503, "overloaded", "too many bodies are being held"};
constexpr Refusal kNotInspected{
    415, "params_not_inspected",
    "params must be inspected before the tool gets them, and this body cannot be: send JSON"};
constexpr Refusal kNotRewritten{
    400, "params_not_rewritten",
    "a param that the tool may not get as it is stands in the query or a form: send it as JSON"};

void AppendNumber(std::string& out, uint64_t number) {
  char digits[24];
  out.append(digits, std::to_chars(digits, digits + sizeof digits, number).ptr);
}

bool CanServe(BodyMode mode) {
  return mode == BodyMode::kNone || mode == BodyMode::kBuffered || mode == BodyMode::kFullDuplex;
}

void Shrink(std::string& text) {
  if (text.capacity() > kKeptBytes) std::string().swap(text);
  text.clear();
}

}  // namespace

// One call of Process: one HTTP call as Envoy sees it.
class ExtProcService::Stream final : public grpc::Handler, private RecordWaiter {
 public:
  explicit Stream(ExtProcService& service)
      : service_(service),
        timer_([](void* self) { static_cast<Stream*>(self)->Refuse(kTooSlow); }, this) {}

  void Start(grpc::Call& call) {
    call_ = &call;
    order_ = ProcessingOrder();
    judged_ = settled_ = counted_ = rewritten_ = body_shown_ = has_trailers_ = false;
    messages_ = 0;
    figures_ = {};
    service_.metrics_.requests_in_flight.Add(1);
  }

  void OnMessage(std::string_view message) override {
    // Once a call is sure to be denied, what else is shown of it does not matter.
    if (call_ == nullptr || denied_early()) return;
    if (!message_.Read(message)) return Refuse(kMalformed);
    if (message_.observability) {
      return Fail(Code::kFailedPrecondition,
                  "in observability_mode no call would wait for its decision");
    }
    if (!order_.Take(message_)) return Refuse(kOutOfOrder);
    switch (message_.kind) {
      case ProcessingKind::kRequestHeaders:
        return TakeHead(message);
      case ProcessingKind::kRequestBody:
        return TakeBody();
      case ProcessingKind::kRequestTrailers:
        return TakeTrailers();
      case ProcessingKind::kResponseHeaders:
        return TakeAnswerHead();
      case ProcessingKind::kResponseBody:
        return TakeAnswerBody();
      case ProcessingKind::kResponseTrailers:
        return TakeAnswerTrailers();
      case ProcessingKind::kNone:
        return;
    }
  }

  void OnEnd() override {
    if (call_ == nullptr) return;
    const Phase state = order_.state();
    Leave();
    if (state == Phase::kDone || state == Phase::kResponseRest) {
      grpc::Call* call = call_;
      End();
      return call->FinishOk();
    }
    Fail(Code::kAborted, "the call was not whole");
  }

  void OnCancelled() override {
    Leave();
    End();
  }

  void Release() override {
    for (std::string* text :
         {&head_, &body_, &new_body_, &trailers_, &answer_, &answer_head_, &out_}) {
      Shrink(*text);
    }
    inspector_.Clear();
    caller_ = Caller();
    service_.streams_.Give(this);
  }
  bool takes_stream() const override { return true; }

 private:
  bool denied_early() const { return pending_ != nullptr && order_.state() != Phase::kJudging; }

  // --- the request ---

  void TakeHead(std::string_view message) {
    // What is judged later must stay.
    head_.assign(message);
    message_.Read(head_);
    const Limits& limits = service_.limits_;
    if (!message_.has_config) return Refuse(kNoConfig);
    if (!CanServe(message_.request_mode) || !CanServe(message_.response_mode)) {
      return Refuse(kBadMode);
    }
    if (message_.response_mode == BodyMode::kNone && service_.Covers(Direction::kResponse)) {
      return Refuse(kAnswerUnseen);
    }
    const RouteNames names{call_->Metadata("aegis-tool"), call_->Metadata("aegis-tenant"),
                           call_->Metadata("aegis-action"), call_->Metadata("aegis-prefix"),
                           call_->Metadata("aegis-body")};
    Refusal refusal =
        check_.ReadParts(message_.headers, message_.metadata, names, limits.http.max_fields);
    if (refusal.status == 0) refusal = checked_.ReadHead(check_, limits.http);
    if (refusal.status != 0) return Refuse(refusal);
    principal_ = message_.principal;
    address_ = message_.address;
    service_.pipeline_.Begin(&checked_.head, call_->started_ns(), &ticket_);
    credential_ = Pipeline::FindCredential(checked_.head);
    if (!Authenticate(nullptr)) return;
    refusal = checked_.FindAction(check_, service_.pipeline_.state());
    if (refusal.status != 0) return Refuse(refusal);
    // Refused whatever it wants: the body is not worth receiving.
    if (!MayCall()) return Judge({}, {});
    if (order_.state() == Phase::kJudging) return JudgeWhole();
    body_shown_ = true;

    const net::RequestHead& head = checked_.head;
    const bool has_length = head.body == net::BodyKind::kLength && head.content_length > 0;
    if (has_length && head.content_length > limits.max_body_bytes) return Refuse(kTooLarge);
    if (order_.request_mode() == BodyMode::kBuffered) {
      // Envoy does not ask again about a request that has trailers and no body. With a length,
      // such a request is malformed and does not get far.
      if (!has_length) return Refuse(kLengthRequired);
      changes_.Clear();
      answer_.clear();
      AppendHeadersResponse(Direction::kRequest, changes_, answer_);
      call_->Send(answer_);
    }
    timer_.Arm(service_.loop_, limits.body_timeout_ms);
  }

  // `before`: of this call, if it was known already.
  bool Authenticate(const Caller* before) {
    const Pipeline::Origin origin{address_, checked_.tool};
    auto caller = before == nullptr
                      ? service_.pipeline_.Authenticate(credential_, origin)
                      : service_.pipeline_.AuthenticateAgain(credential_, origin, *before);
    if (!caller) {
      RefuseCaller(caller.error());
      return false;
    }
    caller_ = *std::move(caller);
    if (check_.names.tenant.empty() || check_.names.tenant == service_.pipeline_.state()->tenant) {
      return true;
    }
    Refuse(kWrongTenant);
    return false;
  }
  bool MayCall() const { return caller_.agent != nullptr && !caller_.agent->suspended; }

  void TakeBody() {
    body_ += message_.body;
    if (body_.size() > service_.limits_.max_body_bytes) return Refuse(kTooLarge);
    if (++messages_ > kMaxHeldMessages) return Refuse(kTooManyPieces);
    if (!CountHeld()) return;
    if (order_.state() == Phase::kJudging) AuthenticateAndJudge();
  }

  void TakeTrailers() {
    const net::Http1Limits& limits = service_.limits_.http;
    if (message_.headers.size() > limits.max_head_bytes ||
        !ReadHeaderMap(message_.headers, limits.max_fields, &fields_)) {
      return Refuse(kMalformed);
    }
    if (order_.state() != Phase::kJudging) return AnswerTrailers(message_.headers);
    trailers_.assign(message_.headers);
    has_trailers_ = true;
    AuthenticateAndJudge();
  }

  void AuthenticateAndJudge() {
    timer_.Disarm();
    // Settings may have changed while the body came.
    const Caller before = caller_;
    if (!Authenticate(&before)) return;
    if (!MayCall()) return Judge({}, {});
    JudgeWhole();
  }

  void JudgeWhole() {
    Arena& arena = service_.pipeline_.arena();
    // A call that was refused before it was judged has left its values there.
    arena.Reset();
    const bool unread = !check_.names.body.empty();
    if (order_.body_unseen() && !unread) return Refuse(kBodyMissing);
    check_.body = body_;
    check_.body_is_whole = true;
    // By the state as it is now: what was found at first may be gone.
    Refusal refusal = checked_.FindAction(check_, service_.pipeline_.state());
    if (refusal.status != 0) return Refuse(refusal);
    const rego::Value params = checked_.ReadParams(check_, service_.limits_, arena, &refusal);
    if (refusal.status != 0) return Refuse(refusal);
    const std::string_view session = FindSession(checked_.head, &refusal);
    if (refusal.status != 0) return Refuse(refusal);
    if (service_.Covers(Direction::kRequest)) refusal = FilterParams(unread, arena);
    if (refusal.status != 0) return Refuse(refusal);
    if (CountHeld()) Judge(params, session);
  }

  // Makes new_body_ of body_, or finds that nothing need be done.
  Refusal FilterParams(bool unread, Arena& arena) {
    if (unread) return order_.body_unseen() || !body_.empty() ? kNotInspected : Refusal{};
    Refusal refusal;
    const bool form = checked_.body_type == BodyType::kForm;
    if (form || !checked_.head.query.empty()) {
      const rego::Value params = BuildParams({form ? BodyType::kForm : BodyType::kNone,
                                              form ? body_ : std::string_view(),
                                              checked_.head.query,
                                              {},
                                              nullptr},
                                             arena, &refusal);
      if (refusal.status != 0) return refusal;
      out_.clear();
      rego::AppendJson(params, out_);
      if (Filter(out_) != ContentFilter::Verdict::kPass) return kNotRewritten;
    }
    if (form || body_.empty()) return {};
    if (checked_.body_type != BodyType::kJson) return kNotInspected;
    const ContentFilter::Verdict verdict = Filter(body_);
    rewritten_ = verdict == ContentFilter::Verdict::kReplace;
    return verdict == ContentFilter::Verdict::kRefuse ? kNotInspected : Refusal{};
  }
  ContentFilter::Verdict Filter(std::string_view text) {
    new_body_.clear();
    return service_.filter_->Inspect(Direction::kRequest, text, &new_body_);
  }

  // Undefined params: those of a caller who may not call.
  void Judge(rego::Value params, std::string_view session) {
    Pipeline::Input input;
    input.caller = &caller_;
    input.door = decision::Door::kExtProc;
    input.tool = checked_.tool;
    input.action = checked_.action;
    input.head = &checked_.head;
    input.source = principal_;
    input.params = params;
    input.session = session;
    input.rewritten = rewritten_;
    if (params.is_undefined()) service_.pipeline_.arena().Reset();
    pending_ = service_.pipeline_.Judge(input, this, &ticket_);
    caller_ = Caller();
    if (pending_ == nullptr) return Refuse(kUnrecorded);
    judged_ = true;
  }

  void OnRecorded(bool durable) override {
    pending_ = nullptr;
    if (!durable) {
      // Not a decision that anyone may rely on: the answer does not carry it.
      judged_ = false;
      return Refuse(kUnrecorded);
    }
    if (ticket_.proceeds) return Proceed();
    own_.SetDenied(ticket_);
    Answer(EnvoyAnswer::kDenied, &ticket_);
  }

  void Proceed() {
    order_.Proceed();
    Count(EnvoyAnswer::kAllowed);
    const std::string_view body = rewritten_ ? new_body_ : body_;
    figures_.request_bytes = body.size();
    changes_.SetForTool(ticket_, checked_.head, credential_.in_authorization,
                        service_.Covers(Direction::kResponse));
    answer_.clear();
    const bool buffered = body_shown_ && order_.request_mode() == BodyMode::kBuffered;
    const bool streamed = body_shown_ && !buffered;
    std::string length;
    if (buffered) {
      if (rewritten_) {
        AppendNumber(length, body.size());
        changes_.set.push_back({"content-length", length});
      }
      AppendBufferedResponse(Direction::kRequest, changes_, rewritten_ ? &body : nullptr, answer_);
    } else {
      if (streamed) changes_.remove.push_back("content-length");
      AppendHeadersResponse(Direction::kRequest, changes_, answer_);
    }
    AppendDecisionMetadata(ticket_, answer_);
    call_->Send(answer_);
    if (streamed) SendChunks(Direction::kRequest, body, !has_trailers_);
    if (has_trailers_) AnswerTrailers(trailers_);
    for (std::string* text : {&head_, &body_, &new_body_, &trailers_}) std::string().swap(*text);
    CountHeld();
  }

  void AnswerTrailers(std::string_view trailers) {
    // They were read before, so that they can be.
    ReadHeaderMap(trailers, service_.limits_.http.max_fields, &fields_);
    changes_.DropAll(fields_);
    answer_.clear();
    AppendTrailersResponse(Direction::kRequest, changes_, answer_);
    call_->Send(answer_);
  }

  // --- the answer ---

  void TakeAnswerHead() {
    if (!ReadHeaderMap(message_.headers, service_.limits_.http.max_fields + 1, &fields_)) {
      return Refuse(kMalformed);
    }
    const bool last = order_.state() == Phase::kDone;
    std::string_view type, encoding;
    int types = 0, encodings = 0;
    for (const OwnHeader& field : fields_) {
      if (field.name == ":status") {
        std::from_chars(field.value.data(), field.value.data() + field.value.size(),
                        figures_.status);
      } else if (field.name == "content-type") {
        type = ++types == 1 ? field.value : std::string_view();
      } else if (field.name == "content-encoding") {
        encoding = ++encodings == 1 ? field.value : "several";
      }
    }
    const bool covered = !last && service_.Covers(Direction::kResponse);
    const Refusal refusal = inspector_.Start(covered ? service_.filter_ : nullptr, type, encoding,
                                             service_.limits_.max_body_bytes);
    if (refusal.status != 0) return Refuse(refusal);
    const bool streamed = order_.response_mode() == BodyMode::kFullDuplex;
    changes_.SetForAgent(ticket_, fields_, inspector_.inspects(), streamed);
    answer_.clear();
    AppendHeadersResponse(Direction::kResponse, changes_, answer_);
    messages_ = 0;
    if (streamed && inspector_.holds_all()) {
      // So that it can still be refused with a status.
      answer_head_.swap(answer_);
    } else {
      call_->Send(answer_);
    }
    if (last) Settle({});
  }

  void TakeAnswerBody() {
    out_.clear();
    if (order_.response_mode() == BodyMode::kBuffered) return TakeBufferedAnswer();
    const bool last = order_.state() == Phase::kDone;
    if (inspector_.holds_all() && ++messages_ > kMaxHeldMessages) return Refuse(kAnswerTooLarge);
    const Refusal refusal = inspector_.Take(message_.body, last, &out_);
    if (refusal.status != 0) return Refuse(refusal);
    SendAnswer(last);
    if (!CountHeld()) return;
    if (last) Settle({});
  }

  void TakeBufferedAnswer() {
    const Refusal refusal = inspector_.Take(message_.body, true, &out_);
    if (refusal.status != 0) return Refuse(refusal);
    figures_.response_bytes = out_.size();
    changes_.Clear();
    answer_.clear();
    std::string length;
    const std::string_view body = out_;
    if (inspector_.changed()) {
      AppendNumber(length, out_.size());
      changes_.set.push_back({"content-length", length});
    }
    AppendBufferedResponse(Direction::kResponse, changes_, inspector_.changed() ? &body : nullptr,
                           answer_);
    call_->Send(answer_);
    // Trailers may follow; the answer's contents are known.
    Settle({});
  }

  void TakeAnswerTrailers() {
    if (!ReadHeaderMap(message_.headers, service_.limits_.http.max_fields, &fields_)) {
      return Refuse(kMalformed);
    }
    if (order_.response_mode() == BodyMode::kFullDuplex) {
      out_.clear();
      const Refusal refusal = inspector_.Take({}, true, &out_);
      if (refusal.status != 0) return Refuse(refusal);
      SendAnswer(false);
    }
    changes_.DropAegis(fields_);
    answer_.clear();
    AppendTrailersResponse(Direction::kResponse, changes_, answer_);
    call_->Send(answer_);
    CountHeld();
    Settle({});
  }

  // out_ goes on, after the head if that has waited for it.
  void SendAnswer(bool last) {
    const bool whole = order_.state() == Phase::kDone;
    if (!answer_head_.empty() && (whole || !out_.empty())) {
      call_->Send(answer_head_);
      answer_head_.clear();
    }
    figures_.response_bytes += out_.size();
    if (!out_.empty() || last) SendChunks(Direction::kResponse, out_, last);
  }

  void SendChunks(Direction direction, std::string_view body, bool last) {
    while (true) {
      const std::string_view chunk = body.substr(0, kChunkBytes);
      body.remove_prefix(chunk.size());
      if (chunk.empty() && !last) return;
      answer_.clear();
      AppendStreamedResponse(direction, chunk, last && body.empty(), answer_);
      call_->Send(answer_);
      if (body.empty()) return;
    }
  }

  // --- the end ---

  void Refuse(const Refusal& refusal) {
    service_.logger_.Warn("call through Envoy refused", {{"why", refusal.reason}});
    const bool decided = judged_ && pending_ == nullptr && ticket_.proceeds;
    own_.SetProblem(refusal.status, refusal.reason, refusal.detail, decided ? &ticket_ : nullptr);
    if (judged_ && ticket_.proceeds) Settle(refusal.reason);
    Answer(refusal.status == 503 ? EnvoyAnswer::kUnavailable : EnvoyAnswer::kRefused,
           decided ? &ticket_ : nullptr);
  }

  void RefuseCaller(const Error& error) {
    const EnvoyAnswer kind = EnvoyAnswerTo(error);
    if (kind == EnvoyAnswer::kUnauthenticated) {
      service_.logger_.Warn("agent refused", {{"why", error.reason}});
    }
    own_.SetUnauthenticated(error, nullptr);
    Answer(kind, nullptr);
  }

  // The client gets own_. The status lets no call pass either, should Envoy not take the answer.
  void Answer(EnvoyAnswer kind, const Ticket* decided) {
    Count(kind);
    answer_.clear();
    AppendImmediateResponse(own_, answer_);
    if (decided != nullptr) AppendDecisionMetadata(*decided, answer_);
    call_->Send(answer_);
    Fail(Code::kPermissionDenied, own_.problem.reason);
  }

  void Fail(Code code, std::string_view message) {
    grpc::Call* call = call_;
    Leave();
    End();
    call->Finish(code, message);
  }

  // Envoy looks at nothing more that is said of this call.
  void Leave() {
    if (pending_ != nullptr) pending_->waiter = nullptr;
    pending_ = nullptr;
    if (!counted_) Count(EnvoyAnswer::kCancelled);
    if (!judged_ || !ticket_.proceeds) return;
    const Phase state = order_.state();
    const bool whole = state == Phase::kDone || state == Phase::kResponseRest;
    Settle(whole ? std::string_view() : "client_gone");
  }

  void Settle(std::string_view error) {
    if (settled_) return;
    settled_ = true;
    figures_.error = error;
    figures_.rewritten = inspector_.changed();
    service_.pipeline_.RecordOutcome(ticket_, ticket_.id.text(), figures_);
  }

  void Count(EnvoyAnswer answer) {
    if (counted_) return;
    counted_ = true;
    answered_ = answer;
    service_.metrics_.CountEnvoyAnswer(answer);
    service_.metrics_.request_duration.Observe(service_.pipeline_.clock().MonotonicNanos() -
                                               call_->started_ns());
  }

  // False: the service holds too much, and the call was refused.
  bool CountHeld() {
    const size_t held = body_.size() + new_body_.size() + inspector_.held();
    const bool grew = held > held_;
    service_.held_bytes_ += held - held_;
    held_ = held;
    if (!grew || service_.held_bytes_ <= service_.limits_.max_buffered_bytes) return true;
    Refuse(kOverloaded);
    return false;
  }

  void End() {
    CallSpans::End span;
    span.rpc = call_->method();
    span.status = figures_.status;
    span.error = figures_.error;
    span.failed = answered_ == EnvoyAnswer::kUnavailable;
    ticket_.decided = judged_;
    service_.pipeline_.spans().Finish(&ticket_, span);
    timer_.Disarm();
    order_.End();
    service_.held_bytes_ -= held_;
    held_ = 0;
    call_ = nullptr;
    service_.metrics_.requests_in_flight.Add(-1);
  }

  ExtProcService& service_;
  net::Timer timer_;            // while the request's body comes
  grpc::Call* call_ = nullptr;  // nullptr: over
  ProcessingOrder order_;
  RecordSlot* pending_ = nullptr;
  bool judged_ = false;
  bool settled_ = false;       // the outcome is recorded
  bool counted_ = false;       // by metrics
  EnvoyAnswer answered_{};     // once counted
  bool rewritten_ = false;     // the tool gets new_body_
  bool body_shown_ = false;    // to us, by messages
  bool has_trailers_ = false;  // that ended the request
  size_t messages_ = 0;        // of the body that is held
  size_t held_ = 0;            // this stream's part of the service's held_bytes_
  ProcessingRequest message_;
  CheckRequest check_;
  CheckedCall checked_;
  Pipeline::Credential credential_;
  std::string_view principal_, address_;
  Caller caller_;
  Ticket ticket_;
  Pipeline::OutcomeFigures figures_;
  ResponseInspector inspector_;
  OwnAnswer own_;
  HeaderChanges changes_;
  std::vector<OwnHeader> fields_;
  std::string head_;         // the first message
  std::string body_;         // of the request
  std::string new_body_;     // what the tool gets instead
  std::string trailers_;     // of the request
  std::string answer_;       // to Envoy, one message
  std::string answer_head_;  // that waits for the answer's body
  std::string out_;
};

ExtProcService::ExtProcService(net::EventLoop& loop, Pipeline& pipeline, const Limits& limits,
                               ContentFilter* filter, telemetry::WorkerMetrics& metrics,
                               telemetry::Logger& logger)
    : loop_(loop),
      pipeline_(pipeline),
      limits_(limits),
      filter_(filter),
      metrics_(metrics),
      logger_(logger) {}

ExtProcService::~ExtProcService() = default;

grpc::Handler* ExtProcService::Start(grpc::Call& call) {
  if (call.method() != kMethod) return nullptr;
  Stream* const stream = streams_.Take([this] { return std::make_unique<Stream>(*this); });
  stream->Start(call);
  return stream;
}

}  // namespace aegis::gateway
