// The data door: OPA's Data API for agents.
#include <gtest/gtest.h>

#include "aegis/gateway/gateway_testing.h"
#include "aegis/rego/bundle.h"

namespace aegis::gateway {
namespace {

using testing::BodyOf;
using testing::HeaderOf;
using testing::Socket;
using testing::StatusOf;
using testing::TestGateway;

// Without the decision_id, which differs each time.
std::string Body(std::string_view answer) {
  std::string body(BodyOf(answer));
  const size_t at = body.find("\"decision_id\":\"");
  if (at == std::string::npos) return body;
  const size_t end = body.find('"', at + 15) + 1;
  return body.erase(at, end - at + (body[end] == ',' ? 1 : 0));
}

// A policy whose entrypoint `ask` gives back its input, `gone` nothing, and `fail` conflicts.
std::string EchoBundle() {
  const std::string result = R"({"type":"MakeObjectStmt","stmt":{"target":4}},
      {"type":"ObjectInsertStmt","stmt":{"key":{"type":"string_index","value":0},
        "value":{"type":"local","value":3},"object":4}},
      {"type":"ResultSetAddStmt","stmt":{"value":4}})";
  const auto plan = [&](const std::string& name, const std::string& body) {
    return R"({"name":")" + name + R"(","blocks":[{"stmts":[)" + body + "," + result + "]}]}";
  };
  const std::string copy_input =
      R"({"type":"AssignVarStmt","stmt":{"source":{"type":"local","value":0},"target":3}})";
  const std::string undefined =
      R"({"type":"IsObjectStmt","stmt":{"source":{"type":"bool","value":true}}})";
  const std::string conflict = R"({"type":"AssignVarOnceStmt","stmt":{"source":
      {"type":"bool","value":true},"target":3}},{"type":"AssignVarOnceStmt","stmt":{"source":
      {"type":"bool","value":false},"target":3}})";
  const std::string plans = plan("aegis/decision", undefined) + "," + plan("ex/ask", copy_input) +
                            "," + plan("ex/gone", undefined) + "," + plan("ex/fail", conflict);
  return *rego::WriteBundle(
      std::vector<rego::BundleFile>{
          {".manifest", R"({"revision":"e1"})"},
          {"plan.json", R"({"static":{"strings":[{"value":"result"}]},"plans":{"plans":[)" + plans +
                            R"(]},"funcs":{"funcs":[]}})"}},
      nullptr);
}

class DataDoorTest : public ::testing::Test {
 protected:
  std::string Post(const std::string& path, const std::string& body,
                   const std::string& agent = "finance-agent") {
    Socket client(gateway_.address());
    client.Send(gateway_.Post(path, body, "", agent));
    return client.ReceiveAnswer();
  }
  std::string Get(const std::string& target) {
    Socket client(gateway_.address());
    client.Send("GET " + target + " HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer " +
                gateway_.Token() + "\r\n\r\n");
    return client.ReceiveAnswer();
  }
  void UseEchoPolicy() {
    gateway_.Change([](State& state) {
      decision::Snapshot::Options options;
      options.tenant = "default";
      auto snapshot = decision::Snapshot::Load(EchoBundle(), options);
      ASSERT_TRUE(snapshot.has_value()) << snapshot.error().message;
      state.snapshot = *snapshot;
    });
  }
  std::string LastRecord(size_t count) {
    gateway_.journal.WaitFor(count);
    return gateway_.journal.records().back();
  }

  TestGateway gateway_;
};

TEST_F(DataDoorTest, TheDecisionGoesThroughThePipeline) {
  std::string answer = Post("/v1/data/aegis/decision", R"({"input":{"tool":"payments",
      "action":"create_payment","params":{"amount":10},"session":{"id":"s-1"}}})");
  EXPECT_EQ(StatusOf(answer), 200) << answer;
  EXPECT_NE(
      Body(answer).find(R"({"result":{"message":"allowed","outcome":"allow","reason":"allowed")"),
      std::string::npos)
      << answer;
  EXPECT_NE(HeaderOf(answer, "X-Aegis-Decision-Id"), "");
  const std::string record = LastRecord(1);
  EXPECT_NE(record.find(R"("session":"s-1")"), std::string::npos) << record;
  EXPECT_NE(record.find(R"("tool":"payments")"), std::string::npos) << record;
  EXPECT_NE(record.find(R"("outcome":"allow")"), std::string::npos) << record;

  answer =
      Post("/v1/data/aegis/decision",
           R"({"input":{"tool":"payments","action":"create_payment","params":{"amount":9000}}})");
  EXPECT_NE(answer.find(R"("outcome":"deny","reason":"condition_failed")"), std::string::npos);
  answer = Post("/v1/data/aegis/decision", R"({"input":{"tool":"payments","action":"x"}})",
                "watched-agent");
  EXPECT_NE(answer.find(R"("outcome":"allow")"), std::string::npos) << answer;
  EXPECT_NE(answer.find(R"("shadow":"deny")"), std::string::npos) << answer;
}

