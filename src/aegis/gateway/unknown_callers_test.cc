// Callers that nobody knows: what is kept of them, at which doors they are seen, how blocks act,
// and how the control plane hears of it.
#include "aegis/gateway/unknown_callers.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "aegis/crypto/base64.h"
#include "aegis/gateway/gateway_testing.h"
#include "aegis/gateway/unknown_reporter.h"
#include "aegis/json/tree.h"
#include "aegis/net/http_server.h"

namespace aegis::gateway {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using testing::Socket;
using testing::StatusOf;
using testing::TestGateway;
using ::testing::UnorderedElementsAre;

std::string Unsigned(const std::string& claims) {
  return crypto::Base64UrlEncode(R"({"alg":"none","typ":"at+jwt"})") + "." +
         crypto::Base64UrlEncode(claims) + ".";
}

// "source name target reason count" of each.
std::vector<std::string> Lines(const std::vector<UnknownCaller>& callers) {
  std::vector<std::string> lines;
  for (const UnknownCaller& caller : callers) {
    lines.push_back(caller.source + " " + caller.name + " " + caller.target + " " +
                    std::string(caller.reason) + " " + std::to_string(caller.count));
  }
  return lines;
}

TEST(ShownTest, StrangersTextIsShortAndHarmless) {
  const struct {
    std::string text, shown;
  } cases[] = {
      {"finance-agent", "finance-agent"},
      {"", "-"},
      {"a b", "a b"},
      {"*", "?"},
      {std::string("\x1b[2J\r\n\0x", 8), "?[2J???x"},
      {"\xC3\xBC\xff\x7f", "????"},
      {std::string(5000, 'x'), std::string(kMaxShownBytes, 'x')},
  };
  for (const auto& [text, shown] : cases) EXPECT_EQ(Shown(text), shown);
}

TEST(ClaimedNameTest, OfTheTokenElseOfTheUserAgent) {
  EXPECT_EQ(ClaimedName(Unsigned(R"({"agent":"rogue"})"), "curl/8.5"), "rogue");
  EXPECT_EQ(ClaimedName(Unsigned(R"({"sub":"agent:t/rogue"})"), ""), "rogue");
  EXPECT_EQ(ClaimedName("", "curl/8.5 (linux)"), "curl/8.5");
  EXPECT_EQ(ClaimedName("sk-secret-api-key", ""), "-") << "no part of a token is a name";
  EXPECT_EQ(ClaimedName("sk-secret.api.key", "Mozilla/5.0"), "Mozilla/5.0");
}

TEST(UnknownCallersTest, TheSameAreCountedTogether) {
  UnknownCallers callers;
  callers.Add("1.1.1.1", "a", "t", UnknownReason("token_missing"), 10);
  callers.Add("1.1.1.1", "a", "t", UnknownReason("token_expired"), 20);
  callers.Add("1.1.1.1", "a", "t", UnknownReason("token_missing"), 30);
  callers.Add("1.1.1.1", "a", "t", UnknownReason("no such reason"), 40);
  const auto taken = callers.Take();
  EXPECT_THAT(Lines(taken), ElementsAre("1.1.1.1 a t token_expired 1",
                                        "1.1.1.1 a t token_missing 2", "1.1.1.1 a t other 1"));
  EXPECT_EQ(taken[1].first_seen_ms, 10);
  EXPECT_EQ(taken[1].last_seen_ms, 30);
  EXPECT_THAT(callers.Take(), IsEmpty());
  callers.Add("1.1.1.1", "a", "t", 0, 50);
  EXPECT_EQ(callers.Take()[0].first_seen_ms, 50);
}

TEST(UnknownCallersTest, OneSourceCannotPushOutTheOthers) {
  UnknownCallers callers;
  callers.Add("2.2.2.2", "quiet", "t", 0, 1);
  for (int i = 0; i < 100'000; ++i) callers.Add("1.1.1.1", "n" + std::to_string(i), "t", 0, 2);
  const auto lines = Lines(callers.Take());
  EXPECT_EQ(lines.size(), UnknownCallers::kMaxOfASource + 2);
  EXPECT_EQ(lines.front(), "2.2.2.2 quiet t token_missing 1");
  EXPECT_EQ(lines.back(),
            "1.1.1.1 * * token_missing " + std::to_string(100'000 - UnknownCallers::kMaxOfASource));
}

TEST(UnknownCallersTest, ManySourcesStayBoundedAndNoneIsLost) {
  UnknownCallers callers;
  constexpr int kCalls = 50'000;
  for (int i = 0; i < kCalls; ++i) {
    callers.Add("s" + std::to_string(i), "n", "t", static_cast<size_t>(i % 2), i);
    callers.Add("busy", "n", "t", 0, i);
  }
  const auto taken = callers.Take();
  EXPECT_EQ(taken.size(), UnknownCallers::kMaxCallers + 2);
  int64_t count = 0;
  for (const UnknownCaller& caller : taken) count += caller.count;
  EXPECT_EQ(count, 2 * kCalls);
  EXPECT_EQ(taken[0].source, "*");
  EXPECT_EQ(taken[0].first_seen_ms, 0);
  EXPECT_EQ(Lines(taken).back(), "busy n t token_missing " + std::to_string(kCalls))
      << "who goes is who was not seen for longest";
}

std::string Request(const std::string& method, const std::string& path, const std::string& token,
                    const std::string& body = "{}", const std::string& head = {}) {
  return method + " " + path + " HTTP/1.1\r\nHost: a\r\nUser-Agent: test/1.0 (x)\r\n" +
         (token.empty() ? "" : "Authorization: Bearer " + token + "\r\n") + head +
         (method == "GET" ? "\r\n"
                          : "Content-Type: application/json\r\nContent-Length: " +
                                std::to_string(body.size()) + "\r\n\r\n" + body);
}

TEST(UnknownCallersTest, EveryDoorSeesThem) {
  TestGateway test;
  const std::string body = R"({"tool":"payments","action":"read"})";
  const struct {
    std::string request;
    int status;
    std::string line;
  } cases[] = {
      {Request("POST", "/tools/payments/read", ""), 401, "test/1.0 payments token_missing"},
      {Request("GET", "/tools/" + std::string(500, 't') + "/read", ""), 401,
       "test/1.0 " + std::string(kMaxShownBytes, 't') + " token_missing"},
      {Request("POST", "/tools/payments/read", "sk-secret-key"), 401,
       "test/1.0 payments token_malformed"},
      {Request("POST", "/tools/payments/read", test.Token("ghost")), 401,
       "ghost payments agent_unknown"},
      {Request("POST", "/tools/payments/read", Unsigned(R"({"agent":"rogue"})")), 401,
       "rogue payments token_algorithm"},
      {Request("POST", "/tools/payments/read", test.Token("finance-agent", 1) + "x"), 401,
       "finance-agent payments token_malformed"},
      {Request("POST", "/tools/payments/read", std::string(9'000, 'x')), 401,
       "test/1.0 payments token_too_large"},
      {Request("POST", "/tools/payments/read", "", "{}", "Authorization: Basic eDp5\r\n"), 401,
       "test/1.0 payments token_malformed"},
      {Request("POST", "/v1/decisions", "", body), 401, "test/1.0 /v1/decisions token_missing"},
      {Request("POST", "/v1/decisions", test.Token("ghost"), body), 401,
       "ghost /v1/decisions agent_unknown"},
      {Request("POST", "/v1/decisions/x/result", test.Token("ghost"), R"({"status":200})"), 404,
       "ghost /v1/decisions/x/result agent_unknown"},
      {Request("POST", "/v1/ext_authz/tools/payments/read", "", "{}",
               "X-Envoy-Auth-Partial-Body: false\r\n"),
       401, "test/1.0 payments token_missing"},
      {Request("POST", "/v1/data/aegis/decision", ""), 401,
       "test/1.0 /v1/data/aegis/decision token_missing"},
      {Request("GET", "/v1/data/aegis/decision", test.Token("ghost")), 400,
       "ghost /v1/data/aegis/decision agent_unknown"},
  };
  for (const auto& [request, status, line] : cases) {
    Socket client(test.address());
    client.Send(request);
    EXPECT_EQ(StatusOf(client.ReceiveAnswer()), status) << line;
    EXPECT_THAT(Lines(test.gateway->TakeUnknownCallers()), ElementsAre("127.0.0.1 " + line + " 1"));
  }
  Socket known(test.address());
  known.Send(Request("POST", "/v1/decisions", test.Token("bad-agent"), body));
  EXPECT_EQ(StatusOf(known.ReceiveAnswer()), 403) << "suspended is not unknown";
  EXPECT_THAT(test.gateway->TakeUnknownCallers(), IsEmpty());
  std::string metrics;
  test.metrics.AppendExposition(metrics);
  EXPECT_THAT(metrics, HasSubstr("aegis_unknown_callers_total{reason=\"token_missing\"} 5\n"));
  EXPECT_THAT(metrics, HasSubstr("aegis_unknown_callers_total{reason=\"agent_unknown\"} 4\n"));
  EXPECT_THAT(metrics, HasSubstr("aegis_unknown_callers_total{reason=\"other\"} 0\n"));
  // Ten tokens that are not good, each counted once, and two calls of an agent that is not
  // registered.
  EXPECT_THAT(metrics,
              HasSubstr("aegis_decisions_total{outcome=\"deny\",reason=\"token_invalid\"} 12\n"));
}

TEST(UnknownCallersTest, ACallWhoseBodyComesLateIsSeenOnce) {
  TestGateway test;
  const std::string request = Request("POST", "/v1/decisions", test.Token("ghost"),
                                      R"({"tool":"payments","action":"read"})");
  Socket client(test.address());
  client.Send(request.substr(0, request.size() - 5));
  // The head has been worked off when another connection's call has.
  Socket other(test.address());
  other.Send(Request("POST", "/v1/decisions", "", "{}"));
  other.ReceiveAnswer();
  client.Send(request.substr(request.size() - 5));
  EXPECT_EQ(StatusOf(client.ReceiveAnswer()), 401);
  EXPECT_THAT(Lines(test.gateway->TakeUnknownCallers()),
              UnorderedElementsAre("127.0.0.1 ghost /v1/decisions agent_unknown 1",
                                   "127.0.0.1 test/1.0 /v1/decisions token_missing 1"));
}

TEST(UnknownCallersTest, ABlockedNameIsRefusedAsSuchAndNotListed) {
  TestGateway test;
  test.Change([](State& state) { state.blocked_names = {"ghost", "test/1.0"}; });
  const std::string body = R"({"tool":"payments","action":"read"})";
  for (const std::string& token : {test.Token("ghost"), Unsigned(R"({"agent":"ghost"})"),
                                   std::string(), std::string("sk-key")}) {
    for (const char* path : {"/tools/payments/read", "/v1/decisions", "/v1/data/aegis/decision"}) {
      Socket client(test.address());
      client.Send(Request("POST", path, token, body));
      const std::string answer = client.ReceiveAnswer();
      EXPECT_EQ(StatusOf(answer), 403) << path;
      EXPECT_THAT(answer, HasSubstr("caller_blocked")) << path;
    }
  }
  EXPECT_THAT(test.gateway->TakeUnknownCallers(), IsEmpty());
  EXPECT_THAT(test.journal.records(), IsEmpty()) << "strangers write no records";
  std::string metrics;
  test.metrics.AppendExposition(metrics);
  EXPECT_THAT(metrics, HasSubstr("aegis_unknown_callers_total{reason=\"caller_blocked\"} 12\n"));
  // A User-Agent names nobody who has a token.
  Socket client(test.address());
  client.Send(Request("POST", "/v1/decisions", test.Token("finance-agent"), body));
  EXPECT_EQ(StatusOf(client.ReceiveAnswer()), 200);
}

TEST(UnknownCallersTest, ABlockedSourceIsRefusedWhoeverCalls) {
  for (const bool shadow : {false, true}) {
    TestGateway test([&](Gateway::Options& options) { options.shadow = shadow; });
    const std::string body =
        R"({"tool":"payments","action":"create_payment","params":{"amount":1}})";
    const auto ask = [&](const std::string& token) {
      Socket client(test.address());
      client.Send(Request("POST", "/v1/decisions", token, body));
      return StatusOf(client.ReceiveAnswer());
    };
    const std::string token = test.Token();
    test.Change([](State& state) { state.blocked_sources = {"127.0.0.2", "::1"}; });
    EXPECT_EQ(ask(token), 200);
    test.Change([](State& state) { state.blocked_sources = {"127.0.0.1"}; });
    EXPECT_EQ(ask(token), 403);
    EXPECT_EQ(ask(""), 403);
    test.Change([](State& state) { state.blocked_sources.clear(); });
    EXPECT_EQ(ask(token), 200);
    EXPECT_THAT(test.gateway->TakeUnknownCallers(), IsEmpty());
  }
}

TEST(UnknownCallersTest, ABlockThatComesWhileABodyIsReceivedHolds) {
  TestGateway test;
  const std::string request =
      Request("POST", "/v1/decisions", test.Token(), R"({"tool":"payments","action":"list_all"})");
  Socket client(test.address());
  client.Send(request.substr(0, request.size() - 5));
  Socket other(test.address());
  other.Send(Request("POST", "/v1/decisions", test.Token(), "{}"));
  other.ReceiveAnswer();
  test.Change([](State& state) { state.blocked_sources = {"127.0.0.1"}; });
  client.Send(request.substr(request.size() - 5));
  EXPECT_EQ(StatusOf(client.ReceiveAnswer()), 403);
}

// Takes reports, or refuses them.
class FakeControl {
 public:
  FakeControl() {
    server_ = *net::HttpServer::Start(
        {}, [this](const net::HttpRequest& request, const net::Responder& respond) {
          net::HttpResponse response;
          {
            const std::lock_guard lock(mutex_);
            response.status = status_;
            ++asked_;
            if (status_ == 200) Take(request);
          }
          changed_.notify_all();
          respond(std::move(response));
        });
  }
  ~FakeControl() { server_.reset(); }
  std::string url() const { return "http://" + server_->address(); }
  void set_status(int status) {
    const std::lock_guard lock(mutex_);
    status_ = status;
    asked_ = 0;
  }
  void Await(const std::function<bool(const FakeControl&)>& condition) {
    std::unique_lock lock(mutex_);
    ASSERT_TRUE(
        changed_.wait_for(lock, std::chrono::seconds(20), [&] { return condition(*this); }));
  }

  // Under Await's lock.
  int asked_ = 0;
  size_t rows_ = 0, largest_ = 0;
  int64_t calls_ = 0;
  std::string last_body_;

 private:
  void Take(const net::HttpRequest& request) {
    EXPECT_EQ(request.method + " " + request.path, "POST /v1/gateway/unknown-agents");
    EXPECT_EQ(request.headers.Get("Authorization"), "Bearer gateway-key");
    Arena arena;
    const auto body = json::ParseTree(request.body, arena);
    ASSERT_TRUE(body.has_value()) << request.body;
    const auto seen = body->Find("seen")->elements();
    rows_ += seen.size();
    largest_ = std::max(largest_, seen.size());
    for (const json::Tree& caller : seen) calls_ += *caller.Find("count")->AsInt64();
    last_body_ = request.body;
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  int status_ = 200;
  std::unique_ptr<net::HttpServer> server_;
};

void CallUnder(TestGateway& test, const std::string& user_agent) {
  Socket client(test.address());
  client.Send("GET /tools/t/a HTTP/1.1\r\nHost: a\r\nUser-Agent: " + user_agent + "\r\n\r\n");
  EXPECT_EQ(StatusOf(client.ReceiveAnswer()), 401);
}

UnknownReporter::Options ReporterOptions(const std::string& url) {
  UnknownReporter::Options options;
  options.control_url = url;
  options.gateway_key = "gateway-key";
  options.every = std::chrono::milliseconds(2);
  return options;
}

TEST(UnknownReporterTest, TellsWhatIsNewAndOnlyThat) {
  TestGateway test;
  FakeControl control;
  const UnknownReporter reporter(ReporterOptions(control.url()), *test.gateway);
  CallUnder(test, "\"odd\\name\"");
  control.Await([](const FakeControl& c) { return c.calls_ == 1; });
  EXPECT_THAT(control.last_body_,
              HasSubstr(R"({"source":"127.0.0.1","name":"\"odd\\name\"","target":"t",)"
                        R"("reason":"token_missing","count":1,"first_seen_ms":1)"));
  CallUnder(test, "b");
  control.Await([](const FakeControl& c) { return c.calls_ == 2; });
  EXPECT_THAT(control.last_body_, Not(HasSubstr("odd")));
  EXPECT_EQ(control.asked_, 2) << "no news, no report";
}

TEST(UnknownReporterTest, WhatTheControlPlaneMissedComesLaterInParts) {
  TestGateway test;
  FakeControl control;
  control.set_status(503);
  const UnknownReporter reporter(ReporterOptions(control.url()), *test.gateway);
  CallUnder(test, "first");
  control.Await([](const FakeControl& c) { return c.asked_ >= 2; });
  for (int i = 0; i < 300; ++i) CallUnder(test, "n" + std::to_string(i));
  control.set_status(200);
  control.Await([](const FakeControl& c) { return c.calls_ == 301; });
  EXPECT_EQ(control.rows_, 1 + UnknownCallers::kMaxOfASource + 1);
}

TEST(UnknownReporterTest, ARefusedReportDoesNotStandInTheWay) {
  TestGateway test;
  FakeControl control;
  control.set_status(422);
  const UnknownReporter reporter(ReporterOptions(control.url()), *test.gateway);
  CallUnder(test, "first");
  control.Await([](const FakeControl& c) { return c.asked_ == 1; });
  control.set_status(200);
  CallUnder(test, "second");
  control.Await([](const FakeControl& c) { return c.calls_ == 1; });
  EXPECT_THAT(control.last_body_, HasSubstr("second"));
}

TEST(UnknownReporterTest, TheEndSendsWhatIsLeft) {
  TestGateway test;
  FakeControl control;
  {
    UnknownReporter::Options options = ReporterOptions(control.url());
    options.every = std::chrono::hours(1);
    const UnknownReporter reporter(options, *test.gateway);
    CallUnder(test, "last");
  }
  control.Await([](const FakeControl& c) { return c.calls_ == 1; });
  const UnknownReporter nobody_there(ReporterOptions("http://127.0.0.1:1"), *test.gateway);
  CallUnder(test, "kept");
}

}  // namespace
}  // namespace aegis::gateway
