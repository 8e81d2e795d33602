// The proxy door, through real sockets.
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

constexpr std::string_view kOk = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

// Answers every request with `answer`, and keeps what it received.
struct KeepingTool {
  explicit KeepingTool(std::string answer = std::string(kOk))
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
  std::string last() {
    std::lock_guard lock(mutex);
    return requests.empty() ? std::string() : requests.back();
  }
  size_t count() {
    std::lock_guard lock(mutex);
    return requests.size();
  }
  std::mutex mutex;
  std::vector<std::string> requests;
  ScriptedTool tool;
};

TEST(ProxyTest, AllowedCallIsForwardedAsJudged) {
  TestGateway gateway;
  KeepingTool tool;
  gateway.SetTool("payments", tool.tool.url() + "/base");
  Socket client(gateway.address());
  client.Send(gateway.Post("/tools/payments/create_payment/x?dry_run=1", R"({"amount": 42})",
                           "X-Custom: kept\r\nConnection: x-hop\r\nX-Hop: dropped\r\n"
                           "X-Aegis-Agent: forged\r\nTE: trailers\r\nUpgrade: h2c\r\n"));
  const std::string answer = client.ReceiveAnswer();
  EXPECT_EQ(StatusOf(answer), 200) << answer;
  EXPECT_EQ(BodyOf(answer), "ok");
  EXPECT_EQ(HeaderOf(answer, "X-Aegis-Decision"), "allow");
  EXPECT_EQ(HeaderOf(answer, "X-Aegis-Decision-Id").size(), 36u);
  EXPECT_NE(HeaderOf(answer, "X-Aegis-Policy-Version"), "");
  EXPECT_EQ(HeaderOf(answer, "X-Aegis-Shadow"), "");

  const std::string request = tool.last();
  EXPECT_TRUE(request.starts_with("POST /base/create_payment/x?dry_run=1 HTTP/1.1\r\n")) << request;
  EXPECT_EQ(BodyOf(request), R"({"amount": 42})");
  EXPECT_EQ("http://" + HeaderOf(request, "Host"), tool.tool.url());
  EXPECT_EQ(HeaderOf(request, "X-Custom"), "kept");
  for (const char* name :
       {"Authorization", "Connection", "X-Hop", "X-Aegis-Agent", "TE", "Upgrade"}) {
    EXPECT_EQ(HeaderOf(request, name), "") << name;
  }
  EXPECT_EQ(HeaderOf(request, "traceparent").size(), 55u);

  gateway.journal.WaitFor(2);
  const auto records = gateway.journal.records();
  EXPECT_NE(records[0].find(R"("outcome":"allow")"), std::string::npos) << records[0];
  EXPECT_NE(records[0].find(HeaderOf(answer, "X-Aegis-Decision-Id")), std::string::npos);
  EXPECT_NE(records[1].find(R"("status":200)"), std::string::npos) << records[1];
  EXPECT_NE(records[1].find(R"("response_bytes":2)"), std::string::npos) << records[1];
}

TEST(ProxyTest, DeniedCallIsAnsweredAndNotForwarded) {
  TestGateway gateway;
  KeepingTool tool;
  gateway.SetTool("payments", tool.tool.url());
  Socket client(gateway.address());
  client.Send(gateway.Post("/tools/payments/create_payment", R"({"amount": 9000})"));
  const std::string answer = client.ReceiveAnswer();
  EXPECT_EQ(StatusOf(answer), 403);
  EXPECT_EQ(HeaderOf(answer, "Content-Type"), "application/problem+json");
  EXPECT_EQ(HeaderOf(answer, "X-Aegis-Decision"), "deny");
  EXPECT_NE(BodyOf(answer).find(R"("reason":"condition_failed")"), std::string::npos) << answer;
  EXPECT_NE(BodyOf(answer).find(R"("type":"urn:aegis:problem:condition_failed")"),
            std::string::npos);
  EXPECT_NE(BodyOf(answer).find(HeaderOf(answer, "X-Aegis-Decision-Id")), std::string::npos);
  // The connection goes on.
  client.Send(gateway.Post("/tools/payments/list_all", "{}"));
  EXPECT_EQ(StatusOf(client.ReceiveAnswer()), 200);
  EXPECT_EQ(tool.count(), 1u);
}

