// The HTTP variant of Envoy's authorization: a filter with http_service sends the call's head, its
// path behind a prefix, and its body. The part of Exchange that differs from the proxy door: the
// answer is whether the call may go on, and Envoy passes it on.
#include "aegis/gateway/downstream.h"
#include "aegis/gateway/envoy/checked_call.h"
#include "aegis/gateway/exchange.h"
#include "aegis/gateway/tool_call.h"
#include "aegis/gateway/worker.h"

namespace aegis::gateway {
namespace {

using telemetry::EnvoyAnswer;

// Whether a call whose body Envoy shows as empty may have one that it does not show: it tells this
// variant neither the call's Content-Length nor, where none is passed on, that there is a body.
bool MayHaveBody(const net::RequestHead& call) {
  if (call.method == "DELETE" || !HasNoBodyByNature(call.method)) return true;
  for (const net::HeaderField& field : call.fields) {
    if (field.id == net::FieldId::kContentType || field.id == net::FieldId::kContentEncoding ||
        field.id == net::FieldId::kTransferEncoding || field.id == net::FieldId::kExpect) {
      return true;
    }
  }
  return false;
}

Refusal CheckShownBody(const net::RequestHead& call, size_t max_request_bytes) {
  for (const net::HeaderField& field : call.fields) {
    if (field.name == kPartialBodyField) {
      if (field.value != "false") return kPartialBody;
    } else if (field.name.ends_with(kPartialBodySuffix)) {
      return kMaybePartialBody;
    }
  }
  // The Content-Length is that of what Envoy sends here, which it always says.
  if (call.body == net::BodyKind::kChunked) return kMaybePartialBody;
  if (call.body == net::BodyKind::kNone || call.content_length == 0) {
    // Not even if the body is said to be whole: with another header_prefix that is a client's word.
    return MayHaveBody(call) ? kBodyMissing : Refusal{};
  }
  if (call.content_length > max_request_bytes) return kBodyTooLarge;
  // With allow_partial_message Envoy calls a body whole that just fills its buffer.
  const bool may_go_on = call.content_length == max_request_bytes;
  if (may_go_on || call.Find(kPartialBodyField) == nullptr) return kMaybePartialBody;
  // Even if it looks like JSON: Envoy may keep the type from Aegis, and tell the tool of a form.
  if (call.Find(net::FieldId::kContentType) == nullptr) return kUndeclaredBody;
  return {};
}

}  // namespace

bool Exchange::CheckEnvoyCall() {
  const net::RequestHead& call = asked_head_;
  Refusal refusal = call.Find(net::FieldId::kUpgrade) != nullptr
                        ? kUpgradeNotJudged
                        : CheckShownBody(call, worker_.limits().max_request_bytes);
  if (refusal.status == 0) return true;
  AnswerProblem(refusal.status, refusal.reason, refusal.detail, true);
  return false;
}

void Exchange::AnswerEnvoy() {
  worker_.metrics().CountEnvoyAnswer(EnvoyAnswer::kAllowed);
  removed_fields_.clear();
  for (const net::HeaderField& field : asked_head_.fields) {
    if (!StaysBehind(field, credential_in_authorization_)) continue;
    removed_fields_.append(removed_fields_.empty() ? "" : ",").append(field.name);
  }
  OwnHeaders headers = decision_headers_;
  if (!removed_fields_.empty()) headers.Add("X-Envoy-Auth-Headers-To-Remove", removed_fields_);
  Downstream::Answer answer;
  answer.content_type = "text/plain";
  answer.headers = headers.items();
  downstream_.Send(answer);
}

void Exchange::PrepareForEnvoy(Problem* problem) {
  EnvoyAnswer kind = problem->decision_id.empty() ? EnvoyAnswer::kRefused : EnvoyAnswer::kDenied;
  if (problem->status == 401) kind = EnvoyAnswer::kUnauthenticated;
  if (problem->status >= 500) {
    kind = EnvoyAnswer::kUnavailable;
    // An error of this server is one that failure_mode_allow would let pass.
    problem->status = 403;
  }
  worker_.metrics().CountEnvoyAnswer(kind);
}

}  // namespace aegis::gateway
