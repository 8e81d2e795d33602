// How calls are forwarded: streaming, retries, failures and hostile tools.
#include <gtest/gtest.h>

#include "aegis/gateway/gateway_testing.h"

namespace aegis::gateway {
namespace {

using testing::BodyOf;
using testing::HeaderOf;
using testing::ScriptedTool;
using testing::Socket;
using testing::StatusOf;
using testing::TestGateway;

// What the agent gets when the tool answers `bytes` and closes.
std::string Relayed(const std::string& bytes, const std::string& method = "GET",
                    const std::string& version = "1.1", bool close = true) {
  TestGateway gateway;
  ScriptedTool tool([&](Socket& socket, int) {
    socket.ReceiveUntil("\r\n\r\n");
    socket.Send(bytes);
    if (!close) socket.Receive();
  });
  gateway.SetTool("payments", tool.url());
  Socket client(gateway.address());
  client.Send(method + " /tools/payments/list_all HTTP/" + version +
              "\r\nHost: a\r\nConnection: close\r\nAuthorization: Bearer " + gateway.Token() +
              "\r\n\r\n");
  return client.ReceiveAll();
}

TEST(RelayTest, AnswersOfAllFramings) {
  std::string answer = Relayed("HTTP/1.1 200 Fine\r\nContent-Length: 3\r\nX-Tool: y\r\n\r\nabc");
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 200 Fine\r\n")) << answer;
  EXPECT_EQ(HeaderOf(answer, "X-Tool"), "y");
  EXPECT_EQ(HeaderOf(answer, "Content-Length"), "3");
  EXPECT_EQ(BodyOf(answer), "abc");

  answer = Relayed(
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n2\r\nbc\r\n0\r\n"
      "X-Trailer: dropped\r\n\r\n");
  EXPECT_EQ(HeaderOf(answer, "Transfer-Encoding"), "chunked");
  EXPECT_EQ(BodyOf(answer), "1\r\na\r\n2\r\nbc\r\n0\r\n\r\n");

  answer = Relayed("HTTP/1.1 200 OK\r\n\r\nuntil close");
  EXPECT_EQ(BodyOf(answer), "b\r\nuntil close\r\n0\r\n\r\n") << answer;

  answer = Relayed("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
                   "GET", "1.0");
  EXPECT_EQ(HeaderOf(answer, "Transfer-Encoding"), "");
  EXPECT_EQ(BodyOf(answer), "abc");

  answer = Relayed("HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n");
  EXPECT_EQ(StatusOf(answer), 204);
  EXPECT_EQ(HeaderOf(answer, "Content-Length"), "");

  answer = Relayed("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n", "HEAD");
  EXPECT_EQ(HeaderOf(answer, "Content-Length"), "100");
  EXPECT_EQ(BodyOf(answer), "");

  answer = Relayed(
      "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
      "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nz");
  EXPECT_EQ(StatusOf(answer), 200);
  EXPECT_EQ(HeaderOf(answer, "Link"), "");
  EXPECT_EQ(BodyOf(answer), "z");
}

TEST(RelayTest, FieldsOfAToolThatDoNotPass) {
  const std::string answer = Relayed(
      "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-Aegis-Decision: deny\r\nX-Aegis-Shadow: x\r\n"
      "Connection: X-Private\r\nX-Private: 1\r\nKeep-Alive: timeout=5\r\nUpgrade: h2c\r\n"
      "Proxy-Authenticate: Basic\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n\r\n");
  EXPECT_EQ(HeaderOf(answer, "X-Aegis-Decision"), "allow");
  for (const char* name :
       {"X-Aegis-Shadow", "X-Private", "Keep-Alive", "Upgrade", "Proxy-Authenticate"}) {
    EXPECT_EQ(HeaderOf(answer, name), "") << name;
  }
  EXPECT_NE(answer.find("a=1"), std::string::npos);
  EXPECT_NE(answer.find("b=2"), std::string::npos);
}

TEST(RelayTest, HostileToolsBecome502) {
  const char* const rows[] = {
      "",
      "garbage\r\n\r\n",
      "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef",
      "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
      "HTTP/1.1 101 Switching Protocols\r\n\r\n",
      "HTTP/1.1 200 OK\nContent-Length: 0\n\n",
      "HTTP/1.1 200 OK\r\nContent-Le",
  };
  for (const char* row : rows) {
    const std::string answer = Relayed(row);
    EXPECT_EQ(StatusOf(answer), 502) << row << answer;
    EXPECT_NE(BodyOf(answer).find("\"decision_id\""), std::string::npos) << answer;
  }
  std::string interim;
  for (int i = 0; i < 20; ++i) interim += "HTTP/1.1 100 Continue\r\n\r\n";
  EXPECT_EQ(StatusOf(Relayed(interim)), 502);
  std::string large = "HTTP/1.1 200 OK\r\n";
  for (int i = 0; i < 200; ++i) large += "X-" + std::to_string(i) + ": y\r\n";
  EXPECT_EQ(StatusOf(Relayed(large + "\r\n")), 502);
}

TEST(RelayTest, ACutAnswerIsSeenAsCut) {
  // Nothing may make a truncated answer look whole.
  const std::string chunked =
      Relayed("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc");
  EXPECT_FALSE(chunked.ends_with("0\r\n\r\n")) << chunked;
  const std::string broken =
      Relayed("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcXX0\r\n\r\n");
  EXPECT_FALSE(broken.ends_with("0\r\n\r\n")) << broken;
}

TEST(RelayTest, BytesBehindAnAnswerCloseTheToolsConnection) {
  TestGateway gateway;
  ScriptedTool tool([](Socket& socket, int connection) {
    while (!socket.ReceiveUntil("\r\n\r\n").empty()) {
      socket.Send("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n" + std::to_string(connection) +
                  (connection == 1 ? "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil" : ""));
    }
  });
  gateway.SetTool("payments", tool.url());
  const std::string request =
      "GET /tools/payments/list_all HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer " +
      gateway.Token() + "\r\n\r\n";
  Socket client(gateway.address());
  client.Send(request);
  EXPECT_EQ(BodyOf(client.ReceiveAnswer()), "1");
  client.Send(request);
  EXPECT_EQ(BodyOf(client.ReceiveAnswer()), "2");
}

TEST(RelayTest, ConnectionsToToolsAreKept) {
  TestGateway gateway;
  ScriptedTool tool([](Socket& socket, int) {
    while (!socket.ReceiveUntil("\r\n\r\n").empty()) {
      socket.Send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    }
  });
  gateway.SetTool("payments", tool.url());
  for (int i = 0; i < 5; ++i) {
    Socket client(gateway.address());
    client.Send("GET /tools/payments/list_all HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer " +
                gateway.Token() + "\r\n\r\n");
    EXPECT_EQ(StatusOf(client.ReceiveAnswer()), 200);
  }
  EXPECT_EQ(tool.connections(), 1);
}

// A tool that closes its first connection when the second request comes, without an answer.
void ServeOnceThenClose(Socket& socket, int connection) {
  if (socket.ReceiveAnswer().empty()) return;
  socket.Send("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n" + std::to_string(connection));
  if (connection == 1) {
    socket.ReceiveAnswer();
    return;
  }
  while (!socket.ReceiveAnswer().empty()) {
    socket.Send("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n" + std::to_string(connection));
  }
}

TEST(RelayTest, AKeptConnectionThatDiedIsReplacedOnlyWhenThatIsSafe) {
  for (const bool idempotent : {true, false}) {
    TestGateway gateway;
    ScriptedTool tool(ServeOnceThenClose);
    gateway.SetTool("payments", tool.url());
    const std::string request =
        idempotent ? "GET /tools/payments/list_all HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer " +
                         gateway.Token() + "\r\n\r\n"
                   : gateway.Post("/tools/payments/list_all", "{}");
    Socket client(gateway.address());
    client.Send(request);
    EXPECT_EQ(BodyOf(client.ReceiveAnswer()), "1");
    client.Send(request);
    const std::string answer = client.ReceiveAnswer();
    EXPECT_EQ(StatusOf(answer), idempotent ? 200 : 502) << answer;
    client.Send(request);
    EXPECT_EQ(StatusOf(client.ReceiveAnswer()), 200);
  }
}

TEST(RelayTest, ToolDownAndToolSlow) {
  TestGateway gateway(
      [](Gateway::Options& options) { options.limits.first_byte_timeout_ms = 100; });
  std::string closed_port;
  {
    closed_port = ScriptedTool([](Socket&, int) {}).url();
  }
  gateway.SetTool("payments", closed_port);
  Socket client(gateway.address());
  const std::string request = gateway.Post("/tools/payments/list_all", "{}");
  client.Send(request);
  std::string answer = client.ReceiveAnswer();
  EXPECT_EQ(StatusOf(answer), 502);
  EXPECT_NE(BodyOf(answer).find("upstream_unreachable"), std::string::npos);
  EXPECT_EQ(HeaderOf(answer, "X-Aegis-Decision"), "allow");

  ScriptedTool silent([](Socket& socket, int) { socket.ReceiveAll(); });
  gateway.SetTool("payments", silent.url());
  client.Send(request);
  answer = client.ReceiveAnswer();
  EXPECT_EQ(StatusOf(answer), 504) << answer;
  EXPECT_NE(BodyOf(answer).find("upstream_timeout"), std::string::npos);
  gateway.journal.WaitFor(4);
  EXPECT_NE(gateway.journal.records()[3].find(R"("error":"upstream_timeout")"), std::string::npos);
}

TEST(RelayTest, ToolWhoseNameDoesNotResolve) {
  TestGateway gateway;
  gateway.SetTool("payments", "http://no-such-host.invalid:80");
  Socket client(gateway.address());
  client.Send(gateway.Post("/tools/payments/list_all", "{}"));
  EXPECT_EQ(StatusOf(client.ReceiveAnswer()), 502);
}

TEST(RelayTest, GrantedButUnknownToolIs404) {
  TestGateway gateway;
  Socket client(gateway.address());
  client.Send(gateway.Post("/tools/payments/list_all", "{}"));
  const std::string answer = client.ReceiveAnswer();
  EXPECT_EQ(StatusOf(answer), 404);
  EXPECT_NE(BodyOf(answer).find("tool_unknown"), std::string::npos);
}

TEST(RelayTest, OpaqueBodiesStreamInBothFramings) {
  for (const bool chunked : {false, true}) {
    TestGateway gateway;
    std::mutex mutex;
    std::string received;
    ScriptedTool tool([&](Socket& socket, int) {
      std::string request = socket.ReceiveAnswer();
      {
        std::lock_guard lock(mutex);
        received = request;
      }
      socket.Send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
      socket.Receive();
    });
    gateway.SetTool("payments", tool.url());
    const std::string part(100'000, 'p');
    std::string head =
        "PUT /tools/payments/list_all HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer " +
        gateway.Token() + "\r\nContent-Type: application/octet-stream\r\n";
    head += chunked ? "Transfer-Encoding: chunked\r\n\r\n" : "Content-Length: 500000\r\n\r\n";
    Socket client(gateway.address());
    client.Send(head);
    for (int i = 0; i < 5; ++i) {
      if (chunked) client.Send("186a0\r\n");
      client.Send(part);
      if (chunked) client.Send("\r\n");
    }
    // The next request comes with the last bytes.
    const std::string next = "GET /nowhere HTTP/1.1\r\nHost: a\r\n\r\n";
    client.Send((chunked ? "0\r\n\r\n" : "") + next);
    EXPECT_EQ(StatusOf(client.ReceiveAnswer()), 200);
    EXPECT_EQ(StatusOf(client.ReceiveAnswer()), 404);
    size_t data = 0;
    std::lock_guard lock(mutex);
    for (char c : BodyOf(received)) data += c == 'p';
    EXPECT_EQ(data, 500'000u);
    EXPECT_EQ(HeaderOf(received, chunked ? "Transfer-Encoding" : "Content-Length"),
              chunked ? "chunked" : "500000");
  }
}

TEST(RelayTest, BackPressureReachesTheSender) {
  TestGateway gateway;
  std::atomic<size_t> sent{0};
  std::atomic<bool> done{false};
  ScriptedTool tool([&](Socket& socket, int) {
    socket.ReceiveUntil("\r\n\r\n");
    constexpr size_t kTotal = 64 << 20;
    socket.Send("HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(kTotal) + "\r\n\r\n");
    const std::string part(64 << 10, 'x');
    for (size_t i = 0; i < kTotal; i += part.size()) {
      if (!socket.Send(part)) break;
      sent += part.size();
    }
    done = true;
  });
  gateway.SetTool("payments", tool.url());
  Socket client(gateway.address());
  client.Send("GET /tools/payments/list_all HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer " +
              gateway.Token() + "\r\n\r\n");
  // The agent does not read: what the tool can send is bounded by the kernel's buffers and ours.
  size_t before = 0;
  do {
    before = sent;
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
  } while (sent != before);
  EXPECT_FALSE(done);
  EXPECT_LT(sent, size_t{32} << 20);
  size_t body = 0;
  client.ReceiveUntil("\r\n\r\n");
  while (body < (64u << 20)) {
    const std::string more = client.Receive();
    if (more.empty()) break;
    EXPECT_EQ(more.find_first_not_of('x'), std::string::npos);
    body += more.size();
  }
  EXPECT_EQ(body, size_t{64} << 20);
}

TEST(RelayTest, AnswerBeforeTheWholeRequest) {
  TestGateway gateway;
  ScriptedTool tool([](Socket& socket, int) {
    socket.ReceiveUntil("\r\n\r\n");
    socket.Send("HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno");
    socket.ReceiveAll();
  });
  gateway.SetTool("payments", tool.url());
  Socket client(gateway.address());
  client.Send(
      "PUT /tools/payments/list_all HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer " +
      gateway.Token() +
      "\r\nContent-Type: application/octet-stream\r\nContent-Length: 1000000\r\n\r\nopaque");
  const std::string answer = client.ReceiveAll();
  EXPECT_EQ(StatusOf(answer), 413);
  EXPECT_EQ(BodyOf(answer), "no");
  EXPECT_EQ(HeaderOf(answer, "Connection"), "close");
}

// The buffer of the first piece has been given back by then: a second sending would hand the tool
// whatever is in it now, which may be another agent's request.
TEST(RelayTest, AStreamedBodyIsNeverSentTwice) {
  TestGateway gateway;
  ScriptedTool tool([](Socket& socket, int) {
    socket.ReceiveUntil("\r\n\r\n");
    socket.Send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    socket.ReceiveUntil("\r\n\r\n");  // and closes without an answer
  });
  gateway.SetTool("payments", tool.url());
  Socket client(gateway.address());
  const std::string head =
      " /tools/payments/list_all HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer " + gateway.Token() +
      "\r\n";
  client.Send("GET" + head + "\r\n");
  EXPECT_EQ(StatusOf(client.ReceiveAnswer()), 200);
  client.Send("PUT" + head +
              "Content-Type: application/octet-stream\r\nContent-Length: 100000\r\n\r\n" +
              std::string(1500, 'A'));
  EXPECT_EQ(StatusOf(client.ReceiveAnswer()), 502);
  EXPECT_EQ(tool.connections(), 1);
}

TEST(RelayTest, AnAgentThatLeavesCancelsTheCall) {
  TestGateway gateway;
  std::atomic<bool> cut{false};
  ScriptedTool tool([&](Socket& socket, int) {
    socket.ReceiveAnswer();
    cut = socket.Receive().empty();  // no answer is ever sent
  });
  gateway.SetTool("payments", tool.url());
  {
    Socket client(gateway.address());
    client.Send(gateway.Post("/tools/payments/list_all", "{}"));
    while (tool.connections() == 0) std::this_thread::yield();
  }
  gateway.journal.WaitFor(2);
  EXPECT_NE(gateway.journal.records()[1].find(R"("error":"client_gone")"), std::string::npos);
  while (!cut) std::this_thread::yield();
}

TEST(RelayTest, AnAgentThatLeavesBeforeTheRecordIsNotForwarded) {
  TestGateway gateway;
  ScriptedTool tool([](Socket&, int) {});
  gateway.SetTool("payments", tool.url());
  gateway.journal.Hold(true);
  {
    Socket client(gateway.address());
    client.Send(gateway.Post("/tools/payments/list_all", "{}"));
    while (gateway.journal.waiting() < 1) std::this_thread::yield();
  }
  while (gateway.gateway->connection_count() > 0) std::this_thread::yield();
  gateway.journal.Hold(false);
  gateway.journal.WaitFor(2);
  EXPECT_EQ(tool.connections(), 0);
}

TEST(RelayTest, EventsArriveAsTheyAreSent) {
  TestGateway gateway;
  std::atomic<int> go{0};
  ScriptedTool tool([&](Socket& socket, int) {
    socket.ReceiveUntil("\r\n\r\n");
    socket.Send(
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n");
    for (int i = 1; i <= 3; ++i) {
      while (go < i) std::this_thread::yield();
      socket.Send("7\r\ndata:" + std::to_string(i) + "\n\r\n");
    }
    socket.Send("0\r\n\r\n");
    socket.Receive();
  });
  gateway.SetTool("payments", tool.url());
  Socket client(gateway.address());
  client.Send("GET /tools/payments/list_all HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer " +
              gateway.Token() + "\r\n\r\n");
  client.ReceiveUntil("\r\n\r\n");
  for (int i = 1; i <= 3; ++i) {
    go = i;
    EXPECT_EQ(client.ReceiveUntil("\n\r\n"), "7\r\ndata:" + std::to_string(i) + "\n\r\n");
  }
  EXPECT_EQ(client.ReceiveUntil("0\r\n\r\n"), "0\r\n\r\n");
}

}  // namespace
}  // namespace aegis::gateway
