#include "aegis/tool/upstream_spec.h"

#include <gtest/gtest.h>

#include "aegis/tool/spec.h"

namespace aegis::tool {
namespace {

constexpr const char* kBegin = R"({"name":"t","base_url":"https://h")";

// The mistakes of a document with these members besides: "pointer detail", one a line.
std::string MistakesOf(const std::string& members) {
  std::vector<Mistake> mistakes;
  const auto spec = ReadSpec(std::string(kBegin) + "," + members + "}", &mistakes);
  EXPECT_EQ(spec.has_value(), mistakes.empty());
  std::string out;
  for (const Mistake& mistake : mistakes) out += mistake.pointer + " " + mistake.detail + "\n";
  return out;
}

TEST(UpstreamSpecTest, ReadsAndWritesItself) {
  const std::string text =
      std::string(kBegin) +
      R"(,"timeouts":{"connect":"250ms","first_byte":"90s","idle":"10m","call":"1h"},)"
      R"("retries":{"attempts":3},)"
      R"("circuit_breaker":{"max_connections":10,"max_pending":0,"max_requests":20,)"
      R"("consecutive_failures":0,"base_ejection_time":"1s","max_ejection_time":"2s",)"
      R"("count_answers":true},)"
      R"("tls":{"certificate_authority":"corp","client_certificate":"me"},)"
      R"("credentials":[{"header":"authorization","prefix":"Bearer ","secret":"key"},)"
      R"({"header":"x-key","secret":"other"}]})";
  std::vector<Mistake> mistakes;
  const auto spec = ReadSpec(text, &mistakes);
  ASSERT_TRUE(spec.has_value()) << mistakes.at(0).pointer << mistakes.at(0).detail;
  EXPECT_EQ(SpecJson(*spec), text);
  EXPECT_EQ(spec->upstream.connect_ms, 250);
  EXPECT_EQ(spec->upstream.first_byte_ms, 90'000);
  EXPECT_EQ(spec->upstream.idle_ms, 600'000);
  EXPECT_EQ(spec->upstream.call_ms, 3'600'000);
  EXPECT_EQ(spec->upstream.count_answers, 1);
  EXPECT_EQ(spec->upstream.credentials.at(0).prefix, "Bearer ");

  const auto plain = ReadSpec(std::string(kBegin) + R"(,"retries":{},"timeouts":{}})", &mistakes);
  ASSERT_TRUE(plain.has_value());
  EXPECT_EQ(plain->upstream, Upstream());
  EXPECT_EQ(SpecJson(*plain), std::string(kBegin) + "}") << "defaults are left out";

  const auto upper = ReadSpec(
      std::string(kBegin) + R"(,"credentials":[{"header":"X-Key","secret":"s"}]})", &mistakes);
  ASSERT_TRUE(upper.has_value());
  EXPECT_EQ(upper->upstream.credentials.at(0).header, "x-key");
}

TEST(UpstreamSpecTest, Mistakes) {
  struct Row {
    const char* members;
    const char* pointer;
  };
  const Row rows[] = {
      {R"("timeouts":[])", "/timeouts"},
      {R"("timeouts":{"idle":60})", "/timeouts/idle"},
      {R"("timeouts":{"idle":"60"})", "/timeouts/idle"},
      {R"("timeouts":{"idle":""})", "/timeouts/idle"},
      {R"("timeouts":{"idle":"s"})", "/timeouts/idle"},
      {R"("timeouts":{"idle":"-1s"})", "/timeouts/idle"},
      {R"("timeouts":{"idle":"1.5s"})", "/timeouts/idle"},
      {R"("timeouts":{"idle":"1 s"})", "/timeouts/idle"},
      {R"("timeouts":{"idle":"1sx"})", "/timeouts/idle"},
      {R"("timeouts":{"idle":"0s"})", "/timeouts/idle"},
      {R"("timeouts":{"idle":"25h"})", "/timeouts/idle"},
      {R"("timeouts":{"idle":"99999999999999999999s"})", "/timeouts/idle"},
      {R"("timeouts":{"idel":"1s"})", "/timeouts/idel"},
      {R"("retries":{"attempts":0})", "/retries/attempts"},
      {R"("retries":{"attempts":6})", "/retries/attempts"},
      {R"("retries":{"attempts":2.0})", "/retries/attempts"},
      {R"("retries":{"attempts":"2"})", "/retries/attempts"},
      {R"("circuit_breaker":{"max_connections":0})", "/circuit_breaker/max_connections"},
      {R"("circuit_breaker":{"max_pending":-1})", "/circuit_breaker/max_pending"},
      {R"("circuit_breaker":{"count_answers":1})", "/circuit_breaker/count_answers"},
      {R"("circuit_breaker":{"base_ejection_time":"10m"})", "/circuit_breaker "},
      {R"("tls":{"ca_file":"/etc/shadow"})", "/tls/ca_file"},
      {R"("tls":{"certificate_authority":"/etc/shadow"})", "/tls/certificate_authority"},
      {R"("tls":{"client_certificate":"../x"})", "/tls/client_certificate"},
      {R"("credentials":{})", "/credentials"},
      {R"("credentials":[{"header":"x-key"}])", "/credentials/0/secret"},
      {R"("credentials":[{"secret":"s"}])", "/credentials/0/header"},
      {R"("credentials":[{"header":"x key","secret":"s"}])", "/credentials/0/header"},
      {R"("credentials":[{"header":"x_key","secret":"s"}])", "/credentials/0/header"},
      {R"("credentials":[{"header":"","secret":"s"}])", "/credentials/0/header"},
      {R"("credentials":[{"header":"x\r\ny","secret":"s"}])", "/credentials/0/header"},
      {R"("credentials":[{"header":"Host","secret":"s"}])", "/credentials/0/header"},
      {R"("credentials":[{"header":"Content-Length","secret":"s"}])", "/credentials/0/header"},
      {R"("credentials":[{"header":"transfer-encoding","secret":"s"}])", "/credentials/0/header"},
      {R"("credentials":[{"header":"X-Aegis-Token","secret":"s"}])", "/credentials/0/header"},
      {R"("credentials":[{"header":"proxy-x","secret":"s"}])", "/credentials/0/header"},
      {R"("credentials":[{"header":"a","secret":"env:HOME"}])", "/credentials/0/secret"},
      {R"("credentials":[{"header":"a","secret":"s","prefix":"x\r\n"}])", "/credentials/0/prefix"},
      {R"("credentials":[{"header":"a","secret":"s","prefix":" x"}])", "/credentials/0/prefix"},
      {R"("credentials":[{"header":"a","secret":"s","value":"x"}])", "/credentials/0/value"},
      {R"("credentials":[{"header":"a","secret":"s"},{"header":"A","secret":"t"}])",
       "/credentials/1"},
  };
  for (const Row& row : rows) {
    EXPECT_TRUE(MistakesOf(row.members).starts_with(row.pointer)) << row.members << "\n"
                                                                  << MistakesOf(row.members);
  }
}

TEST(UpstreamSpecTest, TlsNeedsHttps) {
  std::vector<Mistake> mistakes;
  EXPECT_FALSE(
      ReadSpec(R"({"name":"t","base_url":"http://h","tls":{"client_certificate":"me"}})", &mistakes)
          .has_value());
  EXPECT_EQ(mistakes.at(0).pointer, "/tls");
}

}  // namespace
}  // namespace aegis::tool
