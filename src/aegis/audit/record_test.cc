#include "aegis/audit/record.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "aegis/audit/segment.h"
#include "aegis/base/clock.h"
#include "aegis/json/tree.h"

namespace aegis::audit {
namespace {

using testing::HasSubstr;

std::string Json(const PendingRecord& record) { return record.head + "7" + record.tail; }

RecordHeader Header() {
  return {.id = "0197c0c2-7d3a-7b2c-9c3e-8d1f2a3b4c5d",
          .producer = "gateway-1",
          .time_unix_ns = 1'795'532'645'123'999'999,
          .org = "acme",
          .tenant = "payments",
          .trace_id = "0af7651916cd43dd8448eb211c80319c"};
}

DecisionRecord Decision(std::span<const identity::ChainLink> chain) {
  return {.header = Header(),
          .agent = "finance-agent",
          .chain = chain,
          .session = "s-1",
          .door = decision::Door::kHttp,
          .tool = "stripe-payments",
          .action = "create_payment",
          .params_hash = "sha256:4b",
          .outcome = decision::Outcome::kDeny,
          .enforced = false,
          .mode = decision::Mode::kShadow,
          .reason = decision::Reason::kConditionFailed,
          .rule = "finance-agent/stripe-payments/create_payment",
          .policy_version = "7",
          .bundle_sha256 = "9f",
          .approval_id = "",
          .latency_us = 41};
}

// Whether the text is what sorting its members and writing it anew gives.
void ExpectCanonical(const std::string& json) {
  Arena arena;
  const auto tree = json::ParseTree(json, arena);
  ASSERT_TRUE(tree) << tree.error().message << "\n" << json;
  std::string again;
  json::AppendTree(again, *tree);
  EXPECT_EQ(again, json);
}

TEST(RecordTest, DecisionIsAsDocumented) {
  const identity::ChainLink chain[] = {{"user", "alice"}, {"agent", "planner-agent"}};
  PendingRecord out;
  Render(Decision(chain), out);
  EXPECT_EQ(
      Json(out),
      "{\"action\":\"create_payment\",\"agent\":\"finance-agent\",\"bundle_sha256\":\"9f\","
      "\"chain\":[{\"id\":\"alice\",\"type\":\"user\"},{\"id\":\"planner-agent\",\"type\":"
      "\"agent\"}],\"door\":\"http\",\"enforced\":false,"
      "\"id\":\"0197c0c2-7d3a-7b2c-9c3e-8d1f2a3b4c5d\",\"kind\":\"decision\","
      "\"latency_us\":41,\"mode\":\"shadow\",\"org\":\"acme\",\"outcome\":\"deny\","
      "\"params_hash\":\"sha256:4b\",\"policy_version\":\"7\",\"producer\":\"gateway-1\","
      "\"reason\":\"condition_failed\",\"rule\":\"finance-agent/stripe-payments/create_payment\","
      "\"seq\":7,\"session\":\"s-1\",\"tenant\":\"payments\","
      "\"time\":\"2026-11-24T15:04:05.123Z\",\"tool\":\"stripe-payments\","
      "\"trace_id\":\"0af7651916cd43dd8448eb211c80319c\",\"v\":1}");
  ExpectCanonical(Json(out));
}

TEST(RecordTest, OutcomeAndOperatorAreCanonicalToo) {
  PendingRecord out;
  Render(OutcomeRecord{.header = Header(),
                       .agent = "finance-agent",
                       .decision_id = "d",
                       .tool = "t",
                       .action = "a",
                       .status = 502,
                       .error = "upstream_timeout",
                       .request_bytes = 12,
                       .response_bytes = UINT64_MAX,
                       .duration_us = -4},
         out);
  ExpectCanonical(Json(out));
  EXPECT_THAT(Json(out),
              HasSubstr("\"response_bytes\":9007199254740991,\"seq\":7,\"status\":502,"));
  EXPECT_THAT(Json(out), HasSubstr("\"duration_us\":0,"));
  Render(OperatorRecord{.header = Header(),
                        .who = "user:alice",
                        .what = "policy.publish",
                        .target = "payments",
                        .before = "{\"v\":6}",
                        .after = "{\"v\":7}"},
         out);
  ExpectCanonical(Json(out));
  EXPECT_THAT(Json(out), HasSubstr("\"after\":\"{\\\"v\\\":7}\",\"before\":"));
}

TEST(RecordTest, LeavesOutWhatHasNoValue) {
  PendingRecord out;
  Render(DecisionRecord{}, out);
  ExpectCanonical(Json(out));
  EXPECT_EQ(
      Json(out),
      "{\"chain\":[],\"door\":\"http\",\"enforced\":true,\"kind\":\"decision\","
      "\"latency_us\":0,\"mode\":\"enforce\",\"outcome\":\"deny\",\"reason\":\"policy_error\","
      "\"seq\":7,\"time\":\"1970-01-01T00:00:00.000Z\",\"v\":1}");
  Render(OutcomeRecord{}, out);
  ExpectCanonical(Json(out));
  Render(OperatorRecord{}, out);
  ExpectCanonical(Json(out));
}

TEST(RecordTest, HostileTextStaysInItsString) {
  auto record = Decision({});
  record.tool = "x\",\"outcome\":\"allow";
  record.action = std::string_view("a\0\n\xff\xed\xa0\x80", 7);
  record.session = "\xe2\x80";
  PendingRecord out;
  Render(record, out);
  ExpectCanonical(Json(out));
  EXPECT_THAT(Json(out), HasSubstr("\"tool\":\"x\\\",\\\"outcome\\\":\\\"allow\""));
}

TEST(RecordTest, TheLargestRecordFits) {
  const std::string worst(100'000, '\x01');  // six bytes each
  const std::vector<identity::ChainLink> chain(1000, {worst, worst});
  DecisionRecord record{.header = {worst, worst, 0, worst, worst, worst},
                        .agent = worst,
                        .chain = chain,
                        .session = worst,
                        .tool = worst,
                        .action = worst,
                        .params_hash = worst,
                        .rule = worst,
                        .policy_version = worst,
                        .bundle_sha256 = worst,
                        .approval_id = worst};
  PendingRecord out;
  Render(record, out);
  ExpectCanonical(Json(out));
  EXPECT_THAT(Json(out), HasSubstr("\"chain_truncated\":true"));
  EXPECT_LT(out.head.size() + out.tail.size(), kMaxRecordBytes / 2);
  Render(OperatorRecord{.header = {worst, worst, 0, worst, worst, worst},
                        .who = worst,
                        .what = worst,
                        .target = worst,
                        .before = worst,
                        .after = worst},
         out);
  ExpectCanonical(Json(out));
  EXPECT_LT(out.head.size() + out.tail.size(), kMaxRecordBytes / 2);
}

TEST(RecordTest, ReusesItsStrings) {
  const identity::ChainLink chain[] = {{"user", "alice"}};
  PendingRecord out;
  Render(Decision(chain), out);
  const char* const head = out.head.data();
  const char* const tail = out.tail.data();
  for (int i = 0; i < 3; ++i) Render(Decision(chain), out);
  EXPECT_EQ(out.head.data(), head);
  EXPECT_EQ(out.tail.data(), tail);
}

TEST(RecordTest, TimesAreThoseOfTheClockLibrary) {
  auto record = Decision({});
  PendingRecord out;
  for (const int64_t time :
       {int64_t{0}, int64_t{951'782'399'999'999'999}, int64_t{-1},
        int64_t{1'709'210'096'001'000'000}, int64_t{4'102'444'800'000'000'000}}) {
    record.header.time_unix_ns = time;
    Render(record, out);
    EXPECT_THAT(Json(out), HasSubstr("\"time\":\"" + FormatRfc3339Millis(time) + "\""));
  }
}

}  // namespace
}  // namespace aegis::audit
