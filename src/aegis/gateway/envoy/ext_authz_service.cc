#include "aegis/gateway/envoy/ext_authz_service.h"

#include <memory>
#include <string>

#include "aegis/gateway/envoy/check_request.h"
#include "aegis/gateway/envoy/check_response.h"
#include "aegis/gateway/envoy/checked_call.h"
#include "aegis/gateway/own_answer.h"
#include "aegis/gateway/tool_call.h"

namespace aegis::gateway {
namespace {

using telemetry::EnvoyAnswer;

constexpr std::string_view kMethod = "/envoy.service.auth.v3.Authorization/Check";

}  // namespace

// One call of Check. The answer is made when the call is judged, while the request is at hand, and
// sent when the record is durable.
class ExtAuthzService::Check final : public grpc::Handler, private RecordWaiter {
 public:
  explicit Check(ExtAuthzService& service) : service_(service) {}

  void Start(grpc::Call& call) {
    call_ = &call;
    state_ = State::kReceiving;
    ended_ = false;
    decided_ = false;
    service_.metrics_.requests_in_flight.Add(1);
  }

  void OnMessage(std::string_view message) override {
    if (call_ == nullptr) return;
    if (state_ != State::kReceiving) {
      Abandon();
      return Finish(Code::kInvalidArgument, "Check takes one message");
    }
    answer_.clear();
    kind_ = EnvoyAnswer::kRefused;
    Judge(message);
    if (state_ == State::kReceiving) state_ = State::kAnswering;  // refused
  }

  void OnEnd() override {
    if (call_ == nullptr) return;
    ended_ = true;
    if (state_ == State::kReceiving) return Finish(Code::kInvalidArgument, "Check takes a message");
    if (state_ == State::kAnswering) Answer();
  }

  void OnCancelled() override {
    Count(EnvoyAnswer::kCancelled);
    Abandon();
    End();
  }

  void Release() override {
    caller_ = Caller();
    service_.checks_.Give(this);
  }

 private:
  enum class State : uint8_t {
    kReceiving,  // the message is awaited
    kRecording,  // judged; the record is not durable yet
    kAnswering,  // answer_ may be sent once the client has sent all
  };

  void OnRecorded(bool durable) override {
    pending_ = nullptr;
    state_ = State::kAnswering;
    if (!durable) RefuseUnrecorded();
    if (ended_) Answer();
  }

  void Judge(std::string_view message) {
    Pipeline& pipeline = service_.pipeline_;
    const Limits& limits = service_.limits_;
    Refusal refusal = request_.Read(message, limits.http.max_fields);
    if (refusal.status == 0) refusal = checked_.ReadHead(request_, limits.http);
    if (refusal.status != 0) return Refuse(refusal);
    pipeline.Begin(&checked_.head, call_->started_ns(), &ticket_);

    credential_ = Pipeline::FindCredential(checked_.head);
    auto caller = pipeline.Authenticate(credential_, {request_.source.address, checked_.tool});
    if (!caller) return RefuseCaller(caller.error());
    caller_ = *std::move(caller);
    if (!request_.names.tenant.empty() && request_.names.tenant != pipeline.state()->tenant) {
      return Refuse({403, "wrong_tenant",
                     "Envoy's configuration of the route names a tenant that is not served here"});
    }

    Pipeline::Input input;
    input.caller = &caller_;
    input.door = decision::Door::kExtAuthz;
    input.tool = checked_.tool;
    input.action = checked_.action;
    input.head = &checked_.head;
    input.source = request_.source.principal;
    // A call that was refused before it was judged has left its values there.
    pipeline.arena().Reset();
    if (caller_.agent && !caller_.agent->suspended) {
      input.params = checked_.ReadParams(request_, limits, pipeline.arena(), &refusal);
      if (refusal.status == 0) input.session = FindSession(checked_.head, &refusal);
      if (refusal.status != 0) return Refuse(refusal);
    }
    state_ = State::kRecording;
    pending_ = pipeline.Judge(input, this, &ticket_);
    if (!pending_) {
      state_ = State::kAnswering;
      return RefuseUnrecorded();
    }
    decided_ = true;
    kind_ = ticket_.proceeds ? EnvoyAnswer::kAllowed : EnvoyAnswer::kDenied;
    if (ticket_.proceeds) {
      AppendOkResponse(ticket_, checked_.head, credential_.in_authorization, answer_);
    } else {
      own_.SetDenied(ticket_);
      AppendDeniedResponse(own_, &ticket_, answer_);
    }
  }

