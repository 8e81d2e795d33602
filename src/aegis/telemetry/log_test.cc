#include "aegis/telemetry/log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <thread>

#include "aegis/base/file.h"
#include "aegis/base/text.h"

namespace aegis::telemetry {
namespace {

using testing::HasSubstr;
using testing::Not;

std::string Line(std::string_view message, std::initializer_list<LogField> fields) {
  std::string out;
  AppendLogLine(out, 0, LogLevel::kInfo, message, {fields.begin(), fields.size()});
  return out;
}

TEST(LogLineTest, IsJson) {
  EXPECT_EQ(
      Line("hello \"you\"\n", {{"n", 5},
                               {"big", uint64_t{18446744073709551615u}},
                               {"ok", true},
                               {"ratio", 0.5},
                               {"bad", std::nan("")},
                               {"text", "a\xff"}}),
      "{\"time\":\"1970-01-01T00:00:00.000Z\",\"level\":\"info\",\"msg\":\"hello \\\"you\\\"\\n\","
      "\"n\":5,\"big\":18446744073709551615,\"ok\":true,\"ratio\":0.5,\"bad\":null,"
      "\"text\":\"a\xef\xbf\xbd\"}");
}

TEST(LogLineTest, HoldsNoSecrets) {
  const std::string jwt =
      "eyJhbGciOiJFZERTQSIsImtpZCI6ImsxIn0.eyJzdWIiOiJhIn0.c2lnbmF0dXJlLWJ5dGVzLWhlcmU";
  for (const std::string& line :
       {Line("m", {{"authorization", "hunter2"}}), Line("m", {{"Admin_Token", "hunter2"}}),
        Line("m", {{"client_secret", "hunter2"}}), Line("m", {{"detail", "got hunter2 " + jwt}}),
        Line("m", {{"header", "Bearer hunter2aaaaaaaaaaaaaaaa"}}), Line("hunter2 " + jwt, {})}) {
    EXPECT_THAT(line, Not(HasSubstr("hunter2")));
    EXPECT_THAT(line, HasSubstr("[redacted]"));
  }
  EXPECT_THAT(Line("m", {{"token_id", "t-1"}, {"params_hash", "abc"}, {"tokens", 12}}),
              Not(HasSubstr("redacted")));
}

TEST(LogLineTest, CutsLongText) {
  EXPECT_LT(Line("m", {{"text", std::string(100000, 'x')}}).size(), 5000u);
}

class JsonLoggerTest : public testing::Test {
 protected:
  JsonLoggerTest() : path_(testing::TempDir() + "aegis-log-test.jsonl") {
    std::filesystem::remove(path_);
  }
  ~JsonLoggerTest() override { std::filesystem::remove(path_); }
  std::vector<std::string> Lines() {
    std::vector<std::string> lines;
    const std::string text = ReadFile(path_).value_or("");
    for (std::string_view line : Split(text, '\n'))
      if (!line.empty()) lines.emplace_back(line);
    return lines;
  }
  std::string path_;
  ManualClock clock_{1'000'000'000'000'000'000};
};

TEST_F(JsonLoggerTest, WritesAtItsLevelAndAbove) {
  const auto logger = MakeJsonLogger({.level = LogLevel::kWarn, .path = path_});
  ASSERT_TRUE(logger);
  EXPECT_FALSE((*logger)->Enabled(LogLevel::kInfo));
  (*logger)->Info("no");
  (*logger)->Warn("yes", {{"n", 1}});
  (*logger)->Error("failed", aegis::Error{Code::kNotFound, "not_there", "no such thing"},
                   {{"x", 2}});
  (*logger)->Flush();
  const auto lines = Lines();
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_THAT(lines[0], HasSubstr("\"level\":\"warn\",\"msg\":\"yes\",\"n\":1}"));
  EXPECT_THAT(lines[1],
              HasSubstr("\"reason\":\"not_there\",\"detail\":\"no such thing\",\"x\":2}"));
}

TEST_F(JsonLoggerTest, CountsRepeatsInsteadOfWritingThem) {
  const auto logger = MakeJsonLogger({.path = path_, .burst = 3, .clock = &clock_});
  for (int i = 0; i < 10; ++i) (*logger)->Info("same", {{"i", i}});
  (*logger)->Info("other");
  clock_.Advance(1'000'000'000);
  (*logger)->Info("same", {{"i", 10}});
  (*logger)->Info("same", {{"i", 11}});
  (*logger)->Flush();
  const auto lines = Lines();
  ASSERT_EQ(lines.size(), 6u);
  EXPECT_THAT(lines[3], HasSubstr("other"));
  EXPECT_THAT(lines[4], HasSubstr("\"i\":10,\"repeated\":7}"));
  EXPECT_THAT(lines[5], Not(HasSubstr("repeated")));
}

TEST_F(JsonLoggerTest, LinesOfManyThreadsStayWhole) {
  {
    const auto logger = MakeJsonLogger({.path = path_, .burst = 100000, .queue_lines = 16384});
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t)
      threads.emplace_back([&logger, t] {
        for (int i = 0; i < 1000; ++i) (*logger)->Info("line", {{"thread", t}, {"i", i}});
      });
    for (auto& thread : threads) thread.join();
  }
  const auto lines = Lines();
  EXPECT_EQ(lines.size(), 4000u);
  for (const std::string& line : lines) {
    ASSERT_TRUE(line.starts_with("{\"time\":") && line.ends_with("}")) << line;
  }
}

TEST_F(JsonLoggerTest, SaysWhenTheFileCannotBeOpened) {
  EXPECT_EQ(MakeJsonLogger({.path = path_ + "/no/such"}).error().reason, "log_open_failed");
  EXPECT_EQ(ParseLogLevel("loud").error().reason, "log_level_unknown");
  EXPECT_EQ(*ParseLogLevel("debug"), LogLevel::kDebug);
}

}  // namespace
}  // namespace aegis::telemetry
