#include "aegis/gateway/websocket.h"

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

// Of the request `lines` with the method; the text must stay.
WebSocketRequest Read(std::string& text, net::RequestParser& parser, const std::string& lines,
                      const std::string& line = "GET /tools/t/a HTTP/1.1") {
  text = line + "\r\nHost: a\r\n" + lines + "\r\n";
  EXPECT_EQ(parser.Parse(text.data(), text.size()), net::ParseStatus::kDone)
      << text << parser.error().detail;
  return ReadWebSocketRequest(parser.head());
}

constexpr const char* kKey = "dGhlIHNhbXBsZSBub25jZQ==";
const std::string kGood =
    "Upgrade: websocket\r\nConnection: keep-alive, Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

std::string Replaced(std::string text, const std::string& from, const std::string& to) {
  const size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return text.replace(at, from.size(), to);
}

TEST(WebSocketTest, Handshakes) {
  std::string text;
  net::RequestParser parser;
  const WebSocketRequest good = Read(text, parser, kGood);
  EXPECT_TRUE(good.asks);
  EXPECT_EQ(good.key, kKey);
  parser.Reset();
  EXPECT_TRUE(Read(text, parser, Replaced(kGood, "websocket", "WebSocket")).asks);

  for (const char* other : {"", "Upgrade: h2c\r\nConnection: Upgrade\r\n", "Upgrade: websocke\r\n",
                            "Upgrade: xwebsocket/13\r\n", "Sec-WebSocket-Key: x\r\n"}) {
    parser.Reset();
    const WebSocketRequest none = Read(text, parser, other);
    EXPECT_FALSE(none.asks) << other;
    EXPECT_EQ(none.error, "") << other;
  }
}

TEST(WebSocketTest, HandshakesThatAreRefused) {
  const std::string rows[] = {
      "Upgrade: websocket\r\n",
      Replaced(kGood, "keep-alive, Upgrade", "keep-alive"),
      Replaced(kGood, "Upgrade: websocket", "Upgrade: websocket, h2c"),
      Replaced(kGood, "Upgrade: websocket", "Upgrade: h2c, websocket"),
      kGood + "Upgrade: websocket\r\n",
      kGood + "Upgrade: h2c\r\n",
      Replaced(kGood, "13", "8"),
      Replaced(kGood, "13", "13, 8"),
      kGood + "Sec-WebSocket-Version: 13\r\n",
      kGood + "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
      Replaced(kGood, "dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25jZQ"),
      Replaced(kGood, "dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZQ=="),
      Replaced(kGood, "dGhlIHNhbXBsZSBub25jZQ==", ""),
      Replaced(kGood, "keep-alive, Upgrade", "Upgrade, Sec-WebSocket-Key"),
      kGood + "Content-Length: 1\r\n",
      kGood + "Content-Length: 0\r\n",
      kGood + "Transfer-Encoding: chunked\r\n",
  };
  for (const std::string& row : rows) {
    std::string text;
    net::RequestParser parser;
    const WebSocketRequest bad = Read(text, parser, row);
    EXPECT_FALSE(bad.asks) << row;
    EXPECT_NE(bad.error, "") << row;
  }
  for (const char* line : {"POST /tools/t/a HTTP/1.1", "GET /tools/t/a HTTP/1.0"}) {
    std::string text;
    net::RequestParser parser;
    EXPECT_NE(Read(text, parser, kGood, line).error, "") << line;
  }
}

bool Accepts(const std::string& lines) {
  std::string text = "HTTP/1.1 101 Switching Protocols\r\n" + lines + "\r\n";
  net::ResponseParser parser;
  parser.Reset("GET", true);
  // What the parser refuses is no consent, either.
  return parser.Parse(text.data(), text.size()) == net::ParseStatus::kDone &&
         AcceptsWebSocket(parser.head(), kKey);
}

TEST(WebSocketTest, Consents) {
  // RFC 6455 §1.3.
  const std::string good =
      "Upgrade: websocket\r\nConnection: Upgrade\r\n"
      "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n";
  EXPECT_TRUE(Accepts(good));
  EXPECT_FALSE(Accepts(""));
  EXPECT_FALSE(Accepts(Replaced(good, "s3pP", "S3pP")));
  EXPECT_FALSE(Accepts(good + "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"));
  EXPECT_FALSE(Accepts(Replaced(good, "Connection: Upgrade", "Connection: close")));
  EXPECT_FALSE(Accepts(Replaced(good, "websocket", "h2c")));
  EXPECT_FALSE(Accepts(good + "Content-Length: 0\r\n"));
  EXPECT_FALSE(Accepts(good + "Transfer-Encoding: chunked\r\n"));
}

constexpr const char* kConsent =
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nX-Aegis-Shadow: x\r\n"
    "Sec-WebSocket-Protocol: chat\r\n\r\n";

