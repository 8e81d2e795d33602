#include "aegis/gateway/call_spans.h"

#include <gtest/gtest.h>

#include <map>
#include <string>

#include "aegis/gateway/pipeline.h"

namespace aegis::gateway {
namespace {

using telemetry::SpanKind;
using telemetry::TraceContext;

class CallSpansTest : public ::testing::Test {
 protected:
  // A ticket as Pipeline::Begin and Judge leave it.
  Ticket Begun(bool decided, bool proceeds) {
    Ticket ticket;
    ticket.trace = ids_.NewTrace();
    ticket.started_ns = clock_.MonotonicNanos();
    spans_.Begin(&ticket, false);
    ticket.decided = decided;
    ticket.proceeds = proceeds;
    ticket.outcome = proceeds ? decision::Outcome::kAllow : decision::Outcome::kDeny;
    ticket.reason = proceeds ? decision::Reason::kAllowed : decision::Reason::kConditionFailed;
    ticket.message = "amount exceeds max_amount 5000";
    ticket.agent = "finance-agent";
    ticket.tool = "payments";
    ticket.action = "create";
    return ticket;
  }
  // Of the only span: attributes by name.
  std::map<std::string, std::string> Attributes() {
    std::map<std::string, std::string> out;
    EXPECT_EQ(queue_.size(), 1U);
    for (size_t i = 0; i < queue_.at(0).attribute_count(); ++i) {
      const telemetry::SpanAttribute attribute = queue_.at(0).attribute(i);
      out[std::string(SpanKeyName(attribute.key))] =
          attribute.is_number ? std::to_string(attribute.number) : std::string(attribute.text);
    }
    return out;
  }

