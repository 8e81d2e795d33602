#include "aegis/audit/record.h"

#include <algorithm>
#include <charconv>
#include <chrono>

#include "aegis/base/json_text.h"

namespace aegis::audit {
namespace {

// Integers beyond this are not exact in the JSON of RFC 8785 §3.2.2.3 (IEEE 754 doubles).
constexpr uint64_t kMaxInteger = (uint64_t{1} << 53) - 1;

void AppendNumber(std::string& out, uint64_t value) {
  char text[20];
  const auto end = std::to_chars(text, text + sizeof text, std::min(value, kMaxInteger)).ptr;
  out.append(text, static_cast<size_t>(end - text));
}

void AppendPadded(std::string& out, unsigned value, int digits) {
  char text[4];
  for (int i = digits - 1; i >= 0; --i, value /= 10) text[i] = static_cast<char>('0' + value % 10);
  out.append(text, static_cast<size_t>(digits));
}

// As FormatRfc3339Millis, without its allocation.
void AppendTime(std::string& out, int64_t unix_nanos) {
  using namespace std::chrono;
  const sys_time<nanoseconds> time{nanoseconds(unix_nanos)};
  const auto day = floor<days>(time);
  const year_month_day date{day};
  const auto millis = static_cast<unsigned>(floor<milliseconds>(time - day).count());
  AppendPadded(out, static_cast<unsigned>(int(date.year())), 4);
  out.push_back('-');
  AppendPadded(out, unsigned(date.month()), 2);
  out.push_back('-');
  AppendPadded(out, unsigned(date.day()), 2);
  out.push_back('T');
  AppendPadded(out, millis / 3'600'000, 2);
  out.push_back(':');
  AppendPadded(out, millis / 60'000 % 60, 2);
  out.push_back(':');
  AppendPadded(out, millis / 1000 % 60, 2);
  out.push_back('.');
  AppendPadded(out, millis % 1000, 3);
  out.push_back('Z');
}

// Writes members one after another; the caller gives them in the order of their names, which is
// what makes the JSON canonical (RFC 8785 §3.2.3; the names are ASCII).
class Members {
 public:
  explicit Members(PendingRecord& record) : out_(&record.head), record_(record) {
    record.head.clear();
    record.tail.clear();
    out_->push_back('{');
  }

  // Left out when empty.
  void Text(std::string_view name, std::string_view value, size_t max_bytes = kMaxNameBytes) {
    if (value.empty()) return;
    Name(name);
    AppendJsonText(*out_, value, max_bytes);
  }
  void Number(std::string_view name, uint64_t value) {
    Name(name);
    AppendNumber(*out_, value);
  }
  void Duration(std::string_view name, int64_t value) {
    Number(name, value > 0 ? static_cast<uint64_t>(value) : 0);
  }
  void Flag(std::string_view name, bool value) {
    Name(name);
    out_->append(value ? "true" : "false");
  }
  void Time(std::string_view name, int64_t unix_nanos) {
    Name(name);
    out_->push_back('"');
    AppendTime(*out_, unix_nanos);
    out_->push_back('"');
  }
  void Chain(std::span<const identity::ChainLink> chain) {
    Name("chain");
    out_->push_back('[');
    const size_t count = std::min(chain.size(), kMaxChainLinks);
    for (size_t i = 0; i < count; ++i) {
      out_->append(i == 0 ? "{\"id\":" : ",{\"id\":");
      AppendJsonText(*out_, chain[i].id, kMaxNameBytes);
      out_->append(",\"type\":");
      AppendJsonText(*out_, chain[i].type, kMaxNameBytes);
      out_->push_back('}');
    }
    out_->push_back(']');
    if (count < chain.size()) Flag("chain_truncated", true);
  }
  // The journal's number goes between the two parts.
  void Sequence() {
    Name("seq");
    out_ = &record_.tail;
  }
  void Finish() { out_->push_back('}'); }

 private:
  void Name(std::string_view name) {
    if (out_ == &record_.tail || out_->size() > 1) out_->push_back(',');
    out_->append("\"").append(name).append("\":");
  }

  std::string* out_;
  PendingRecord& record_;
};

}  // namespace

void Render(const DecisionRecord& record, PendingRecord& out) {
  const RecordHeader& header = record.header;
  Members members(out);
  members.Text("action", record.action);
  members.Text("agent", record.agent);
  members.Text("approval_id", record.approval_id);
  members.Text("bundle_sha256", record.bundle_sha256);
  members.Chain(record.chain);
  members.Text("door", decision::DoorName(record.door));
  members.Flag("enforced", record.enforced);
  members.Text("id", header.id);
  members.Text("kind", "decision");
  members.Duration("latency_us", record.latency_us);
  members.Text("mode", decision::ModeName(record.mode));
  members.Text("org", header.org);
  members.Text("outcome", decision::OutcomeName(record.outcome));
  members.Text("params_hash", record.params_hash);
  members.Text("policy_version", record.policy_version);
  members.Text("producer", header.producer);
  members.Text("reason", decision::ReasonName(record.reason));
  if (record.rewritten) members.Flag("rewritten", true);
  members.Text("rule", record.rule, kMaxTextBytes);
  members.Sequence();
  members.Text("session", record.session);
  members.Text("source", record.source);
  members.Text("tenant", header.tenant);
  members.Time("time", header.time_unix_ns);
  members.Text("tool", record.tool);
  members.Text("trace_id", header.trace_id);
  members.Number("v", kRecordVersion);
  members.Finish();
}

void Render(const OutcomeRecord& record, PendingRecord& out) {
  const RecordHeader& header = record.header;
  Members members(out);
  members.Text("action", record.action);
  members.Text("agent", record.agent);
  if (record.attempts > 1) members.Number("attempts", static_cast<uint64_t>(record.attempts));
  members.Text("decision_id", record.decision_id);
  members.Duration("duration_us", record.duration_us);
  members.Text("error", record.error, kMaxTextBytes);
  members.Text("id", header.id);
  members.Text("kind", "outcome");
  members.Text("org", header.org);
  members.Text("producer", header.producer);
  members.Number("request_bytes", record.request_bytes);
  members.Number("response_bytes", record.response_bytes);
  if (record.rewritten) members.Flag("rewritten", true);
  members.Sequence();
  if (record.status > 0) members.Number("status", static_cast<uint64_t>(record.status));
  members.Text("tenant", header.tenant);
  members.Time("time", header.time_unix_ns);
  members.Text("tool", record.tool);
  members.Text("trace_id", header.trace_id);
  members.Number("v", kRecordVersion);
  members.Finish();
}

void Render(const OperatorRecord& record, PendingRecord& out) {
  const RecordHeader& header = record.header;
  Members members(out);
  members.Text("after", record.after, kMaxStateBytes);
  members.Text("before", record.before, kMaxStateBytes);
  members.Text("id", header.id);
  members.Text("kind", "operator");
  members.Text("org", header.org);
  members.Text("producer", header.producer);
  members.Sequence();
  members.Text("target", record.target, kMaxTextBytes);
  members.Text("tenant", header.tenant);
  members.Time("time", header.time_unix_ns);
  members.Text("trace_id", header.trace_id);
  members.Number("v", kRecordVersion);
  members.Text("what", record.what, kMaxTextBytes);
  members.Text("who", record.who, kMaxTextBytes);
  members.Finish();
}

}  // namespace aegis::audit
