// How much is asked of a tool, and what becomes of calls when it fails: limits, time-outs, attempts
// and addresses that are left alone.
#include <gtest/gtest.h>
#include <sys/socket.h>

#include "aegis/gateway/gateway_testing.h"
#include "aegis/gateway/upstream_health.h"
#include "aegis/net/tcp.h"

namespace aegis::gateway {
namespace {

using std::chrono::steady_clock;
using testing::BodyOf;
using testing::HeaderOf;
using testing::ScriptedTool;
using testing::Socket;
using testing::StatusOf;
using testing::TestGateway;

constexpr const char* kOk = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

void SetTool(TestGateway& gateway, const std::string& url, const UpstreamOptions& options) {
  gateway.Change([&](State& state) {
    state.tools["payments"] = *MakeTool(url);
    state.tools["payments"].upstream = options;
  });
}

std::string Get(const TestGateway& gateway, const std::string& method = "GET") {
  return method + " /tools/payments/list_all HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer " +
         gateway.Token() + "\r\n\r\n";
}

std::string Call(const TestGateway& gateway, const std::string& request) {
  Socket client(gateway.address());
  client.Send(request);
  return client.ReceiveAnswer();
}

std::string ReasonOf(const std::string& answer) {
  const std::string_view body = BodyOf(answer);
  const size_t at = body.find("\"reason\":\"");
  if (at == std::string_view::npos) return {};
  return std::string(body.substr(at + 10, body.find('"', at + 10) - at - 10));
}

// A port where nobody listens.
std::string ClosedPort() {
  return ScriptedTool([](Socket&, int) {}).url();
}

uint64_t Total(const TestGateway& gateway, const std::string& metric) {
  std::string text;
  gateway.metrics.AppendExposition(text);
  const size_t at = text.find("\n" + metric + " ");
  return at == std::string::npos ? UINT64_MAX : std::stoull(text.substr(at + metric.size() + 2));
}

TEST(UpstreamHealthTest, EjectedLongerWithEveryFailureUntilAProbeSucceeds) {
  UpstreamOptions options;
  options.ejection_failures = 3;
  options.ejection_ms = 100;
  options.max_ejection_ms = 350;
  UpstreamHealth health;
  EXPECT_FALSE(health.Fail(0, options));
  EXPECT_FALSE(health.Fail(0, options));
  health.Succeed();  // only failures in a row count
  EXPECT_FALSE(health.Fail(0, options));
  EXPECT_FALSE(health.Fail(0, options));
  EXPECT_TRUE(health.available(0));
  EXPECT_TRUE(health.Fail(0, options));
  int64_t now = 0;
  for (const int64_t time : {100, 200, 350, 350}) {
    EXPECT_EQ(health.wait_ms(now), time);
    EXPECT_FALSE(health.available(now + time - 1));
    EXPECT_FALSE(health.Fail(now + 1, options)) << "a call that began before";
    now += time;
    EXPECT_TRUE(health.available(now));
    EXPECT_TRUE(health.Begin());
    EXPECT_FALSE(health.available(now)) << "one probe at a time";
    health.Abandon();
    EXPECT_TRUE(health.available(now));
    EXPECT_TRUE(health.Begin());
    EXPECT_TRUE(health.Fail(now, options));
  }
  now += 350;
  EXPECT_TRUE(health.Begin());
  health.Succeed();
  EXPECT_TRUE(health.available(now));
  EXPECT_FALSE(health.Begin());
}

TEST(UpstreamTest, AToolThatIsAwayIsLeftAloneAndTriedAgain) {
  TestGateway gateway;
  UpstreamOptions options;
  options.ejection_failures = 3;
  options.ejection_ms = 300;
  SetTool(gateway, ClosedPort(), options);
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(ReasonOf(Call(gateway, Get(gateway))), "upstream_unreachable");
  }
  const std::string refused = Call(gateway, Get(gateway));
  EXPECT_EQ(StatusOf(refused), 503) << refused;
  EXPECT_EQ(ReasonOf(refused), "tool_unavailable");
  EXPECT_EQ(HeaderOf(refused, "Retry-After"), "1");
  EXPECT_EQ(Total(gateway, "aegis_upstream_ejections_total"), 1u);
  EXPECT_EQ(Total(gateway, "aegis_upstream_errors_total{kind=\"unavailable\"}"), 1u);
  // One probe after the time, and the next pause is longer.
  std::this_thread::sleep_for(std::chrono::milliseconds(320));
  EXPECT_EQ(ReasonOf(Call(gateway, Get(gateway))), "upstream_unreachable");
  EXPECT_EQ(ReasonOf(Call(gateway, Get(gateway))), "tool_unavailable");
  std::this_thread::sleep_for(std::chrono::milliseconds(320));
  EXPECT_EQ(ReasonOf(Call(gateway, Get(gateway))), "tool_unavailable");
  gateway.journal.WaitFor(14);
  EXPECT_NE(gateway.journal.records()[13].find(R"("error":"tool_unavailable")"), std::string::npos);
}

TEST(UpstreamTest, BadAnswersAreFailuresOnlyWhereTheToolSaysSo) {
  for (const bool counts : {false, true}) {
    TestGateway gateway;
    ScriptedTool tool([](Socket& socket, int) {
      while (!socket.ReceiveUntil("\r\n\r\n").empty()) {
        socket.Send("HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n");
      }
    });
    UpstreamOptions options;
    options.ejection_failures = 2;
    options.answers_are_failures = counts;
    SetTool(gateway, tool.url(), options);
    for (int i = 0; i < 2; ++i) EXPECT_EQ(ReasonOf(Call(gateway, Get(gateway))), "");
    EXPECT_EQ(ReasonOf(Call(gateway, Get(gateway))), counts ? "tool_unavailable" : "");
  }
}

TEST(UpstreamTest, AToolIsBackWhenItsProbeSucceeds) {
  TestGateway gateway;
  std::atomic<bool> well{false};
  ScriptedTool tool([&](Socket& socket, int) {
    socket.ReceiveUntil("\r\n\r\n");
    if (well) socket.Send(kOk);
  });
  UpstreamOptions options;
  options.ejection_failures = 1;
  options.ejection_ms = 100;
  options.answers_are_failures = true;
  SetTool(gateway, tool.url(), options);
  EXPECT_EQ(ReasonOf(Call(gateway, Get(gateway))), "upstream_closed");
  EXPECT_EQ(ReasonOf(Call(gateway, Get(gateway))), "tool_unavailable");
  well = true;
  std::this_thread::sleep_for(std::chrono::milliseconds(120));
  for (int i = 0; i < 3; ++i) EXPECT_EQ(StatusOf(Call(gateway, Get(gateway))), 200);
}

TEST(UpstreamTest, AddressesAreTriedInTurn) {
  TestGateway gateway;
  ScriptedTool tool([](Socket& socket, int) {
    while (!socket.ReceiveUntil("\r\n\r\n").empty()) socket.Send(kOk);
  });
  const std::string dead = ClosedPort();
  gateway.Change([&](State& state) {
    Tool both = *MakeTool(tool.url());
    both.target.addresses.insert(both.target.addresses.begin(),
                                 MakeTool(dead)->target.addresses[0]);
    state.tools["payments"] = both;
  });
  for (int i = 0; i < 4; ++i) EXPECT_EQ(StatusOf(Call(gateway, Get(gateway))), 200);
  // Also for what may be sent once only: nothing was sent to the dead one.
  EXPECT_EQ(StatusOf(Call(gateway, gateway.Post("/tools/payments/list_all", "{}"))), 200);
}

TEST(UpstreamTest, TheLastAddressMayFailWhileTheOthersAreLeftAlone) {
  TestGateway gateway;
  const std::string first = ClosedPort();
  const std::string second = ClosedPort();
  Tool tool = *MakeTool(first);
  tool.upstream.ejection_failures = 1;
  tool.upstream.ejection_ms = 60'000;
  gateway.Change([&](State& state) { state.tools["payments"] = tool; });
  EXPECT_EQ(ReasonOf(Call(gateway, Get(gateway))), "upstream_unreachable");
  EXPECT_EQ(ReasonOf(Call(gateway, Get(gateway))), "tool_unavailable");
  tool.target.addresses.push_back(MakeTool(second)->target.addresses[0]);
  gateway.Change([&](State& state) { state.tools["payments"] = tool; });
  EXPECT_EQ(ReasonOf(Call(gateway, Get(gateway))), "upstream_unreachable");
  EXPECT_EQ(ReasonOf(Call(gateway, Get(gateway))), "tool_unavailable");
}

TEST(UpstreamTest, ConnectionsInUseAreLimitedAndOthersWait) {
  TestGateway gateway;
  std::atomic<int> asked{0};
  std::atomic<bool> go{false};
  ScriptedTool tool([&](Socket& socket, int) {
    while (!socket.ReceiveUntil("\r\n\r\n").empty()) {
      ++asked;
      while (!go) std::this_thread::yield();
      socket.Send(kOk);
    }
  });
  UpstreamOptions options;
  options.max_connections = 1;
  options.max_pending = 1;
  SetTool(gateway, tool.url(), options);
  Socket first(gateway.address()), second(gateway.address()), third(gateway.address());
  first.Send(Get(gateway));
  while (asked < 1) std::this_thread::yield();
  second.Send(Get(gateway));
  // The second waits for its turn, the third would be one too many.
  std::string answer;
  do {
    third.Send(Get(gateway));
    answer = third.ReceiveAnswer();
  } while (StatusOf(answer) == 200);
  EXPECT_EQ(StatusOf(answer), 503);
  EXPECT_EQ(ReasonOf(answer), "tool_overloaded");
  EXPECT_EQ(HeaderOf(answer, "Retry-After"), "1");
  go = true;
  EXPECT_EQ(StatusOf(first.ReceiveAnswer()), 200);
  EXPECT_EQ(StatusOf(second.ReceiveAnswer()), 200);
  EXPECT_EQ(tool.connections(), 1);
}

TEST(UpstreamTest, AWaitingCallEndsInTimeAndOneThatLeavesIsForgotten) {
  TestGateway gateway;
  std::atomic<bool> go{false};
  std::atomic<int> asked{0};
  ScriptedTool tool([&](Socket& socket, int) {
    while (!socket.ReceiveUntil("\r\n\r\n").empty()) {
      ++asked;
      while (!go) std::this_thread::yield();
      socket.Send(kOk);
    }
  });
  UpstreamOptions options;
  options.max_connections = 1;
  options.connect_timeout_ms = 200;
  SetTool(gateway, tool.url(), options);
  Socket first(gateway.address());
  first.Send(Get(gateway));
  while (asked < 1) std::this_thread::yield();
  {
    Socket leaves(gateway.address());
    leaves.Send(Get(gateway));
    gateway.journal.WaitFor(2);
  }
  EXPECT_EQ(ReasonOf(Call(gateway, Get(gateway))), "tool_overloaded");
  go = true;
  EXPECT_EQ(StatusOf(first.ReceiveAnswer()), 200);
  EXPECT_EQ(StatusOf(Call(gateway, Get(gateway))), 200);
  EXPECT_EQ(asked, 2);
}

TEST(UpstreamTest, CallsAtATimeAreLimited) {
  TestGateway gateway;
  std::atomic<int> asked{0};
  std::atomic<bool> go{false};
  ScriptedTool tool([&](Socket& socket, int) {
    socket.ReceiveUntil("\r\n\r\n");
    ++asked;
    while (!go) std::this_thread::yield();
    socket.Send(kOk);
  });
  UpstreamOptions options;
  options.max_requests = 2;
  SetTool(gateway, tool.url(), options);
  Socket first(gateway.address()), second(gateway.address());
  first.Send(Get(gateway));
  second.Send(Get(gateway));
  while (asked < 2) std::this_thread::yield();
  EXPECT_EQ(ReasonOf(Call(gateway, Get(gateway))), "tool_overloaded");
  go = true;
  EXPECT_EQ(StatusOf(first.ReceiveAnswer()), 200);
  EXPECT_EQ(StatusOf(second.ReceiveAnswer()), 200);
  EXPECT_EQ(StatusOf(Call(gateway, Get(gateway))), 200);
}

// Answers badly as often as asked, then well.
class FailingTool {
 public:
  FailingTool(int failures, std::string bad)
      : failures_(failures), bad_(std::move(bad)), tool_([this](Socket& socket, int) {
          while (!socket.ReceiveAnswer().empty()) {
            if (++asked <= failures_) {
              if (!bad_.empty()) socket.Send(bad_);
              return;
            }
            socket.Send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
          }
        }) {}
  std::string url() const { return tool_.url(); }
  std::atomic<int> asked{0};