  ManualClock clock_{1'800'000'000'000'000'000};
  telemetry::WorkerMetrics metrics_;
  telemetry::TraceIdSource ids_;
  telemetry::SpanQueue queue_{8, -1};
  CallSpans spans_{{.sampler = {}, .queue = &queue_}, metrics_, clock_};
};

TEST_F(CallSpansTest, AllowedCall) {
  Ticket ticket = Begun(true, true);
  EXPECT_TRUE(ticket.trace.sampled());
  clock_.Advance(5);
  spans_.Finish(&ticket, {.method = "POST", .is_proxied = true, .status = 200});
  const telemetry::SpanRecord& span = queue_.at(0);
  EXPECT_EQ(span.name(), "POST /tools/payments/create");
  EXPECT_EQ(span.kind, SpanKind::kServer);
  EXPECT_EQ(span.context, ticket.trace);
  EXPECT_FALSE(span.has_parent());
  EXPECT_EQ(span.end_unix_ns - span.start_unix_ns, 5);
  EXPECT_EQ(span.end_unix_ns, clock_.UnixNanos());
  EXPECT_FALSE(span.failed);
  auto attributes = Attributes();
  EXPECT_EQ(attributes["aegis.decision_id"], ticket.id.text());
  EXPECT_EQ(attributes["aegis.outcome"], "allow");
  EXPECT_EQ(attributes["aegis.agent"], "finance-agent");
  EXPECT_EQ(attributes["http.route"], "/tools/{tool}/{action}");
  EXPECT_EQ(attributes["http.response.status_code"], "200");
  spans_.Finish(&ticket, {.method = "POST"});
  EXPECT_EQ(queue_.size(), 1U);  // once only
}

// What an agent chose must not become a name, or there would be as many as it likes.
TEST_F(CallSpansTest, DeniedCallHasNoNameOfItsOwn) {
  Ticket ticket = Begun(true, false);
  spans_.Finish(&ticket, {.method = "POST", .is_proxied = true, .status = 403, .error = "x"});
  EXPECT_EQ(queue_.at(0).name(), "POST /tools/{tool}/{action}");
  EXPECT_FALSE(queue_.at(0).failed);
  auto attributes = Attributes();
  EXPECT_EQ(attributes["aegis.reason"], "condition_failed");
  EXPECT_EQ(attributes["aegis.tool"], "payments");
  EXPECT_EQ(attributes.count("error.type"), 0U);
  for (const auto& [name, value] : attributes) EXPECT_NE(value, ticket.message) << name;
}

TEST_F(CallSpansTest, CallThatWasNotDecidedShowsNothingOfAnEarlierOne) {
  Ticket ticket = Begun(false, false);
  spans_.Finish(&ticket, {.method = "_OTHER", .status = 401, .error = "token_missing"});
  EXPECT_EQ(queue_.at(0).name(), "HTTP");
  const auto attributes = Attributes();
  EXPECT_EQ(attributes, (std::map<std::string, std::string>{{"http.request.method", "_OTHER"},
                                                            {"http.response.status_code", "401"},
                                                            {"error.type", "token_missing"}}));
}

TEST_F(CallSpansTest, CallByGrpc) {
  Ticket ticket = Begun(true, true);
  spans_.Finish(&ticket, {.rpc = "/envoy.service.auth.v3.Authorization/Check"});
  EXPECT_EQ(queue_.at(0).name(), "envoy.service.auth.v3.Authorization/Check");
  auto attributes = Attributes();
  EXPECT_EQ(attributes["rpc.service"], "envoy.service.auth.v3.Authorization");
  EXPECT_EQ(attributes["rpc.method"], "Check");
  EXPECT_EQ(attributes.count("http.response.status_code"), 0U);
}

TEST_F(CallSpansTest, ToolCallIsAChild) {
  struct Case {
    const char* host;
    const char* address;
    const char* port;
    int status;
    const char* error;
    bool failed;
  };
  for (const Case& c : {Case{"api.example.com", "api.example.com", "", 200, "", false},
                        Case{"127.0.0.1:9400", "127.0.0.1", "9400", 404, "", true},
                        Case{"[::1]:80", "::1", "80", 0, "upstream_timeout", true},
                        Case{"[::1]", "::1", "", 0, "", false},
                        Case{"2001:db8::1", "2001:db8::1", "", 200, "", false}}) {
    const Ticket ticket = Begun(true, true);
    CallSpans::ToolCall call;
    call.context = ids_.NewSpan(ticket.trace);
    call.method = "GET";
    call.host = c.host;
    call.status = c.status;
    call.error = c.error;
    spans_.FinishToolCall(ticket, call);
    const telemetry::SpanRecord& span = queue_.at(0);
    EXPECT_EQ(span.kind, SpanKind::kClient);
    EXPECT_EQ(span.context, call.context);
    EXPECT_EQ(span.parent_id, ticket.trace.span_id);
    EXPECT_EQ(span.failed, c.failed) << c.host;
    auto attributes = Attributes();
    EXPECT_EQ(attributes["server.address"], c.address);
    EXPECT_EQ(attributes["server.port"], c.port);
    EXPECT_EQ(attributes["error.type"], c.error);
    queue_.Pop(1);
  }
}

TEST_F(CallSpansTest, CallersWhoAreNotKnownTakeHalfTheQueueAtMost) {
  for (int i = 0; i < 20; ++i) {
    Ticket ticket = Begun(false, false);
    spans_.Finish(&ticket, {.method = "GET", .status = 401});
  }
  EXPECT_EQ(queue_.size(), 4U);
  EXPECT_EQ(metrics_.spans_dropped.value(), 16U);
  Ticket known = Begun(true, true);
  spans_.Finish(&known, {.method = "GET", .status = 200});
  EXPECT_EQ(queue_.size(), 5U);
}

TEST_F(CallSpansTest, NothingIsTracedWithoutAQueueOrASample) {
  CallSpans off({}, metrics_, clock_);
  Ticket ticket;
  ticket.trace = ids_.NewTrace();
  ticket.trace.flags = TraceContext::kSampled;
  off.Begin(&ticket, true);
  EXPECT_FALSE(ticket.traced);
  EXPECT_TRUE(ticket.trace.sampled());  // what the caller wants of others stays
  off.Finish(&ticket, {});

  CallSpans none({.sampler = *telemetry::Sampler::FromName("always_off", 0), .queue = &queue_},
                 metrics_, clock_);
  none.Begin(&ticket, true);
  EXPECT_FALSE(ticket.trace.sampled());  // those behind are told that it is not kept
  none.Finish(&ticket, {});
  EXPECT_EQ(queue_.size(), 0U);
}

}  // namespace
}  // namespace aegis::gateway
