#include "aegis/telemetry/metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <thread>

namespace aegis::telemetry {
namespace {

using testing::HasSubstr;
using testing::Not;

Metrics::Options TwoWorkers() {
  return {.workers = 2,
          .outcomes = {"allow", "deny"},
          .reasons = {"allowed", "no_grant"},
          .version = "1.2.3 \"x\"",
          .revision = ""};
}

std::string Exposition(const Metrics& metrics) {
  std::string out;
  metrics.AppendExposition(out);
  return out;
}

TEST(MetricsTest, SumsOverWorkers) {
  Metrics metrics(TwoWorkers());
  metrics.worker(0).CountDecision(0, 0);
  metrics.worker(1).CountDecision(0, 0);
  metrics.worker(1).CountDecision(1, 1);
  metrics.worker(0).connections.Add(3);
  metrics.worker(1).connections.Add(2);
  metrics.worker(1).connections.Add(-1);
  metrics.worker(1).CountUpstreamError(UpstreamError::kTimeout);
  metrics.worker(0).CountEnvoyAnswer(EnvoyAnswer::kAllowed);
  metrics.worker(1).CountEnvoyAnswer(EnvoyAnswer::kAllowed);
  metrics.worker(1).CountEnvoyAnswer(EnvoyAnswer::kCancelled);
  metrics.policy_reloads_ok.Add();
  const std::string text = Exposition(metrics);
  EXPECT_THAT(text, HasSubstr("aegis_decisions_total{outcome=\"allow\",reason=\"allowed\"} 2\n"));
  EXPECT_THAT(text, HasSubstr("aegis_decisions_total{outcome=\"deny\",reason=\"no_grant\"} 1\n"));
  EXPECT_THAT(text, Not(HasSubstr("reason=\"no_grant\"} 0")));
  EXPECT_THAT(text, HasSubstr("aegis_connections 4\n"));
  EXPECT_THAT(text, HasSubstr("aegis_upstream_errors_total{kind=\"timeout\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("aegis_envoy_checks_total{answer=\"allowed\"} 2\n"));
  EXPECT_THAT(text, HasSubstr("aegis_envoy_checks_total{answer=\"cancelled\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("aegis_policy_reloads_total{result=\"ok\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("aegis_build_info{version=\"1.2.3 \\\"x\\\"\",revision=\"\"} 1\n"));
}

TEST(MetricsTest, CountsUnknownNamesRatherThanLosingThem) {
  Metrics metrics(TwoWorkers());
  metrics.worker(0).CountDecision(1000, 1000);
  EXPECT_THAT(Exposition(metrics),
              HasSubstr("aegis_decisions_total{outcome=\"unknown\",reason=\"unknown\"} 1\n"));
}

TEST(MetricsTest, HistogramBucketsAreCumulativeAndInclusive) {
  Metrics metrics(TwoWorkers());
  metrics.worker(0).request_duration.Observe(50'000);  // on the bound
  metrics.worker(1).request_duration.Observe(50'001);
  metrics.worker(1).request_duration.Observe(99'000'000'000);
  metrics.worker(1).request_duration.Observe(-5);
  const std::string text = Exposition(metrics);
  EXPECT_THAT(text, HasSubstr("aegis_request_duration_seconds_bucket{le=\"0.00005\"} 2\n"));
  EXPECT_THAT(text, HasSubstr("aegis_request_duration_seconds_bucket{le=\"0.0001\"} 3\n"));
  EXPECT_THAT(text, HasSubstr("aegis_request_duration_seconds_bucket{le=\"10\"} 3\n"));
  EXPECT_THAT(text, HasSubstr("aegis_request_duration_seconds_bucket{le=\"+Inf\"} 4\n"));
  EXPECT_THAT(text, HasSubstr("aegis_request_duration_seconds_count 4\n"));
  EXPECT_THAT(text, HasSubstr("aegis_request_duration_seconds_sum 99.0001"));
}

TEST(MetricsTest, AsksForAuditAndProcessFigures) {
  Metrics metrics(TwoWorkers());
  EXPECT_THAT(Exposition(metrics), Not(HasSubstr("aegis_audit_queue_records")));
  metrics.audit_figures = [] {
    return AuditFigures{
        .queued_records = 7, .records = 9, .bytes = 11, .failures = 1, .failed = true};
  };
  metrics.bug_count = [] { return uint64_t{3}; };
  const std::string text = Exposition(metrics);
  EXPECT_THAT(text, HasSubstr("aegis_audit_queue_records 7\n"));
  EXPECT_THAT(text, HasSubstr("aegis_audit_failed 1\n"));
  EXPECT_THAT(text, HasSubstr("aegis_bugs_total 3\n"));
  EXPECT_THAT(text, Not(HasSubstr("process_resident_memory_bytes 0\n")));
  EXPECT_THAT(text, HasSubstr("process_start_time_seconds 1"));
}

TEST(MetricsTest, ScrapesWhileWorkersCount) {
  Metrics metrics(TwoWorkers());
  std::vector<std::thread> threads;
  for (size_t i = 0; i < 2; ++i) {
    threads.emplace_back([&metrics, i] {
      for (int n = 0; n < 20000; ++n) {
        metrics.worker(i).CountDecision(0, 0);
        metrics.worker(i).decision_duration.Observe(n);
      }
    });
  }
  for (int n = 0; n < 20; ++n) Exposition(metrics);
  for (auto& thread : threads) thread.join();
  EXPECT_THAT(Exposition(metrics), HasSubstr("reason=\"allowed\"} 40000\n"));
}

TEST(MetricsTest, PromtoolAccepts) {
  if (std::system("command -v promtool > /dev/null 2>&1") != 0) GTEST_SKIP() << "no promtool";
  Metrics metrics(TwoWorkers());
  metrics.audit_figures = [] { return AuditFigures{}; };
  metrics.bug_count = [] { return uint64_t{0}; };
  for (const bool used : {false, true}) {
    if (used) metrics.worker(0).CountDecision(0, 0);
    FILE* promtool = popen("promtool check metrics 1>&2", "w");
    ASSERT_NE(promtool, nullptr);
    const std::string text = Exposition(metrics);
    EXPECT_EQ(fwrite(text.data(), 1, text.size(), promtool), text.size());
    EXPECT_EQ(pclose(promtool), 0) << text;
  }
}

}  // namespace
}  // namespace aegis::telemetry
