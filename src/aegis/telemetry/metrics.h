// Counters, gauges and histograms of one process, and their Prometheus text form.
//
// Every worker writes to a WorkerMetrics of its own, without locks or shared cache lines; a scrape
// sums them. There is no registry: the members of Metrics are all the metrics there are, and
// whoever counts is handed the struct by reference.
//
// Threading: a WorkerMetrics has one writer, its worker's thread. Shared* may be written by any
// thread. AppendExposition may run on any thread at any time; each value it reads is whole, but
// values that belong together may differ by the calls in flight.
// Units: durations are observed in nanoseconds and exposed in seconds.
// Format: Prometheus text exposition 0.0.4.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace aegis::telemetry {

// Only rises. One writer.
class Counter {
 public:
  void Add(uint64_t amount = 1) {
    value_.store(value_.load(std::memory_order_relaxed) + amount, std::memory_order_relaxed);
  }
  uint64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<uint64_t> value_{0};
};

// Only rises. Any number of writers; for what is rare.
class SharedCounter {
 public:
  void Add(uint64_t amount = 1) { value_.fetch_add(amount, std::memory_order_relaxed); }
  uint64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<uint64_t> value_{0};
};

// Goes up and down. One writer.
class Gauge {
 public:
  void Add(int64_t amount) {
    value_.store(value_.load(std::memory_order_relaxed) + amount, std::memory_order_relaxed);
  }
  void Set(int64_t value) { value_.store(value, std::memory_order_relaxed); }
  int64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<int64_t> value_{0};
};

// How many observations fell into each of a fixed row of buckets. One writer.
class Histogram {
 public:
  static constexpr size_t kMaxBounds = 20;

  // `bounds`: upper limits in nanoseconds, rising, at most kMaxBounds, with static storage.
  explicit Histogram(std::span<const int64_t> bounds) : bounds_(bounds) {}

  // A negative duration (a clock that was set back) counts as zero.
  void Observe(int64_t nanos) {
    size_t bucket = 0;
    while (bucket < bounds_.size() && nanos > bounds_[bucket]) ++bucket;
    counts_[bucket].Add();
    sum_nanos_.Add(nanos > 0 ? static_cast<uint64_t>(nanos) : 0);
  }

  std::span<const int64_t> bounds() const { return bounds_; }
  // Observations of bucket `i` alone; i == bounds().size(): those above the last bound.
  uint64_t count(size_t i) const { return counts_[i].value(); }
  uint64_t sum_nanos() const { return sum_nanos_.value(); }

 private:
  std::span<const int64_t> bounds_;
  std::array<Counter, kMaxBounds + 1> counts_;
  Counter sum_nanos_;
};

extern const std::span<const int64_t> kDecisionBounds;  // 0.5 µs to 10 ms
extern const std::span<const int64_t> kRequestBounds;   // 50 µs to 10 s
extern const std::span<const int64_t> kCommitBounds;    // 50 µs to 5 s

// Why a tool could not be reached or did not answer properly.
enum class UpstreamError : uint8_t {
  kConnect,
  kTls,
  kTimeout,
  kClosed,
  kProtocol,
  kOverloaded,   // not called: it has as many calls as it may
  kUnavailable,  // not called: it failed too often just now
};
inline constexpr size_t kUpstreamErrorCount = 7;

// What Envoy was told of a call that it asked about.
enum class EnvoyAnswer : uint8_t {
  kAllowed,
  kDenied,           // by a decision
  kUnauthenticated,  // no good token
  kRefused,          // not decided: the request or the route's configuration is at fault
  kUnavailable,      // not decided: Aegis is at fault
  kCancelled,        // nothing: Envoy gave up
};
inline constexpr size_t kEnvoyAnswerCount = 6;

// What one worker counts. Aligned so that no two workers share a cache line.
struct alignas(128) WorkerMetrics {
  // Rows and columns of the decision table: more than decision::Outcome and decision::Reason have.
  static constexpr size_t kMaxOutcomes = 8;
  static constexpr size_t kMaxReasons = 64;
  static constexpr size_t kMaxUnknownReasons = 32;

