#include "aegis/gateway/ext_mcp_service.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "aegis/base/json_text.h"
#include "aegis/base/text.h"
#include "aegis/gateway/ext_mcp_message.h"
#include "aegis/gateway/own_answer.h"
#include "aegis/gateway/tool_call.h"

namespace aegis::gateway {
namespace {

using rego::Value;
using telemetry::EnvoyAnswer;

constexpr std::string_view kCheckRequest = "/agentgateway.dev.ext_mcp.ExtMcp/CheckRequest";
constexpr std::string_view kCheckResponse = "/agentgateway.dev.ext_mcp.ExtMcp/CheckResponse";
constexpr size_t kMaxNameBytes = 256;

constexpr Refusal kMalformed{400, "check_malformed",
                             "the request is not what agentgateway's interface describes"};
constexpr Refusal kBadParams{400, "bad_json", "the params are not one JSON object"};
constexpr Refusal kBadTool{400, "bad_params",
                           "tools/call needs a name of 1 to 256 bytes and arguments that are an "
                           "object"};
constexpr Refusal kBadTarget{400, "bad_target",
                             "the method needs one service, whose name has 1 to 256 bytes"};
constexpr Refusal kNotRedacted{403, "not_redacted",
                               "what must be redacted cannot be read, so that it may not go on"};

bool IsName(std::string_view text) { return !text.empty() && text.size() <= kMaxNameBytes; }

// Asks for no more than who is there and what there is.
bool PassesKnownAgents(std::string_view method) {
  return method == "initialize" || method == "ping" || method.starts_with("notifications/") ||
         method.ends_with("/list");
}

McpError CodeOf(int status) {
  if (status == 503) return McpError::kResourceExhausted;
  return status == 401 || status == 403 ? McpError::kPermissionDenied : McpError::kInvalid;
}

}  // namespace

// What both methods share: refusals.
class ExtMcpService::Asked : public RecordedCall {
 protected:
  explicit Asked(ExtMcpService& service)
      : RecordedCall(service.pipeline_, service.metrics_), service_(service) {}

  void AppendProblemAsError() {
    details_.clear();
    AppendProblem(own_.problem, details_);
    const std::string_view detail = own_.problem.detail;
    AppendMcpError(CodeOf(own_.problem.status), detail.empty() ? own_.problem.reason : detail,
                   details_, answer_);
  }

  RecordSlot* Refuse(const Refusal& refusal) {
    service_.logger_.Warn("call through agentgateway refused", {{"why", refusal.reason}});
    own_.SetProblem(refusal.status, refusal.reason, refusal.detail, nullptr);
    AppendProblemAsError();
    return kNothingToRecord;
  }

  void RefuseUnrecorded() override {
    own_.SetProblem(503, kUnrecorded.reason, kUnrecorded.detail, nullptr);
    AppendProblemAsError();
  }

  ExtMcpService& service_;
  McpMessage message_;
  OwnAnswer own_;
  std::string details_;
};

class ExtMcpService::RequestCheck final : public Asked {
 public:
  explicit RequestCheck(ExtMcpService& service) : Asked(service) {}

  void Release() override {
    caller_ = Caller();
    service_.requests_.Give(this);
  }

