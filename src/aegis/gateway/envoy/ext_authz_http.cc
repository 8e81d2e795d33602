// The HTTP variant of Envoy's authorization: a filter with http_service sends the call's head, its
// path behind a prefix, and its body. The part of Exchange that differs from the proxy door: the
// answer is whether the call may go on, and Envoy passes it on.
#include "aegis/gateway/connection.h"
#include "aegis/gateway/envoy/checked_call.h"
#include "aegis/gateway/exchange.h"
#include "aegis/gateway/tool_call.h"
#include "aegis/gateway/worker.h"

namespace aegis::gateway {
namespace {

using telemetry::EnvoyAnswer;

}  // namespace

bool Exchange::CheckEnvoyCall() {
  const net::RequestHead& call = asked_head_;
  const net::HeaderField* partial = call.Find(kPartialBodyField);
  // The Content-Length is that of what Envoy sends here, not of what it got.
  const bool empty = call.body == net::BodyKind::kNone ||
                     (call.body == net::BodyKind::kLength && call.content_length == 0);
  Refusal refusal;
  if (partial != nullptr && partial->value != "false") {
    refusal = kPartialBody;
  } else if (partial == nullptr && empty && !HasNoBodyByNature(call.method)) {
    refusal = kBodyMissing;
  } else if (call.Find(net::FieldId::kUpgrade) != nullptr) {
    refusal = kUpgradeNotJudged;
  }
  if (refusal.status == 0) return true;
  AnswerProblem(refusal.status, refusal.reason, refusal.detail, true);
  return false;
}

void Exchange::AnswerEnvoy() {
  worker_.metrics().CountEnvoyAnswer(EnvoyAnswer::kAllowed);
  own_headers_ = decision_headers_;
  bool first = true;
  for (const net::HeaderField& field : asked_head_.fields) {
    if (!StaysBehind(field, credential_in_authorization_)) continue;
    own_headers_.append(first ? "X-Envoy-Auth-Headers-To-Remove: " : ",").append(field.name);
    first = false;
  }
  if (!first) own_headers_.append("\r\n");
  Connection::Answer answer;
  answer.content_type = "text/plain";
  answer.headers = own_headers_;
  connection_.Send(answer);
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
