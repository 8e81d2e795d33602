#include "aegis/gateway/envoy/ext_authz_service.h"

#include <memory>

#include "aegis/gateway/envoy/check_request.h"
#include "aegis/gateway/envoy/check_response.h"
#include "aegis/gateway/envoy/checked_call.h"
#include "aegis/gateway/envoy/recorded_call.h"
#include "aegis/gateway/own_answer.h"
#include "aegis/gateway/tool_call.h"

namespace aegis::gateway {
namespace {

using telemetry::EnvoyAnswer;

constexpr std::string_view kMethod = "/envoy.service.auth.v3.Authorization/Check";

}  // namespace

// One call of Check. The answer is made when the call is judged, while the request is at hand, and
// sent when the record is durable.
class ExtAuthzService::Check final : public RecordedCall {
 public:
  explicit Check(ExtAuthzService& service)
      : RecordedCall(service.pipeline_, service.metrics_), service_(service) {}

  void Release() override {
    caller_ = Caller();
    service_.checks_.Give(this);
  }

 private:
  RecordSlot* Judge(std::string_view message) override {
    const Limits& limits = service_.limits_;
    Refusal refusal = request_.Read(message, limits.http.max_fields);
    if (refusal.status == 0) refusal = checked_.ReadHead(request_, limits.http);
    if (refusal.status != 0) return Refuse(refusal);
    pipeline_.Begin(&checked_.head, call().started_ns(), &ticket_);

    credential_ = Pipeline::FindCredential(checked_.head);
    auto caller = pipeline_.Authenticate(credential_, {request_.source.address, checked_.tool});
    if (!caller) return RefuseCaller(caller.error());
    caller_ = *std::move(caller);
    if (!request_.names.tenant.empty() && request_.names.tenant != pipeline_.state()->tenant) {
      return Refuse({403, "wrong_tenant",
                     "Envoy's configuration of the route names a tenant that is not served here"});
    }

    refusal = checked_.FindAction(request_, pipeline_.state());
    if (refusal.status != 0) return Refuse(refusal);

    Pipeline::Input input;
    input.caller = &caller_;
    input.door = decision::Door::kExtAuthz;
    input.tool = checked_.tool;
    input.action = checked_.action;
    input.head = &checked_.head;
    input.source = request_.source.principal;
    // A call that was refused before it was judged has left its values there.
    pipeline_.arena().Reset();
    if (caller_.agent && !caller_.agent->suspended) {
      input.params = checked_.ReadParams(request_, limits, pipeline_.arena(), &refusal);
      if (refusal.status == 0) input.session = FindSession(checked_.head, &refusal);
      if (refusal.status != 0) return Refuse(refusal);
    }
    set_decided();
    RecordSlot* const slot = pipeline_.Judge(input, waiter(), &ticket_);
    kind_ = ticket_.proceeds ? EnvoyAnswer::kAllowed : EnvoyAnswer::kDenied;
    if (ticket_.proceeds) {
      AppendOkResponse(ticket_, checked_.head, credential_.in_authorization, answer_);
    } else {
      own_.SetDenied(ticket_);
      AppendDeniedResponse(own_, &ticket_, answer_);
    }
    return slot;
  }

  RecordSlot* Refuse(const Refusal& refusal) {
    service_.logger_.Warn("call through Envoy refused", {{"why", refusal.reason}});
    own_.SetProblem(refusal.status, refusal.reason, refusal.detail, nullptr);
    AppendDeniedResponse(own_, nullptr, answer_);
    return kNothingToRecord;
  }

  RecordSlot* RefuseCaller(const Error& error) {
    kind_ = EnvoyAnswerTo(error);
    if (kind_ == EnvoyAnswer::kUnauthenticated) {
      service_.logger_.Warn("agent refused", {{"why", error.reason}});
    }
    own_.SetUnauthenticated(error, nullptr);
    AppendDeniedResponse(own_, nullptr, answer_);
    return kNothingToRecord;
  }

  void RefuseUnrecorded() override {
    own_.SetProblem(503, kUnrecorded.reason, kUnrecorded.detail, nullptr);
    AppendDeniedResponse(own_, nullptr, answer_);
  }

  ExtAuthzService& service_;
  CheckRequest request_;
  CheckedCall checked_;
  Pipeline::Credential credential_;
  Caller caller_;
  OwnAnswer own_;
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
