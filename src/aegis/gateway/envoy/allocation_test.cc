// A warm authorization takes no memory from the heap: neither one that is allowed nor one that is
// denied.
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "aegis/base/allocation_testing.h"
#include "aegis/gateway/envoy/envoy_testing.h"
#include "aegis/gateway/envoy/ext_authz_service.h"
#include "aegis/gateway/gateway_testing.h"
#include "aegis/gateway/recorder.h"

namespace aegis::gateway {
namespace {

using testing::CheckSpec;

// Calls of one message, one after another on the loop, which keeps nothing of the answers but their
// size.
class Calls final : public grpc::Call {
 public:
  Calls(ExtAuthzService& service, net::EventLoop& loop, std::string message)
      : service_(service), loop_(loop), message_(std::move(message)) {}

  std::string_view method() const override { return "/envoy.service.auth.v3.Authorization/Check"; }
  std::string_view Metadata(std::string_view) const override { return {}; }
  const grpc::Peer& peer() const override { return peer_; }
  int64_t deadline_ns() const override { return 0; }
  int64_t started_ns() const override { return 1; }
  void Send(std::string_view message) override { sent += message.size(); }
  size_t unsent() const override { return 0; }
  void Finish(Code, std::string_view) override { FAIL(); }
  void FinishOk() override {
    if (++finished == kWarm) before = CountedAllocations();
    if (finished == kWarm + kCounted) after = CountedAllocations();
    if (last_ != nullptr) last_->Release();
    last_ = current_;
    if (finished == kWarm + kCounted) return loop_.Stop();
    Begin();
  }

  void Begin() {
    current_ = service_.Start(*this);
    current_->OnMessage(message_);
    current_->OnEnd();
  }

  static constexpr int kWarm = 50, kCounted = 200;
  size_t sent = 0;
  int finished = 0;
  size_t before = 0, after = 0;

 private:
  ExtAuthzService& service_;
  net::EventLoop& loop_;
  std::string message_;
  grpc::Peer peer_;
  grpc::Handler* current_ = nullptr;
  grpc::Handler* last_ = nullptr;  // released when the next call has ended
};

// All is durable at once.
class QuickJournal final : public audit::Journal {
 public:
  bool Append(audit::PendingRecord* record, audit::DurableSink* sink) override {
    record->failed = false;
    sink->OnDurable({&record, 1});
    return true;
  }
  bool failed() const override { return false; }
  std::string last_error() const override { return {}; }
  Stats stats() const override { return {}; }
};

TEST(ExtAuthzAllocationTest, WarmChecksAllocateNothing) {
  testing::TestGateway gateway;  // for its state and tokens
  QuickJournal journal;
  telemetry::Metrics metrics(MetricsOptions(1, "0.0.0", ""));
  net::EventLoop loop;
  Recorder recorder(loop, journal);
  telemetry::SpanQueue spans(1024, -1);
  Pipeline pipeline({.producer = "test", .spans = {.sampler = {}, .queue = &spans}}, recorder,
                    metrics.worker(0));
  pipeline.SetState(std::make_shared<State>(gateway.state));
  const Limits limits;
  ExtAuthzService service(pipeline, limits, metrics.worker(0), telemetry::NullLogger());

  CheckSpec allowed, denied;
  allowed.headers = {{"accept", "*/*"}, {"x-request-id", "0197c0c2-7d3a-7b2c-9c3e-8d1f2a3b4c5d"}};
  allowed.WithToken(gateway.Token()).WithBody(R"({"amount":42,"currency":"usd"})");
  denied.WithToken(gateway.Token()).WithBody(R"({"amount":9000,"currency":"usd"})");
  for (const std::string& message : {allowed.Encode(), denied.Encode()}) {
    Calls calls(service, loop, message);
    loop.Post([&] { calls.Begin(); });
    loop.Run();
    EXPECT_EQ(calls.finished, Calls::kWarm + Calls::kCounted);
    EXPECT_GT(calls.before, 0U);  // it does count
    EXPECT_EQ(calls.after, calls.before);
    EXPECT_GT(calls.sent, 250U * 100);
    EXPECT_EQ(spans.size(), 250U);  // it was traced meanwhile
    spans.Pop(spans.size());
  }
}

}  // namespace
}  // namespace aegis::gateway
