#include "aegis/grpc/server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <set>
#include <utility>

#include "aegis/grpc/handler_pool.h"
#include "aegis/grpc/server_testing.h"

namespace aegis::grpc {
namespace {

using testing::ElementsAre;

TEST(ServerTest, UnaryCall) {
  ServerFixture fixture;
  TestClient client(fixture.Connect());
  const uint32_t call = client.Start("Echo", {{"x-test", "meta"}});
  client.Message(call, "hello", true);
  EXPECT_EQ(client.Status(call), "0");
  EXPECT_EQ(client.answers[call].Head(":status"), "200");
  EXPECT_EQ(client.answers[call].Head("content-type"), "application/grpc");
  EXPECT_THAT(client.Messages(call), ElementsAre("hello"));
  fixture.OnLoop([&] {
    EXPECT_EQ(fixture.echo.last_peer.principal, "spiffe://test/client");
    EXPECT_EQ(fixture.echo.last_metadata, "meta");
    EXPECT_EQ(fixture.echo.last_timeout_ns, 0);
    EXPECT_EQ(fixture.echo.released, 1);
    EXPECT_EQ(fixture.echo.cancelled, 0);
    EXPECT_EQ(fixture.server->call_count(), 0U);
    EXPECT_EQ(fixture.server->counters().calls, 1U);
  });
}

TEST(ServerTest, ManyCallsShareHandlers) {
  ServerFixture fixture;
  TestClient client(fixture.Connect());
  for (int round = 0; round < 50; ++round) {
    std::vector<uint32_t> calls;
    for (int i = 0; i < 8; ++i) {
      calls.push_back(client.Start("Echo"));
      client.Message(calls.back(), std::to_string(i), true);
    }
    for (size_t i = 0; i < calls.size(); ++i) {
      EXPECT_EQ(client.Status(calls[i]), "0");
      EXPECT_THAT(client.Messages(calls[i]), ElementsAre(std::to_string(i)));
    }
  }
  fixture.OnLoop([&] {
    EXPECT_EQ(fixture.echo.started, 400);
    EXPECT_LE(fixture.echo.made, 8U);
  });
}

TEST(ServerTest, StreamOfMessagesBothWays) {
  ServerFixture fixture;
  TestClient client(fixture.Connect());
  const uint32_t call = client.Start("Echo");
  for (const std::string_view text : {"one", "", "three"}) {
    const size_t before = client.Messages(call).size();
    client.Message(call, text, false);
    EXPECT_TRUE(client.Await([&] { return client.Messages(call).size() > before; }));
  }
  EXPECT_THAT(client.Messages(call), ElementsAre("one", "", "three"));
  client.Data(call, {}, true);
  EXPECT_EQ(client.Status(call), "0");
}

TEST(ServerTest, MessagesMayBeSplitAnywhere) {
  const std::string bytes = Framed("first") + Framed(std::string(300, 's')) + Framed("");
  for (size_t step = 1; step < 40; step += 3) {
    ServerFixture fixture;
    TestClient client(fixture.Connect());
    const uint32_t call = client.Start("Echo");
    for (size_t at = 0; at < bytes.size(); at += step) {
      client.Data(call, bytes.substr(at, step), false);
    }
    client.Data(call, {}, true);
    EXPECT_EQ(client.Status(call), "0");
    EXPECT_THAT(client.Messages(call), ElementsAre("first", std::string(300, 's'), ""));
  }
}

TEST(ServerTest, LargeMessage) {
  ServerFixture fixture;
  TestClient client(fixture.Connect());
  client.Credit(0, 64 << 20);
  const uint32_t call = client.Start("Large");
  client.Credit(call, 64 << 20);
  client.Message(call, "3000000", true);
  EXPECT_EQ(client.Status(call), "0");
  ASSERT_EQ(client.Messages(call).size(), 1U);
  EXPECT_EQ(client.Messages(call)[0], std::string(3'000'000, 'L'));
}

TEST(ServerTest, StatusAndMessage) {
  ServerFixture fixture;
  TestClient client(fixture.Connect());
  const uint32_t call = client.Start("Fail");
  client.Message(call, "7 not\nthis \xC3\xBC", true);
  EXPECT_EQ(client.Status(call), "7");
  EXPECT_EQ(client.StatusMessage(call), "not%0Athis %C3%BC");
  // Without a message the answer is one HEADERS frame.
  EXPECT_TRUE(client.answers[call].trailers.empty());
}

TEST(ServerTest, FinishBeforeTheClientHasSentAll) {
  ServerFixture fixture;
  TestClient client(fixture.Connect());
  const uint32_t call = client.Start("Fail");
  client.Message(call, "5 gone", false);
  EXPECT_EQ(client.Status(call), "5");
  EXPECT_TRUE(client.Await([&] { return client.answers[call].reset.has_value(); }));
  EXPECT_EQ(client.answers[call].reset, 0U);
  // The connection goes on.
  const uint32_t next = client.Start("Echo");
  client.Message(next, "x", true);
  EXPECT_EQ(client.Status(next), "0");
}

TEST(ServerTest, WhatIsNoGrpcIsAnsweredAsHttp) {
  const std::vector<net::Http2Field> get = {
      {":method", "GET"}, {":scheme", "http"}, {":authority", "a"}, {":path", "/test.Echo/Echo"}};
  const auto post = [](std::string_view type) {
    return std::vector<net::Http2Field>{{":method", "POST"},
                                        {":scheme", "http"},
                                        {":authority", "a"},
                                        {":path", "/test.Echo/Echo"},
                                        {"content-type", type}};
  };
  const std::vector<std::pair<std::vector<net::Http2Field>, std::string>> cases = {
      {get, "405"},
      {post("application/json"), "415"},
      {post("application/grpc-web"), "415"},
      {post("application/grpc+json"), "415"},
      {post("application/grpc"), "200"},
      {post("application/grpc+proto"), "200"},
      {post("Application/gRPC;v=1"), "200"},
  };
  ServerFixture fixture;
  TestClient client(fixture.Connect());
  uint32_t call = 1;
  for (const auto& [fields, status] : cases) {
    client.Headers(call, fields, true);
    client.Status(call);
    EXPECT_EQ(client.answers[call].Head(":status"), status);
    call += 2;
  }
}

TEST(ServerTest, UnknownServicesAndMethods) {
  ServerFixture fixture;
  TestClient client(fixture.Connect());
  EXPECT_EQ(client.Status(client.Start("Other")), "12");
  uint32_t call = 3;
  for (const std::string_view path : {"/", "/x", "/other.Echo/Echo", "//Echo", "/test.Echo/",
                                      "/test.Echo/Echo/", "/test.Echo/x/Echo"}) {
    client.Headers(call,
                   {{":method", "POST"},
                    {":scheme", "http"},
                    {":authority", "a"},
                    {":path", path},
                    {"content-type", "application/grpc"}},
                   true);
    EXPECT_EQ(client.Status(call), "12") << path;
    call += 2;
  }
  fixture.OnLoop([&] { EXPECT_EQ(fixture.server->counters().refused, 8U); });
}

TEST(ServerTest, BadFramingIsRefused) {
  struct Case {
    std::string bytes;
    std::string status;
  };
  const std::vector<Case> cases = {
      {std::string("\x01\x00\x00\x00\x01x", 6), "12"},  // compressed
      {std::string("\x02\x00\x00\x00\x01x", 6), "13"},  // reserved flag
      {std::string("\x00\x00\x00\x00\x05x", 6), "13"},  // cut short
      {std::string("\x00\x00", 2), "13"},               // cut within the prefix
      {std::string("\x00\x7F\xFF\xFF\xFF", 5), "8"},    // larger than allowed
  };
  ServerFixture fixture;
  TestClient client(fixture.Connect());
  for (const Case& c : cases) {
    const uint32_t call = client.Start("Echo");
    client.Data(call, c.bytes, true);
    EXPECT_EQ(client.Status(call), c.status);
    EXPECT_EQ(client.answers[call].Head("grpc-accept-encoding"),
              c.status == "12" ? "identity" : "(none)");
  }
  fixture.OnLoop([&] {
    EXPECT_EQ(fixture.echo.cancelled, 5);
    EXPECT_EQ(fixture.echo.released, 5);
    EXPECT_EQ(fixture.echo.messages, 0U);
  });
}

TEST(ServerTest, HeldMessagesHaveALimit) {
  Server::Options options;
  options.max_message_bytes = 100'000;
  options.max_buffered_bytes = 64'000;
  ServerFixture fixture(options);
  TestClient client(fixture.Connect());
  std::vector<uint32_t> calls;
  for (int i = 0; i < 3; ++i) {
    calls.push_back(client.Start("Echo"));
    client.Data(calls.back(), Framed(std::string(90'000, 'x')).substr(0, 16'000), false);
  }
  client.Data(calls[0], std::string(16'000, 'x'), false);
  EXPECT_EQ(client.Status(calls[0]), "8");
  // What it held is free for others.
  client.Message(client.Start("Echo"), std::string(15'000, 'y'), true);
  EXPECT_EQ(client.Status(7), "0");
}

// A few bytes of HPACK stand for a large field: what the client sends says nothing of what is held.
TEST(ServerTest, OpenCallsAndTheirHeadsHaveALimit) {
  Server::Options options;
  options.max_buffered_bytes = 100'000;
  ServerFixture fixture(options);
  TestClient first(fixture.Connect());
  const std::string large(16'000, 'v');
  for (int i = 0; i < 4; ++i) first.Start("Silent", {{"x-test", large}});
  TestClient second(fixture.Connect());
  const uint32_t ping = first.Start("Fail");
  first.Message(ping, "5 gone", true);
  EXPECT_EQ(first.Status(ping), "5");  // four fit
  const uint32_t refused = second.Start("Silent", {{"x-test", large}});
  EXPECT_EQ(second.Status(refused), "8");
  EXPECT_TRUE(second.answers[refused].trailers.empty());
  // A small one still fits, many do not.
  const uint32_t small = second.Start("Echo");
  second.Message(small, "x", true);
  EXPECT_EQ(second.Status(small), "0");
  for (int i = 0; i < 4; ++i) second.Start("Silent");
  EXPECT_EQ(second.Status(second.Start("Silent")), "8");
  // All is free when they are gone.
  first.Close();
  const auto open = [&] {
    size_t calls = 0;
    fixture.OnLoop([&] { calls = fixture.server->call_count(); });
    return calls;
  };
  for (int i = 0; i < 5'000 && open() > 4; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  const uint32_t again = second.Start("Echo", {{"x-test", large}});
  second.Message(again, "x", true);
  EXPECT_EQ(second.Status(again), "0");
  fixture.OnLoop([&] { EXPECT_EQ(fixture.server->counters().refused, 2U); });
}

TEST(ServerTest, DeadlinePasses) {
  ServerFixture fixture;
  TestClient client(fixture.Connect());
  const uint32_t call = client.Start("Silent", {{"grpc-timeout", "100m"}});
  client.Message(call, "x", true);
  EXPECT_EQ(client.Status(call), "4");
  fixture.OnLoop([&] {
    EXPECT_EQ(fixture.echo.last_timeout_ns, 100'000'000);
    EXPECT_EQ(fixture.echo.cancelled, 1);
    EXPECT_EQ(fixture.echo.released, 1);
  });
  EXPECT_EQ(client.Status(client.Start("Echo", {{"grpc-timeout", "0m"}})), "4");
  EXPECT_EQ(client.Status(client.Start("Echo", {{"grpc-timeout", "soon"}})), "3");
  fixture.OnLoop([&] { EXPECT_EQ(fixture.echo.started, 1); });
}

TEST(ServerTest, RequestsThatDoNotComeEnd) {
  Server::Options options;
  options.request_timeout_ms = 300;
  options.connections.write_timeout_ms = 200;  // so that time is looked at often
  ServerFixture fixture(options);
  TestClient client(fixture.Connect());
  const uint32_t stream = client.Start("Echo");
  client.Message(stream, "one", false);
  EXPECT_TRUE(client.Await([&] { return client.Messages(stream).size() == 1; }));
  const uint32_t whole = client.Start("Silent");
  client.Message(whole, "x", true);
  const uint32_t no_message = client.Start("Silent");
  const uint32_t no_end = client.Start("Silent");
  client.Message(no_end, "x", false);
  const uint32_t half = client.Start("Echo");
  client.Data(half, std::string("\x00\x00\x00\x00\x05x", 6), false);
  for (const uint32_t call : {no_message, no_end, half}) EXPECT_EQ(client.Status(call), "4");
  fixture.OnLoop([&] {
    EXPECT_EQ(fixture.echo.cancelled, 3);
    EXPECT_EQ(fixture.server->counters().cancelled, 3U);
  });
  // What has come in time is waited for, and a stream that has begun goes on.
  EXPECT_FALSE(client.answers[whole].over());
  client.Message(stream, "two", true);
  EXPECT_EQ(client.Status(stream), "0");
  EXPECT_THAT(client.Messages(stream), ElementsAre("one", "two"));
}

TEST(HandlerPoolTest, KeepsNoMoreThanItIsUsedFor) {
  constexpr size_t kKept = HandlerPool<int>::kKept;
  HandlerPool<int> pool;
  std::vector<int*> taken;
  const auto take = [&] { taken.push_back(pool.Take([] { return std::make_unique<int>(7); })); };
  while (taken.size() < 3 * kKept) take();
  EXPECT_EQ(pool.size(), 3 * kKept);
  for (int* handler : std::exchange(taken, {})) pool.Give(handler);
  EXPECT_EQ(pool.size(), kKept);
  while (taken.size() < kKept) take();
  EXPECT_EQ(pool.size(), kKept);
  EXPECT_EQ(std::set<int*>(taken.begin(), taken.end()).size(), kKept);
}

TEST(ServerTest, CancelledByTheClient) {
  ServerFixture fixture;
  TestClient client(fixture.Connect());
  const uint32_t call = client.Start("Silent");
  client.Message(call, "x", true);
  const uint32_t ping = client.Start("Echo");
  client.Message(ping, "x", true);
  EXPECT_EQ(client.Status(ping), "0");
  client.Reset(call, net::Http2Stream::kCancel);
  const uint32_t next = client.Start("Echo");
  client.Message(next, "x", true);
  EXPECT_EQ(client.Status(next), "0");
  fixture.OnLoop([&] {
    EXPECT_EQ(fixture.echo.cancelled, 1);
    EXPECT_EQ(fixture.echo.released, 3);
    EXPECT_EQ(fixture.server->counters().cancelled, 1U);
  });
}

TEST(ServerTest, LostConnectionCancels) {
  ServerFixture fixture;
  TestClient client(fixture.Connect());
  const uint32_t call = client.Start("Echo");
  client.Message(call, "x", false);
  EXPECT_TRUE(client.Await([&] { return client.Messages(call).size() == 1; }));
  client.Close();
  for (int i = 0; i < 5'000; ++i) {
    int cancelled = 0;
    fixture.OnLoop([&] { cancelled = fixture.echo.cancelled; });
    if (cancelled == 1) break;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  fixture.OnLoop([&] {
    EXPECT_EQ(fixture.echo.cancelled, 1);
    EXPECT_EQ(fixture.echo.released, 1);
    EXPECT_EQ(fixture.server->connection_count(), 0U);
  });
}

// A client that sends and takes nothing makes the server hold a window and what is sent, not more.
TEST(ServerTest, OutputThatIsNotTakenHoldsMessagesBack) {
  ServerFixture fixture;
  TestClient client(fixture.Connect());
  const uint32_t call = client.Start("Large");
  for (int i = 0; i < 20; ++i) client.Message(call, "100000", i == 19);
  // The stream's first window, and no more without WINDOW_UPDATE.
  EXPECT_TRUE(client.Await([&] { return client.answers[call].data.size() == 65'535; }));
  fixture.OnLoop([&] {
    EXPECT_LE(fixture.echo.messages, 4U);
    EXPECT_EQ(fixture.echo.ended, 0);
    EXPECT_EQ(fixture.echo.writable, 0);
  });
  client.Credit(0, 4 << 20);
  client.Credit(call, 4 << 20);
  EXPECT_EQ(client.Status(call), "0");
  EXPECT_EQ(client.Messages(call).size(), 20U);
  fixture.OnLoop([&] {
    EXPECT_EQ(fixture.echo.messages, 20U);
    EXPECT_EQ(fixture.echo.ended, 1);
    EXPECT_GT(fixture.echo.writable, 0);
  });
}

TEST(ServerTest, DrainEndsConnectionsAfterTheirCalls) {
  ServerFixture fixture;
  TestClient idle(fixture.Connect());
  TestClient busy(fixture.Connect());
  EXPECT_EQ(idle.Status(idle.Start("Other")), "12");
  const uint32_t call = busy.Start("Echo");
  busy.Message(call, "x", false);
  EXPECT_TRUE(busy.Await([&] { return busy.Messages(call).size() == 1; }));
  fixture.OnLoop([&] { fixture.server->BeginDrain(); });
  EXPECT_TRUE(busy.Await([&] { return busy.pings == 1; }));
  busy.Frame(TestClient::kPing, TestClient::kAck, 0, std::string(8, '\0'));
  EXPECT_TRUE(busy.Await([&] { return busy.go_away_codes.size() == 2; }));
  EXPECT_TRUE(idle.Await([&] { return idle.go_away_codes.size() == 2; }));  // answers no PING
  EXPECT_TRUE(idle.AwaitClose());
  busy.Message(call, "y", true);
  EXPECT_EQ(busy.Status(call), "0");
  EXPECT_TRUE(busy.AwaitClose());
  TestClient late(fixture.Connect());
  EXPECT_TRUE(late.AwaitClose());
}

TEST(ServerTest, ConnectionsOverTheLimitAreClosed) {
  Server::Options options;
  options.connections.max_connections = 1;
  ServerFixture fixture(options);
  TestClient first(fixture.Connect());
  TestClient second(fixture.Connect());
  EXPECT_TRUE(second.AwaitClose());
  EXPECT_EQ(first.Status(first.Start("Other")), "12");
  fixture.OnLoop([&] { EXPECT_EQ(fixture.server->connection_counters().refused, 1U); });
}

TEST(ServerTest, BrokenConnectionsAreCounted) {
  ServerFixture fixture;
  TestClient http1(fixture.Connect());
  http1.out = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
  EXPECT_TRUE(http1.AwaitClose());
  TestClient frames(fixture.Connect());
  frames.Data(0, "x", false);
  EXPECT_TRUE(frames.AwaitClose());
  EXPECT_THAT(frames.go_away_codes, ElementsAre(1));
  TestClient good(fixture.Connect());
  EXPECT_EQ(good.Status(good.Start("Other")), "12");
  good.Close();
  fixture.OnLoop([&] {
    EXPECT_EQ(fixture.server->connection_counters().broken, 2U);
    EXPECT_EQ(fixture.server->connection_counters().accepted, 3U);
  });
}

TEST(ServerTest, TimeOutsCloseConnections) {
  Server::Options options;
  options.connections.setup_timeout_ms = 500;
  options.connections.head_timeout_ms = 100;
  options.connections.idle_timeout_ms = 100;
  ServerFixture fixture(options);
  TestClient says_nothing(fixture.Connect());
  says_nothing.out.clear();
  EXPECT_TRUE(says_nothing.AwaitClose());
  TestClient half_a_head(fixture.Connect());
  half_a_head.Start("Silent");
  half_a_head.Frame(TestClient::kHeaders, 0, 3, TestClient::Block({{":method", "POST"}}));
  EXPECT_TRUE(half_a_head.AwaitClose());
  TestClient idle(fixture.Connect());
  EXPECT_EQ(idle.Status(idle.Start("Other")), "12");
  EXPECT_TRUE(idle.AwaitClose());
  EXPECT_FALSE(idle.go_away_codes.empty());
}

TEST(ServerTest, AliveClientsAreKeptAndDeadOnesNot) {
  Server::Options options;
  options.connections.keep_alive_ms = 100;
  options.connections.keep_alive_timeout_ms = 1'000;
  ServerFixture fixture(options);
  TestClient client(fixture.Connect());
  client.Start("Silent");
  for (int i = 1; i <= 3; ++i) {
    EXPECT_TRUE(client.Await([&] { return client.pings == i; }));
    client.Frame(TestClient::kPing, TestClient::kAck, 0, std::string(8, '\0'));
  }
  EXPECT_TRUE(client.AwaitClose());  // answers no more
  EXPECT_EQ(client.pings, 4);
}

}  // namespace
}  // namespace aegis::grpc
