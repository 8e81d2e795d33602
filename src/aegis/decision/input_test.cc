#include "aegis/decision/input.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "aegis/decision/input_use.h"

namespace aegis::decision {
namespace {

class InputTest : public testing::Test {
 protected:
  InputTest() {
    principal_.org = "acme";
    principal_.tenant = "payments";
    principal_.agent = "finance-agent";
    principal_.chain = {{"user", "alice"}, {"agent", "planner-agent"}};
    call_.principal = &principal_;
    call_.tool = "stripe";
    call_.action = "pay";
    call_.params = *rego::ParseJson(R"({"amount":4200})", arena_);
    call_.time_unix_ns = 1'795'532'645'123'456'789;  // 2026-11-24T15:04:05.123456789Z
  }

  std::string Json(InputParts parts = InputParts::All()) {
    const Result<rego::Value> input = BuildInput(call_, parts, arena_);
    return input ? rego::ToJson(*input) : std::string(input.error().reason);
  }

  Arena arena_;
  identity::Principal principal_;
  Call call_;
};

TEST_F(InputTest, IsTheContractsDocument) {
  const std::vector<Header> headers = {
      {"content-type", "application/json"}, {"x-a", "1"}, {"x-a", "2"}};
  call_.agent_labels = *rego::ParseJson(R"({"team":"finance"})", arena_);
  call_.method = "POST";
  call_.host = "tools.example";
  call_.path = "/v1/pay";
  call_.headers = headers;
  call_.session = "s1";
  EXPECT_EQ(
      Json(),
      R"({"action":"pay","agent":{"id":"finance-agent","labels":{"team":"finance"}},)"
      R"("chain":[{"id":"alice","type":"user"},{"id":"planner-agent","type":"agent"}],"door":"http",)"
      R"("org":"acme","params":{"amount":4200},)"
      R"("request":{"headers":{"content-type":"application/json","x-a":"1, 2"},"host":"tools.example",)"
      R"("method":"POST","path":"/v1/pay"},"session":{"id":"s1"},"tenant":"payments",)"
      R"("time":{"local":"2026-11-24T15:04:05.123Z","unix_ns":1795532645123456789,"weekday":"tue"},)"
      R"("tool":"stripe"})");
}

TEST_F(InputTest, WhatIsNotThereIsLeftOut) {
  call_.door = Door::kSdk;
  call_.params = {};
  principal_.chain.clear();
  call_.time_unix_ns = 0;
  EXPECT_EQ(
      Json(),
      R"({"action":"pay","agent":{"id":"finance-agent","labels":{}},"chain":[],"door":"sdk","org":"acme",)"
      R"("params":{},"tenant":"payments",)"
      R"("time":{"local":"1970-01-01T00:00:00.000Z","unix_ns":0,"weekday":"thu"},"tool":"stripe"})");
}

TEST_F(InputTest, OnlyTheAskedParts) {
  InputParts parts = InputParts::None();
  EXPECT_EQ(Json(parts), "{}");
  parts.Add(InputPart::kTool);
  parts.Add(InputPart::kParams);
  EXPECT_EQ(Json(parts), R"({"params":{"amount":4200},"tool":"stripe"})");
}

TEST_F(InputTest, Times) {
  const auto time = [this](int64_t unix_ns) {
    call_.time_unix_ns = unix_ns;
    InputParts parts = InputParts::None();
    parts.Add(InputPart::kTime);
    return Json(parts);
  };
  EXPECT_EQ(
      time(951'782'400'000'000'000),
      R"({"time":{"local":"2000-02-29T00:00:00.000Z","unix_ns":951782400000000000,"weekday":"tue"}})");
  EXPECT_EQ(time(-1),
            R"({"time":{"local":"1969-12-31T23:59:59.999Z","unix_ns":-1,"weekday":"wed"}})");
  EXPECT_EQ(
      time(1'735'689'599'999'000'000),
      R"({"time":{"local":"2024-12-31T23:59:59.999Z","unix_ns":1735689599999000000,"weekday":"tue"}})");
}

TEST_F(InputTest, TextThatIsNotUtf8) {
  const std::vector<Header> headers = {{"x-a", "caf\xe9 \xe2\x82\xac\xf0\x9f"}};
  call_.method = "GET";
  call_.path = "/\xff";
  call_.headers = headers;
  InputParts parts = InputParts::None();
  parts.Add(InputPart::kRequest);
  EXPECT_EQ(Json(parts),
            "{\"request\":{\"headers\":{\"x-a\":\"caf\xef\xbf\xbd "
            "\xe2\x82\xac\xef\xbf\xbd\xef\xbf\xbd\"},\"host\":\"\","
            "\"method\":\"GET\",\"path\":\"/\xef\xbf\xbd\"}}");
  call_.tool = "strip\xe9";
  EXPECT_EQ(Json(), "call_malformed");
}

TEST_F(InputTest, NoPartIsLostWhenTheArenaIsFull) {
  const std::vector<Header> headers(200, Header{"x", "yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy"});
  call_.method = "GET";
  call_.headers = headers;
  size_t refused = 0;
  for (size_t limit = 64; limit < 64 * 1024; limit += 64) {
    Arena small(64, limit);
    const Result<rego::Value> input = BuildInput(call_, InputParts::All(), small);
    if (input) {
      EXPECT_EQ(input->size(), 10u) << limit;
      EXPECT_EQ(input->Get("request").Get("headers").Get("x").string_value().size(), 200u * 41 - 2);
    } else {
      EXPECT_EQ(input.error().reason, "call_too_large");
      ++refused;
    }
  }
  EXPECT_GT(refused, 0u);
}

// {"static":{"strings":[tool, params, x]},"plans":…} with these statements in its one block.
std::string Plan(std::string_view statements, std::string_view functions = "") {
  return R"({"static":{"strings":[{"value":"tool"},{"value":"params"},{"value":"x"}]},)"
         R"("plans":{"plans":[{"name":"p","blocks":[{"stmts":[)" +
         std::string(statements) + R"(]}]}]},"funcs":{"funcs":[)" + std::string(functions) + "]}}";
}

constexpr std::string_view kDotTool =
    R"({"type":"DotStmt","stmt":{"source":{"type":"local","value":0},"key":{"type":"string_index","value":0},"target":5}})";

InputParts Tool() {
  InputParts parts = InputParts::None();
  parts.Add(InputPart::kTool);
  return parts;
}

TEST(InputUse, FollowsLookUpsByConstants) {
  EXPECT_EQ(InputUse(Plan("")), InputParts::None());
  EXPECT_EQ(InputUse(Plan(kDotTool)), Tool());
  EXPECT_EQ(InputUse(Plan(R"({"type":"NotStmt","stmt":{"block":{"stmts":[)" +
                          std::string(kDotTool) + "]}}}")),
            Tool());
  EXPECT_EQ(InputUse(Plan(R"({"type":"BlockStmt","stmt":{"blocks":[{"stmts":[)" +
                          std::string(kDotTool) + "]}]}}")),
            Tool());
  EXPECT_EQ(
      InputUse(Plan(
          R"({"type":"CallStmt","stmt":{"func":"f","args":[{"type":"local","value":0}],"result":3}})",
          R"({"name":"f","params":[0,1],"blocks":[{"stmts":[)" + std::string(kDotTool) + "]}]}")),
      Tool());
  EXPECT_EQ(InputUse(Plan(R"({"type":"MakeNumberIntStmt","stmt":{"value":0,"target":4}})")),
            InputParts::None());
}

TEST(InputUse, AnythingElseIsAll) {
  for (
      const std::string_view statement :
      {R"({"type":"AssignVarStmt","stmt":{"source":{"type":"local","value":0},"target":4}})",
       R"({"type":"AssignVarStmt","stmt":{"source":{"type":"local","value":4},"target":0}})",
       R"({"type":"DotStmt","stmt":{"source":{"type":"local","value":0},"key":{"type":"local","value":3},"target":5}})",
       R"({"type":"DotStmt","stmt":{"source":{"type":"local","value":2},"key":{"type":"local","value":0},"target":5}})",
       R"({"type":"DotStmt","stmt":{"source":{"type":"local","value":0},"key":{"type":"string_index","value":9},"target":5}})",
       R"({"type":"ScanStmt","stmt":{"source":0,"key":3,"value":4,"block":{"stmts":[]}}})",
       R"({"type":"WithStmt","stmt":{"local":0,"path":[0],"value":{"type":"local","value":3},"block":{"stmts":[]}}})",
       R"({"type":"CallStmt","stmt":{"func":"count","args":[{"type":"local","value":0}],"result":3}})",
       R"({"type":"CallStmt","stmt":{"func":"f","args":[{"type":"local","value":2},{"type":"local","value":0}],"result":3}})",
       R"({"type":"ReturnLocalStmt","stmt":{"source":0}})",
       R"({"type":"ResultSetAddStmt","stmt":{"value":0}})", R"({"type":"NewStmt","stmt":{}})",
       R"({"type":"DotStmt"})", "7"}) {
    EXPECT_EQ(InputUse(Plan(statement, R"({"name":"f","params":[0,1]})")), InputParts::All())
        << statement;
  }
  EXPECT_EQ(InputUse(""), InputParts::All());
  EXPECT_EQ(InputUse("{}"), InputParts::All());
  EXPECT_EQ(InputUse(Plan("", R"({"name":"f","params":[]})")), InputParts::All());
}

}  // namespace
}  // namespace aegis::decision
