// The stages that all doors share: authenticate, decide, record, settle. A door turns its protocol
// into calls of these and their results into its protocol's answers.
//
// Threading: one Pipeline per worker. No locks; once warm no allocation but what an unknown token,
// a new policy or a large call needs.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "aegis/base/clock.h"
#include "aegis/base/ids.h"
#include "aegis/decision/call.h"
#include "aegis/decision/decision.h"
#include "aegis/decision/params_hash.h"
#include "aegis/decision/snapshot.h"
#include "aegis/gateway/call_spans.h"
#include "aegis/gateway/recorder.h"
#include "aegis/gateway/state.h"
#include "aegis/gateway/unknown_callers.h"
#include "aegis/identity/token_cache.h"
#include "aegis/net/http1_parser.h"
#include "aegis/telemetry/metrics.h"
#include "aegis/telemetry/trace_context.h"

namespace aegis::gateway {

// Who calls, as of now. `agent` is nullptr when the token is good and the agent unknown.
struct Caller {
  identity::PrincipalRef principal;
  const Agent* agent = nullptr;  // of the state that is current; valid until the next SetState
};

// What remains of a call after it was judged: for answers and for the outcome record.
struct Ticket {
  Uuid id;                // of the decision and of its record
  bool proceeds = false;  // the call may go on
  bool shadowed = false;  // it goes on although the verdict is not to
  bool decided = false;   // what follows is of a decision, but for the trace and the time
  decision::Outcome outcome = decision::Outcome::kDeny;
  decision::Reason reason = decision::Reason::kPolicyError;
  decision::Mode mode = decision::Mode::kEnforce;
  decision::Door door = decision::Door::kHttp;
  std::string message;
  std::string rule;
  std::string policy_version;
  std::string org, tenant, agent, tool, action;
  telemetry::TraceContext trace;       // of the call; its span is ours
  std::array<char, 16> parent_span{};  // the caller's; begins with NUL: none
  bool traced = false;                 // CallSpans' own
  bool forward_tracestate = false;
  int64_t started_ns = 0;  // monotonic
};

class Pipeline {
 public:
  struct Options {
    bool shadow = false;
    std::string producer;  // of the records
    const Clock* clock = nullptr;
    CallSpans::Options spans = {};
  };
  Pipeline(const Options& options, Recorder& recorder, telemetry::WorkerMetrics& metrics);

  // The state of calls judged from now on.
  void SetState(std::shared_ptr<const State> state);
  const State* state() const { return state_.get(); }
  bool shadow() const { return options_.shadow; }

  // Starts a call: its arrival time, trace and id. `head` may be null.
  void Begin(const net::RequestHead* head, int64_t started_ns, Ticket* ticket);

  // The agent token of a request: X-Aegis-Token, else Authorization: Bearer.
  struct Credential {
    std::string_view token;         // empty: none, or `malformed`
    bool malformed = false;         // given twice, or not a bearer token
    bool in_authorization = false;  // at least there: the tool does not get that field
    std::string_view user_agent;    // names a caller who is not known otherwise; never believed
  };
  static Credential FindCredential(const net::RequestHead& head);
  // Where a call comes from and goes to, for calls of unknown callers and for blocks.
  struct Origin {
    std::string_view address;  // of the caller, with or without its port; "unix"
    std::string_view target;   // tool, host or path, as sent
  };
  // A caller that is not known, or has no agent, is counted and listed (unknown_callers.h).
  // Errors: as identity::TokenCache::Authenticate, and token_missing, token_malformed, all with
  // code kUnauthenticated; caller_blocked (kPermissionDenied); not_ready (kUnavailable: no state
  // yet).
  Result<Caller> Authenticate(const Credential& credential, const Origin& origin);
  // The same, later in the same call, of which `before` was known: as of now, and not listed twice.
  Result<Caller> AuthenticateAgain(const Credential& credential, const Origin& origin,
                                   const Caller& before);
  // Whether the operator blocks that address, with or without its port; counted. For doors that
  // authenticate nobody.
  bool IsBlocked(std::string_view address);
  UnknownCallers& unknown_callers() { return unknown_callers_; }

  // For what belongs to the call being judged; emptied by Judge.
  Arena& arena() { return evaluator_.arena(); }

