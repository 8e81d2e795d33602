// Agents that speak HTTP/2 in clear, through real sockets and frames that say exactly what they are
// told to.
#include <gtest/gtest.h>

#include <future>

#include "aegis/gateway/address_limit.h"
#include "aegis/gateway/gateway_testing.h"
#include "aegis/net/http2_testing.h"

namespace aegis::gateway {
namespace {

using net::Http2Field;
using net::Http2TestClient;
using testing::BodyOf;
using testing::HeaderOf;
using testing::ScriptedTool;
using testing::Socket;
using testing::StatusOf;
using testing::TestGateway;

using Fields = std::vector<Http2Field>;

// Answers every request alike, and keeps what it received.
struct KeepingTool {
  explicit KeepingTool(std::string answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
      : tool([this, answer](Socket& socket, int) {
          while (true) {
            std::string request = socket.ReceiveAnswer();
            if (request.empty()) return;
            {
              std::lock_guard lock(mutex);
              requests.push_back(std::move(request));
            }
            if (!socket.Send(answer)) return;
          }
        }) {}
  std::vector<std::string> all() {
    std::lock_guard lock(mutex);
    return requests;
  }
  std::mutex mutex;
  std::vector<std::string> requests;
  ScriptedTool tool;
};

class Client : public Http2TestClient {
 public:
  explicit Client(const TestGateway& gateway)
      : gateway_(gateway), socket_(gateway.address()), token_("Bearer " + gateway.Token()) {
    Preface();
  }
  // A head of a call with the token; `more` comes last.
  Fields Head(std::string_view path, Fields more = {}, std::string_view method = "POST") const {
    Fields fields = {{":method", method},
                     {":scheme", "http"},
                     {":authority", "gateway"},
                     {":path", path},
                     {"authorization", token_}};
    fields.insert(fields.end(), more.begin(), more.end());
    return fields;
  }
  void Json(uint32_t stream, std::string_view path, std::string_view body) {
    Headers(stream, Head(path, {{"content-type", "application/json"}}), false);
    Data(stream, body, true);
  }
  bool Flush() {
    const bool sent = socket_.Send(out);
    out.clear();
    return sent;
  }
  // What came of the stream when it is over, or the connection is.
  const Answer& Wait(uint32_t stream) {
    Flush();
    while (!answers[stream].over() && Hear()) {
    }
    return answers[stream];
  }
  bool Hear() {
    const std::string bytes = socket_.Receive();
    if (bytes.empty()) return false;
    Feed(bytes);
    return true;
  }
  Socket& socket() { return socket_; }