std::string Handshake(const TestGateway& gateway, const std::string& path = "list_all") {
  return "GET /tools/payments/" + path + " HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer " +
         gateway.Token() + "\r\n" + kGood + "Sec-WebSocket-Protocol: chat\r\n\r\n";
}

TEST(WebSocketCallTest, BytesFlowBothWaysAndAreCounted) {
  TestGateway gateway;
  std::mutex mutex;
  std::string seen;
  ScriptedTool tool([&](Socket& socket, int) {
    {
      const std::lock_guard lock(mutex);
      seen = socket.ReceiveUntil("\r\n\r\n");
    }
    // The first bytes come with the head.
    socket.Send(std::string(kConsent) + "hello");
    EXPECT_EQ(socket.ReceiveUntil("!"), "from the agent!");
    socket.Send("bye");
    EXPECT_EQ(socket.Receive(), "") << "the agent's end is passed on";
    socket.Send(".");
  });
  gateway.SetTool("payments", tool.url());
  Socket client(gateway.address());
  client.Send(Handshake(gateway));
  const std::string head = client.ReceiveUntil("\r\n\r\n");
  EXPECT_EQ(StatusOf(head), 101) << head;
  EXPECT_EQ(HeaderOf(head, "Upgrade"), "websocket");
  EXPECT_EQ(HeaderOf(head, "Connection"), "Upgrade");
  EXPECT_EQ(HeaderOf(head, "Sec-WebSocket-Accept"), WebSocketAccept(kKey));
  EXPECT_EQ(HeaderOf(head, "Sec-WebSocket-Protocol"), "chat");
  EXPECT_EQ(HeaderOf(head, "X-Aegis-Decision"), "allow");
  EXPECT_EQ(HeaderOf(head, "X-Aegis-Shadow"), "");
  EXPECT_EQ(client.ReceiveUntil("hello"), "hello");
  client.Send("from the agent!");
  EXPECT_EQ(client.ReceiveUntil("bye"), "bye");
  client.CloseWriting();
  EXPECT_EQ(client.ReceiveAll(), ".");
  gateway.journal.WaitFor(2);
  const std::string outcome = gateway.journal.records()[1];
  EXPECT_NE(outcome.find("\"status\":101"), std::string::npos) << outcome;
  EXPECT_NE(outcome.find("\"request_bytes\":15"), std::string::npos) << outcome;
  EXPECT_NE(outcome.find("\"response_bytes\":9"), std::string::npos) << outcome;
  EXPECT_EQ(outcome.find("\"error\""), std::string::npos) << outcome;
  const std::lock_guard lock(mutex);
  EXPECT_EQ(HeaderOf(seen, "Upgrade"), "websocket");
  EXPECT_EQ(HeaderOf(seen, "Connection"), "Upgrade");
  EXPECT_EQ(HeaderOf(seen, "Sec-WebSocket-Key"), kKey);
  EXPECT_EQ(HeaderOf(seen, "Sec-WebSocket-Protocol"), "chat");
  EXPECT_EQ(HeaderOf(seen, "Authorization"), "");
}

TEST(WebSocketCallTest, TheHandshakeIsDecided) {
  TestGateway gateway;
  ScriptedTool tool([](Socket&, int) {});
  gateway.SetTool("payments", tool.url());
  for (const char* path : {"drop_all", "pick?currency=gbp", "create_payment?amount=1"}) {
    Socket client(gateway.address());
    client.Send(Handshake(gateway, path));
    EXPECT_EQ(StatusOf(client.ReceiveAnswer()), 403) << path;
  }
  Socket client(gateway.address());
  client.Send("GET /tools/payments/list_all HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer " +
              gateway.Token() + "\r\nUpgrade: websocket\r\n\r\n");
  const std::string answer = client.ReceiveAnswer();
  EXPECT_EQ(StatusOf(answer), 400);
  EXPECT_NE(BodyOf(answer).find("bad_websocket"), std::string::npos);
  EXPECT_EQ(tool.connections(), 0);
}

TEST(WebSocketCallTest, OnlyARightConsentIsBelieved) {
  const std::string good = kConsent;
  const std::string rows[] = {
      Replaced(good, "s3pP", "s3pQ"),
      Replaced(good, "Upgrade: websocket", "Upgrade: h2c"),
      Replaced(good, "Connection: Upgrade", "Connection: keep-alive"),
      Replaced(good, "X-Aegis-Shadow: x", "Content-Length: 5"),
      "HTTP/1.1 101 Switching Protocols\r\n\r\n",
  };
  for (const std::string& row : rows) {
    TestGateway gateway;
    ScriptedTool tool([&](Socket& socket, int) {
      socket.ReceiveUntil("\r\n\r\n");
      socket.Send(row);
      socket.Receive();
    });
    gateway.SetTool("payments", tool.url());
    Socket client(gateway.address());
    client.Send(Handshake(gateway));
    const std::string answer = client.ReceiveAnswer();
    EXPECT_EQ(StatusOf(answer), 502) << row << answer;
    EXPECT_NE(BodyOf(answer).find("upstream_protocol"), std::string::npos) << answer;
  }
}