 private:
  RecordSlot* Judge(std::string_view bytes) override {
    if (!message_.Read(bytes) || message_.method.empty()) return Refuse(kMalformed);
    std::string_view host = "mcp";
    for (const net::HeaderField& field : message_.headers) {
      if (field.name == "host") host = field.value;
    }
    net::Http1Error error;
    if (!net::MakeRequestHead("POST", "/", host, message_.headers, service_.limits_.http, &head_,
                              &error)) {
      return Refuse({error.status, error.reason, error.detail});
    }
    pipeline_.Begin(&head_, call().started_ns(), &ticket_);
    const std::string_view target =
        message_.services.empty() ? std::string_view() : message_.services[0];
    credential_ = Pipeline::FindCredential(head_);
    auto caller = pipeline_.Authenticate(credential_, {call().peer().address, target});
    if (!caller) return RefuseCaller(caller.error());
    caller_ = *std::move(caller);
    const bool active = caller_.agent && !caller_.agent->suspended;
    if (active && PassesKnownAgents(message_.method)) {
      kind_ = EnvoyAnswer::kAllowed;
      AppendMcpPass(nullptr, answer_);
      AppendHeaders(false);
      return kNothingToRecord;
    }
    if (message_.services.size() != 1 || !IsName(target)) return Refuse(kBadTarget);

    Pipeline::Input input;
    input.caller = &caller_;
    input.door = decision::Door::kExtMcp;
    input.tool = target;
    input.action = message_.method;
    // A call that was refused before it was judged has left its values there.
    pipeline_.arena().Reset();
    replaced_ = false;
    if (active) {
      Refusal refusal;
      input.params = ReadParams(&input.action, &refusal);
      if (refusal.status == 0) input.session = FindSession(head_, &refusal);
      if (refusal.status != 0) return Refuse(refusal);
      input.rewritten = replaced_;
    }
    set_decided();
    RecordSlot* const slot = pipeline_.Judge(input, waiter(), &ticket_);
    kind_ = ticket_.proceeds ? EnvoyAnswer::kAllowed : EnvoyAnswer::kDenied;
    if (ticket_.proceeds) {
      AppendMcpPass(replaced_ ? &mutated_ : nullptr, answer_);
      AppendHeaders(true);
      if (slot != nullptr) Expect();
    } else {
      own_.SetDenied(ticket_);
      AppendProblemAsError();
    }
    return slot;
  }

  // The params that are judged, and what they become; `*action` is set for tools/call.
  Value ReadParams(std::string_view* action, Refusal* refusal) {
    const std::string_view text = message_.content.empty() ? "{}" : message_.content;
    json::Limits limits;
    limits.max_bytes = service_.limits_.max_body_bytes;
    const auto parsed = rego::ParseJsonInPlace(text, pipeline_.arena(), limits);
    if (!parsed || !parsed->is_object()) {
      *refusal = kBadParams;
      return Value();
    }
    Value params = *parsed;
    const bool calls_tool = message_.method == "tools/call";
    if (calls_tool) {
      params = parsed->Get("arguments");
      if (params.is_undefined() || params.is_null()) params = Value::EmptyObject();
      *action = parsed->Get("name").string_value();
      if (!IsName(*action) || !params.is_object()) {
        *refusal = kBadTool;
        return Value();
      }
    }
    if (!CheckNames(params, pipeline_.arena(), refusal) || !Redact(*parsed, params, refusal))
      return Value();
    return params;
  }

  // Only arguments are redacted, or the tool's own name could be.
  bool Redact(Value whole, Value params, Refusal* refusal) {
    if (!service_.filter_.Covers(Direction::kRequest)) return true;
    details_.clear();
    rego::AppendJson(params, details_);
    redacted_.clear();
    const auto verdict = service_.filter_.Inspect(Direction::kRequest, details_, &redacted_);
    if (verdict == ContentFilter::Verdict::kRefuse) *refusal = kNotRedacted;
    if (verdict != ContentFilter::Verdict::kReplace) return refusal->status == 0;
    replaced_ = true;
    mutated_.clear();
    if (message_.method != "tools/call") {
      mutated_ = redacted_;
      return true;
    }
    for (const rego::Member& member : whole.members()) {
      mutated_.append(mutated_.empty() ? "{" : ",");
      AppendJsonText(mutated_, member.key.string_value());
      mutated_.append(":");
      if (member.key.string_value() == "arguments") {
        mutated_.append(redacted_);
      } else {
        rego::AppendJson(member.value, mutated_);
      }
    }
    mutated_.append("}");
    return true;
  }

  RecordSlot* RefuseCaller(const Error& error) {
    kind_ = EnvoyAnswerTo(error);
    if (kind_ == EnvoyAnswer::kUnauthenticated) {
      service_.logger_.Warn("agent refused", {{"why", error.reason}});
    }
    own_.SetUnauthenticated(error, nullptr);
    AppendProblemAsError();
    return kNothingToRecord;
  }