 private:
  const TestGateway& gateway_;
  Socket socket_;
  std::string token_;
};

constexpr std::string_view kCall = "/tools/payments/create_payment";

TEST(Http2CallTest, AllowedCallIsForwardedAsJudged) {
  TestGateway gateway;
  KeepingTool tool;
  gateway.SetTool("payments", tool.tool.url());
  Client client(gateway);
  client.Headers(1,
                 client.Head("/tools/payments/create_payment/x?dry_run=1",
                             {{"content-type", "application/json"},
                              {"cookie", "a=1"},
                              {"x-custom", "kept"},
                              {"cookie", "b=2"},
                              {"te", "trailers"},
                              {"x-aegis-agent", "forged"}}),
                 false);
  client.Data(1, R"({"amount")", false);
  client.Data(1, R"(: 42})", true);
  const auto& answer = client.Wait(1);
  EXPECT_EQ(answer.Head(":status"), "200");
  EXPECT_EQ(answer.Head("content-length"), "2");
  EXPECT_EQ(answer.Head("x-aegis-decision"), "allow");
  EXPECT_EQ(answer.data, "ok");
  ASSERT_EQ(tool.all().size(), 1u);
  const std::string seen = tool.all()[0];
  EXPECT_TRUE(seen.starts_with("POST /create_payment/x?dry_run=1 HTTP/1.1\r\n")) << seen;
  EXPECT_EQ(BodyOf(seen), R"({"amount": 42})");
  EXPECT_EQ(HeaderOf(seen, "content-length"), "14");
  EXPECT_EQ(HeaderOf(seen, "cookie"), "a=1; b=2");
  EXPECT_EQ(HeaderOf(seen, "x-custom"), "kept");
  for (const char* name : {"te", "x-aegis-agent", "authorization", ":path", "transfer-encoding"}) {
    EXPECT_EQ(HeaderOf(seen, name), "") << name;
  }
  gateway.journal.WaitFor(2);
}

TEST(Http2CallTest, StreamsAreCallsOfTheirOwn) {
  TestGateway gateway;
  KeepingTool tool;
  gateway.SetTool("payments", tool.tool.url());
  Client client(gateway);
  client.Json(1, kCall, R"({"amount": 1})");
  client.Json(3, kCall, R"({"amount": 9000})");
  client.Headers(
      5, {{":method", "POST"}, {":scheme", "http"}, {":authority", "a"}, {":path", kCall}}, true);
  client.Headers(7, client.Head("/nowhere", {}, "GET"), true);
  client.Headers(9, client.Head("/tools/payments/list_all", {}, "HEAD"), true);
  EXPECT_EQ(client.Wait(1).Head(":status"), "200");
  EXPECT_EQ(client.Wait(3).Head(":status"), "403");
  EXPECT_NE(client.Wait(3).data.find("\"condition_failed\""), std::string::npos);
  EXPECT_EQ(client.Wait(5).Head(":status"), "401");
  EXPECT_NE(client.Wait(5).Head("www-authenticate"), "");
  EXPECT_EQ(client.Wait(7).Head(":status"), "404");
  EXPECT_EQ(client.Wait(9).Head(":status"), "200");
  EXPECT_EQ(client.Wait(9).data, "");
  EXPECT_EQ(tool.all().size(), 2u);
  EXPECT_TRUE(client.go_away_codes.empty());
}

// What is refused never reaches the tool; the status, or "reset".
TEST(Http2CallTest, HostileRequests) {
  TestGateway gateway;
  KeepingTool tool;
  gateway.SetTool("payments", tool.tool.url());
  const std::string_view json = "application/json";
  const std::string large(40'000, 'a');
  struct Row {
    const char* name;
    Fields fields;
    const char* outcome;
  };
  const Client names(gateway);
  const auto head = [&](Fields more) { return names.Head(kCall, std::move(more)); };
  const auto raw = [&](std::string_view method, std::string_view scheme, std::string_view authority,
                       std::string_view path, Fields more = {}) {
    Fields fields = {
        {":method", method}, {":scheme", scheme}, {":authority", authority}, {":path", path}};
    fields.insert(fields.end(), more.begin(), more.end());
    return fields;
  };
  const std::vector<Row> rows = {
      {"connect", {{":method", "CONNECT"}, {":authority", "a:443"}}, "405"},
      {"extended connect",
       {{":method", "CONNECT"},
        {":protocol", "websocket"},
        {":scheme", "http"},
        {":authority", "a"},
        {":path", kCall}},
       "reset"},
      {"no path", {{":method", "POST"}, {":scheme", "http"}, {":authority", "a"}}, "reset"},
      {"no method", {{":scheme", "http"}, {":authority", "a"}, {":path", kCall}}, "reset"},
      {"no scheme", {{":method", "POST"}, {":authority", "a"}, {":path", kCall}}, "reset"},
      {"two paths", raw("POST", "http", "a", kCall, {{":path", "/tools/payments/other"}}), "reset"},
      {"pseudo after field",
       {{":method", "POST"},
        {":scheme", "http"},
        {"x-a", "1"},
        {":authority", "a"},
        {":path", kCall}},
       "reset"},
      {"unknown pseudo", raw("POST", "http", "a", kCall, {{":other", "1"}}), "reset"},
      {"status pseudo", raw("POST", "http", "a", kCall, {{":status", "200"}}), "reset"},
      {"no authority", {{":method", "POST"}, {":scheme", "http"}, {":path", kCall}}, "reset"},
      {"asterisk", raw("OPTIONS", "http", "a", "*"), "400"},
      {"absolute path", raw("POST", "http", "a", "http://b/tools/payments/create_payment"),
       "reset"},
      {"fragment", raw("POST", "http", "a", "/tools/payments/create_payment#x"), "400"},
      {"space in path", raw("POST", "http", "a", "/tools/payments/a b"), "reset"},
      {"injected line in path", raw("POST", "http", "a", "/x HTTP/1.1\r\nhost: b\r\n\r\n"),
       "reset"},
      {"injected line in value", head({{"x-a", "1\r\ntransfer-encoding: chunked"}}), "reset"},
      {"NUL in value", head({{"x-a", std::string_view("a\0b", 3)}}), "reset"},
      {"upper case name", head({{"X-A", "1"}}), "reset"},
      {"space in name", head({{"x a", "1"}}), "reset"},
      {"line in name", head({{"x-a\r\nb", "1"}}), "reset"},
      {"colon in name", head({{"x-a:b", "1"}}), "reset"},
      {"connection", head({{"connection", "close"}}), "reset"},
      {"keep-alive", head({{"keep-alive", "1"}}), "reset"},
      {"proxy-connection", head({{"proxy-connection", "close"}}), "reset"},
      {"transfer-encoding", head({{"transfer-encoding", "chunked"}}), "reset"},
      {"upgrade", head({{"upgrade", "h2c"}}), "reset"},
      {"te other than trailers", head({{"te", "gzip"}}), "reset"},
      {"host other than authority", head({{"host", "other"}}), "400"},
      {"host given twice", head({{"host", "gateway"}, {"host", "gateway"}}), "reset"},
      {"userinfo in authority", raw("POST", "http", "user@a", kCall), "400"},
      {"scheme ftp", raw("POST", "ftp", "a", kCall), "400"},
      {"lower case method", raw("post", "http", "a", kCall), "400"},
      {"method with line", raw("POST\r\n", "http", "a", kCall), "reset"},
      {"length given twice", head({{"content-length", "2"}, {"content-length", "2"}}), "reset"},
      {"length no number", head({{"content-length", "+2"}}), "reset"},
      {"length of another body", head({{"content-length", "5"}, {"content-type", json}}), "reset"},
      {"length with zeros", head({{"content-length", "0000000000000000000002"}}), "400"},
      {"expectation", head({{"expect", "miracles"}}), "417"},
      {"large head", head({{"x-a", large}}), "reset"},
      {"dot segments", names.Head("/tools/payments/../payments/create_payment"), "400"},
      {"encoded slash", names.Head("/tools/payments/create_payment%2fx"), "400"},
  };
  for (const Row& row : rows) {
    Client client(gateway);
    client.Headers(1, row.fields, false);
    client.Data(1, "{}", true);
    const auto& answer = client.Wait(1);
    std::string got = answer.Head(":status");
    if (got == "(none)" && (answer.reset || !client.go_away_codes.empty())) got = "reset";
    EXPECT_EQ(got, row.outcome) << row.name << ' ' << answer.data;
    EXPECT_NE(got, "200") << row.name;
  }
  EXPECT_TRUE(tool.all().empty()) << tool.all()[0];
}

TEST(Http2CallTest, TrailersAreRefused) {
  TestGateway gateway;
  KeepingTool tool;
  gateway.SetTool("payments", tool.tool.url());
  Client client(gateway);
  client.Headers(1, client.Head(kCall, {{"content-type", "application/json"}}), false);
  client.Data(1, R"({"amount": 1})", false);
  client.Headers(1, {{"x-amount", "9000"}}, true);
  EXPECT_EQ(client.Wait(1).Head(":status"), "400");
  EXPECT_NE(client.Wait(1).data.find("\"trailers\""), std::string::npos);
  EXPECT_TRUE(tool.all().empty());
}

TEST(Http2CallTest, ABodyWithoutLengthIsJudgedWhole) {
  TestGateway gateway([](Gateway::Options& options) { options.limits.max_body_bytes = 1000; });
  KeepingTool tool;
  gateway.SetTool("payments", tool.tool.url());
  Client client(gateway);
  client.Headers(1, client.Head(kCall, {{"content-type", "application/json"}}), false);
  client.Data(1, std::string(900, ' '), false);
  client.Data(1, std::string(900, ' '), false);
  EXPECT_EQ(client.Wait(1).Head(":status"), "413");
  // Opaque by its type, JSON by its looks: judged, so that it must be whole.
  client.Headers(3, client.Head(kCall, {{"content-type", "text/plain"}}), false);
  client.Data(3, R"({"amount": )", false);
  client.Data(3, R"(9000})", true);
  EXPECT_EQ(client.Wait(3).Head(":status"), "403");
  EXPECT_TRUE(tool.all().empty());
}

TEST(Http2CallTest, ASlowStreamStopsNoOther) {
  // The tool takes nothing of the first call's body; the agent sends until its window is used up.
  TestGateway gateway;
  std::promise<void> over;
  ScriptedTool tool([waits = over.get_future().share()](Socket& socket, int connection) {
    socket.ReceiveUntil("\r\n\r\n");
    if (connection == 1) return waits.wait();
    socket.Send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
  });
  gateway.SetTool("payments", tool.url());
  Client client(gateway);
  client.Headers(
      1, client.Head("/tools/payments/list_all", {{"content-type", "application/octet-stream"}}),
      false);
  client.Flush();
  while (client.settings == 0 || client.credit == 0) ASSERT_TRUE(client.Hear());
  client.Frame(Http2TestClient::kSettings, Http2TestClient::kAck, 0, {});
  for (int i = 0; i < 16; ++i) client.Data(1, std::string(16'000, 'x'), false);
  client.Flush();
  client.Headers(3, client.Head("/tools/payments/list_all", {}, "GET"), true);
  EXPECT_EQ(client.Wait(3).Head(":status"), "200");
  EXPECT_FALSE(client.answers[1].over())
      << client.answers[1].Head(":status") << client.answers[1].data
      << client.answers[1].reset.value_or(99) << ::testing::PrintToString(client.go_away_codes);
  over.set_value();
}

TEST(Http2CallTest, ALongAnswerWaitsForTheAgent) {
  const std::string body(3 << 20, 'z');
  TestGateway gateway;
  KeepingTool tool("HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(body.size()) +
                   "\r\n\r\n" + body);
  gateway.SetTool("payments", tool.tool.url());
  Client client(gateway);
  client.Headers(1, client.Head("/tools/payments/list_all", {}, "GET"), true);
  client.Flush();
  size_t credited = 0;
  while (!client.answers[1].over() && client.Hear()) {
    const size_t got = client.answers[1].data.size();
    if (got - credited < 30'000) continue;
    client.Credit(1, static_cast<uint32_t>(got - credited));
    client.Credit(0, static_cast<uint32_t>(got - credited));
    credited = got;
    client.Flush();
  }
  EXPECT_EQ(client.answers[1].data, body);
  EXPECT_TRUE(client.answers[1].ended);
}

TEST(Http2CallTest, ACutAnswerIsReset) {
  TestGateway gateway;
  ScriptedTool tool([](Socket& socket, int) {
    socket.ReceiveUntil("\r\n\r\n");
    socket.Send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc");
  });
  gateway.SetTool("payments", tool.url());
  Client client(gateway);
  client.Headers(1, client.Head("/tools/payments/list_all", {}, "GET"), true);
  EXPECT_TRUE(client.Wait(1).reset.has_value());
  EXPECT_FALSE(client.Wait(1).ended);
}

TEST(Http2CallTest, AgentsThatGiveUpAreOnRecord) {
  TestGateway gateway;
  ScriptedTool tool([](Socket& socket, int) {
    socket.ReceiveUntil("\r\n\r\n");
    socket.Receive();  // until the gateway lets go
  });
  gateway.SetTool("payments", tool.url());
  Client client(gateway);
  client.Headers(1, client.Head("/tools/payments/list_all", {}, "GET"), true);
  client.Flush();
  gateway.journal.WaitFor(1);
  while (tool.connections() == 0) std::this_thread::yield();
  client.Reset(1, 8);
  client.Flush();
  gateway.journal.WaitFor(2);
  EXPECT_NE(gateway.journal.records()[1].find("client_gone"), std::string::npos);
}

TEST(Http2CallTest, CallsBeyondTheLimitAreRefusedAtOnce) {
  TestGateway gateway([](Gateway::Options& options) { options.limits.max_requests = 2; });
  gateway.journal.Hold(true);
  Client client(gateway);
  client.Json(1, kCall, "{}");
  client.Json(3, kCall, "{}");
  client.Json(5, kCall, "{}");
  EXPECT_EQ(client.Wait(5).Head(":status"), "503");
  EXPECT_EQ(client.Wait(5).Head("retry-after"), "1");
  EXPECT_NE(client.Wait(5).data.find("\"overloaded\""), std::string::npos);
  Socket plain(gateway.address());
  plain.Send(gateway.Post(std::string(kCall), "{}"));
  const std::string answer = plain.ReceiveAnswer();
  EXPECT_EQ(StatusOf(answer), 503) << answer;
  EXPECT_EQ(HeaderOf(answer, "Retry-After"), "1");
  gateway.journal.Hold(false);
  EXPECT_EQ(client.Wait(1).Head(":status"), "403");
  client.Json(7, kCall, "{}");
  EXPECT_EQ(client.Wait(7).Head(":status"), "403");
}

TEST(Http2CallTest, APrefaceInPiecesAndOneThatIsNone) {
  TestGateway gateway;
  Client client(gateway);
  client.Headers(1, client.Head("/nowhere", {}, "GET"), true);
  for (const char byte : std::exchange(client.out, {})) {
    ASSERT_TRUE(client.socket().Send({&byte, 1}));
  }
  EXPECT_EQ(client.Wait(1).Head(":status"), "404");
  for (const char* bytes : {"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n",
                            "PRI /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"}) {
    Socket socket(gateway.address());
    socket.Send(bytes);
    const int status = StatusOf(socket.ReceiveAll());
    EXPECT_TRUE(status == 404 || status == 505) << bytes << status;
  }
}

TEST(Http2CallTest, DrainSaysGoodbye) {
  TestGateway gateway;
  Client client(gateway);
  client.Headers(1, client.Head("/nowhere", {}, "GET"), true);
  EXPECT_EQ(client.Wait(1).Head(":status"), "404");
  std::thread drain([&] { EXPECT_TRUE(gateway.gateway->Drain(10'000)); });
  while (client.Hear()) {
    // Answering its PING ends the grace at once.
    if (client.pings > 0) {
      client.Frame(Http2TestClient::kPing, Http2TestClient::kAck, 0, std::string(8, '\0'));
      client.Flush();
      client.pings = 0;
    }
  }
  drain.join();
  ASSERT_FALSE(client.go_away_codes.empty());
  EXPECT_EQ(client.go_away_codes.back(), 0u);
}

TEST(AddressLimitTest, CountsBySource) {
  const auto source = [](const char* text) {
    return AddressLimit::SourceOf(*net::ResolveAddress(text));
  };
  AddressLimit limit(2);
  const auto one = source("192.0.2.1:10"), other = source("192.0.2.2:10");
  EXPECT_TRUE(limit.Enter(one));
  EXPECT_TRUE(limit.Enter(source("192.0.2.1:11")));
  EXPECT_FALSE(limit.Enter(one));
  EXPECT_FALSE(limit.Enter(source("[::ffff:192.0.2.1]:12")));
  EXPECT_TRUE(limit.Enter(other));
  limit.Leave(one);
  EXPECT_TRUE(limit.Enter(one));
  limit.Leave(other);
  EXPECT_EQ(limit.count(other), 0u);
  // A /64 is one machine's.
  EXPECT_EQ(source("[2001:db8::1]:1"), source("[2001:db8::ffff:2]:1"));
  EXPECT_NE(source("[2001:db8::1]:1"), source("[2001:db8:0:1::1]:1"));
  AddressLimit none(0);
  for (int i = 0; i < 100; ++i) EXPECT_TRUE(none.Enter(one));
}

TEST(AddressLimitTest, ConnectionsOfOneAddress) {
  TestGateway gateway(
      [](Gateway::Options& options) { options.limits.max_connections_per_address = 2; });
  const std::string request = "GET /nowhere HTTP/1.1\r\nHost: a\r\n\r\n";
  {
    Socket first(gateway.address());
    Client second(gateway);
    first.Send(request);
    EXPECT_EQ(StatusOf(first.ReceiveAnswer()), 404);
    second.Headers(1, second.Head("/nowhere", {}, "GET"), true);
    EXPECT_EQ(second.Wait(1).Head(":status"), "404");
    Socket third(gateway.address());
    third.Send(request);
    EXPECT_EQ(third.ReceiveAll(), "");
  }
  while (gateway.gateway->connection_count() > 0) std::this_thread::yield();
  Socket again(gateway.address());
  again.Send(request);
  EXPECT_EQ(StatusOf(again.ReceiveAnswer()), 404);
}

}  // namespace
}  // namespace aegis::gateway
