// Audit records: what is written of each decision, each outcome and each operator's action, as
// canonical JSON (RFC 8785). Fields and limits: docs/formats/audit-record.md.
//
// Threading: free functions. Ownership: records are views, valid during the Render call.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "aegis/audit/journal.h"
#include "aegis/decision/call.h"
#include "aegis/decision/decision.h"
#include "aegis/identity/principal.h"

namespace aegis::audit {

inline constexpr int kRecordVersion = 1;  // member "v"

// A text longer than its limit is cut at a character and ends in "…". Bytes of UTF-8.
inline constexpr size_t kMaxNameBytes = 256;   // org, tenant, agent, tool, action, session, ids
inline constexpr size_t kMaxTextBytes = 1024;  // rule, what an operator did, errors
inline constexpr size_t kMaxChainLinks = 32;   // more are left out; "chain_truncated" says so
inline constexpr size_t kMaxStateBytes = 16 * 1024;  // each of before and after

// Members that every record has. Empty texts are left out of the JSON.
struct RecordHeader {
  std::string_view id = {};        // UUIDv7 of the record; a decision's id is its record's id
  std::string_view producer = {};  // Journal::Options::producer
  int64_t time_unix_ns = 0;        // when decided, finished, done; written with milliseconds
  std::string_view org = {};
  std::string_view tenant = {};
  std::string_view trace_id = {};  // 32 hexadecimal digits
};

// kind "decision": one per call that was decided, durable before the call goes on.
struct DecisionRecord {
  RecordHeader header = {};
  std::string_view agent = {};
  std::span<const identity::ChainLink> chain = {};
  std::string_view session = {};
  std::string_view source =
      {};  // principal of a client certificate that a proxy before us verified
  decision::Door door = decision::Door::kHttp;
  std::string_view tool = {};
  std::string_view action = {};
  std::string_view params_hash = {};  // "sha256:" and hexadecimal, of the params' canonical JSON
  decision::Outcome outcome = decision::Outcome::kDeny;  // the verdict
  bool enforced = true;  // false: the verdict was recorded only (shadow)
  decision::Mode mode = decision::Mode::kEnforce;
  decision::Reason reason = decision::Reason::kPolicyError;
  std::string_view rule = {};
  std::string_view policy_version = {};
  std::string_view bundle_sha256 = {};
  bool rewritten = false;  // the tool gets other params than were judged (redaction)
  std::string_view approval_id = {};
  int64_t latency_us = 0;  // from the request's arrival to the verdict
};

// kind "outcome": what became of a call that was let through.
struct OutcomeRecord {
  RecordHeader header = {};
  std::string_view agent = {};
  std::string_view decision_id = {};
  std::string_view tool = {};
  std::string_view action = {};
  int status = 0;               // HTTP status sent to the agent; 0: none was sent
  std::string_view error = {};  // why there is no proper answer, e.g. "upstream_timeout"
  uint64_t request_bytes = 0;   // bodies
  uint64_t response_bytes = 0;
  bool rewritten = false;   // the agent got another answer than the tool gave (redaction)
  int attempts = 1;         // how often the tool was asked; left out when once
  int64_t duration_us = 0;  // from the request's arrival to the last byte
};

// kind "operator": a change made by a person or a program with an operator's rights.
struct OperatorRecord {
  RecordHeader header = {};
  std::string_view who = {};     // e.g. "user:alice", "admin"
  std::string_view what = {};    // e.g. "policy.publish", "agent.suspend"
  std::string_view target = {};  // what it was done to
  std::string_view before = {};  // text for a person or JSON; written as a string
  std::string_view after = {};
};

// Writes the record into `out`'s head and tail, reusing their capacity; once warm nothing is
// allocated. Cannot fail: text that is not UTF-8 has its bad bytes replaced by U+FFFD, and the
// result is always below kMaxRecordBytes of docs/formats/audit-segment.md.
void Render(const DecisionRecord& record, PendingRecord& out);
void Render(const OutcomeRecord& record, PendingRecord& out);
void Render(const OperatorRecord& record, PendingRecord& out);

}  // namespace aegis::audit