TEST(ProxyTest, NothingLeavesBeforeItsRecordIsDurable) {
  TestGateway gateway;
  KeepingTool tool;
  gateway.SetTool("payments", tool.tool.url());
  gateway.journal.Hold(true);
  Socket allowed(gateway.address()), denied(gateway.address());
  allowed.Send(gateway.Post("/tools/payments/list_all", "{}"));
  denied.Send(gateway.Post("/tools/payments/nothing", "{}"));
  while (gateway.journal.waiting() < 2) std::this_thread::yield();
  EXPECT_EQ(tool.count(), 0u);
  gateway.journal.Hold(false);
  EXPECT_EQ(StatusOf(allowed.ReceiveAnswer()), 200);
  EXPECT_EQ(StatusOf(denied.ReceiveAnswer()), 403);
}

TEST(ProxyTest, WithoutAJournalNothingPasses) {
  TestGateway gateway;
  KeepingTool tool;
  gateway.SetTool("payments", tool.tool.url());
  Socket client(gateway.address());
  gateway.journal.refuse = true;
  client.Send(gateway.Post("/tools/payments/list_all", "{}"));
  EXPECT_EQ(StatusOf(client.ReceiveAnswer()), 503);
  gateway.journal.refuse = false;
  gateway.journal.fail = true;
  client.Send(gateway.Post("/tools/payments/list_all", "{}"));
  const std::string answer = client.ReceiveAnswer();
  EXPECT_EQ(StatusOf(answer), 503);
  EXPECT_NE(BodyOf(answer).find("audit_unavailable"), std::string::npos);
  EXPECT_EQ(HeaderOf(answer, "Retry-After"), "1");
  EXPECT_EQ(HeaderOf(answer, "X-Aegis-Decision"), "");
  gateway.journal.fail = false;
  client.Send(gateway.Post("/tools/payments/list_all", "{}"));
  EXPECT_EQ(StatusOf(client.ReceiveAnswer()), 200);
  EXPECT_EQ(tool.count(), 1u);
}