  // `outcome` and `reason` are indices into the names given to Metrics (the enums' values); those
  // out of range are counted in the last cell rather than lost.
  void CountDecision(size_t outcome, size_t reason) {
    const size_t row = outcome < kMaxOutcomes ? outcome : kMaxOutcomes - 1;
    const size_t column = reason < kMaxReasons ? reason : kMaxReasons - 1;
    decisions[row * kMaxReasons + column].Add();
  }
  void CountEnvoyAnswer(EnvoyAnswer answer) { envoy_answers[static_cast<size_t>(answer)].Add(); }
  // `reason`: index into Options::unknown_reasons.
  void CountUnknownCaller(size_t reason) {
    unknown_callers[reason < kMaxUnknownReasons ? reason : kMaxUnknownReasons - 1].Add();
  }
  void CountUpstreamError(UpstreamError kind) { upstream_errors[static_cast<size_t>(kind)].Add(); }

  std::array<Counter, kMaxOutcomes * kMaxReasons> decisions;
  Histogram decision_duration{kDecisionBounds};  // evaluation alone
  Histogram request_duration{kRequestBounds};    // first byte in to last byte out
  Gauge requests_in_flight;
  Gauge connections;  // from clients
  std::array<Counter, kUpstreamErrorCount> upstream_errors;
  Counter upstream_retries;    // requests that were sent once more
  Counter upstream_ejections;  // of addresses of tools
  std::array<Counter, kEnvoyAnswerCount> envoy_answers;
  std::array<Counter, kMaxUnknownReasons> unknown_callers;
  Counter spans_dropped;  // that found the queue to the exporter full
};

// What the audit journal says of itself; asked at every scrape.
struct AuditFigures {
  uint64_t queued_records = 0;
  uint64_t records = 0;   // durable since start
  uint64_t bytes = 0;     // written since start
  uint64_t failures = 0;  // records reported as not durable
  bool failed = false;    // refuses records now
};

struct Metrics {
  struct Options {
    size_t workers = 1;
    std::vector<std::string> outcomes = {};  // names by index, at most WorkerMetrics::kMaxOutcomes
    std::vector<std::string> reasons = {};   // names by index, at most WorkerMetrics::kMaxReasons
    // Why callers are not known, by index, at most WorkerMetrics::kMaxUnknownReasons.
    std::vector<std::string> unknown_reasons = {};
    std::string version = {};   // of the build
    std::string revision = {};  // commit; empty: unknown
  };
  explicit Metrics(Options options);

  // 0 <= index < Options::workers.
  WorkerMetrics& worker(size_t index) { return workers_[index]; }

  SharedCounter policy_reloads_ok;
  SharedCounter policy_reloads_failed;
  SharedCounter policy_fetch_failures;  // polls that gave no policy, refused ones among them

  // Spans by what became of them at the collector, and attempts to send some that failed.
  SharedCounter spans_exported;
  SharedCounter spans_rejected;
  SharedCounter spans_unsent;
  SharedCounter span_export_failures;

  // Written by the journal's thread only.
  Counter audit_commits;
  Histogram audit_commit_duration{kCommitBounds};

  // Set before the first scrape and not changed afterwards; called on the scraping thread. Both
  // must outlive the Metrics or be safe to call until then. Empty: nothing is exposed for them.
  std::function<AuditFigures()> audit_figures;
  std::function<uint64_t()> bug_count;  // e.g. aegis::BugCount

  // Appends the exposition of everything.
  void AppendExposition(std::string& out) const;
  static constexpr std::string_view kContentType = "text/plain; version=0.0.4; charset=utf-8";

 private:
  Options options_;
  std::unique_ptr<WorkerMetrics[]> workers_;
  double start_time_seconds_;
};

}  // namespace aegis::telemetry