  // What the tool's server gets, and what agentgateway's later filters may look at.
  void AppendHeaders(bool decided) {
    std::string mutation, metadata;
    OwnHeaders headers;
    if (decided) {
      headers.AddDecision(ticket_);
      AppendMcpMetadata("decision_id", ticket_.id.text(), metadata);
      AppendMcpMetadata("policy_version", ticket_.policy_version, metadata);
      AppendMcpMetadata("agent", ticket_.agent, metadata);
    }
    const auto sets = [&](std::string_view name) {
      return std::any_of(headers.items().begin(), headers.items().end(),
                         [&](const auto& header) { return EqualsIgnoreCase(header.name, name); });
    };
    for (const OwnHeader& header : headers.items()) {
      AppendMcpSetHeader(header.name, header.value, mutation);
    }
    for (const net::HeaderField& field : head_.fields) {
      if (StaysBehind(field, credential_.in_authorization) && !sets(field.name)) {
        AppendMcpRemoveHeader(field.name, mutation);
      }
    }
    AppendMcpMutation(mutation, metadata, answer_);
  }

  // CheckResponse may follow.
  void Expect() {
    if (service_.issued_ == nullptr) return;
    IssuedDecisions::Entry entry{ticket_.agent, ticket_.tool, ticket_.action, ticket_.started_ns};
    service_.issued_->Add(ticket_.id.text(), std::move(entry), pipeline_.clock().MonotonicNanos());
  }

  net::RequestHead head_;
  Pipeline::Credential credential_;
  Caller caller_;
  bool replaced_ = false;  // the params become mutated_
  std::string redacted_, mutated_;
};

class ExtMcpService::ResponseCheck final : public Asked {
 public:
  explicit ResponseCheck(ExtMcpService& service) : Asked(service) {}

  void Release() override { service_.responses_.Give(this); }

 private:
  RecordSlot* Judge(std::string_view bytes) override {
    if (!message_.Read(bytes)) return Refuse(kMalformed);
    mutated_.clear();
    auto verdict = ContentFilter::Verdict::kPass;
    if (service_.filter_.Covers(Direction::kResponse)) {
      verdict = service_.filter_.Inspect(Direction::kResponse, message_.content, &mutated_);
    }
    const bool refused = verdict == ContentFilter::Verdict::kRefuse;
    RecordOutcome(refused ? kNotRedacted.reason : std::string_view());
    if (refused) return Refuse(kNotRedacted);
    kind_ = EnvoyAnswer::kAllowed;
    AppendMcpPass(verdict == ContentFilter::Verdict::kReplace ? &mutated_ : nullptr, answer_);
    return kNothingToRecord;
  }

  // Of the decision that the context names, if it was given here to that agent.
  void RecordOutcome(std::string_view error) {
    if (service_.issued_ == nullptr || message_.decision_id.empty()) return;
    auto entry = service_.issued_->Take(message_.decision_id, message_.agent,
                                        pipeline_.clock().MonotonicNanos());
    if (!entry || pipeline_.state() == nullptr) return;
    pipeline_.Begin(nullptr, entry->started_ns, &ticket_);
    ticket_.org = pipeline_.state()->org;
    ticket_.tenant = pipeline_.state()->tenant;
    ticket_.agent = std::move(entry->agent);
    ticket_.tool = std::move(entry->tool);
    ticket_.action = std::move(entry->action);
    Pipeline::OutcomeFigures figures;
    figures.status = error.empty() ? 200 : 403;
    figures.error = error;
    figures.response_bytes = message_.content.size();
    pipeline_.RecordOutcome(ticket_, message_.decision_id, figures);
  }

  std::string mutated_;
};

ExtMcpService::ExtMcpService(Pipeline& pipeline, const Limits& limits, ContentFilter& filter,
                             IssuedDecisions* issued, telemetry::WorkerMetrics& metrics,
                             telemetry::Logger& logger)
    : pipeline_(pipeline),
      limits_(limits),
      filter_(filter),
      issued_(issued),
      metrics_(metrics),
      logger_(logger) {}

ExtMcpService::~ExtMcpService() = default;

grpc::Handler* ExtMcpService::Start(grpc::Call& call) {
  RecordedCall* check = nullptr;
  if (call.method() == kCheckRequest) {
    check = requests_.Take([this] { return std::make_unique<RequestCheck>(*this); });
  } else if (call.method() == kCheckResponse) {
    check = responses_.Take([this] { return std::make_unique<ResponseCheck>(*this); });
  } else {
    return nullptr;
  }
  check->Start(call);
  return check;
}

}  // namespace aegis::gateway