 private:
  const int failures_;
  const std::string bad_;
  ScriptedTool tool_;
};

TEST(UpstreamTest, RequestsAreSentAgainOnlyWhereThatIsSafe) {
  const std::string busy = "HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nbusy";
  const std::string later = "HTTP/1.1 503 Busy\r\nRetry-After: 9\r\nContent-Length: 0\r\n\r\n";
  const std::string broken = "HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n";
  const std::string half = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf";
  struct Row {
    const char* method;
    int attempts;
    int failures;
    std::string bad;  // empty: closes
    int status;
    int asked;
  };
  const Row rows[] = {
      {"GET", 3, 1, busy, 200, 2},    {"GET", 3, 2, busy, 200, 3},
      {"GET", 3, 3, busy, 503, 3},    {"GET", 1, 1, busy, 503, 1},  // not asked for
      {"GET", 3, 1, "", 200, 2},      {"HEAD", 3, 1, busy, 200, 2},
      {"DELETE", 3, 1, busy, 200, 2}, {"PUT", 3, 1, "", 200, 2},
      {"POST", 3, 1, busy, 503, 1},   {"POST", 3, 1, "", 502, 1},
      {"PATCH", 3, 1, busy, 503, 1},  {"GET", 3, 1, later, 503, 1},
      {"GET", 3, 1, broken, 500, 1},  {"GET", 3, 1, "garbage\r\n\r\n", 502, 1},
      {"GET", 3, 1, half, 200, 1},  // it has begun
  };
  for (const Row& row : rows) {
    TestGateway gateway;
    FailingTool tool(row.failures, row.bad);
    UpstreamOptions options;
    options.max_attempts = row.attempts;
    SetTool(gateway, tool.url(), options);
    Socket client(gateway.address());
    client.Send(Get(gateway, row.method));
    const std::string head = client.ReceiveUntil("\r\n\r\n");
    EXPECT_EQ(StatusOf(head), row.status) << row.method << row.bad << head;
    EXPECT_EQ(tool.asked, row.asked) << row.method << row.bad;
    EXPECT_EQ(Total(gateway, "aegis_upstream_retries_total"), static_cast<uint64_t>(row.asked - 1));
    gateway.journal.WaitFor(2);
    const std::string outcome = gateway.journal.records()[1];
    if (row.asked > 1) {
      EXPECT_NE(outcome.find("\"attempts\":" + std::to_string(row.asked)), std::string::npos)
          << outcome;
    } else {
      EXPECT_EQ(outcome.find("attempts"), std::string::npos) << outcome;
    }
  }
}

TEST(UpstreamTest, AStreamedBodyIsNotSentAgain) {
  TestGateway gateway;
  FailingTool tool(1, "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n");
  UpstreamOptions options;
  options.max_attempts = 3;
  SetTool(gateway, tool.url(), options);
  Socket client(gateway.address());
  client.Send("PUT /tools/payments/list_all HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer " +
              gateway.Token() +
              "\r\nContent-Type: application/octet-stream\r\nContent-Length: 200000\r\n\r\n" +
              std::string(200'000, 'A'));
  EXPECT_EQ(StatusOf(client.ReceiveAnswer()), 503);
  EXPECT_EQ(tool.asked, 1);
}

TEST(UpstreamTest, RetriesAreAFifthOfTheCallsAtMost) {
  TestGateway gateway;
  std::atomic<int> asked{0};
  ScriptedTool tool([&](Socket& socket, int) {
    socket.ReceiveUntil("\r\n\r\n");
    ++asked;
    socket.Send("HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n");
  });
  UpstreamOptions options;
  options.max_attempts = 2;
  SetTool(gateway, tool.url(), options);
  constexpr int kCalls = 40;
  std::vector<std::unique_ptr<Socket>> clients;
  for (int i = 0; i < kCalls; ++i) clients.push_back(std::make_unique<Socket>(gateway.address()));
  for (auto& client : clients) client->Send(Get(gateway));
  for (auto& client : clients) EXPECT_EQ(StatusOf(client->ReceiveAnswer()), 503);
  const uint64_t retries = Total(gateway, "aegis_upstream_retries_total");
  EXPECT_GE(retries, 3u);
  EXPECT_LE(retries, kCalls / 5u * 2) << "the pause is short, so that some follow others";
  EXPECT_EQ(asked, kCalls + static_cast<int>(retries));
}

TEST(UpstreamTest, TimeOutsAreTheTools) {
  struct Row {
    const char* name;
    void (*set)(UpstreamOptions&);
    const char* answer;  // before the tool hangs
    const char* error;
  };
  const Row rows[] = {
      {"first byte", [](UpstreamOptions& o) { o.first_byte_timeout_ms = 100; }, "",
       "upstream_timeout"},
      {"head", [](UpstreamOptions& o) { o.first_byte_timeout_ms = 100; }, "HTTP/1.1 200 OK\r\n",
       "upstream_timeout"},
      {"idle", [](UpstreamOptions& o) { o.idle_timeout_ms = 100; },
       "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", "idle_timeout"},
      {"call", [](UpstreamOptions& o) { o.call_timeout_ms = 100; }, "", "upstream_timeout"},
      {"call, begun", [](UpstreamOptions& o) { o.call_timeout_ms = 100; },
       "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", "call_timeout"},
  };
  for (const Row& row : rows) {
    TestGateway gateway;
    ScriptedTool tool([&](Socket& socket, int) {
      socket.ReceiveUntil("\r\n\r\n");
      socket.Send(row.answer);
      socket.ReceiveAll();
    });
    UpstreamOptions options;
    row.set(options);
    SetTool(gateway, tool.url(), options);
    const auto began = steady_clock::now();
    Socket client(gateway.address());
    client.Send(
        "GET /tools/payments/list_all HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
        "Authorization: Bearer " +
        gateway.Token() + "\r\n\r\n");
    client.ReceiveAll();
    EXPECT_LT(steady_clock::now() - began, std::chrono::seconds(5)) << row.name;
    gateway.journal.WaitFor(2);
    EXPECT_NE(gateway.journal.records()[1].find(std::string("\"error\":\"") + row.error),
              std::string::npos)
        << row.name << gateway.journal.records()[1];
  }
}

TEST(UpstreamTest, AConnectionThatNobodyAcceptsTimesOut) {
  // A full backlog: the kernel answers no more.
  FileDescriptor listening(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const net::SocketAddress any = *net::ResolveAddress("127.0.0.1:0");
  ASSERT_EQ(::bind(listening.get(), reinterpret_cast<const sockaddr*>(&any.storage), any.size), 0);
  ASSERT_EQ(::listen(listening.get(), 0), 0);
  const net::SocketAddress address = net::LocalAddress(listening.get());
  std::vector<FileDescriptor> fillers;
  for (int i = 0; i < 4; ++i) fillers.push_back(*net::StartConnect(address));
  TestGateway gateway;
  UpstreamOptions options;
  options.connect_timeout_ms = 150;
  SetTool(gateway, "http://" + address.ToString(), options);
  const std::string answer = Call(gateway, Get(gateway));
  EXPECT_EQ(StatusOf(answer), 504) << answer;
  EXPECT_EQ(ReasonOf(answer), "upstream_timeout");
}

TEST(UpstreamTest, AnAnswerUntilCloseThatIsResetIsNotWhole) {
  TestGateway gateway;
  ScriptedTool tool([](Socket& socket, int) {
    socket.ReceiveUntil("\r\n\r\n");
    socket.Send("HTTP/1.1 200 OK\r\n\r\nhalf");
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    const linger hard{1, 0};
    ::setsockopt(socket.fd(), SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    sockaddr unspecified{};
    unspecified.sa_family = AF_UNSPEC;
    ::connect(socket.fd(), &unspecified, sizeof unspecified);  // resets at once
  });
  SetTool(gateway, tool.url(), {});
  Socket client(gateway.address());
  client.Send(Get(gateway));
  const std::string answer = client.ReceiveAll();
  EXPECT_FALSE(answer.ends_with("0\r\n\r\n")) << answer;
  gateway.journal.WaitFor(2);
  EXPECT_NE(gateway.journal.records()[1].find("upstream_truncated"), std::string::npos);
}

TEST(UpstreamTest, OptionsAndAddressesChangeWhileThePoolStays) {
  TestGateway gateway;
  ScriptedTool tool([](Socket& socket, int) {
    while (!socket.ReceiveUntil("\r\n\r\n").empty()) socket.Send(kOk);
  });
  SetTool(gateway, tool.url(), {});
  EXPECT_EQ(StatusOf(Call(gateway, Get(gateway))), 200);
  gateway.Change([](State& state) { state.tools["payments"].upstream.idle_timeout_ms = 1234; });
  EXPECT_EQ(StatusOf(Call(gateway, Get(gateway))), 200);
  EXPECT_EQ(tool.connections(), 1);
  // The kept connection to an address that is no more goes with it.
  const std::string dead = ClosedPort();
  gateway.Change([&](State& state) {
    state.tools["payments"].target.addresses = MakeTool(dead)->target.addresses;
  });
  EXPECT_EQ(ReasonOf(Call(gateway, Get(gateway))), "upstream_unreachable");
}

// What a tool got of a call with `head` (lines with CRLF), and what the agent got.
struct CredentialCall {
  CredentialCall(std::vector<ToolCredential> credentials, const std::string& head,
                 const std::string& answer_head = {}) {
    TestGateway gateway;
    ScriptedTool tool([&](Socket& socket, int) {
      seen = socket.ReceiveUntil("\r\n\r\n");
      socket.Send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n" + answer_head + "\r\n");
    });
    gateway.Change([&](State& state) {
      state.tools["payments"] = *MakeTool(tool.url());
      state.tools["payments"].credentials = std::move(credentials);
    });
    answer = Call(gateway, "GET /tools/payments/list_all HTTP/1.1\r\nHost: a\r\nX-Aegis-Token: " +
                               gateway.Token() + "\r\n" + head + "\r\n");
    gateway.journal.WaitFor(2);
    for (const std::string& record : gateway.journal.records()) records += record;
  }
  std::string seen, answer, records;
};

TEST(CredentialTest, ReplaceWhatTheAgentSent) {
  const CredentialCall call(
      {{"authorization", "Bearer tool-secret", "tool-secret"}, {"x-key", "k-secret", "k-secret"}},
      "Authorization: Basic mine\r\nX-KEY: mine\r\nx-key: mine too\r\nX-Other: kept\r\n");
  EXPECT_EQ(StatusOf(call.answer), 200);
  EXPECT_EQ(HeaderOf(call.seen, "Authorization"), "Bearer tool-secret");
  EXPECT_EQ(HeaderOf(call.seen, "X-Key"), "k-secret");
  EXPECT_EQ(HeaderOf(call.seen, "X-Other"), "kept");
  EXPECT_EQ(call.seen.find("mine"), std::string::npos) << call.seen;
  EXPECT_EQ(call.records.find("secret"), std::string::npos) << call.records;
}

TEST(CredentialTest, AnswersDoNotReveal) {
  const CredentialCall call(
      {{"authorization", "Bearer tool-secret", "tool-secret"}, {"x-pin", "77", "77"}}, "",
      "X-Echo: Bearer tool-secret\r\nX-Debug: sent tool-secret today\r\nX-Pin: 77\r\n"
      "X-Count: 775\r\nX-Kind: tool\r\n");
  EXPECT_EQ(call.answer.find("tool-secret"), std::string::npos) << call.answer;
  EXPECT_EQ(HeaderOf(call.answer, "X-Pin"), "");
  EXPECT_EQ(HeaderOf(call.answer, "X-Count"), "775");
  EXPECT_EQ(HeaderOf(call.answer, "X-Kind"), "tool");
}

TEST(CredentialTest, AToolWithoutItsSecretIsNotCalled) {
  TestGateway gateway;
  ScriptedTool tool([](Socket&, int) {});
  gateway.Change([&](State& state) {
    state.tools["payments"] = *MakeTool(tool.url());
    state.tools["payments"].problem = {503, "tool_secret_missing", "no credential", "env:X"};
  });
  const std::string answer = Call(gateway, Get(gateway));
  EXPECT_EQ(StatusOf(answer), 503);
  EXPECT_EQ(ReasonOf(answer), "tool_secret_missing");
  EXPECT_EQ(answer.find("env:X"), std::string::npos) << "told to operators only";
  EXPECT_EQ(tool.connections(), 0);
}

}  // namespace
}  // namespace aegis::gateway
