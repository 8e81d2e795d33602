#include "aegis/decision/input.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

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

  std::string Json(const InputPlan& plan = InputPlan::All()) {
    const Result<rego::Value> input = BuildInput(call_, plan, arena_);
    return input ? rego::ToJson(*input) : std::string(input.error().reason);
  }

  static InputPlan Only(std::initializer_list<InputPlan::Part> parts) {
    InputPlan plan = InputPlan::All();
    plan.reached.fill(false);
    for (const InputPlan::Part part : parts) plan.reached[part] = true;
    return plan;
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
  EXPECT_EQ(Json(Only({})), "{}");
  EXPECT_EQ(Json(Only({InputPlan::kTool, InputPlan::kParams})),
            R"({"params":{"amount":4200},"tool":"stripe"})");
}

TEST_F(InputTest, Times) {
  const auto time = [this](int64_t unix_ns) {
    call_.time_unix_ns = unix_ns;
    return Json(Only({InputPlan::kTime}));
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
  EXPECT_EQ(Json(Only({InputPlan::kRequest})),
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
    const Result<rego::Value> input = BuildInput(call_, InputPlan::All(), small);
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

}  // namespace
}  // namespace aegis::decision
