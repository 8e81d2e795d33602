// The exporter before a collector that takes, refuses, stalls, goes away and comes back.
#include "aegis/telemetry/span_exporter.h"

#include <gtest/gtest.h>

#include <condition_variable>
#include <mutex>

#include "aegis/net/http_server.h"

namespace aegis::telemetry {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using std::chrono::steady_clock;

// Answers what the test says, and counts.
class Collector {
 public:
  struct Answer {
    int status = 200;
    std::string retry_after = {};
    std::string body = {};
    bool never = false;
  };
  explicit Collector(std::string address = "127.0.0.1:0") {
    auto started = net::HttpServer::Start({.address = std::move(address)},
                                          [this](net::HttpRequest request, net::Responder respond) {
                                            Take(std::move(request), std::move(respond));
                                          });
    EXPECT_TRUE(started) << started.error().message;
    server_ = *std::move(started);
  }

  void Say(Answer answer) {
    const std::lock_guard lock(mutex_);
    answer_ = std::move(answer);
  }
  std::string address() const { return server_->address(); }
  // Waits until that many requests came; the last one.
  net::HttpRequest WaitFor(size_t count) {
    std::unique_lock lock(mutex_);
    EXPECT_TRUE(changed_.wait_for(lock, seconds(10), [&] { return requests_.size() >= count; }))
        << requests_.size();
    return requests_.empty() ? net::HttpRequest() : requests_.back();
  }
  size_t count() const {
    const std::lock_guard lock(mutex_);
    return requests_.size();
  }
  std::vector<steady_clock::time_point> times() const {
    const std::lock_guard lock(mutex_);
    return times_;
  }

 private:
  void Take(net::HttpRequest request, net::Responder respond) {
    net::HttpResponse response;
    {
      const std::lock_guard lock(mutex_);
      requests_.push_back(std::move(request));
      times_.push_back(steady_clock::now());
      if (answer_.never) {
        held_.push_back(std::move(respond));
        return changed_.notify_all();
      }
      response.status = answer_.status;
      response.body = answer_.body;
      if (!answer_.retry_after.empty()) response.headers.Set("Retry-After", answer_.retry_after);
    }
    changed_.notify_all();
    respond(std::move(response));
  }

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  Answer answer_;
  std::vector<net::HttpRequest> requests_;
  std::vector<steady_clock::time_point> times_;
  std::vector<net::Responder> held_;
  std::unique_ptr<net::HttpServer> server_;  // last: its handler uses the members above
};

class SpanExporterTest : public ::testing::Test {
 protected:
  static OtlpOptions Quick(const std::string& address) {
    OtlpOptions options;
    options.endpoint = "http://" + address;
    options.batch_delay = milliseconds(5);
    options.retry_delay = milliseconds(10);
    options.max_retry_delay = milliseconds(50);
    options.queue_spans = 64;
    options.resource = {{"service.name", "aegis"}};
    return options;
  }
  void Start(OtlpOptions options) {
    exporter_ =
        std::make_unique<SpanExporter>(std::move(options), 1, "1.0", metrics_, NullLogger());
  }
  // As a worker does; false: dropped.
  bool Add() {
    SpanRecord* span = exporter_->queue(0).Begin();
    if (span == nullptr) return false;
    span->context = ids_.NewTrace(true);
    span->SetName({"POST /tools/payments/create"});
    exporter_->queue(0).Commit();
    return true;
  }
  // Waits until `value` is what `get` gives.
  template <typename Get>
  static void Await(uint64_t value, Get&& get) {
    const auto end = steady_clock::now() + seconds(10);
    while (get() != value && steady_clock::now() < end) {
      std::this_thread::sleep_for(milliseconds(2));
    }
    EXPECT_EQ(get(), value);
  }
  uint64_t exported() const { return metrics_.spans_exported.value(); }

