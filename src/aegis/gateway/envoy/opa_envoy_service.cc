#include "aegis/gateway/envoy/opa_envoy_service.h"

#include <memory>

#include "aegis/gateway/envoy/check_response.h"
#include "aegis/gateway/envoy/opa_envoy_input.h"
#include "aegis/gateway/envoy/opa_envoy_result.h"
#include "aegis/gateway/own_answer.h"
#include "aegis/gateway/tool_call.h"

namespace aegis::gateway {
namespace {

using telemetry::EnvoyAnswer;

constexpr std::string_view kMethod = "/envoy.service.auth.v3.Authorization/Check";
// No tool can have this name.
constexpr std::string_view kTool = "opa:envoy";

}  // namespace

class OpaEnvoyService::Check final : public RecordedCall, private Pipeline::VerdictReader {
 public:
  explicit Check(OpaEnvoyService& service)
      : RecordedCall(service.pipeline_, service.metrics_), service_(service) {}

  void Release() override { service_.checks_.Give(this); }

 private:
  RecordSlot* Judge(std::string_view message) override {
    if (pipeline_.state() == nullptr) {
      kind_ = EnvoyAnswer::kUnavailable;
      return Refuse({503, "not_ready", "the gateway has no settings yet"});
    }
    pipeline_.Begin(nullptr, call().started_ns(), &ticket_);
    // A call that was refused before it was judged has left its values there.
    pipeline_.arena().Reset();
    const rego::Value input =
        input_.Read(message, service_.options_.skip_request_body_parse, pipeline_.arena());
    if (input_.refusal.status != 0) return Refuse(input_.refusal);
    if (!input_.address.empty() && pipeline_.IsBlocked(input_.address)) {
      return Refuse({403, "caller_blocked", "calls from this address are blocked by the operator"});
    }
    if (input.is_undefined()) {
      service_.logger_.Warn("call through Envoy refused",
                            {{"why", "request_parse_error"}, {"part", input_.part}});
      AppendOpaEnvoyBadRequest(input_.part, input_.problem, &answer_);
      return kNothingToRecord;
    }
    Pipeline::Question question;
    question.door = decision::Door::kOpaEnvoy;
    question.path = service_.options_.path;
    question.input = input;
    question.tool = kTool;
    question.action = input_.action;
    question.source = input_.source;
    question.dry_run = service_.options_.dry_run;
    lets_pass_ = question.dry_run || pipeline_.shadow();
    set_decided();
    RecordSlot* const slot = pipeline_.Ask(question, *this, waiter(), &ticket_);
    kind_ = ticket_.proceeds ? EnvoyAnswer::kAllowed : EnvoyAnswer::kDenied;
    if (ticket_.rule.empty()) {  // no verdict
      answer_.clear();
      own_.SetDenied(ticket_);
      AppendDeniedResponse(own_, &ticket_, answer_);
    }
    return slot;
  }

  std::optional<bool> ReadVerdict(rego::Value answer) override {
    const std::optional<bool> allowed = AppendOpaEnvoyResponse(answer, ticket_.id.text(), &answer_);
    if (allowed && !*allowed && lets_pass_) {
      answer_.clear();
      AppendOpaEnvoyDryRun(answer, ticket_.id.text(), &answer_);
    }
    return allowed;
  }

  RecordSlot* Refuse(const Refusal& refusal) {
    service_.logger_.Warn("call through Envoy refused", {{"why", refusal.reason}});
    own_.SetProblem(refusal.status, refusal.reason, refusal.detail, nullptr);
    AppendDeniedResponse(own_, nullptr, answer_);
    return kNothingToRecord;
  }

  void RefuseUnrecorded() override {
    own_.SetProblem(503, kUnrecorded.reason, kUnrecorded.detail, nullptr);
    AppendDeniedResponse(own_, nullptr, answer_);
  }

  OpaEnvoyService& service_;
  OpaEnvoyInput input_;
  OwnAnswer own_;
  bool lets_pass_ = false;  // what the policy denies
};

OpaEnvoyService::OpaEnvoyService(const OpaEnvoyOptions& options, Pipeline& pipeline,
                                 telemetry::WorkerMetrics& metrics, telemetry::Logger& logger)
    : options_(options), pipeline_(pipeline), metrics_(metrics), logger_(logger) {}

OpaEnvoyService::~OpaEnvoyService() = default;

grpc::Handler* OpaEnvoyService::Start(grpc::Call& call) {
  if (call.method() != kMethod) return nullptr;
  Check* const check = checks_.Take([this] { return std::make_unique<Check>(*this); });
  check->Start(call);
  return check;
}

}  // namespace aegis::gateway