  struct Input {
    const Caller* caller = nullptr;
    decision::Door door = decision::Door::kHttp;
    std::string_view tool;
    std::string_view action;
    rego::Value params;  // object in arena(); undefined when a suspended agent's call was not read
    const net::RequestHead* head = nullptr;  // nullptr: not an HTTP call to a tool
    std::string_view session;
    std::string_view
        source;  // who called the proxy that asks, as that has verified it; for the record
    bool rewritten = false;  // the tool would get other params than these; for the record
    bool is_query = false;   // Query's and Ask's own: a refusal stays one in shadow
    // Why the call is denied (egress_not_allowed) even if the policy allows it; static; empty: it
    // is not. `refusal_is_firm`: it is no matter of trying out a policy.
    std::string_view refusal = {};
    bool refusal_is_firm = false;
  };
  // Decides the call without recording it, for what must be known before it can be judged in full.
  // `*proceeds`: whether it would go on. The decision's views are valid until the arena is emptied,
  // which is the caller's to do.
  decision::Decision Preview(const Input& input, bool* proceeds);
  // Decides the call and hands its record over. Then `waiter` is told when the record is durable,
  // and only then may the call go on or its denial be answered. Returns the slot, so that the
  // waiter can withdraw (slot->waiter = nullptr); nullptr: the record cannot be written, the call
  // must be refused (503).
  RecordSlot* Judge(const Input& input, RecordWaiter* waiter, Ticket* ticket);

  // A query of another entrypoint than the decision, by an agent. What the record says: that the
  // agent asked (tool "opa:data", action the path, params_hash of its input) and, as outcome, that
  // it was answered; what the answer means is between the agent and the policy.
  struct QueryInput {
    const Caller* caller = nullptr;
    std::string_view path;  // "example/allow"; must be an entrypoint, unless there is no policy
    rego::Value input;      // as sent, in arena(); undefined: none
  };
  struct QueryAnswer {
    std::string result;      // JSON; empty: undefined
    std::string_view error;  // why there is none, an evaluation error's reason; empty: no error
  };
  // As Judge; the ticket proceeds when there is an answer.
  RecordSlot* Query(const QueryInput& input, RecordWaiter* waiter, Ticket* ticket,
                    QueryAnswer* answer);

  // A question that a policy of another kind answers, about a call by someone whom Aegis does not
  // know: the record names no agent, but the source.
  struct Question {
    decision::Door door = decision::Door::kOpaEnvoy;
    std::string_view path;    // the entrypoint; the record's rule
    rego::Value input;        // in arena()
    std::string_view tool;    // these three for the record
    std::string_view action;  //
    std::string_view source;  //
    bool dry_run = false;     // what the policy denies may go on; what it does not answer may not
  };
  // Reads the verdict in what the policy answered, while the value is valid; nothing: there is
  // none in it. An undefined answer is not asked about.
  class VerdictReader {
   public:
    virtual std::optional<bool> ReadVerdict(rego::Value answer) = 0;

   protected:
    ~VerdictReader() = default;
  };
  // As Judge. Without a verdict, for whatever cause, the call is denied. Only with a state.
  RecordSlot* Ask(const Question& question, VerdictReader& reader, RecordWaiter* waiter,
                  Ticket* ticket);

  // What became of the call of decision `decision_id`; nobody waits for this record. `error`:
  // static; empty: none.
  struct OutcomeFigures {
    int status = 0;
    std::string_view error;
    uint64_t request_bytes = 0;
    uint64_t response_bytes = 0;
    bool rewritten = false;  // the answer is not as the tool gave it
    int attempts = 1;        // how often the tool was asked
  };
  void RecordOutcome(const Ticket& ticket, std::string_view decision_id,
                     const OutcomeFigures& figures);

  telemetry::TraceIdSource& trace_ids() { return trace_ids_; }
  CallSpans& spans() { return spans_; }
  const Clock& clock() const { return *options_.clock; }

 private:
  Result<Caller> Identify(const Credential& credential);
  // Counts and, unless `listed` already, lists a caller that is not known. Errors: caller_blocked.
  Status NoteUnknown(const Credential& credential, const Origin& origin,
                     const Result<Caller>& caller, bool listed);
  // What is decided whatever the policy says: nullopt when the policy is to be asked.
  std::optional<decision::Decision> DecideAlone(const Caller& caller) const;
  decision::Decision Decide(const Input& input, int64_t now_ns);
  bool InShadow(const Input& input, const decision::Decision& decision) const;
  decision::Decision Evaluate(const QueryInput& input, int64_t now_ns, QueryAnswer* answer);
  decision::Decision Answer(const Question& question, int64_t now_ns, VerdictReader& reader);
  RecordSlot* Record(const Input& input, const decision::Decision& decision, int64_t now_ns,
                     RecordWaiter* waiter, Ticket* ticket);

  Options options_;
  Recorder& recorder_;
  telemetry::WorkerMetrics& metrics_;
  std::shared_ptr<const State> state_;
  Caller nobody_;  // of the state's tenant
  decision::Evaluator evaluator_;
  identity::TokenCache tokens_;
  UnknownCallers unknown_callers_;
  UuidGenerator ids_;
  telemetry::TraceIdSource trace_ids_;
  CallSpans spans_;
  decision::ParamsHasher params_hasher_;
};

}  // namespace aegis::gateway
