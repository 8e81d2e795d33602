#include "aegis/net/http_server.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>

#include <future>
#include <thread>

#include "aegis/net/http_client.h"
#include "aegis/net/tcp.h"

namespace aegis::net {
namespace {

std::unique_ptr<HttpServer> Serve(Handler handler, HttpServer::Options options = {}) {
  auto server = HttpServer::Start(std::move(options), std::move(handler));
  EXPECT_TRUE(server.has_value());
  return server ? *std::move(server) : nullptr;
}

std::string Url(const HttpServer& server) { return "http://" + server.address(); }

HttpRequest Get(std::string path) {
  HttpRequest request;
  request.path = std::move(path);
  return request;
}

void Echo(HttpRequest request, Responder respond) {
  HttpResponse response;
  response.headers.Set("X-Method", request.method);
  response.headers.Set("X-Target", request.path + "?" + request.query);
  response.body = request.body;
  respond(std::move(response));
}

// Sends bytes as they are and returns all that comes back until the server closes.
std::string Raw(const HttpServer& server, std::string_view bytes) {
  auto fd = StartConnect(*ResolveAddress(server.address()));
  pollfd item{fd->get(), POLLOUT, 0};
  ::poll(&item, 1, 5000);
  EXPECT_EQ(::send(fd->get(), bytes.data(), bytes.size(), MSG_NOSIGNAL),
            static_cast<ssize_t>(bytes.size()));
  std::string out;
  char buffer[4096];
  while (true) {
    item.events = POLLIN;
    if (::poll(&item, 1, 5000) <= 0) return out + "(still open)";
    const ssize_t got = ::recv(fd->get(), buffer, sizeof buffer, 0);
    if (got <= 0) return out;
    out.append(buffer, static_cast<size_t>(got));
  }
}

TEST(HttpServerTest, AnswersWithBodyAndKeepsTheConnection) {
  auto server = Serve(Echo);
  HttpClient client;
  for (int i = 0; i < 3; ++i) {
    HttpRequest request;
    request.method = "POST";
    request.path = "/a/b";
    request.query = "x=1";
    request.body = std::string(static_cast<size_t>(i) * 100'000, 'b');
    auto response = client.Send(Url(*server), request, 5000);
    ASSERT_TRUE(response.has_value()) << response.error().message;
    EXPECT_EQ(response->status, 200);
    EXPECT_EQ(response->headers.Get("x-method"), "POST");
    EXPECT_EQ(response->headers.Get("X-Target"), "/a/b?x=1");
    EXPECT_EQ(response->body, request.body);
  }
}

TEST(HttpServerTest, PathOfTheUrlIsPutInFront) {
  auto server = Serve(Echo);
  HttpClient client;
  HttpRequest request;
  request.path = "/x";
  auto response = client.Send(Url(*server) + "/base/", request, 5000);
  ASSERT_TRUE(response.has_value());
  EXPECT_EQ(response->headers.Get("X-Target"), "/base/x?");
}

TEST(HttpServerTest, AnswersLaterFromAnotherThread) {
  std::thread answering;
  auto server = Serve([&](HttpRequest, Responder respond) {
    answering = std::thread([respond = std::move(respond)] {
      HttpResponse response;
      response.status = 202;
      respond(std::move(response));
    });
  });
  HttpClient client;
  auto response = client.Send(Url(*server), Get("/"), 5000);
  answering.join();
  ASSERT_TRUE(response.has_value());
  EXPECT_EQ(response->status, 202);
}

TEST(HttpServerTest, ResponderOutlivesTheServer) {
  Responder kept;
  std::promise<void> called;
  auto server = Serve([&](HttpRequest, Responder respond) {
    kept = std::move(respond);
    called.set_value();
  });
  std::thread client([url = Url(*server)] {
    auto response = HttpClient().Send(url, Get("/"), 5000);
    EXPECT_FALSE(response.has_value());
  });
  called.get_future().wait();
  server.reset();
  client.join();
  kept(HttpResponse{});
}

TEST(HttpServerTest, AnswersPipelinedRequestsInOrder) {
  auto server = Serve(Echo);
  const std::string out = Raw(*server,
                              "GET /1 HTTP/1.1\r\nHost: a\r\n\r\n"
                              "POST /2 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                              "3\r\nabc\r\n0\r\n\r\n"
                              "GET /3 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
  const size_t first = out.find("/1?"), second = out.find("/2?"), third = out.find("/3?");
  EXPECT_LT(first, second);
  EXPECT_LT(second, third);
  EXPECT_NE(third, std::string::npos);
  EXPECT_NE(out.find("\r\n\r\nabcHTTP/1.1"), std::string::npos) << out;
}

TEST(HttpServerTest, RefusesAndCloses) {
  HttpServer::Options options;
  options.max_body_bytes = 10;
  options.max_header_bytes = 1000;
  auto server = Serve(Echo, options);
  EXPECT_TRUE(Raw(*server, "GET / HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 400 "));
  EXPECT_TRUE(Raw(*server, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\n")
                  .starts_with("HTTP/1.1 413 "));
  EXPECT_TRUE(Raw(*server,
                  "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                  "b\r\n01234567890\r\n")
                  .starts_with("HTTP/1.1 413 "));
  EXPECT_TRUE(Raw(*server, "GET / HTTP/1.1\r\nHost: a\r\nX: " + std::string(2000, 'a') + "\r\n\r\n")
                  .starts_with("HTTP/1.1 431 "));
}

TEST(HttpServerTest, SlowRequestIsAnswered408) {
  HttpServer::Options options;
  options.request_timeout_ms = 100;
  auto server = Serve(Echo, options);
  EXPECT_TRUE(Raw(*server, "GET / HTTP/1.1\r\nHo").starts_with("HTTP/1.1 408 "));
}

TEST(HttpServerTest, IdleConnectionIsClosed) {
  HttpServer::Options options;
  options.idle_timeout_ms = 100;
  auto server = Serve(Echo, options);
  EXPECT_EQ(Raw(*server, ""), "");
}

TEST(HttpServerTest, HeadHasNoBody) {
  auto server = Serve([](HttpRequest, Responder respond) {
    HttpResponse response;
    response.body = "body";
    respond(std::move(response));
  });
  const std::string out = Raw(*server, "HEAD / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
  EXPECT_NE(out.find("Content-Length: 4\r\n"), std::string::npos);
  EXPECT_TRUE(out.ends_with("\r\n\r\n"));
}

TEST(HttpServerTest, PortInUseIsTold) {
  auto server = Serve(Echo);
  HttpServer::Options options;
  options.address = server->address();
  auto second = HttpServer::Start(options, Echo);
  ASSERT_FALSE(second.has_value());
  EXPECT_EQ(second.error().reason, "address_in_use");
}

TEST(HttpServerTest, SeveralThreadsShareAPort) {
  HttpServer::Options options;
  options.threads = 2;
  auto server = Serve(Echo, options);
  for (int i = 0; i < 8; ++i) {
    EXPECT_TRUE(HttpClient().Send(Url(*server), Get("/"), 5000).has_value());
  }
}

TEST(HttpClientTest, Errors) {
  HttpClient client;
  EXPECT_EQ(client.Send("ftp://x", {}, 100).error().reason, "bad_url");
  EXPECT_EQ(client.Send("http://a b", {}, 100).error().reason, "bad_url");
  EXPECT_EQ(client.Send("http://127.0.0.1:1", Get("/"), 1000).error().reason, "connect_failed");
  HttpRequest request;
  request.path = "/";
  request.headers.Set("X", "a\r\nInjected: 1");
  EXPECT_EQ(client.Send("http://127.0.0.1:1", request, 1000).error().reason, "bad_url");
  auto silent = Serve([](HttpRequest, Responder) {});
  EXPECT_EQ(client.Send(Url(*silent), Get("/"), 100).error().reason, "timeout");
  auto big = Serve([](HttpRequest, Responder respond) {
    HttpResponse response;
    response.body = std::string(2000, 'x');
    respond(std::move(response));
  });
  HttpClient small({.max_body_bytes = 1000});
  EXPECT_EQ(small.Send(Url(*big), Get("/"), 1000).error().reason, "response_too_large");
}

TEST(HttpClientTest, KeptConnectionThatTheServerClosedIsReplaced) {
  HttpServer::Options options;
  options.idle_timeout_ms = 100;
  auto server = Serve(Echo, options);
  HttpClient client;
  EXPECT_TRUE(client.Send(Url(*server), Get("/"), 1000).has_value());
  // Another connection's fate tells when the idle time is over.
  EXPECT_EQ(Raw(*server, ""), "");
  EXPECT_TRUE(client.Send(Url(*server), Get("/"), 1000).has_value());
}

TEST(HttpClientTest, InterruptEndsAWaitingSend) {
  std::promise<void> called;
  auto silent = Serve([&](HttpRequest, Responder) { called.set_value(); });
  HttpClient client;
  std::thread interrupter([&] {
    called.get_future().wait();
    client.Interrupt();
  });
  EXPECT_EQ(client.Send(Url(*silent), Get("/"), 60'000).error().reason, "interrupted");
  interrupter.join();
  EXPECT_EQ(client.Send(Url(*silent), Get("/"), 60'000).error().reason, "interrupted");
}

TEST(HttpMessageTest, QueryParam) {
  HttpRequest request;
  request.query = "a=1&b%20c=x+y%21&d";
  EXPECT_EQ(request.QueryParam("a"), "1");
  EXPECT_EQ(request.QueryParam("b c"), "x y!");
  EXPECT_EQ(request.QueryParam("d"), "");
  EXPECT_EQ(request.QueryParam("e"), "");
}

}  // namespace
}  // namespace aegis::net