TEST(ProxyTest, WhoMayNotCall) {
  TestGateway gateway;
  KeepingTool tool;
  gateway.SetTool("payments", tool.tool.url());
  const std::string line = "GET /tools/payments/list_all HTTP/1.1\r\nHost: a\r\n";
  const struct {
    std::string head;
    int status;
    const char* token_error;
  } rows[] = {
      {"", 401, "token_missing"},
      {"Authorization: Basic abc\r\n", 401, "token_malformed"},
      {"Authorization: Bearer\r\n", 401, "token_malformed"},
      {"Authorization: Bearer a\r\nAuthorization: Bearer b\r\n", 401, "token_malformed"},
      {"X-Aegis-Token: a\r\nX-Aegis-Token: b\r\n", 401, "token_malformed"},
      {"Authorization: Bearer a.b.c\r\n", 401, "token_"},
      {"Authorization: Bearer " + gateway.Token("ghost") + "\r\n", 401, "agent_unknown"},
      {"Authorization: Bearer " + gateway.Token() + "\r\nX-Aegis-Token: x\r\n", 401, "token_"},
      {"Authorization: bearer " + gateway.Token() + "\r\n", 200, ""},
      {"X-Aegis-Token: " + gateway.Token() + "\r\n", 200, ""},
      {"Authorization: Bearer " + gateway.Token("bad-agent") + "\r\n", 403, ""},
  };
  for (const auto& row : rows) {
    Socket client(gateway.address());
    client.Send(line + row.head + "\r\n");
    const std::string answer = client.ReceiveAnswer();
    EXPECT_EQ(StatusOf(answer), row.status) << row.head << answer;
    if (row.status == 401) {
      EXPECT_TRUE(HeaderOf(answer, "WWW-Authenticate").starts_with("Bearer realm=\"aegis\""));
      EXPECT_NE(BodyOf(answer).find(R"("reason":"token_invalid")"), std::string::npos) << answer;
      EXPECT_NE(BodyOf(answer).find(std::string(R"("token_error":")") + row.token_error),
                std::string::npos)
          << answer;
    }
    if (row.status == 403) {
      EXPECT_NE(BodyOf(answer).find("agent_suspended"), std::string::npos);
    }
  }
  EXPECT_EQ(tool.count(), 2u);
}

TEST(ProxyTest, TheToolsOwnAuthorizationPasses) {
  TestGateway gateway;
  KeepingTool tool;
  gateway.SetTool("payments", tool.tool.url());
  Socket client(gateway.address());
  client.Send(
      "GET /tools/payments/list_all HTTP/1.1\r\nHost: a\r\nAuthorization: Basic dG9vbA==\r\n"
      "X-Aegis-Token: " +
      gateway.Token() + "\r\n\r\n");
  EXPECT_EQ(StatusOf(client.ReceiveAnswer()), 200);
  EXPECT_EQ(HeaderOf(tool.last(), "Authorization"), "Basic dG9vbA==");
  EXPECT_EQ(HeaderOf(tool.last(), "X-Aegis-Token"), "");
}

TEST(ProxyTest, TheAgentsTokenInBothFieldsDoesNotReachTheTool) {
  TestGateway gateway;
  KeepingTool tool;
  gateway.SetTool("payments", tool.tool.url());
  Socket client(gateway.address());
  const std::string token = gateway.Token();
  client.Send("GET /tools/payments/list_all HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer " + token +
              "\r\nAuthorization: Basic dG9vbA==\r\nX-Aegis-Token: " + token + "\r\n\r\n");
  EXPECT_EQ(StatusOf(client.ReceiveAnswer()), 200);
  EXPECT_EQ(tool.last().find(token), std::string::npos) << tool.last();
}

TEST(ProxyTest, ShadowPassesAndSaysSo) {
  TestGateway gateway;
  KeepingTool tool;
  gateway.SetTool("payments", tool.tool.url());
  Socket client(gateway.address());
  client.Send(gateway.Post("/tools/payments/anything", "{}", "", "watched-agent"));
  const std::string answer = client.ReceiveAnswer();
  EXPECT_EQ(StatusOf(answer), 200) << answer;
  EXPECT_EQ(HeaderOf(answer, "X-Aegis-Decision"), "allow");
  EXPECT_EQ(HeaderOf(answer, "X-Aegis-Shadow"), "deny");
  gateway.journal.WaitFor(1);
  const std::string record = gateway.journal.records()[0];
  EXPECT_NE(record.find(R"("outcome":"deny")"), std::string::npos) << record;
  EXPECT_NE(record.find(R"("enforced":false)"), std::string::npos) << record;
}

TEST(ProxyTest, ShadowGatewayStopsOnlyIdentityAndMalformed) {
  TestGateway gateway([](Gateway::Options& options) { options.shadow = true; });
  KeepingTool tool;
  gateway.SetTool("payments", tool.tool.url());
  Socket client(gateway.address());
  client.Send(gateway.Post("/tools/payments/create_payment", R"({"amount": 9000})"));
  EXPECT_EQ(HeaderOf(client.ReceiveAnswer(), "X-Aegis-Shadow"), "deny");
  client.Send(gateway.Post("/tools/payments/list_all", "{}", "", "bad-agent"));
  EXPECT_EQ(StatusOf(client.ReceiveAnswer()), 403);
  client.Send(gateway.Post("/tools/payments/list_all", "[]"));
  EXPECT_EQ(StatusOf(client.ReceiveAnswer()), 400);
  EXPECT_EQ(tool.count(), 1u);
}

TEST(ProxyTest, RefusedRequests) {
  TestGateway gateway([](Gateway::Options& options) { options.limits.max_body_bytes = 1000; });
  KeepingTool tool;
  gateway.SetTool("payments", tool.tool.url());
  const std::string token = "Authorization: Bearer " + gateway.Token() + "\r\n";
  const auto request = [&](const std::string& line, const std::string& head,
                           const std::string& body = {}) {
    return line + " HTTP/1.1\r\nHost: a\r\n" + token + head + "\r\n" + body;
  };
  const auto post = [&](const std::string& head, const std::string& body) {
    return request("POST /tools/payments/list_all",
                   head + "Content-Length: " + std::to_string(body.size()) + "\r\n", body);
  };
  const std::string json = "Content-Type: application/json\r\n";
  const struct {
    std::string bytes;
    int status;
    const char* reason;
  } rows[] = {
      {request("GET /", ""), 404, "no_such_path"},
      {request("GET /tools/", ""), 404, "no_such_path"},
      {request("GET /tools/payments", ""), 400, "bad_path"},
      {request("GET /tools/payments/", ""), 400, "bad_path"},
      {request("GET /tools/payments/list_all/../create_payment", ""), 400, "bad_path"},
      {request("GET /tools/payments/list_all/%2e%2e/x", ""), 400, "bad_path"},
      {request("GET /tools/payments/a%2fb", ""), 400, "bad_path"},
      {request("GET /tools/other/list_all", ""), 403, "no_grant"},
      {request("TRACE /tools/payments/list_all", ""), 405, "method_not_allowed"},
      {request("FOO /tools/payments/list_all", ""), 405, "method_not_allowed"},
      {request("GET /tools/payments/list_all?a=1&a=2", ""), 400, "ambiguous_params"},
      {request("GET /tools/payments/list_all?a[]=1&a[]=2", ""), 400, "ambiguous_params"},
      {request("GET /tools/payments/list_all?a=1;b=2", ""), 400, "ambiguous_params"},
      {request("GET /tools/payments/list_all?=1", ""), 400, "bad_params"},
      {request("GET /tools/payments/list_all?a=%ff", ""), 400, "bad_params"},
      {request("POST /tools/payments/list_all?a=1", json + "Content-Length: 7\r\n", R"({"a":2})"),
       400, "ambiguous_params"},
      {request("POST /tools/payments/list_all?a[b]=1", json + "Content-Length: 7\r\n",
               R"({"a":2})"),
       400, "ambiguous_params"},
      {post(json, "{"), 400, "bad_json"},
      {post(json, "{} x"), 400, "bad_json"},
      {post(json, "[1]"), 400, "params_not_object"},
      {post(json, "3"), 400, "params_not_object"},
      {post(json, R"({"a":1,"a":2})"), 400, "ambiguous_params"},
      {post("Content-Type: application/json; charset=utf-16\r\n", "{}"), 415, "charset"},
      {post(json + json, "{}"), 400, "ambiguous_content_type"},
      {post(json + "Content-Encoding: gzip\r\n", "{}"), 415, "content_encoding"},
      // A body that begins like JSON is judged as JSON, whatever it is called.
      {post("Content-Type: text/plain\r\n", "{\"a\":1,\"a\":2}"), 400, "ambiguous_params"},
      {post("", " \n[1]"), 400, "params_not_object"},
      {post("Content-Type: image/png\r\n", "\xef\xbb\xbf{}"), 400, "bad_json"},
      {post("Content-Type: text/plain\r\n", std::string("\0{\0}", 4)), 400, "bad_json"},
      {post("Content-Type: text/plain\r\n", std::string("\xff\xfe{\0}\0", 6)), 400, "bad_json"},
      {post("Content-Type: text/plain\r\n", "\f{\"a\":1,\"a\":2}"), 400, "bad_json"},
      // Two names to policy, one to readers that do not distinguish case.
      {post(json, R"({"amount":1,"Amount":9000})"), 400, "ambiguous_params"},
      {post(json, R"({"items":[{"price":1,"PRICE":9}]})"), 400, "ambiguous_params"},
      {post(json,
            "{\"masked\":1,\"ma\xc5\xbf"
            "ked\":2}"),
       400, "ambiguous_params"},
      // A name that ends at NUL to some readers.
      {post(json, R"({"amount":1,"amount\u0000":9000})"), 400, "ambiguous_params"},
      {post(json, R"({"a":[{"\u0000b":1}]})"), 400, "ambiguous_params"},
      // A form to policy, JSON to a tool that takes every body for it.
      {post("Content-Type: application/x-www-form-urlencoded\r\n", R"({"to":"b","x":"&to=a&"})"),
       400, "ambiguous_params"},
      {request("GET /tools/payments/list_all?to=1&To=2", ""), 400, "ambiguous_params"},
      {request("GET /tools/payments/list_all?to=1&+to=2", ""), 400, "ambiguous_params"},
      {request("GET /tools/payments/list_all?a_b=1&a.b=2", ""), 400, "ambiguous_params"},
      {request("GET /tools/payments/list_all?override[]=1", ""), 400, "ambiguous_params"},
      {request("POST /tools/payments/list_all?A=1", json + "Content-Length: 7\r\n", R"({"a":2})"),
       400, "ambiguous_params"},
      // Bodies that a tool may read as params and policy cannot.
      {post("", "to=acct_evil"), 415, "content_type"},
      {post("Content-Type: multipart/form-data; boundary=x\r\n", "x"), 400, "bad_form"},
      {post("Content-Type: application/xml\r\n", "<a/>"), 415, "content_type"},
      {post("Content-Type: image/svg+xml\r\n", "<a/>"), 415, "content_type"},
      {post("Content-Type: application/json; charset=ibm037; charset=utf-8\r\n", "{}"), 415,
       "charset"},
      {post("Content-Type: application/json; charset*=utf-8\r\n", "{}"), 415, "charset"},
      // Java servers cut path parameters.
      {request("GET /tools/payments/list_all;x", ""), 400, "bad_path"},
      {request("GET /tools/payments/;x/list_all", ""), 400, "bad_path"},
      {request("GET /tools/payments/list_all%3bx", ""), 400, "bad_path"},
      {post(json, "{\"a\":\"" + std::string(1000, 'x') + "\"}"), 413, "body_too_large"},
      {post("Content-Type: text/plain\r\n", "{\"a\":\"" + std::string(1000, 'x') + "\"}"), 413,
       "body_too_large"},
      {request("POST /tools/payments/list_all", json + "Transfer-Encoding: chunked\r\n",
               "3\r\n{}\r\n"),
       400, "bad_chunk"},
      {request("GET /tools/payments/list_all",
               "X-Aegis-Session: " + std::string(300, 's') + "\r\n"),
       400, "bad_session"},
      {request("GET /tools/payments/list_all", "X-Aegis-Session: a\r\nX-Aegis-Session: b\r\n"), 400,
       "bad_session"},
      {"GET /tools/payments/list_all HTTP/1.1\r\n\r\n", 400, "no_host"},
  };
  for (const auto& row : rows) {
    Socket client(gateway.address());
    client.Send(row.bytes);
    const std::string answer = client.ReceiveAnswer();
    EXPECT_EQ(StatusOf(answer), row.status) << row.bytes << answer;
    EXPECT_NE(BodyOf(answer).find(std::string(R"("reason":")") + row.reason + "\""),
              std::string::npos)
        << row.bytes << answer;
    if (row.status == 400 || row.status == 413) {
      EXPECT_EQ(HeaderOf(answer, "Connection"), "close") << row.bytes;
    }
  }
  EXPECT_EQ(tool.count(), 0u);
}

TEST(ProxyTest, QueryAndFormParamsAreJudged) {
  TestGateway gateway;
  KeepingTool tool;
  gateway.SetTool("payments", tool.tool.url());
  const std::string token = "Authorization: Bearer " + gateway.Token() + "\r\n";
  Socket client(gateway.address());
  // max_amount needs a number; a query parameter is a string.
  client.Send("POST /tools/payments/create_payment?amount=5 HTTP/1.1\r\nHost: a\r\n" + token +
              "Content-Length: 0\r\n\r\n");
  EXPECT_EQ(StatusOf(client.ReceiveAnswer()), 403);
  client.Send("POST /tools/payments/pick HTTP/1.1\r\nHost: a\r\n" + token +
              "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 12\r\n\r\n"
              "currency=usd");
  EXPECT_EQ(StatusOf(client.ReceiveAnswer()), 200);
  EXPECT_EQ(BodyOf(tool.last()), "currency=usd");
  client.Send("POST /tools/payments/pick?currency=%75sd HTTP/1.1\r\nHost: a\r\n" + token +
              "Content-Length: 0\r\n\r\n");
  EXPECT_EQ(StatusOf(client.ReceiveAnswer()), 200);
  client.Send("POST /tools/payments/pick?currency=gbp HTTP/1.1\r\nHost: a\r\n" + token +
              "Content-Length: 0\r\n\r\n");
  EXPECT_EQ(StatusOf(client.ReceiveAnswer()), 403);
}

TEST(ProxyTest, ChunkedJsonIsJudgedAndSentWithALength) {
  TestGateway gateway;
  KeepingTool tool;
  gateway.SetTool("payments", tool.tool.url());
  Socket client(gateway.address());
  const std::string next = gateway.Post("/tools/payments/list_all", "{}");
  client.Send("POST /tools/payments/create_payment HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer " +
              gateway.Token() +
              "\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
              "5\r\n{\"amo\r\n");
  client.Send("9\r\nunt\":100}\r\n0\r\n\r\n" + next);
  EXPECT_EQ(StatusOf(client.ReceiveAnswer()), 200);
  EXPECT_EQ(StatusOf(client.ReceiveAnswer()), 200);
  ASSERT_EQ(tool.count(), 2u);
  EXPECT_EQ(BodyOf(tool.requests[0]), R"({"amount":100})");
  EXPECT_EQ(HeaderOf(tool.requests[0], "Content-Length"), "14");
  EXPECT_EQ(HeaderOf(tool.requests[0], "Transfer-Encoding"), "");
}

TEST(ProxyTest, LargeJsonBodyThatComesInParts) {
  TestGateway gateway;
  KeepingTool tool;
  gateway.SetTool("payments", tool.tool.url());
  const std::string body = "{\"amount\":1,\"note\":\"" + std::string(300'000, 'n') + "\"}";
  const std::string request = gateway.Post("/tools/payments/create_payment", body);
  Socket client(gateway.address());
  for (size_t i = 0; i < request.size(); i += 50'000) client.Send(request.substr(i, 50'000));
  EXPECT_EQ(StatusOf(client.ReceiveAnswer()), 200);
  EXPECT_EQ(BodyOf(tool.last()), body);
}

TEST(ProxyTest, PipelinedRequestsAreAnsweredInOrder) {
  TestGateway gateway;
  KeepingTool tool;
  gateway.SetTool("payments", tool.tool.url());
  std::string bytes;
  for (int i = 0; i < 50; ++i) {
    bytes += gateway.Post("/tools/payments/list_all", "{}");
    bytes += gateway.Post("/tools/payments/nothing", "{}");
    bytes += "GET /nowhere HTTP/1.1\r\nHost: a\r\n\r\n";
  }
  Socket client(gateway.address());
  client.Send(bytes);
  for (int i = 0; i < 50; ++i) {
    ASSERT_EQ(StatusOf(client.ReceiveAnswer()), 200) << i;
    ASSERT_EQ(StatusOf(client.ReceiveAnswer()), 403) << i;
    ASSERT_EQ(StatusOf(client.ReceiveAnswer()), 404) << i;
  }
}

TEST(ProxyTest, ExpectContinue) {
  TestGateway gateway;
  KeepingTool tool;
  gateway.SetTool("payments", tool.tool.url());
  Socket client(gateway.address());
  client.Send("POST /tools/payments/list_all HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer " +
              gateway.Token() +
              "\r\nContent-Type: application/json\r\nContent-Length: 2\r\n"
              "Expect: 100-continue\r\n\r\n");
  EXPECT_EQ(client.ReceiveUntil("\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
  client.Send("{}");
  EXPECT_EQ(StatusOf(client.ReceiveAnswer()), 200);
  EXPECT_EQ(HeaderOf(tool.last(), "Expect"), "");
  // A caller that is not let in is told before it sends the body.
  Socket stranger(gateway.address());
  stranger.Send(
      "POST /tools/payments/list_all HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n"
      "Expect: 100-continue\r\n\r\n");
  EXPECT_EQ(StatusOf(stranger.ReceiveAnswer()), 401);
}

TEST(ProxyTest, TraceIsContinued) {
  TestGateway gateway;
  KeepingTool tool;
  gateway.SetTool("payments", tool.tool.url());
  Socket client(gateway.address());
  client.Send(gateway.Post(
      "/tools/payments/list_all", "{}",
      "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\ntracestate: "
      "a=b\r\n"));
  client.ReceiveAnswer();
  const std::string parent = HeaderOf(tool.last(), "traceparent");
  EXPECT_TRUE(parent.starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-")) << parent;
  EXPECT_EQ(parent.find("00f067aa0ba902b7"), std::string::npos);
  EXPECT_EQ(HeaderOf(tool.last(), "tracestate"), "a=b");
  gateway.journal.WaitFor(1);
  EXPECT_NE(gateway.journal.records()[0].find("4bf92f3577b34da6a3ce929d0e0e4736"),
            std::string::npos);
}

TEST(ProxyTest, StateIsSwappedBetweenCalls) {
  TestGateway gateway;
  KeepingTool first, second(std::string("HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n"));
  gateway.SetTool("payments", first.tool.url());
  Socket client(gateway.address());
  const std::string request = gateway.Post("/tools/payments/list_all", "{}");
  client.Send(request);
  EXPECT_EQ(StatusOf(client.ReceiveAnswer()), 200);
  gateway.SetTool("payments", second.tool.url());
  client.Send(request);
  EXPECT_EQ(StatusOf(client.ReceiveAnswer()), 201);
  gateway.Change([](State& state) { state.agents["finance-agent"].suspended = true; });
  client.Send(request);
  EXPECT_EQ(StatusOf(client.ReceiveAnswer()), 403);
  gateway.Change([](State& state) {
    state.agents["finance-agent"].suspended = false;
    state.snapshot = nullptr;
  });
  client.Send(request);
  const std::string answer = client.ReceiveAnswer();
  EXPECT_EQ(StatusOf(answer), 403);
  EXPECT_NE(BodyOf(answer).find("no_policy"), std::string::npos);
  EXPECT_NE(gateway.gateway->NotReadyBecause(), "");
}

TEST(ProxyTest, ReloadsUnderLoadDisturbNoCall) {
  TestGateway gateway;
  KeepingTool tool;
  gateway.SetTool("payments", tool.tool.url());
  std::atomic<bool> stop{false};
  std::atomic<int> wrong{0}, calls{0};
  std::vector<std::thread> agents;
  for (int i = 0; i < 4; ++i) {
    agents.emplace_back([&, i] {
      Socket client(gateway.address());
      const std::string request = gateway.Post("/tools/payments/create_payment",
                                               i % 2 ? R"({"amount":50})" : R"({"amount":99999})");
      while (!stop) {
        client.Send(request);
        wrong += StatusOf(client.ReceiveAnswer()) != (i % 2 ? 200 : 403);
        ++calls;
      }
    });
  }
  for (int i = 0; i < 100; ++i) {
    gateway.Change([&](State& state) {
      state.revision = std::to_string(i);
      state.revocations = std::make_shared<identity::RevocationSet>(1000 + i);
      state.tools["other"] = *MakeTool("http://127.0.0.1:" + std::to_string(20'000 + i));
    });
  }
  while (calls < 400) std::this_thread::yield();
  stop = true;
  for (std::thread& agent : agents) agent.join();
  EXPECT_EQ(wrong, 0);
}

TEST(ProxyTest, SlowHeadIsCutOff) {
  TestGateway gateway([](Gateway::Options& options) {
    options.limits.head_timeout_ms = 100;
    options.limits.body_timeout_ms = 100;
    options.limits.keep_alive_timeout_ms = 100;
  });
  Socket head(gateway.address());
  head.Send("POST /tools/payments/list_all HTTP/1.1\r\n");
  EXPECT_EQ(StatusOf(head.ReceiveAll()), 408);
  Socket body(gateway.address());
  std::string request = gateway.Post("/tools/payments/list_all", "{\"a\":1}");
  request.resize(request.size() - 2);
  body.Send(request);
  EXPECT_EQ(StatusOf(body.ReceiveAll()), 408);
  Socket idle(gateway.address());
  EXPECT_EQ(idle.ReceiveAll(), "");
}

TEST(ProxyTest, ConnectionsBeyondTheLimitAreClosed) {
  TestGateway gateway([](Gateway::Options& options) { options.limits.max_connections = 2; });
  KeepingTool tool;
  gateway.SetTool("payments", tool.tool.url());
  Socket first(gateway.address()), second(gateway.address());
  const std::string request = gateway.Post("/tools/payments/list_all", "{}");
  first.Send(request);
  EXPECT_EQ(StatusOf(first.ReceiveAnswer()), 200);
  second.Send(request);
  EXPECT_EQ(StatusOf(second.ReceiveAnswer()), 200);
  Socket third(gateway.address());
  EXPECT_EQ(third.ReceiveAll(), "");
}

TEST(ProxyTest, DrainLetsRunningCallsEnd) {
  TestGateway gateway;
  KeepingTool tool;
  gateway.SetTool("payments", tool.tool.url());
  Socket running(gateway.address()), idle(gateway.address());
  idle.Send(gateway.Post("/tools/payments/list_all", "{}"));
  EXPECT_EQ(StatusOf(idle.ReceiveAnswer()), 200);
  gateway.journal.Hold(true);
  running.Send(gateway.Post("/tools/payments/list_all", "{}"));
  while (gateway.journal.waiting() < 1) std::this_thread::yield();
  std::thread drain([&] { EXPECT_TRUE(gateway.gateway->Drain(10'000)); });
  EXPECT_EQ(idle.ReceiveAll(), "");
  gateway.journal.Hold(false);
  const std::string answer = running.ReceiveAll();
  EXPECT_EQ(StatusOf(answer), 200);
  EXPECT_EQ(HeaderOf(answer, "Connection"), "close");
  running.Close();
  drain.join();
}

}  // namespace
}  // namespace aegis::gateway
