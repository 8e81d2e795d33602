#include "aegis/telemetry/metrics.h"

#include <unistd.h>

#include <charconv>
#include <cstdio>
#include <ctime>
#include <optional>

#include "aegis/base/clock.h"
#include "aegis/base/file.h"
#include "aegis/base/result.h"
#include "aegis/base/text.h"

namespace aegis::telemetry {
namespace {

constexpr int64_t kMicro = 1000;
constexpr int64_t kMilli = 1000 * kMicro;
constexpr int64_t kSecond = 1000 * kMilli;

constexpr int64_t kDecision[] = {500,          1 * kMicro,   2 * kMicro,  3 * kMicro,
                                 5 * kMicro,   10 * kMicro,  20 * kMicro, 50 * kMicro,
                                 100 * kMicro, 250 * kMicro, 1 * kMilli,  10 * kMilli};
constexpr int64_t kRequest[] = {
    50 * kMicro,  100 * kMicro, 250 * kMicro,  500 * kMicro, 1 * kMilli,   2500 * kMicro,
    5 * kMilli,   10 * kMilli,  25 * kMilli,   50 * kMilli,  100 * kMilli, 250 * kMilli,
    500 * kMilli, 1 * kSecond,  2500 * kMilli, 5 * kSecond,  10 * kSecond};
constexpr int64_t kCommit[] = {50 * kMicro,  100 * kMicro, 200 * kMicro, 300 * kMicro, 500 * kMicro,
                               1 * kMilli,   2 * kMilli,   5 * kMilli,   10 * kMilli,  25 * kMilli,
                               100 * kMilli, 500 * kMilli, 1 * kSecond,  5 * kSecond};

constexpr std::string_view kUpstreamErrorNames[kUpstreamErrorCount] = {
    "connect", "tls", "timeout", "closed", "protocol", "overloaded", "unavailable"};
constexpr std::string_view kEnvoyAnswerNames[kEnvoyAnswerCount] = {
    "allowed", "denied", "unauthenticated", "refused", "unavailable", "cancelled"};

// Writes the lines of one metric family after another.
class Writer {
 public:
  explicit Writer(std::string& out) : out_(out) {}

  void Family(std::string_view name, std::string_view type, std::string_view help) {
    out_.append("# HELP ").append(name).append(" ").append(help);
    out_.append("\n# TYPE ").append(name).append(" ").append(type).append("\n");
  }
  template <typename T>
  void Sample(std::string_view name, std::string_view labels, T value) {
    out_.append(name);
    if (!labels.empty()) out_.append("{").append(labels).append("}");
    out_.push_back(' ');
    Number(value);
    out_.push_back('\n');
  }
  template <typename T>
  void Single(std::string_view name, std::string_view type, std::string_view help, T value) {
    Family(name, type, help);
    Sample(name, {}, value);
  }

  // The sum of `histograms`, which have the same bounds.
  template <typename Each>
  void SumOfHistograms(std::string_view name, std::string_view help,
                       std::span<const int64_t> bounds, Each&& each) {
    std::array<uint64_t, Histogram::kMaxBounds + 1> counts{};
    uint64_t sum = 0;
    each([&](const Histogram& histogram) {
      for (size_t i = 0; i <= bounds.size(); ++i) counts[i] += histogram.count(i);
      sum += histogram.sum_nanos();
    });
    Family(name, "histogram", help);
    const std::string bucket = std::string(name) + "_bucket";
    uint64_t total = 0;
    for (size_t i = 0; i < bounds.size(); ++i) {
      total += counts[i];
      out_.append(bucket).append("{le=\"");
      Number(static_cast<double>(bounds[i]) / 1e9);
      out_.append("\"} ");
      Number(total);
      out_.push_back('\n');
    }
    total += counts[bounds.size()];
    Sample(bucket, "le=\"+Inf\"", total);
    Sample(std::string(name) + "_sum", {}, static_cast<double>(sum) / 1e9);
    Sample(std::string(name) + "_count", {}, total);
  }

 private:
  template <typename T>
  void Number(T value) {
    char text[340];  // the longest double without an exponent
    char* end = text;
    if constexpr (std::is_floating_point_v<T>)
      end = std::to_chars(text, text + sizeof text, value, std::chars_format::fixed).ptr;
    else
      end = std::to_chars(text, text + sizeof text, value).ptr;
    out_.append(text, static_cast<size_t>(end - text));
  }