TEST_F(DataDoorTest, WhoAsksIsNeverTakenFromTheInput) {
  // watched-agent may not pay; saying that it is another changes nothing.
  const std::string answer = Post("/v1/data/aegis/decision", R"({"input":{"org":"other",
      "tenant":"other","agent":{"id":"finance-agent","labels":{"team":"finance"}},
      "chain":[{"type":"user","id":"root"}],"door":"http","time":{"unix_ns":1},
      "tool":"payments","action":"create_payment","params":{"amount":1}}})",
                                  "watched-agent");
  EXPECT_NE(answer.find(R"("shadow":"deny")"), std::string::npos) << answer;
  const std::string record = LastRecord(1);
  EXPECT_NE(record.find(R"("agent":"watched-agent")"), std::string::npos) << record;
  EXPECT_EQ(record.find("root"), std::string::npos) << record;

  UseEchoPolicy();
  const std::string echo = Post("/v1/data/ex/ask", R"({"input":{"agent":"root","tenant":"other",
      "org":1,"chain":[{"type":"user","id":"root"}],"time":{"unix_ns":1},"door":"http","mine":7}})");
  EXPECT_EQ(StatusOf(echo), 200);
  EXPECT_NE(echo.find(R"("result":{"agent":{"id":"finance-agent")"), std::string::npos) << echo;
  EXPECT_NE(echo.find(R"("tenant":"default")"), std::string::npos) << echo;
  EXPECT_NE(echo.find(R"("door":"sdk","mine":7)"), std::string::npos) << echo;
  EXPECT_EQ(echo.find("root"), std::string::npos) << echo;
  EXPECT_EQ(echo.find(R"("unix_ns":1})"), std::string::npos) << echo;
}

TEST_F(DataDoorTest, OtherEntrypointsAreAnsweredAsOpaDoes) {
  UseEchoPolicy();
  EXPECT_EQ(Body(Post("/v1/data/ex/ask", R"({"input":[1,"a"]})")), "{\"result\":[1,\"a\"]}\n");
  const std::string record = LastRecord(1);
  EXPECT_NE(record.find(R"("tool":"opa:data")"), std::string::npos) << record;
  EXPECT_NE(record.find(R"("action":"ex/ask")"), std::string::npos) << record;
  EXPECT_NE(record.find(R"("params_hash":"sha256:)"), std::string::npos) << record;
  EXPECT_EQ(Body(Post("/v1/data/ex/ask", R"({"input":null})")), "{\"result\":null}\n");
  EXPECT_EQ(Body(Post("/v1/data/ex/gone", R"({"input":1})")), "{}\n");
  EXPECT_EQ(BodyOf(Post("/v1/data/ex/unknown", R"({"input":1})")), "{}\n");
  EXPECT_EQ(BodyOf(Post("/v1/data/ex", R"({"input":1})")), "{}\n");
  EXPECT_EQ(BodyOf(Post("/v1/data", R"({"input":1})")), "{}\n");
  EXPECT_EQ(Body(Post("/v1/data/ex/gone", "{}")),
            R"({"warning":{"code":"api_usage_warning","message":"'input' key missing from the)"
            " request\"}}\n");
  EXPECT_EQ(Body(Get("/v1/data/ex/ask?input=%5B1%2C%22a+b%22%5D")), "{\"result\":[1,\"a b\"]}\n");
  const std::string pretty =
      Get("/v1/data/ex/ask?input=1&pretty&input=%5B%7B%22a%22:%5B%5D%7D%5D&x");
  EXPECT_TRUE(BodyOf(pretty).starts_with("{\n  \"decision_id\": \"")) << pretty;
  EXPECT_TRUE(pretty.ends_with("\",\n  \"result\": [\n    {\n      \"a\": []\n    }\n  ]\n}\n"))
      << pretty;
  const std::string failed = Post("/v1/data/ex/fail", R"({"input":1})");
  EXPECT_EQ(StatusOf(failed), 500);
  EXPECT_EQ(BodyOf(failed),
            R"({"code":"internal_error","message":"error(s) occurred while evaluating query",)"
            R"("errors":[{"code":"eval_conflict_error","message":"error(s) occurred while )"
            "evaluating query\"}]}\n");
  EXPECT_NE(LastRecord(7).find(R"("reason":"policy_error")"), std::string::npos);
}

