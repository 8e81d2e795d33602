#include "aegis/gateway/own_answer.h"

#include "aegis/net/http1_grammar.h"

namespace aegis::gateway {

void OwnHeaders::AddDecision(const Ticket& ticket) {
  Add("X-Aegis-Decision", ticket.proceeds ? "allow" : decision::OutcomeName(ticket.outcome));
  Add("X-Aegis-Decision-Id", ticket.id.text());
  if (!ticket.policy_version.empty() && net::IsFieldValue(ticket.policy_version)) {
    Add("X-Aegis-Policy-Version", ticket.policy_version);
  }
  if (ticket.shadowed) Add("X-Aegis-Shadow", decision::OutcomeName(ticket.outcome));
}

void AppendLines(std::span<const OwnHeader> headers, std::string& out) {
  for (const OwnHeader& header : headers) {
    out.append(header.name).append(": ").append(header.value).append("\r\n");
  }
}

void OwnAnswer::SetDenied(const Ticket& ticket) {
  if (ticket.reason == decision::Reason::kTokenInvalid) {
    return SetUnauthenticated("agent_unknown", ticket.message, &ticket);
  }
  SetProblem(403, decision::ReasonName(ticket.reason), ticket.message, &ticket);
  problem.rule = ticket.rule;
}

telemetry::EnvoyAnswer EnvoyAnswerTo(const Error& error) {
  switch (error.code) {
    case Code::kUnauthenticated:
      return telemetry::EnvoyAnswer::kUnauthenticated;
    case Code::kPermissionDenied:
      return telemetry::EnvoyAnswer::kRefused;
    default:
      return telemetry::EnvoyAnswer::kUnavailable;
  }
}

void OwnAnswer::SetUnauthenticated(const Error& error, const Ticket* decided) {
  if (error.code == Code::kUnauthenticated) {
    return SetUnauthenticated(error.reason, error.message, decided);
  }
  SetProblem(error.code == Code::kPermissionDenied ? 403 : 503, error.reason, error.message,
             decided);
}

void OwnAnswer::SetUnauthenticated(std::string_view token_error, std::string_view detail,
                                   const Ticket* decided) {
  authenticate_.assign("Bearer realm=\"aegis\"");
  // RFC 6750 §3: no error code when no credential was given.
  if (token_error != "token_missing") {
    authenticate_.append(", error=\"invalid_token\", error_description=\"");
    authenticate_.append(token_error).append("\"");
  }
  SetProblem(401, decision::ReasonName(decision::Reason::kTokenInvalid), detail, decided);
  problem.token_error = token_error;
  headers.Add("WWW-Authenticate", authenticate_);
}

void OwnAnswer::SetProblem(int status, std::string_view reason, std::string_view detail,
                           const Ticket* decided) {
  problem = Problem();
  problem.status = status;
  problem.reason = reason;
  problem.detail = detail;
  headers.Clear();
  if (decided != nullptr) {
    problem.decision_id = decided->id.text();
    headers.AddDecision(*decided);
  }
  if (status == 503) headers.Add("Retry-After", "1");
}

void OwnAnswer::SetRetryAfter(int seconds) {
  retry_after_ = std::to_string(seconds);
  headers.ReplaceLast(retry_after_);
}

}  // namespace aegis::gateway