TEST(WebSocketCallTest, AToolMayAnswerOtherwise) {
  TestGateway gateway;
  ScriptedTool tool([](Socket& socket, int) {
    while (!socket.ReceiveUntil("\r\n\r\n").empty()) {
      socket.Send("HTTP/1.1 426 Upgrade Required\r\nContent-Length: 2\r\n\r\nno");
    }
  });
  gateway.SetTool("payments", tool.url());
  Socket client(gateway.address());
  for (int i = 0; i < 2; ++i) {
    client.Send(Handshake(gateway));
    const std::string answer = client.ReceiveAnswer();
    EXPECT_EQ(StatusOf(answer), 426);
    EXPECT_EQ(BodyOf(answer), "no");
  }
  EXPECT_EQ(tool.connections(), 1);
}

// Bytes behind a handshake that the tool does not consent to are a request, judged like any; they
// do not reach the tool with the handshake.
TEST(WebSocketCallTest, WhatIsHiddenBehindAHandshakeIsJudged) {
  TestGateway gateway;
  std::mutex mutex;
  std::string seen;
  ScriptedTool tool([&](Socket& socket, int) {
    for (std::string more; !(more = socket.ReceiveUntil("\r\n\r\n")).empty();) {
      const std::lock_guard lock(mutex);
      seen += more;
      socket.Send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno");
    }
  });
  gateway.SetTool("payments", tool.url());
  Socket client(gateway.address());
  client.Send(Handshake(gateway) + gateway.Post("/tools/payments/drop_all", "{}"));
  EXPECT_EQ(StatusOf(client.ReceiveAnswer()), 200);
  EXPECT_EQ(StatusOf(client.ReceiveAnswer()), 403);
  const std::lock_guard lock(mutex);
  EXPECT_EQ(seen.find("drop_all"), std::string::npos) << seen;
}

// A socket that both sides keep open, until the test ends it.
struct OpenWebSocket {
  explicit OpenWebSocket(UpstreamOptions options = {})
      : tool([this](Socket& socket, int) {
          socket.ReceiveUntil("\r\n\r\n");
          socket.Send(kConsent);
          socket.ReceiveAll();
          cut = true;
        }) {
    gateway.Change([&](State& state) {
      state.tools["payments"] = *MakeTool(tool.url());
      state.tools["payments"].upstream = options;
    });
    client = Socket(gateway.address());
    client.Send(Handshake(gateway));
    EXPECT_EQ(StatusOf(client.ReceiveUntil("\r\n\r\n")), 101);
  }
  std::string Outcome() {
    gateway.journal.WaitFor(2);
    return gateway.journal.records()[1];
  }

  std::atomic<bool> cut{false};
  TestGateway gateway;
  ScriptedTool tool;
  Socket client;
};

TEST(WebSocketCallTest, ASuspendedAgentIsCutOff) {
  OpenWebSocket open;
  open.gateway.Change([](State& state) { state.agents["finance-agent"].suspended = true; });
  EXPECT_EQ(open.client.ReceiveAll(), "");
  EXPECT_NE(open.Outcome().find("\"error\":\"agent_suspended\""), std::string::npos);
  while (!open.cut) std::this_thread::yield();
}

TEST(WebSocketCallTest, AChangeThatConcernsOthersCutsNobodyOff) {
  OpenWebSocket open;
  open.gateway.Change([](State& state) { state.agents["watched-agent"].suspended = true; });
  open.client.CloseWriting();
  EXPECT_EQ(open.client.ReceiveAll(), "");
  EXPECT_EQ(open.Outcome().find("\"error\""), std::string::npos);
}

TEST(WebSocketCallTest, IdleOnesEnd) {
  UpstreamOptions options;
  options.idle_timeout_ms = 100;
  OpenWebSocket open(options);
  EXPECT_EQ(open.client.ReceiveAll(), "");
  EXPECT_NE(open.Outcome().find("\"error\":\"idle_timeout\""), std::string::npos);
}

TEST(WebSocketCallTest, AnAgentThatLeavesEndsIt) {
  OpenWebSocket open;
  open.client.Send("last words");
  open.client.Close();
  while (!open.cut) std::this_thread::yield();
  EXPECT_NE(open.Outcome().find("\"request_bytes\":10"), std::string::npos) << open.Outcome();
}

}  // namespace
}  // namespace aegis::gateway
