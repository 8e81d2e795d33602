#include "aegis/gateway/exchange.h"

#include <algorithm>
#include <charconv>

#include "aegis/base/ids.h"
#include "aegis/gateway/problem.h"
#include "aegis/gateway/tool_call.h"
#include "aegis/gateway/worker.h"
#include "aegis/net/http1_grammar.h"

namespace aegis::gateway {
namespace {

using decision::Outcome;
using decision::Reason;
using net::BodyKind;
using net::FieldId;

constexpr std::string_view kCrlf = "\r\n";

// What spans call the paths of a door.
std::string_view TemplateOf(Door door) {
  switch (door) {
    case Door::kDecision:
      return "/v1/decisions";
    case Door::kDecisionResult:
      return "/v1/decisions/{id}/result";
    case Door::kData:
      return "/v1/data/{path}";
    case Door::kExtAuthz:
      return "/v1/ext_authz/{path}";
    case Door::kProxy:
    case Door::kNone:
      return {};
  }
  return {};
}

void AppendNumber(std::string& out, uint64_t number) {
  char digits[24];
  out.append(digits, std::to_chars(digits, digits + sizeof digits, number).ptr);
}

bool IsCredential(const Tool& tool, std::string_view name) {
  return std::any_of(tool.credentials.begin(), tool.credentials.end(),
                     [&](const ToolCredential& one) { return one.header == name; });
}

}  // namespace

Exchange::Exchange(Worker& worker, Downstream& downstream)
    : worker_(worker),
      downstream_(downstream),
      relay_(*this, downstream, worker.loop(), worker.metrics()) {}

Exchange::~Exchange() { StopWaiting(); }

void Exchange::StopWaiting() {
  if (pending_) pending_->waiter = nullptr;
  pending_ = nullptr;
}

void Exchange::OnHead() {
  const net::RequestHead& head = downstream_.head();
  counted_ = worker_.BeginRequest();
  settled_ = false;
  span_ = {};
  span_.status = 200;  // unless another answer is noted
  span_.method = SpanMethod(head.method);
  worker_.pipeline().Begin(&head, downstream_.started_ns(), &ticket_);
  if (!FindDoor()) return;
  span_.route = TemplateOf(route_.door);
  span_.is_proxied = route_.door == Door::kProxy;
  if (!counted_) {
    return AnswerProblem(503, "overloaded", "too many calls are at work; try again");
  }
  if (!route_.error.empty()) return AnswerProblem(400, "bad_path", route_.error, true);
  if (route_.door == Door::kNone) {
    return AnswerProblem(
        404, "no_such_path",
        "the gateway serves /tools/<tool>/<action>, /v1/decisions and /v1/data/<path>");
  }
  if (!CheckMethod()) return;
  if (route_.door == Door::kExtAuthz) {
    asked_head_ = head;
    asked_head_.path = route_.call_path;
    if (!CheckEnvoyCall()) return;
  }

  const Pipeline::Credential credential = Pipeline::FindCredential(head);
  credential_in_authorization_ = credential.in_authorization;
  auto caller = worker_.pipeline().Authenticate(credential, CallOrigin());
  if (!caller) return AnswerUnauthenticated(caller.error());
  caller_ = *std::move(caller);

  Refusal refusal;
  tool::ActionMap::Match match;
  if (is_tool_call())
    refusal = ResolveAction(worker_.pipeline().state(), head.method, &route_, &match);
  if (refusal.status != 0) {
    return AnswerProblem(refusal.status, refusal.reason, refusal.detail, true);
  }
  BodyType type = ClassifyBody(head, BodiesOf(match), &refusal);
  if (route_.door == Door::kData) {
    // OPA reads every body as JSON, whatever its type says; so do its clients rely on.
    if (refusal.reason == "content_type") refusal = {};
    const bool none = head.body == BodyKind::kNone ||
                      (head.body == BodyKind::kLength && head.content_length == 0);
    type = none ? BodyType::kNone : BodyType::kJson;
  }
  if (refusal.status != 0) {
    return AnswerProblem(refusal.status, refusal.reason, refusal.detail, true);
  }
  // Envoy passes its calls on itself.
  websocket_ = route_.door == Door::kProxy ? ReadWebSocketRequest(head) : WebSocketRequest();
  if (!websocket_.error.empty()) {
    return AnswerProblem(400, "bad_websocket", websocket_.error, true);
  }
  if (is_tool_call() && (!caller_.agent || caller_.agent->suspended)) {
    // Refused whatever it wants: the body is not worth receiving.
    return Judge(route_.tool, route_.action, {}, {});
  }
  if (!is_tool_call() && route_.door != Door::kData && type != BodyType::kJson) {
    return AnswerProblem(415, "json_needed", "send a JSON object as application/json", true);
  }
  state_ = State::kReceiving;
  downstream_.CollectBody(type);
}

// By the name that the request was sent to, or by its path. False: it was refused.
bool Exchange::FindDoor() {
  const net::RequestHead& head = downstream_.head();
  // An Envoy that asks has the Host of the call that it asks about.
  if (head.path.starts_with("/v1/ext_authz/") || head.path.starts_with("/v1/ext_authz_for/")) {
    route_ = FindRoute(head.path, &path_storage_);
    return true;
  }
  Refusal refusal;
  const std::string_view tool = FindHostTool(worker_.pipeline().state(), head.host, &refusal);
  if (refusal.status != 0) {
    route_ = {};
    AnswerProblem(refusal.status, refusal.reason, refusal.detail, true);
    return false;
  }
  if (tool.empty()) {
    route_ = FindRoute(head.path, &path_storage_);
    return true;
  }
  // Its own name, for the state may change before the call is over.
  tool_storage_ = tool;
  route_ = FindToolRoute(tool_storage_, {}, head.path, &path_storage_);
  return true;
}

const net::RequestHead& Exchange::head() const {
  return route_.door == Door::kExtAuthz ? asked_head_ : downstream_.head();
}

Pipeline::Origin Exchange::CallOrigin() const {
  return {downstream_.peer(), is_tool_call() ? route_.tool : downstream_.head().path};
}

bool Exchange::CheckMethod() {
  const std::string_view method = downstream_.head().method;
  if (is_tool_call()) {
    if (IsToolMethod(method)) return true;
    AnswerProblem(kMethodRefusal.status, kMethodRefusal.reason, kMethodRefusal.detail, true);
    return false;
  }
  if (method == "POST" || (method == "GET" && route_.door == Door::kData)) return true;
  AnswerProblem(405, "method_not_allowed", "this path takes POST only", true);
  return false;
}

void Exchange::OnBody(BodyType type, std::string_view body, bool complete, bool at_once) {
  body_ = body;
  body_complete_ = complete;
  if (!at_once) {
    // Settings may have changed while the body came: who calls is asked again, as of now.
    auto caller = worker_.pipeline().AuthenticateAgain(Pipeline::FindCredential(downstream_.head()),
                                                       CallOrigin(), caller_);
    if (!caller) return AnswerUnauthenticated(caller.error());
    caller_ = *std::move(caller);
  }
  switch (route_.door) {
    case Door::kProxy:
    case Door::kExtAuthz:
      return JudgeToolCall(type);
    case Door::kDecision:
      return JudgeDecisionRequest();
    case Door::kDecisionResult:
      return TakeResult();
    case Door::kData:
      return JudgeDataRequest();
    case Door::kNone:
      return;
  }
}

void Exchange::JudgeToolCall(BodyType type) {
  // By the state as it is now, like all that is judged.
  tool::ActionMap::Match match;
  Refusal refusal = ResolveAction(worker_.pipeline().state(), head().method, &route_, &match);
  const bool unread = BodiesOf(match) == tool::kUnreadBody;
  if (refusal.status == 0 && type != BodyType::kNone && unread != (type == BodyType::kUnread)) {
    refusal = {503, "settings_changed", "the tool's map changed while the body came; try again"};
  }
  if (refusal.status != 0) {
    return AnswerProblem(refusal.status, refusal.reason, refusal.detail, true);
  }
  // A call that was refused before it was judged has left its values there.
  worker_.pipeline().arena().Reset();
  const ParamSource source{type,
                           body_,
                           head().query,
                           head().fields,
                           match.action == nullptr ? nullptr : &match,
                           route_.door == Door::kExtAuthz};
  const rego::Value params = BuildParams(source, worker_.pipeline().arena(), &refusal);
  if (params.is_undefined()) {
    return AnswerProblem(refusal.status, refusal.reason, refusal.detail, true);
  }
  const std::string_view session = FindSession(head(), &refusal);
  if (refusal.status != 0) {
    return AnswerProblem(refusal.status, refusal.reason, refusal.detail, true);
  }
  Judge(route_.tool, route_.action, params, session);
}

void Exchange::Judge(std::string_view tool, std::string_view action, rego::Value params,
                     std::string_view session) {
  Pipeline::Input input;
  input.caller = &caller_;
  input.tool = tool;
  input.action = action;
  input.params = params;
  input.session = session;
  if (is_tool_call()) {
    input.head = &head();
    if (route_.door == Door::kExtAuthz) input.door = decision::Door::kExtAuthz;
  } else {
    input.door = decision::Door::kSdk;
  }
  pending_ = worker_.pipeline().Judge(input, this, &ticket_);
  AwaitRecord();
}

void Exchange::AwaitRecord() {
  caller_.agent = nullptr;  // of a state that may go before the call is over
  if (!pending_) {
    ticket_.decided = false;
    return AnswerProblem(kUnrecorded.status, kUnrecorded.reason, kUnrecorded.detail);
  }
  decision_headers_.Clear();
  decision_headers_.AddDecision(ticket_);
  state_ = State::kRecording;
}

void Exchange::OnRecorded(bool durable) {
  pending_ = nullptr;
  if (!durable) {
    // Not a decision that anyone may rely on: the answer does not carry it.
    ticket_.proceeds = false;
    ticket_.decided = false;
    state_ = State::kReceiving;
    return AnswerProblem(kUnrecorded.status, kUnrecorded.reason, kUnrecorded.detail);
  }
  if (route_.door == Door::kDecision) return AnswerDecision();
  if (route_.door == Door::kData) return AnswerData();
  if (!ticket_.proceeds) return AnswerDenied();
  if (route_.door == Door::kExtAuthz) return AnswerEnvoy();
  Forward();
}

void Exchange::Forward() {
  const net::RequestHead& head = downstream_.head();
  const StringMap<Tool>& tools = worker_.pipeline().state()->tools;
  const auto found = tools.find(ticket_.tool);
  if (found == tools.end()) {
    Settle(404, "tool_unknown");
    return AnswerProblem(404, "tool_unknown", "no tool of this name is registered");
  }
  const ToolProblem& problem = found->second.problem;
  if (problem.status != 0) {
    Settle(problem.status, problem.reason);
    return AnswerProblem(problem.status, problem.reason, problem.detail);
  }
  const bool streams = !body_complete_;
  const bool chunked = streams && head.body == BodyKind::kChunked;
  BuildUpstreamHead(found->second, chunked, streams ? head.content_length : body_.size(),
                    head.body != BodyKind::kNone && !chunked);
  state_ = State::kForwarding;
  Relay::Request request;
  request.pool = worker_.PoolFor(found->first, found->second);
  request.method = head.method;
  request.head = upstream_head_;
  request.body = body_;
  request.streams = streams;
  request.chunked = chunked;
  request.websocket_key = websocket_.key;
  request.own_headers = decision_headers_.items();
  tool_host_ = found->second.host;
  tool_span_.started_ns = worker_.pipeline().clock().MonotonicNanos();
  relay_.Start(request);
}

void Exchange::BuildUpstreamHead(const Tool& tool, bool chunked, uint64_t length, bool has_length) {
  const net::RequestHead& head = downstream_.head();
  std::string& out = upstream_head_;
  out.assign(head.method).append(" ").append(tool.path_prefix).append(route_.rest);
  if (head.has_query) out.append("?").append(head.query);
  out.append(" HTTP/1.1\r\nhost: ").append(tool.host).append(kCrlf);
  for (const net::HeaderField& field : head.fields) {
    switch (field.id) {
      case FieldId::kConnection:
      case FieldId::kContentLength:
      case FieldId::kExpect:
      case FieldId::kHost:
      case FieldId::kKeepAlive:
      case FieldId::kProxyAuthenticate:
      case FieldId::kProxyConnection:
      case FieldId::kTe:
      case FieldId::kTraceparent:
      case FieldId::kTrailer:
      case FieldId::kTransferEncoding:
      case FieldId::kUpgrade:
        continue;
      case FieldId::kTracestate:
        if (!ticket_.forward_tracestate) continue;
        break;
      default:
        break;
    }
    if (field.nominated || StaysBehind(field, credential_in_authorization_)) continue;
    if (!tool.credentials.empty() && IsCredential(tool, field.name)) continue;
    out.append(field.name).append(": ").append(field.value).append(kCrlf);
  }
  tool_span_.context = worker_.pipeline().trace_ids().NewSpan(ticket_.trace);
  out.append("traceparent: ").append(telemetry::Traceparent(tool_span_.context).text());
  out.append(kCrlf);
  if (chunked) {
    out.append("transfer-encoding: chunked\r\n");
  } else if (has_length) {
    out.append("content-length: ");
    AppendNumber(out, length);
    out.append(kCrlf);
  }
  for (const ToolCredential& credential : tool.credentials) {
    out.append(credential.header).append(": ").append(credential.value).append(kCrlf);
  }
  if (websocket_.asks) out.append("connection: Upgrade\r\nupgrade: websocket\r\n");
  out.append(kCrlf);
}

void Exchange::OnRelayDone() {
  NoteAnswer(relay_.status(), {});
  Settle(relay_.status(), {});
  End();
  downstream_.FinishAnswer();
}

void Exchange::OnRelayFailed(int status, std::string_view reason, std::string_view detail) {
  Settle(status, reason);
  own_.SetProblem(status, reason, detail, &ticket_);
  if (status == 503) own_.SetRetryAfter(relay_.retry_after_seconds());
  SendOwn(false);
}

void Exchange::OnRelayAborted(std::string_view reason) {
  NoteAnswer(relay_.status(), reason);
  span_.failed = true;
  Settle(relay_.status(), reason);
  End();
  downstream_.Abort();
}

void Exchange::OnNewState() {
  if (state_ != State::kForwarding) return;
  const gateway::State* state = worker_.pipeline().state();
  if (caller_.principal && state->revocations->IsRevoked(*caller_.principal)) {
    return relay_.Stop(403, "token_revoked", "the token was revoked while its call was running");
  }
  const StringMap<Agent>& agents = state->agents;
  const auto agent = agents.find(ticket_.agent);
  if (agent != agents.end() && !agent->second.suspended) return;
  relay_.Stop(403, "agent_suspended", "the agent was suspended while its call was running");
}

void Exchange::OnClientGone() {
  NoteAnswer(0, "client_gone");
  if (state_ == State::kForwarding) {
    relay_.Cancel();
    span_.status = relay_.status();
    Settle(relay_.status(), "client_gone");
  } else if (state_ == State::kRecording && ticket_.proceeds && is_tool_call()) {
    Settle(0, "client_gone");
  }
  End();
}

void Exchange::Settle(int status, std::string_view error) {
  if (settled_) return;
  settled_ = true;
  Pipeline::OutcomeFigures figures;
  figures.status = status;
  figures.error = error;
  if (state_ == State::kForwarding) {
    figures.request_bytes = relay_.request_bytes();
    figures.response_bytes = relay_.response_bytes();
    figures.attempts = relay_.attempts();
    tool_span_.method = span_.method;
    tool_span_.host = tool_host_;
    tool_span_.status = relay_.status();
    tool_span_.error = error;
    worker_.pipeline().spans().FinishToolCall(ticket_, tool_span_);
  }
  worker_.pipeline().RecordOutcome(ticket_, ticket_.id.text(), figures);
}

void Exchange::NoteAnswer(int status, std::string_view error) {
  span_.status = status;
  span_.error = error;
}

void Exchange::End() {
  StopWaiting();
  state_ = State::kIdle;
  caller_ = Caller();
  body_ = {};
  if (!counted_) return;
  counted_ = false;
  worker_.EndRequest();
  worker_.metrics().request_duration.Observe(worker_.pipeline().clock().MonotonicNanos() -
                                             ticket_.started_ns);
  worker_.pipeline().spans().Finish(&ticket_, span_);
}

void Exchange::AnswerDenied() {
  own_.SetDenied(ticket_);
  SendOwn(false);
}

void Exchange::AnswerUnauthenticated(const Error& error) {
  if (error.code == Code::kUnauthenticated) {
    worker_.logger().Warn("agent refused", {{"why", error.reason}});
  }
  own_.SetUnauthenticated(error, nullptr);
  SendOwn(false);
}

void Exchange::AnswerProblem(int status, std::string_view reason, std::string_view detail,
                             bool close) {
  const bool decided = state_ == State::kRecording || state_ == State::kForwarding;
  own_.SetProblem(status, reason, detail, decided ? &ticket_ : nullptr);
  SendOwn(close);
}

void Exchange::SendOwn(bool close) {
  const Problem& problem = own_.problem;
  if (route_.door == Door::kData) {
    return AnswerDataError(problem.status,
                           problem.token_error.empty() ? problem.reason : problem.token_error,
                           problem.detail, own_.headers.items(), close);
  }
  if (route_.door == Door::kExtAuthz) PrepareForEnvoy(&own_.problem);
  text_.clear();
  AppendProblem(problem, text_);
  Downstream::Answer answer;
  answer.status = problem.status;
  answer.content_type = "application/problem+json";
  answer.headers = own_.headers.items();
  answer.body = text_;
  answer.close = close;
  NoteAnswer(problem.status, problem.token_error.empty() ? problem.reason : problem.token_error);
  downstream_.Send(answer);
}

}  // namespace aegis::gateway