  std::string& out_;
};

// A label's value: backslash, quote and line break are escaped.
std::string Label(std::string_view name, std::string_view value) {
  std::string out(name);
  out.append("=\"");
  for (char c : value) {
    if (c == '\n') {
      out.append("\\n");
      continue;
    }
    if (c == '\\' || c == '"') out.push_back('\\');
    out.push_back(c);
  }
  out.push_back('"');
  return out;
}

// Whether a number of that size is the next word of `text`, which moves past it.
std::optional<uint64_t> TakeNumber(std::string_view& text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc()) return std::nullopt;
  text.remove_prefix(static_cast<size_t>(end - text.data()));
  return value;
}

// proc(5): field 22 of /proc/self/stat in clock ticks since boot, and btime of /proc/stat. Falls
// back to now, which at start is nearly the same.
double StartTimeSeconds() {
  const double now = static_cast<double>(Clock::System().UnixNanos()) / 1e9;
  const auto self = ReadFile("/proc/self/stat", 1 << 16);
  const auto machine = ReadFile("/proc/stat", 4 << 20);
  if (!self || !machine) return now;
  std::string_view fields = *self;
  const size_t name_end = fields.rfind(')');  // the program's name may hold anything
  const size_t boot = machine->find("\nbtime ");
  if (name_end == std::string_view::npos || boot == std::string::npos) return now;
  fields.remove_prefix(name_end + 1);
  const auto words = Split(Trim(fields), ' ');
  if (words.size() < 20) return now;
  std::string_view start_text = words[19];  // the word after the name is field 3
  std::string_view boot_text = std::string_view(*machine).substr(boot + 7);
  const auto start = TakeNumber(start_text);
  const auto boot_seconds = TakeNumber(boot_text);
  const long ticks = ::sysconf(_SC_CLK_TCK);
  if (!start || !boot_seconds || ticks <= 0) return now;
  return static_cast<double>(*boot_seconds) +
         static_cast<double>(*start) / static_cast<double>(ticks);
}

uint64_t ResidentBytes() {
  const auto statm = ReadFile("/proc/self/statm", 4096);
  if (!statm) return 0;
  std::string_view text = *statm;
  TakeNumber(text);
  return TakeNumber(text).value_or(0) * static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
}

double CpuSeconds() {
  timespec used{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
  return static_cast<double>(used.tv_sec) + static_cast<double>(used.tv_nsec) / 1e9;
}

}  // namespace

const std::span<const int64_t> kDecisionBounds = kDecision;
const std::span<const int64_t> kRequestBounds = kRequest;
const std::span<const int64_t> kCommitBounds = kCommit;

Metrics::Metrics(Options options)
    : options_(std::move(options)),
      workers_(std::make_unique<WorkerMetrics[]>(options_.workers)),
      start_time_seconds_(StartTimeSeconds()) {
  AEGIS_CHECK(options_.outcomes.size() <= WorkerMetrics::kMaxOutcomes);
  AEGIS_CHECK(options_.reasons.size() <= WorkerMetrics::kMaxReasons);
  AEGIS_CHECK(options_.unknown_reasons.size() <= WorkerMetrics::kMaxUnknownReasons);
}

void Metrics::AppendExposition(std::string& out) const {
  Writer writer(out);
  const std::span<const WorkerMetrics> workers(workers_.get(), options_.workers);
  const auto sum = [&](auto&& value_of) {
    decltype(value_of(workers[0])) total = 0;
    for (const WorkerMetrics& worker : workers) total += value_of(worker);
    return total;
  };
  const auto histograms = [&](Histogram WorkerMetrics::* member) {
    return [&workers, member](auto&& add) {
      for (const WorkerMetrics& worker : workers) add(worker.*member);
    };
  };

  writer.Family("aegis_build_info", "gauge", "Which build this is; the value is always 1.");
  writer.Sample("aegis_build_info",
                Label("version", options_.version) + "," + Label("revision", options_.revision), 1);

  writer.Family("aegis_decisions_total", "counter", "Decisions by outcome and reason.");
  for (size_t row = 0; row < WorkerMetrics::kMaxOutcomes; ++row) {
    for (size_t column = 0; column < WorkerMetrics::kMaxReasons; ++column) {
      const size_t cell = row * WorkerMetrics::kMaxReasons + column;
      const uint64_t count =
          sum([&](const WorkerMetrics& worker) { return worker.decisions[cell].value(); });
      if (count == 0) continue;  // most pairs never occur
      const auto name = [](const std::vector<std::string>& names, size_t i) {
        return i < names.size() ? std::string_view(names[i]) : std::string_view("unknown");
      };
      writer.Sample("aegis_decisions_total",
                    Label("outcome", name(options_.outcomes, row)) + "," +
                        Label("reason", name(options_.reasons, column)),
                    count);
    }
  }
  writer.SumOfHistograms("aegis_decision_duration_seconds", "Time to evaluate policy for a call.",
                         kDecisionBounds, histograms(&WorkerMetrics::decision_duration));
  writer.SumOfHistograms("aegis_request_duration_seconds",
                         "Time from a request's first byte to its answer's last.", kRequestBounds,
                         histograms(&WorkerMetrics::request_duration));
  writer.Single("aegis_requests_in_flight", "gauge", "Requests being worked on.",
                sum([](const WorkerMetrics& worker) { return worker.requests_in_flight.value(); }));
  writer.Single("aegis_connections", "gauge", "Open connections from clients.",
                sum([](const WorkerMetrics& worker) { return worker.connections.value(); }));
  writer.Family("aegis_upstream_errors_total", "counter", "Failed exchanges with tools by kind.");
  for (size_t kind = 0; kind < kUpstreamErrorCount; ++kind) {
    writer.Sample("aegis_upstream_errors_total", Label("kind", kUpstreamErrorNames[kind]),
                  sum([&](const WorkerMetrics& w) { return w.upstream_errors[kind].value(); }));
  }
  writer.Single("aegis_upstream_retries_total", "counter",
                "Requests that were sent to a tool once more.",
                sum([](const WorkerMetrics& worker) { return worker.upstream_retries.value(); }));
  writer.Single("aegis_upstream_ejections_total", "counter",
                "Times an address of a tool was left alone because it failed.",
                sum([](const WorkerMetrics& worker) { return worker.upstream_ejections.value(); }));
  writer.Family("aegis_envoy_checks_total", "counter",
                "Authorization requests of Envoy by what it was told.");
  for (size_t answer = 0; answer < kEnvoyAnswerCount; ++answer) {
    writer.Sample("aegis_envoy_checks_total", Label("answer", kEnvoyAnswerNames[answer]),
                  sum([&](const WorkerMetrics& w) { return w.envoy_answers[answer].value(); }));
  }
  writer.Family("aegis_unknown_callers_total", "counter",
                "Calls refused because nobody knows who made them, or the caller is blocked.");
  for (size_t i = 0; i < options_.unknown_reasons.size(); ++i) {
    writer.Sample("aegis_unknown_callers_total", Label("reason", options_.unknown_reasons[i]),
                  sum([&](const WorkerMetrics& w) { return w.unknown_callers[i].value(); }));
  }
  writer.Family("aegis_policy_reloads_total", "counter", "Loads of a policy bundle by result.");
  writer.Sample("aegis_policy_reloads_total", "result=\"ok\"", policy_reloads_ok.value());
  writer.Sample("aegis_policy_reloads_total", "result=\"failed\"", policy_reloads_failed.value());
  writer.Single("aegis_policy_fetch_failures_total", "counter",
                "Polls of the policy's source that failed or gave a bundle that was refused.",
                policy_fetch_failures.value());

  writer.Single("aegis_spans_exported_total", "counter", "Spans that the collector took.",
                spans_exported.value());
  writer.Family("aegis_spans_dropped_total", "counter", "Spans that no collector got, by cause.");
  writer.Sample("aegis_spans_dropped_total", "cause=\"queue_full\"",
                sum([](const WorkerMetrics& worker) { return worker.spans_dropped.value(); }));
  writer.Sample("aegis_spans_dropped_total", "cause=\"rejected\"", spans_rejected.value());
  writer.Sample("aegis_spans_dropped_total", "cause=\"unsent\"", spans_unsent.value());
  writer.Single("aegis_span_export_failures_total", "counter",
                "Attempts to send spans that the collector did not take.",
                span_export_failures.value());

  writer.Single("aegis_audit_commits_total", "counter", "Group commits of the audit journal.",
                audit_commits.value());
  writer.SumOfHistograms("aegis_audit_commit_duration_seconds",
                         "Time to write and sync one group of audit records.", kCommitBounds,
                         [&](auto&& add) { add(audit_commit_duration); });
  if (audit_figures) {
    const AuditFigures audit = audit_figures();
    writer.Single("aegis_audit_queue_records", "gauge", "Audit records waiting to become durable.",
                  audit.queued_records);
    writer.Single("aegis_audit_records_total", "counter", "Audit records made durable.",
                  audit.records);
    writer.Single("aegis_audit_written_bytes_total", "counter", "Bytes of audit journal written.",
                  audit.bytes);
    writer.Single("aegis_audit_failures_total", "counter",
                  "Audit records that could not be made durable.", audit.failures);
    writer.Single("aegis_audit_failed", "gauge",
                  "1 while the audit journal refuses records, so that no call is let through.",
                  audit.failed ? 1 : 0);
  }
  if (bug_count)
    writer.Single("aegis_bugs_total", "counter",
                  "Broken invariants met; zero in a healthy process.", bug_count());

  writer.Single("process_resident_memory_bytes", "gauge", "Resident memory size in bytes.",
                ResidentBytes());
  writer.Single("process_cpu_seconds_total", "counter",
                "Total user and system CPU time spent in seconds.", CpuSeconds());
  writer.Single("process_start_time_seconds", "gauge",
                "Start time of the process since unix epoch in seconds.", start_time_seconds_);
}

}  // namespace aegis::telemetry