  void Refuse(const Refusal& refusal) {
    service_.logger_.Warn("call through Envoy refused", {{"why", refusal.reason}});
    own_.SetProblem(refusal.status, refusal.reason, refusal.detail, nullptr);
    AppendDeniedResponse(own_, nullptr, answer_);
  }

  void RefuseCaller(const Error& error) {
    kind_ =
        error.code == Code::kPermissionDenied ? EnvoyAnswer::kRefused : EnvoyAnswer::kUnavailable;
    if (error.code == Code::kUnauthenticated) {
      kind_ = EnvoyAnswer::kUnauthenticated;
      service_.metrics_.CountDecision(static_cast<size_t>(decision::Outcome::kDeny),
                                      static_cast<size_t>(decision::Reason::kTokenInvalid));
      service_.logger_.Warn("agent refused", {{"why", error.reason}});
    }
    own_.SetUnauthenticated(error, nullptr);
    AppendDeniedResponse(own_, nullptr, answer_);
  }

  // Not a decision that anyone may rely on: the answer does not carry it.
  void RefuseUnrecorded() {
    decided_ = false;
    kind_ = EnvoyAnswer::kUnavailable;
    own_.SetProblem(503, kUnrecorded.reason, kUnrecorded.detail, nullptr);
    answer_.clear();
    AppendDeniedResponse(own_, nullptr, answer_);
  }

  void Answer() {
    call_->Send(answer_);
    Count(kind_);
    service_.metrics_.request_duration.Observe(service_.pipeline_.clock().MonotonicNanos() -
                                               call_->started_ns());
    grpc::Call* call = call_;
    End();
    call->FinishOk();
  }

  void Count(EnvoyAnswer answer) { service_.metrics_.CountEnvoyAnswer(answer); }

  void Finish(Code code, std::string_view message) {
    grpc::Call* call = call_;
    End();
    call->Finish(code, message);
  }

  // Nobody waits for the answer any more. What was let through and not answered is said so.
  void Abandon() {
    if (pending_) pending_->waiter = nullptr;
    pending_ = nullptr;
    if (!decided_ || !ticket_.proceeds) return;
    decided_ = false;
    Pipeline::OutcomeFigures figures;
    figures.error = "client_gone";
    service_.pipeline_.RecordOutcome(ticket_, ticket_.id.text(), figures);
  }

  void End() {
    call_ = nullptr;
    service_.metrics_.requests_in_flight.Add(-1);
  }

  ExtAuthzService& service_;
  grpc::Call* call_ = nullptr;  // nullptr: over
  State state_ = State::kReceiving;
  bool ended_ = false;    // the client has sent all
  bool decided_ = false;  // ticket_ is on record or on its way there
  RecordSlot* pending_ = nullptr;
  CheckRequest request_;
  CheckedCall checked_;
  EnvoyAnswer kind_ = EnvoyAnswer::kRefused;
  Pipeline::Credential credential_;
  Caller caller_;
  Ticket ticket_;
  OwnAnswer own_;
  std::string answer_;
};

ExtAuthzService::ExtAuthzService(Pipeline& pipeline, const Limits& limits,
                                 telemetry::WorkerMetrics& metrics, telemetry::Logger& logger)
    : pipeline_(pipeline), limits_(limits), metrics_(metrics), logger_(logger) {}

ExtAuthzService::~ExtAuthzService() = default;

grpc::Handler* ExtAuthzService::Start(grpc::Call& call) {
  if (call.method() != kMethod) return nullptr;
  Check* const check = checks_.Take([this] { return std::make_unique<Check>(*this); });
  check->Start(call);
  return check;
}

}  // namespace aegis::gateway