  Metrics metrics_{Metrics::Options{}};
  TraceIdSource ids_;
  std::unique_ptr<SpanExporter> exporter_;
};

TEST_F(SpanExporterTest, PostsWhatIsQueued) {
  Collector collector;
  OtlpOptions options = Quick(collector.address());
  options.endpoint += "/otlp";
  options.headers = {{"x-api-key", [] { return Result<std::string>("secret"); }}};
  Start(options);
  EXPECT_TRUE(Add());
  const net::HttpRequest request = collector.WaitFor(1);
  EXPECT_EQ(request.method, "POST");
  EXPECT_EQ(request.path, "/otlp/v1/traces");
  EXPECT_EQ(request.headers.Get("content-type"), "application/x-protobuf");
  EXPECT_EQ(request.headers.Get("x-api-key"), "secret");
  EXPECT_NE(request.body.find("POST /tools/payments/create"), std::string::npos);
  Await(1, [&] { return exported(); });
}

TEST_F(SpanExporterTest, GzipIsMarkedAsSuch) {
  Collector collector;
  OtlpOptions options = Quick(collector.address());
  options.gzip = true;
  Start(options);
  Add();
  const net::HttpRequest request = collector.WaitFor(1);
  EXPECT_EQ(request.headers.Get("content-encoding"), "gzip");
  EXPECT_EQ(request.body.substr(0, 2), "\x1f\x8b");
}

TEST_F(SpanExporterTest, BatchesAreBounded) {
  Collector collector;
  OtlpOptions options = Quick(collector.address());
  options.batch_spans = 10;
  options.batch_delay = milliseconds(200);
  Start(options);
  for (int i = 0; i < 25; ++i) EXPECT_TRUE(Add());
  Await(25, [&] { return exported(); });
  EXPECT_GE(collector.count(), 3U);
}

TEST_F(SpanExporterTest, AHalfFullQueueDoesNotWait) {
  Collector collector;
  OtlpOptions options = Quick(collector.address());
  options.batch_delay = seconds(60);
  Start(options);
  for (int i = 0; i < 32; ++i) EXPECT_TRUE(Add());
  collector.WaitFor(1);
}

TEST_F(SpanExporterTest, AbsentCollectorCostsSpansBeyondTheQueueOnly) {
  std::string address;
  {
    Collector gone;
    address = gone.address();
  }
  Start(Quick(address));
  Add();
  Await(1, [&] { return std::min<uint64_t>(1, metrics_.span_export_failures.value()); });
  int taken = 0;
  for (int i = 0; i < 1000; ++i) taken += Add() ? 1 : 0;
  EXPECT_EQ(taken, 64);  // one more is being sent
  // It comes back on the same port, and gets what was kept.
  Collector back(address);
  Await(65, [&] { return exported(); });
  EXPECT_EQ(metrics_.spans_unsent.value(), 0U);
}

TEST_F(SpanExporterTest, SameBatchIsSentAgain) {
  for (const int status : {429, 502, 503, 504}) {
    Collector collector;
    collector.Say({.status = status});
    const uint64_t before = exported();
    Start(Quick(collector.address()));
    Add();
    const std::string first = collector.WaitFor(1).body;
    const std::string second = collector.WaitFor(2).body;
    EXPECT_EQ(first, second) << status;
    EXPECT_EQ(exported(), before) << status;
    collector.Say({});
    Await(before + 1, [&] { return exported(); });
    exporter_.reset();
  }
}

TEST_F(SpanExporterTest, RetryAfterIsKept) {
  Collector collector;
  collector.Say({.status = 503, .retry_after = "1"});
  Start(Quick(collector.address()));
  Add();
  collector.WaitFor(1);
  collector.Say({});
  collector.WaitFor(2);
  const auto times = collector.times();
  EXPECT_GE(times[1] - times[0], milliseconds(990));
}

TEST_F(SpanExporterTest, RefusedBatchesAreNotSentAgain) {
  for (const int status : {400, 401, 404, 413, 500, 301}) {
    Collector collector;
    collector.Say({.status = status});
    const uint64_t before = metrics_.spans_rejected.value();
    Start(Quick(collector.address()));
    Add();
    Await(before + 1, [&] { return metrics_.spans_rejected.value(); });
    collector.Say({});
    const uint64_t taken = exported();
    Add();
    Await(taken + 1, [&] { return exported(); });
    exporter_.reset();
    EXPECT_EQ(collector.count(), 2U) << status;
  }
}

TEST_F(SpanExporterTest, PartialSuccessIsCounted) {
  Collector collector;
  collector.Say({.body = "\x0a\x02\x08\x02"});
  OtlpOptions options = Quick(collector.address());
  options.batch_delay = milliseconds(100);
  Start(options);
  for (int i = 0; i < 5; ++i) Add();
  Await(3, [&] { return exported(); });
  EXPECT_EQ(metrics_.spans_rejected.value(), 2U);
}

// A collector cannot make more spans rejected than there are, nor break anything by what it says.
TEST_F(SpanExporterTest, HostileAnswers) {
  Collector collector;
  collector.Say({.body = "\x0a\x06\x08\xff\xff\xff\xff\x07"});
  Start(Quick(collector.address()));
  Add();
  Await(1, [&] { return metrics_.spans_rejected.value(); });
  collector.Say({.body = "<html>no protobuf</html>"});
  Add();
  Await(1, [&] { return exported(); });
  collector.Say({.body = std::string(100'000, 'x')});  // more than an answer can have
  Add();
  Await(1, [&] { return std::min<uint64_t>(1, metrics_.span_export_failures.value()); });
  collector.Say({});
  Await(2, [&] { return exported(); });
}

TEST_F(SpanExporterTest, StalledCollectorIsLeftAfterTheTimeout) {
  Collector collector;
  collector.Say({.never = true});
  OtlpOptions options = Quick(collector.address());
  options.timeout = milliseconds(50);
  Start(options);
  Add();
  collector.WaitFor(2);
  collector.Say({});
  Await(1, [&] { return exported(); });
}

TEST_F(SpanExporterTest, ABatchIsGivenUpInTheEnd) {
  Collector collector;
  collector.Say({.status = 503});
  OtlpOptions options = Quick(collector.address());
  options.give_up_after = milliseconds(100);
  Start(options);
  Add();
  Await(1, [&] { return metrics_.spans_unsent.value(); });
  collector.Say({});
  Add();
  Await(1, [&] { return exported(); });
}

TEST_F(SpanExporterTest, AMissingSecretIsAFailureAndNotARequest) {
  Collector collector;
  std::atomic<bool> there{false};
  OtlpOptions options = Quick(collector.address());
  options.headers = {{"x-api-key", [&]() -> Result<std::string> {
                        if (there) return std::string("secret");
                        return Fail(Code::kFailedPrecondition, "secret_missing", "not set");
                      }}};
  Start(options);
  Add();
  Await(1, [&] { return std::min<uint64_t>(1, metrics_.span_export_failures.value()); });
  EXPECT_EQ(collector.count(), 0U);
  there = true;
  Await(1, [&] { return exported(); });
}

TEST_F(SpanExporterTest, TheEndSendsWhatIsLeft) {
  Collector collector;
  OtlpOptions options = Quick(collector.address());
  options.batch_delay = seconds(60);
  Start(options);
  for (int i = 0; i < 3; ++i) Add();
  exporter_.reset();
  EXPECT_EQ(exported(), 3U);
}

TEST_F(SpanExporterTest, TheEndDoesNotWaitForACollectorThatStalls) {
  Collector collector;
  collector.Say({.never = true});
  Start(Quick(collector.address()));
  Add();
  collector.WaitFor(1);
  const auto begin = steady_clock::now();
  exporter_.reset();
  EXPECT_LT(steady_clock::now() - begin, seconds(5));
  EXPECT_EQ(metrics_.spans_unsent.value(), 1U);
}

TEST(RetryAfterTest, SecondsAndDates) {
  constexpr int64_t kNow = 784'111'777;  // Sun, 06 Nov 1994 08:49:37 GMT
  EXPECT_EQ(ParseRetryAfter("0", kNow), milliseconds(0));
  EXPECT_EQ(ParseRetryAfter(" 12 ", kNow), seconds(12));
  EXPECT_EQ(ParseRetryAfter("99999999999999999999", kNow), seconds(300));
  EXPECT_EQ(ParseRetryAfter("301", kNow), seconds(300));
  EXPECT_EQ(ParseRetryAfter("Sun, 06 Nov 1994 08:49:47 GMT", kNow), seconds(10));
  EXPECT_EQ(ParseRetryAfter("Sun, 06 Nov 1994 08:49:27 GMT", kNow), seconds(0));
  for (const char* bad : {"", "-1", "1s", "soon", "Sun, 06 Nov 1994 08:49:47 GMT+1"}) {
    EXPECT_LT(ParseRetryAfter(bad, kNow), milliseconds(0)) << bad;
  }
}

}  // namespace
}  // namespace aegis::telemetry
