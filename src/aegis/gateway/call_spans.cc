#include "aegis/gateway/call_spans.h"

#include <charconv>

#include "aegis/gateway/pipeline.h"

namespace aegis::gateway {
namespace {

using telemetry::SpanKey;
using telemetry::SpanRecord;
using telemetry::TraceContext;

constexpr std::string_view kMethods[] = {"GET",     "HEAD",    "POST",  "PUT",  "DELETE",
                                         "CONNECT", "OPTIONS", "TRACE", "PATCH"};
constexpr std::string_view kToolRoute = "/tools/{tool}/{action}";

// "host:port", "[v6]:port", or a host or an address alone.
void AddServer(std::string_view host, SpanRecord* span) {
  const size_t colon = host.rfind(':');
  int port = 0;
  const bool is_v6 = !host.starts_with('[') && host.find(':') != colon;
  if (colon != std::string_view::npos && !host.ends_with(']') && !is_v6) {
    std::from_chars(host.data() + colon + 1, host.data() + host.size(), port);
    host = host.substr(0, colon);
  }
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  span->Add(SpanKey::kServerName, host);
  if (port > 0) span->Add(SpanKey::kServerPort, int64_t{port});
}

void AddDecision(const Ticket& ticket, SpanRecord* span) {
  span->Add(SpanKey::kDecisionId, ticket.id.text());
  span->Add(SpanKey::kOutcome, decision::OutcomeName(ticket.outcome));
  span->Add(SpanKey::kReason, decision::ReasonName(ticket.reason));
  span->Add(SpanKey::kMode, decision::ModeName(ticket.mode));
  span->Add(SpanKey::kDoor, decision::DoorName(ticket.door));
  span->Add(SpanKey::kOrg, ticket.org);
  span->Add(SpanKey::kTenant, ticket.tenant);
  span->Add(SpanKey::kAgent, ticket.agent);
  span->Add(SpanKey::kTool, ticket.tool);
  span->Add(SpanKey::kAction, ticket.action);
  span->Add(SpanKey::kRule, ticket.rule);
  span->Add(SpanKey::kPolicyVersion, ticket.policy_version);
}

void SetHttpName(const Ticket& ticket, const CallSpans::End& end, SpanRecord* span) {
  const std::string_view method = end.method == "_OTHER" ? "HTTP" : end.method;
  if (end.is_proxied && ticket.decided && ticket.proceeds) {
    // Policy knows them, so that there are not more names than it has.
    return span->SetName({method, " /tools/", ticket.tool, "/", ticket.action});
  }
  const std::string_view route = end.is_proxied ? kToolRoute : end.route;
  span->SetName({method, route.empty() ? "" : " ", route});
}

}  // namespace

std::string_view SpanMethod(std::string_view method) {
  for (const std::string_view known : kMethods) {
    if (method == known) return known;
  }
  return "_OTHER";
}

void CallSpans::Begin(Ticket* ticket, bool has_parent) const {
  ticket->traced = options_.queue != nullptr;
  if (!ticket->traced) return;
  TraceContext& trace = ticket->trace;
  const bool sampled = options_.sampler.Samples(trace, has_parent);
  trace.flags &= static_cast<uint8_t>(~TraceContext::kSampled);
  if (sampled) trace.flags |= TraceContext::kSampled;
  ticket->traced = sampled;
}

SpanRecord* CallSpans::Open(bool minor) {
  SpanRecord* const span = options_.queue->Begin(minor);
  if (span == nullptr) metrics_.spans_dropped.Add();
  return span;
}

void CallSpans::SetTimes(int64_t started_ns, SpanRecord* span) const {
  span->end_unix_ns = clock_.UnixNanos();
  span->start_unix_ns = span->end_unix_ns - (clock_.MonotonicNanos() - started_ns);
}

void CallSpans::Finish(Ticket* ticket, const End& end) {
  if (!ticket->traced) return;
  ticket->traced = false;
  // Callers that nobody knows must not be able to crowd out the spans of others.
  SpanRecord* const span = Open(!ticket->decided);
  if (span == nullptr) return;
  span->context = ticket->trace;
  span->parent_id = ticket->parent_span;
  span->parent_is_remote = true;
  SetTimes(ticket->started_ns, span);
  if (end.rpc.empty()) {
    SetHttpName(*ticket, end, span);
    span->Add(SpanKey::kMethod, end.method);
    span->Add(SpanKey::kRoute, end.is_proxied ? kToolRoute : end.route);
  } else {
    const std::string_view rpc = end.rpc.substr(1);
    const size_t slash = rpc.find('/');
    span->SetName({rpc});
    span->Add(SpanKey::kRpcSystem, "grpc");
    span->Add(SpanKey::kRpcService, rpc.substr(0, slash));
    if (slash != std::string_view::npos) span->Add(SpanKey::kRpcMethod, rpc.substr(slash + 1));
  }
  if (end.status != 0) span->Add(SpanKey::kStatus, int64_t{end.status});
  // A refusal is no error of the server's (semantic conventions, "HTTP spans", status).
  span->failed = end.failed || end.status >= 500;
  if (!end.error.empty() && (!ticket->decided || span->failed || end.status < 400)) {
    span->Add(SpanKey::kErrorType, end.error);
  }
  if (ticket->decided) AddDecision(*ticket, span);
  options_.queue->Commit();
}

void CallSpans::FinishToolCall(const Ticket& ticket, const ToolCall& call) {
  if (!ticket.traced) return;
  SpanRecord* const span = Open(false);
  if (span == nullptr) return;
  span->context = call.context;
  span->parent_id = ticket.trace.span_id;
  span->kind = telemetry::SpanKind::kClient;
  SetTimes(call.started_ns, span);
  span->SetName({call.method == "_OTHER" ? "HTTP" : call.method});
  span->Add(SpanKey::kMethod, call.method);
  AddServer(call.host, span);
  if (call.status != 0) span->Add(SpanKey::kStatus, int64_t{call.status});
  span->failed = call.status >= 400 || !call.error.empty();
  span->Add(SpanKey::kErrorType, call.error);
  span->Add(SpanKey::kDecisionId, ticket.id.text());
  span->Add(SpanKey::kTool, ticket.tool);
  span->Add(SpanKey::kAction, ticket.action);
  options_.queue->Commit();
}

}  // namespace aegis::gateway
