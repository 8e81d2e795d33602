#include "aegis/gateway/pipeline.h"

#include "aegis/audit/record.h"
#include "aegis/base/text.h"
#include "aegis/decision/query.h"
#include "aegis/rego/value.h"

namespace aegis::gateway {
namespace {

using decision::Outcome;
using decision::Reason;
using net::FieldId;

constexpr std::string_view kTokenField = "x-aegis-token";
// No tool can have this name.
constexpr std::string_view kQueryTool = "opa:data";
constexpr size_t kMaxSourceBytes = 64;
constexpr size_t kMaxResultBytes = size_t{8} << 20;

decision::Decision Deny(Reason reason, std::string_view message) {
  decision::Decision out;
  out.outcome = Outcome::kDeny;
  out.reason = reason;
  out.message = message;
  return out;
}

// What policy may see of the head: neither credentials nor Aegis's own fields.
std::span<const decision::Header> PolicyHeaders(const net::RequestHead& head, Arena& arena) {
  auto* headers = arena.AllocateArray<decision::Header>(head.fields.size());
  if (!headers) return {};
  size_t count = 0;
  for (const net::HeaderField& field : head.fields) {
    switch (field.id) {
      case FieldId::kAegis:
      case FieldId::kAuthorization:
      case FieldId::kProxyAuthorization:
        continue;
      default:
        break;
    }
    headers[count++] = {field.name, field.value};
  }
  return {headers, count};
}

rego::Value Labels(const Agent& agent, Arena& arena) {
  if (agent.labels.empty()) return {};
  rego::ObjectBuilder labels(arena, agent.labels.size());
  for (const auto& [name, value] : agent.labels) {
    labels.Add(rego::MakeStringView(name), rego::MakeStringView(value));
  }
  return labels.Build();
}

}  // namespace

Pipeline::Pipeline(const Options& options, Recorder& recorder, telemetry::WorkerMetrics& metrics)
    : options_(options),
      recorder_(recorder),
      metrics_(metrics),
      spans_(options.spans, metrics, options.clock ? *options.clock : Clock::System()) {
  if (!options_.clock) options_.clock = &Clock::System();
}

void Pipeline::SetState(std::shared_ptr<const State> state) {
  state_ = std::move(state);
  identity::Principal nobody;
  if (state_) {
    nobody.org = state_->org;
    nobody.tenant = state_->tenant;
  }
  nobody_.principal = identity::PrincipalRef(std::move(nobody));
}

void Pipeline::Begin(const net::RequestHead* head, int64_t started_ns, Ticket* ticket) {
  const net::HeaderField* parent = head ? head->Find(FieldId::kTraceparent) : nullptr;
  const auto continued = trace_ids_.Continue(parent ? parent->value : std::string_view());
  ticket->trace = continued.context;
  ticket->parent_span = continued.parent_id;
  spans_.Begin(ticket, !continued.is_new);
  ticket->forward_tracestate = !continued.is_new;
  ticket->started_ns = started_ns;
  ticket->id = ids_.Next(options_.clock->UnixMillis());
  ticket->proceeds = false;
  ticket->shadowed = false;
  ticket->decided = false;
  ticket->message.clear();
  ticket->rule.clear();
}

Pipeline::Credential Pipeline::FindCredential(const net::RequestHead& head) {
  Credential own, bearer;
  std::string_view user_agent;
  int own_count = 0, authorization_count = 0;
  for (const net::HeaderField& field : head.fields) {
    if (field.id == FieldId::kAegis && field.name == kTokenField) {
      ++own_count;
      own.token = field.value;
    } else if (field.id == FieldId::kUserAgent) {
      user_agent = field.value;
    } else if (field.id == FieldId::kAuthorization) {
      ++authorization_count;
      constexpr std::string_view kScheme = "bearer ";
      if (field.value.size() > kScheme.size() &&
          EqualsIgnoreCase(field.value.substr(0, kScheme.size()), kScheme)) {
        bearer.token = field.value.substr(kScheme.size());
      }
    }
  }
  own.user_agent = user_agent;
  bearer.user_agent = user_agent;
  if (own_count > 0) {
    own.malformed = own_count > 1 || own.token.empty();
    if (own.malformed) own.token = {};
    // Authorization is the tool's then, but a client that sends its token in both must not show it.
    for (const net::HeaderField& field : head.fields) {
      if (own.malformed || field.id != FieldId::kAuthorization) continue;
      if (field.value.find(own.token) != std::string_view::npos) own.in_authorization = true;
    }
    return own;
  }
  bearer.in_authorization = true;
  bearer.malformed = authorization_count > 1 || (authorization_count == 1 && bearer.token.empty());
  if (bearer.malformed) bearer.token = {};
  return bearer;
}

Result<Caller> Pipeline::Authenticate(const Credential& credential, const Origin& origin) {
  return AuthenticateAgain(credential, origin, Caller());
}

bool Pipeline::IsBlocked(std::string_view address) {
  if (!state_ || state_->blocked_sources.empty() ||
      !state_->blocked_sources.contains(net::IpOfAddress(address))) {
    return false;
  }
  metrics_.CountUnknownCaller(UnknownReason("caller_blocked"));
  return true;
}

Result<Caller> Pipeline::AuthenticateAgain(const Credential& credential, const Origin& origin,
                                           const Caller& before) {
  if (!state_) {
    return Fail(Code::kUnavailable, "not_ready",
                "the gateway has no settings yet; it cannot tell who calls");
  }
  if (IsBlocked(origin.address)) {
    return Fail(Code::kPermissionDenied, "caller_blocked",
                "calls from this address are blocked by the operator");
  }
  auto caller = Identify(credential);
  if (caller && caller->agent) return caller;
  if (!caller && caller.error().code == Code::kUnauthenticated) {
    metrics_.CountDecision(static_cast<size_t>(Outcome::kDeny),
                           static_cast<size_t>(Reason::kTokenInvalid));
  }
  const bool listed = before.principal && !before.agent;
  AEGIS_RETURN_IF_ERROR(NoteUnknown(credential, origin, caller, listed));
  return caller;
}

Status Pipeline::NoteUnknown(const Credential& credential, const Origin& origin,
                             const Result<Caller>& caller, bool listed) {
  std::string name = caller ? Shown(caller->principal->agent)
                            : ClaimedName(credential.token, credential.user_agent);
  if (state_->blocked_names.contains(name)) {
    metrics_.CountUnknownCaller(UnknownReason("caller_blocked"));
    return Fail(Code::kPermissionDenied, "caller_blocked",
                "calls under this name are blocked by the operator");
  }
  if (listed) return Ok();
  const size_t reason = UnknownReason(caller ? "agent_unknown" : caller.error().reason);
  metrics_.CountUnknownCaller(reason);
  std::string source = net::IpOfAddress(origin.address);
  if (source.empty()) source = Shown(origin.address.substr(0, kMaxSourceBytes));
  unknown_callers_.Add(std::move(source), std::move(name), Shown(origin.target), reason,
                       options_.clock->UnixMillis());
  return Ok();
}

Result<Caller> Pipeline::Identify(const Credential& credential) {
  if (credential.malformed) {
    return Fail(
        Code::kUnauthenticated, "token_malformed",
        "the credential is not one bearer token: send 'Authorization: Bearer <agent token>'");
  }
  if (credential.token.empty()) {
    return Fail(Code::kUnauthenticated, "token_missing",
                "no agent token: send 'Authorization: Bearer <agent token>' or X-Aegis-Token");
  }
  auto principal = tokens_.Authenticate(credential.token, options_.clock->UnixSeconds(),
                                        *state_->verifier, *state_->revocations);
  if (!principal) return tl::unexpected<Error>(std::move(principal).error());
  Caller caller;
  caller.principal = *std::move(principal);
  const auto found = state_->agents.find(caller.principal->agent);
  if (found != state_->agents.end()) caller.agent = &found->second;
  return caller;
}

std::optional<decision::Decision> Pipeline::DecideAlone(const Caller& caller) const {
  if (!caller.agent) {
    return Deny(Reason::kTokenInvalid, "the agent of the token is not registered");
  }
  if (caller.agent->suspended) return Deny(Reason::kAgentSuspended, "the agent is suspended");
  if (!state_->snapshot) {
    return Deny(Reason::kNoPolicy, "no policy has been published for this tenant");
  }
  return std::nullopt;
}

decision::Decision Pipeline::Decide(const Input& input, int64_t now_ns) {
  if (auto decision = DecideAlone(*input.caller)) return *decision;
  decision::Call call;
  call.principal = input.caller->principal.get();
  call.agent_labels = Labels(*input.caller->agent, arena());
  call.door = input.door;
  call.tool = input.tool;
  call.action = input.action;
  call.params = input.params;
  if (input.head) {
    call.method = input.head->method;
    call.host = input.head->host;
    call.path = input.head->path;
    call.headers = PolicyHeaders(*input.head, arena());
  }
  // A policy that matches by label, or looks at a header, must not decide without them.
  if ((call.agent_labels.is_undefined() && !input.caller->agent->labels.empty()) ||
      (input.head && call.headers.data() == nullptr && !input.head->fields.empty())) {
    return Deny(Reason::kPolicyError, "the call is too large to be judged");
  }
  call.session = input.session;
  call.time_unix_ns = now_ns;
  decision::Decision decision = evaluator_.Evaluate(*state_->snapshot, call);
  if (!input.refusal.empty() && (decision.allows() || input.refusal_is_firm)) {
    const std::string_view rule = decision.rule;
    decision = Deny(Reason::kEgressNotAllowed, input.refusal);
    decision.rule = rule;
  }
  return decision;
}

bool Pipeline::InShadow(const Input& input, const decision::Decision& decision) const {
  // Who calls is never a matter of trying out a policy.
  const bool is_identity =
      decision.reason == Reason::kAgentSuspended || decision.reason == Reason::kTokenInvalid;
  // Nor can a question that has no answer be let pass.
  if (is_identity || input.is_query || input.refusal_is_firm) return false;
  return options_.shadow || decision.mode == decision::Mode::kShadow;
}

decision::Decision Pipeline::Preview(const Input& input, bool* proceeds) {
  const decision::Decision decision = Decide(input, options_.clock->UnixNanos());
  *proceeds = decision.outcome == Outcome::kAllow || InShadow(input, decision);
  return decision;
}

RecordSlot* Pipeline::Judge(const Input& input, RecordWaiter* waiter, Ticket* ticket) {
  const int64_t now_ns = options_.clock->UnixNanos();
  const int64_t begin = options_.clock->MonotonicNanos();
  decision::Decision decision = Decide(input, now_ns);
  metrics_.decision_duration.Observe(options_.clock->MonotonicNanos() - begin);

  // What policy asks for and this version cannot do must not be left undone.
  if (decision.outcome == Outcome::kSanitize) {
    decision =
        Deny(Reason::kPolicyError, "the policy asks for sanitising, which is not supported yet");
  }
  return Record(input, decision, now_ns, waiter, ticket);
}

decision::Decision Pipeline::Evaluate(const QueryInput& input, int64_t now_ns,
                                      QueryAnswer* answer) {
  if (auto decision = DecideAlone(*input.caller)) return *decision;
  decision::Call call;
  call.principal = input.caller->principal.get();
  call.agent_labels = Labels(*input.caller->agent, arena());
  call.door = decision::Door::kSdk;
  call.time_unix_ns = now_ns;
  const auto failed = [&](std::string_view reason) {
    answer->error = reason;
    return Deny(Reason::kPolicyError, "the policy could not be evaluated");
  };
  if (call.agent_labels.is_undefined() && !input.caller->agent->labels.empty()) {
    return failed("call_too_large");
  }
  const auto built = decision::BuildQueryInput(call, input.input, arena());
  if (!built) return failed(built.error().reason);
  const auto value = evaluator_.Query(*state_->snapshot, input.path, *built, now_ns);
  if (!value) return failed(value.error().reason);
  if (!value->is_undefined()) {
    if (!decision::JsonFits(*value, kMaxResultBytes)) return failed("result_too_large");
    rego::AppendJson(*value, answer->result);
  }
  decision::Decision decision;
  decision.outcome = Outcome::kAllow;
  decision.reason = Reason::kAllowed;
  return decision;
}

RecordSlot* Pipeline::Query(const QueryInput& query, RecordWaiter* waiter, Ticket* ticket,
                            QueryAnswer* answer) {
  const int64_t now_ns = options_.clock->UnixNanos();
  const int64_t begin = options_.clock->MonotonicNanos();
  answer->result.clear();
  answer->error = {};
  const decision::Decision decision = Evaluate(query, now_ns, answer);
  metrics_.decision_duration.Observe(options_.clock->MonotonicNanos() - begin);
  Input input;
  input.caller = query.caller;
  input.door = decision::Door::kSdk;
  input.is_query = true;
  input.tool = kQueryTool;
  input.action = query.path;
  input.params = query.input;
  return Record(input, decision, now_ns, waiter, ticket);
}

decision::Decision Pipeline::Answer(const Question& question, int64_t now_ns,
                                    VerdictReader& reader) {
  if (!state_->snapshot) {
    return Deny(Reason::kNoPolicy, "no policy has been published for this tenant");
  }
  const auto answer = evaluator_.Query(*state_->snapshot, question.path, question.input, now_ns);
  if (!answer) return Deny(Reason::kPolicyError, "the policy could not be evaluated");
  if (answer->is_undefined()) return Deny(Reason::kPolicyError, "the policy gives no answer");
  const std::optional<bool> verdict = reader.ReadVerdict(*answer);
  if (!verdict) return Deny(Reason::kPolicyError, "the policy's answer is not of the right form");
  decision::Decision decision = Deny(Reason::kCustomDenied, "the policy denies the call");
  if (*verdict) {
    decision.outcome = Outcome::kAllow;
    decision.reason = Reason::kAllowed;
    decision.message = {};
  }
  decision.rule = question.path;
  if (question.dry_run) decision.mode = decision::Mode::kShadow;
  return decision;
}

RecordSlot* Pipeline::Ask(const Question& question, VerdictReader& reader, RecordWaiter* waiter,
                          Ticket* ticket) {
  const int64_t now_ns = options_.clock->UnixNanos();
  const int64_t begin = options_.clock->MonotonicNanos();
  const decision::Decision decision = Answer(question, now_ns, reader);
  metrics_.decision_duration.Observe(options_.clock->MonotonicNanos() - begin);
  Input input;
  input.caller = &nobody_;
  input.door = question.door;
  input.is_query = decision.rule.empty();
  input.tool = question.tool;
  input.action = question.action;
  input.source = question.source;
  input.params = question.input;
  return Record(input, decision, now_ns, waiter, ticket);
}

RecordSlot* Pipeline::Record(const Input& input, const decision::Decision& decision, int64_t now_ns,
                             RecordWaiter* waiter, Ticket* ticket) {
  const bool allowed = decision.outcome == Outcome::kAllow;
  const bool shadow = InShadow(input, decision);
  ticket->outcome = decision.outcome;
  ticket->reason = decision.reason;
  ticket->proceeds = allowed || shadow;
  ticket->shadowed = !allowed && shadow;
  ticket->decided = true;
  ticket->mode = shadow ? decision::Mode::kShadow : decision.mode;
  ticket->door = input.door;
  ticket->message = decision.message;
  ticket->rule = decision.rule;
  ticket->policy_version.clear();
  if (state_->snapshot) ticket->policy_version = state_->snapshot->policy_version();
  const identity::Principal& principal = *input.caller->principal;
  ticket->org = principal.org;
  ticket->tenant = principal.tenant;
  ticket->agent = principal.agent;
  ticket->tool = input.tool;
  ticket->action = input.action;
  metrics_.CountDecision(static_cast<size_t>(decision.outcome),
                         static_cast<size_t>(decision.reason));

  audit::DecisionRecord record;
  record.header.id = ticket->id.text();
  record.header.producer = options_.producer;
  record.header.time_unix_ns = now_ns;
  record.header.org = principal.org;
  record.header.tenant = principal.tenant;
  record.header.trace_id = ticket->trace.trace_id_text();
  record.agent = principal.agent;
  record.chain = principal.chain;
  record.session = input.session;
  record.source = input.source;
  record.door = input.door;
  record.tool = input.tool;
  record.action = input.action;
  if (!input.params.is_undefined()) record.params_hash = params_hasher_.Hash(input.params);
  record.outcome = decision.outcome;
  record.enforced = !shadow;
  record.mode = ticket->mode;
  record.reason = decision.reason;
  record.rule = decision.rule;
  record.policy_version = ticket->policy_version;
  record.rewritten = input.rewritten;
  if (state_->snapshot) record.bundle_sha256 = state_->snapshot->bundle_sha256();
  record.latency_us = (options_.clock->MonotonicNanos() - ticket->started_ns) / 1000;

  RecordSlot* slot = recorder_.Take();
  audit::Render(record, slot->record);
  evaluator_.Reset();
  return recorder_.Append(slot, waiter) ? slot : nullptr;
}

void Pipeline::RecordOutcome(const Ticket& ticket, std::string_view decision_id,
                             const OutcomeFigures& figures) {
  const int64_t now = options_.clock->MonotonicNanos();
  const Uuid id = ids_.Next(options_.clock->UnixMillis());
  audit::OutcomeRecord record;
  record.header.id = id.text();
  record.header.producer = options_.producer;
  record.header.time_unix_ns = options_.clock->UnixNanos();
  record.header.org = ticket.org;
  record.header.tenant = ticket.tenant;
  record.header.trace_id = ticket.trace.trace_id_text();
  record.agent = ticket.agent;
  record.decision_id = decision_id;
  record.tool = ticket.tool;
  record.action = ticket.action;
  record.status = figures.status;
  record.error = figures.error;
  record.request_bytes = figures.request_bytes;
  record.response_bytes = figures.response_bytes;
  record.rewritten = figures.rewritten;
  record.attempts = figures.attempts;
  record.duration_us = (now - ticket.started_ns) / 1000;
  RecordSlot* slot = recorder_.Take();
  audit::Render(record, slot->record);
  recorder_.Append(slot, nullptr);  // a failure is counted by the recorder
}

}  // namespace aegis::gateway