TEST_F(DataDoorTest, AnswersOnlyWhatIsDurable) {
  UseEchoPolicy();
  gateway_.journal.fail = true;
  for (const char* path : {"/v1/data/ex/ask", "/v1/data/aegis/decision"}) {
    const std::string answer = Post(path, R"({"input":{"tool":"a","action":"b"}})");
    EXPECT_EQ(StatusOf(answer), 503) << answer;
    EXPECT_EQ(answer.find("result"), std::string::npos) << answer;
  }
}

TEST_F(DataDoorTest, Refusals) {
  UseEchoPolicy();
  const struct {
    const char* path;
    std::string body;
    int status;
  } rows[] = {
      {"/v1/data/ex/ask", "{", 400},
      {"/v1/data/ex/ask", "[]", 400},
      {"/v1/data/ex/ask", "1", 400},
      {"/v1/data/ex/ask", R"({"input":1}{})", 400},
      {"/v1/data/ex/ask", R"({"input":1,"input":2})", 400},
      {"/v1/data/ex/ask", R"({"input":{"a":1,"a":2}})", 400},
      {"/v1/data/ex/ask",
       R"({"input":")"
       "\xff"
       "\"}",
       400},
      {"/v1/data/ex/ask", R"({"input":)" + std::string(20'000, '[') + "}", 400},
      {"/v1/data/ex/ask", R"({"input":")" + std::string(2'000'000, 'x') + "\"}", 413},
      {"/v1/data/ex/ask?strict-builtin-errors=true", R"({"input":1})", 400},
      {"/v1/data/ex/../ask", R"({"input":1})", 400},
      {"/v1/data/ex%2fask", R"({"input":1})", 400},
      {"/v1/data/aegis/decision", "", 400},
      {"/v1/data/aegis/decision", "{}", 400},
      {"/v1/data/aegis/decision", R"({"input":[]})", 400},
      {"/v1/data/aegis/decision", R"({"input":{"tool":"a"}})", 400},
      {"/v1/data/aegis/decision", R"({"input":{"tool":1,"action":"b"}})", 400},
      {"/v1/data/aegis/decision", R"({"input":{"tool":"a","action":"b","params":[]}})", 400},
      {"/v1/data/aegis/decision", R"({"input":{"tool":"a","action":"b","params":{"x":1,"X":2}}})",
       400},
      {"/v1/data/aegis/decision", R"({"input":{"tool":"a","action":"b","session":{"id":5}}})", 400},
  };
  for (const auto& row : rows) {
    const std::string answer = Post(row.path, row.body);
    EXPECT_EQ(StatusOf(answer), row.status) << row.path << row.body.substr(0, 80) << answer;
    if (row.status == 400 && row.path == std::string("/v1/data/ex/ask")) {
      EXPECT_TRUE(BodyOf(answer).starts_with(R"({"code":"invalid_parameter","message":")"))
          << answer;
    }
  }
  EXPECT_EQ(StatusOf(Get("/v1/data/ex/ask?input=%7B")), 400);
  EXPECT_EQ(StatusOf(Get("/v1/data/ex/ask?input=%7")), 400);

  for (const char* path : {"/v1/data/ex/ask", "/v1/data/aegis/decision", "/v1/data/unknown"}) {
    const std::string suspended = Post(path, R"({"input":{"tool":"a","action":"b"}})", "bad-agent");
    EXPECT_EQ(StatusOf(suspended), 403) << path << suspended;
    EXPECT_NE(suspended.find(R"("code":"unauthorized")"), std::string::npos) << suspended;
    Socket stranger(gateway_.address());
    stranger.Send("POST " + std::string(path) +
                  " HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
    const std::string answer = stranger.ReceiveAnswer();
    EXPECT_EQ(StatusOf(answer), 401);
    EXPECT_NE(HeaderOf(answer, "WWW-Authenticate"), "");
  }
  Socket put(gateway_.address());
  put.Send("PUT /v1/data/a HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
  EXPECT_EQ(StatusOf(put.ReceiveAnswer()), 405);
}

TEST_F(DataDoorTest, WithoutAPolicyNothingIsAllowed) {
  gateway_.Change([](State& state) { state.snapshot = nullptr; });
  EXPECT_NE(Post("/v1/data/aegis/decision", R"({"input":{"tool":"a","action":"b"}})")
                .find(R"("outcome":"deny","reason":"no_policy")"),
            std::string::npos);
  EXPECT_EQ(BodyOf(Post("/v1/data/ex/ask", R"({"input":1})")), "{}\n");
}

}  // namespace
}  // namespace aegis::gateway
