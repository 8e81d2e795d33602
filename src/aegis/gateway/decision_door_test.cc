// The SDK door.
#include <gtest/gtest.h>

#include "aegis/gateway/gateway_testing.h"

namespace aegis::gateway {
namespace {

using testing::BodyOf;
using testing::HeaderOf;
using testing::Socket;
using testing::StatusOf;
using testing::TestGateway;

// String member of a flat JSON object; enough for our own answers.
std::string Member(std::string_view json, const std::string& name) {
  const std::string key = "\"" + name + "\":\"";
  const size_t at = json.find(key);
  if (at == std::string_view::npos) return {};
  const size_t start = at + key.size();
  return std::string(json.substr(start, json.find('"', start) - start));
}

TEST(DecisionDoorTest, AllowAndDenyAreAnswers) {
  TestGateway gateway;
  Socket client(gateway.address());
  client.Send(gateway.Post("/v1/decisions", R"({"tool":"payments","action":"create_payment",
      "params":{"amount":10},"session":"s-1"})"));
  std::string answer = client.ReceiveAnswer();
  EXPECT_EQ(StatusOf(answer), 200) << answer;
  EXPECT_EQ(Member(BodyOf(answer), "outcome"), "allow");
  EXPECT_EQ(Member(BodyOf(answer), "reason"), "allowed");
  EXPECT_EQ(Member(BodyOf(answer), "decision_id"), HeaderOf(answer, "X-Aegis-Decision-Id"));
  EXPECT_EQ(Member(BodyOf(answer), "policy_version"), "1");
  EXPECT_EQ(Member(BodyOf(answer), "expires_at").size(), 24u);

  client.Send(
      gateway.Post("/v1/decisions",
                   R"({"tool":"payments","action":"create_payment","params":{"amount":9000}})"));
  answer = client.ReceiveAnswer();
  EXPECT_EQ(StatusOf(answer), 200);
  EXPECT_EQ(Member(BodyOf(answer), "outcome"), "deny");
  EXPECT_EQ(Member(BodyOf(answer), "reason"), "condition_failed");
  EXPECT_NE(Member(BodyOf(answer), "message"), "");

  gateway.journal.WaitFor(2);
  const std::string record = gateway.journal.records()[0];
  EXPECT_NE(record.find(R"("door":"sdk")"), std::string::npos) << record;
  EXPECT_NE(record.find(R"("session":"s-1")"), std::string::npos) << record;
}

TEST(DecisionDoorTest, ShadowSaysBoth) {
  TestGateway gateway;
  Socket client(gateway.address());
  client.Send(
      gateway.Post("/v1/decisions", R"({"tool":"payments","action":"x"})", "", "watched-agent"));
  const std::string answer = client.ReceiveAnswer();
  EXPECT_EQ(Member(BodyOf(answer), "outcome"), "allow") << answer;
  EXPECT_EQ(Member(BodyOf(answer), "shadow"), "deny");
}

TEST(DecisionDoorTest, AnswersOnlyWhatIsDurable) {
  TestGateway gateway;
  Socket client(gateway.address());
  gateway.journal.fail = true;
  client.Send(gateway.Post("/v1/decisions", R"({"tool":"payments","action":"list_all"})"));
  EXPECT_EQ(StatusOf(client.ReceiveAnswer()), 503);
}

TEST(DecisionDoorTest, Refusals) {
  TestGateway gateway;
  const struct {
    const char* body;
    int status;
    const char* reason;
  } rows[] = {
      {"", 415, "json_needed"},
      {"[]", 400, "params_not_object"},
      {"{", 400, "bad_json"},
      {"{}", 400, "bad_request"},
      {R"({"tool":"a"})", 400, "bad_request"},
      {R"({"tool":1,"action":"b"})", 400, "bad_request"},
      {R"({"tool":"","action":"b"})", 400, "bad_request"},
      {R"({"tool":"a","action":"b","params":[]})", 400, "params_not_object"},
      {R"({"tool":"a","action":"b","session":5})", 400, "bad_request"},
      {R"({"tool":"a","action":"b","context":{"x":1}})", 400, "not_supported_yet"},
      {R"({"tool":"a","action":"b","agent":"root"})", 400, "unknown_field"},
      {R"({"tool":"a","tool":"b","action":"b"})", 400, "ambiguous_params"},
  };
  for (const auto& row : rows) {
    Socket client(gateway.address());
    client.Send(gateway.Post("/v1/decisions", row.body));
    const std::string answer = client.ReceiveAnswer();
    EXPECT_EQ(StatusOf(answer), row.status) << row.body << answer;
    EXPECT_EQ(Member(BodyOf(answer), "reason"), row.reason) << row.body;
  }
  Socket client(gateway.address());
  client.Send("GET /v1/decisions HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_EQ(StatusOf(client.ReceiveAnswer()), 405);
  Socket stranger(gateway.address());
  stranger.Send("POST /v1/decisions HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
  EXPECT_EQ(StatusOf(stranger.ReceiveAnswer()), 401);
  Socket suspended(gateway.address());
  suspended.Send(
      gateway.Post("/v1/decisions", R"({"tool":"payments","action":"list_all"})", "", "bad-agent"));
  EXPECT_EQ(StatusOf(suspended.ReceiveAnswer()), 403);
}

TEST(DecisionDoorTest, ResultIsRecordedOnceForTheSameAgent) {
  TestGateway gateway;
  Socket client(gateway.address());
  client.Send(gateway.Post("/v1/decisions", R"({"tool":"payments","action":"list_all"})"));
  const std::string id = HeaderOf(client.ReceiveAnswer(), "X-Aegis-Decision-Id");
  const std::string path = "/v1/decisions/" + id + "/result";

  client.Send(gateway.Post(path, R"({"status":"ok"})", "", "watched-agent"));
  EXPECT_EQ(StatusOf(client.ReceiveAnswer()), 404);
  client.Send(gateway.Post(path, R"({"status":503})"));
  std::string answer = client.ReceiveAnswer();
  EXPECT_EQ(StatusOf(answer), 200) << answer;
  EXPECT_EQ(Member(BodyOf(answer), "decision_id"), id);
  client.Send(gateway.Post(path, R"({"status":"ok"})"));
  EXPECT_EQ(StatusOf(client.ReceiveAnswer()), 404);

  gateway.journal.WaitFor(2);
  const std::string record = gateway.journal.records()[1];
  EXPECT_NE(record.find(R"("decision_id":")" + id + "\""), std::string::npos) << record;
  EXPECT_NE(record.find(R"("status":503)"), std::string::npos) << record;
  EXPECT_NE(record.find(R"("action":"list_all")"), std::string::npos) << record;

  for (const char* body : {"{}", R"({"status":"fine"})", R"({"status":"ok","usage":{}})",
                           R"({"status":"ok","x":1})", R"({"status":99})"}) {
    Socket other(gateway.address());
    other.Send(gateway.Post(path, body));
    EXPECT_EQ(StatusOf(other.ReceiveAnswer()), 400) << body;
  }
  Socket other(gateway.address());
  other.Send(gateway.Post("/v1/decisions/not-an-id/result", R"({"status":"ok"})"));
  EXPECT_EQ(StatusOf(other.ReceiveAnswer()), 404);
}

}  // namespace
}  // namespace aegis::gateway
