// The SDK door: POST /v1/decisions and POST /v1/decisions/{id}/result. The part of Exchange that
// differs from the proxy: the call is in the body, and the answer is the decision itself.
#include "aegis/base/json_text.h"
#include "aegis/gateway/downstream.h"
#include "aegis/gateway/exchange.h"
#include "aegis/gateway/worker.h"

namespace aegis::gateway {
namespace {

using rego::Value;

constexpr size_t kMaxNameBytes = 256;
// How long a decision may be acted upon.
constexpr int64_t kValidNanos = 60ll * 1'000'000'000;

bool IsName(std::string_view text) { return !text.empty() && text.size() <= kMaxNameBytes; }

// What POST /v1/decisions asks about.
struct DecisionRequest {
  std::string_view tool;
  std::string_view action;
  std::string_view session;
  Value params = Value::EmptyObject();
};

Refusal ReadDecisionRequest(Value body, DecisionRequest* out) {
  for (const rego::Member& member : body.members()) {
    const std::string_view name = member.key.string_value();
    const Value value = member.value;
    if (name == "tool" || name == "action") {
      if (!IsName(value.string_value())) {
        return {400, "bad_request", "tool and action must be strings of 1 to 256 bytes"};
      }
      (name == "tool" ? out->tool : out->action) = value.string_value();
    } else if (name == "session") {
      if (!value.is_string() || value.string_value().size() > kMaxNameBytes) {
        return {400, "bad_request", "session must be a string of at most 256 bytes"};
      }
      out->session = value.string_value();
    } else if (name == "params") {
      if (!value.is_object()) return {400, "params_not_object", "params must be an object"};
      out->params = value;
    } else if (name == "context") {
      if (!value.is_object() || value.size() > 0) {
        return {400, "not_supported_yet", "context is not supported yet; leave it out"};
      }
    } else {
      return {400, "unknown_field",
              "the request has an unknown member; known are tool, action, params and session"};
    }
  }
  if (out->tool.empty() || out->action.empty()) {
    return {400, "bad_request", "tool and action are needed"};
  }
  return {};
}

// The status of a call that an agent made itself: an HTTP status, or "ok" or "error".
Refusal ReadResult(Value body, int* status) {
  *status = 0;
  for (const rego::Member& member : body.members()) {
    const std::string_view name = member.key.string_value();
    if (name == "usage" || name == "cost" || name == "content") {
      return {400, "not_supported_yet",
              "usage, cost and content are not supported yet; send the status only"};
    }
    if (name != "status") {
      return {400, "unknown_field", "the result has an unknown member; known is status"};
    }
    const Value value = member.value;
    if (value.string_value() == "ok") {
      *status = 200;
    } else if (value.string_value() == "error") {
      *status = 500;
    } else if (value.is_int() && value.int_value() >= 100 && value.int_value() <= 599) {
      *status = static_cast<int>(value.int_value());
    } else {
      return {400, "bad_request", "status must be \"ok\", \"error\" or an HTTP status"};
    }
  }
  if (*status == 0) return {400, "bad_request", "status is needed"};
  return {};
}

}  // namespace

void Exchange::JudgeDecisionRequest() {
  Refusal refusal;
  // A call that was refused before it was judged has left its values there.
  worker_.pipeline().arena().Reset();
  const Value body = BuildParams({BodyType::kJson, body_}, worker_.pipeline().arena(), &refusal);
  DecisionRequest request;
  if (!body.is_undefined()) {
    if (downstream_.head().has_query) {
      refusal = {400, "unknown_field", "this path takes no query parameters"};
    } else {
      refusal = ReadDecisionRequest(body, &request);
    }
  }
  if (refusal.status != 0) {
    return AnswerProblem(refusal.status, refusal.reason, refusal.detail, true);
  }
  Judge(request.tool, request.action, request.params, request.session);
}

void Exchange::AnswerDecision() {
  // An identity that may not call at all is refused as at every door.
  if (ticket_.reason == decision::Reason::kTokenInvalid ||
      ticket_.reason == decision::Reason::kAgentSuspended) {
    return AnswerDenied();
  }
  Pipeline& pipeline = worker_.pipeline();
  if (ticket_.proceeds) {
    IssuedDecisions::Entry entry{ticket_.agent, ticket_.tool, ticket_.action, ticket_.started_ns};
    worker_.issued().Add(ticket_.id.text(), std::move(entry), pipeline.clock().MonotonicNanos());
  }
  std::string& out = text_;
  out.assign("{\"decision_id\":\"").append(ticket_.id.text());
  out.append("\",\"outcome\":\"");
  out.append(ticket_.proceeds ? "allow" : decision::OutcomeName(ticket_.outcome));
  out.append("\",\"reason\":\"").append(decision::ReasonName(ticket_.reason));
  out.append("\",\"message\":");
  AppendJsonText(out, ticket_.message);
  if (!ticket_.rule.empty()) {
    out.append(",\"rule\":");
    AppendJsonText(out, ticket_.rule);
  }
  out.append(",\"policy_version\":");
  AppendJsonText(out, ticket_.policy_version);
  if (ticket_.shadowed) {
    out.append(",\"shadow\":\"").append(decision::OutcomeName(ticket_.outcome)).append("\"");
  }
  out.append(",\"expires_at\":\"");
  out.append(FormatRfc3339Millis(pipeline.clock().UnixNanos() + kValidNanos)).append("\"}");
  Downstream::Answer answer;
  answer.headers = decision_headers_.items();
  answer.body = text_;
  downstream_.Send(answer);
}

void Exchange::TakeResult() {
  Refusal refusal;
  Pipeline& pipeline = worker_.pipeline();
  const Value body = BuildParams({BodyType::kJson, body_}, pipeline.arena(), &refusal);
  int status = 0;
  if (!body.is_undefined()) refusal = ReadResult(body, &status);
  pipeline.arena().Reset();
  if (refusal.status != 0) {
    return AnswerProblem(refusal.status, refusal.reason, refusal.detail, true);
  }
  std::optional<IssuedDecisions::Entry> entry;
  if (caller_.agent && Uuid::IsValid(route_.decision_id)) {
    entry = worker_.issued().Take(route_.decision_id, caller_.principal->agent,
                                  pipeline.clock().MonotonicNanos());
  }
  if (!entry) {
    return AnswerProblem(404, "decision_unknown",
                         "no decision of this id awaits a result from this agent");
  }
  ticket_.org = caller_.principal->org;
  ticket_.tenant = caller_.principal->tenant;
  ticket_.agent = entry->agent;
  ticket_.tool = entry->tool;
  ticket_.action = entry->action;
  Pipeline::OutcomeFigures figures;
  figures.status = status;
  if (status >= 400) figures.error = "tool_error";
  const int64_t arrived = std::exchange(ticket_.started_ns, entry->started_ns);
  pipeline.RecordOutcome(ticket_, route_.decision_id, figures);
  ticket_.started_ns = arrived;
  text_.assign("{\"decision_id\":\"").append(route_.decision_id).append("\"}");
  Downstream::Answer answer;
  answer.body = text_;
  downstream_.Send(answer);
}

}  // namespace aegis::gateway
