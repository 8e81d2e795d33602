#include "aegis/telemetry/trace_context.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

namespace aegis::telemetry {
namespace {

constexpr char kGood[] = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

TEST(TraceContextTest, RoundTrips) {
  const auto context = ParseTraceparent(kGood);
  ASSERT_TRUE(context);
  EXPECT_EQ(context->trace_id_text(), "0af7651916cd43dd8448eb211c80319c");
  EXPECT_EQ(context->span_id_text(), "b7ad6b7169203331");
  EXPECT_TRUE(context->sampled());
  EXPECT_EQ(Traceparent(*context).text(), kGood);
}

TEST(TraceContextTest, RefusesWhatIsNotATraceparent) {
  const std::string id = "0af7651916cd43dd8448eb211c80319c", span = "b7ad6b7169203331";
  const std::string bad[] = {
      "",
      "00",
      "ff-" + id + "-" + span + "-01",                        // forbidden version
      "00-" + std::string(32, '0') + "-" + span + "-01",      // all-zero trace
      "00-" + id + "-" + std::string(16, '0') + "-01",        // all-zero span
      "00-0AF7651916CD43DD8448EB211C80319C-" + span + "-01",  // upper case
      "00-" + id + "-" + span + "-0g",
      "0x-" + id + "-" + span + "-01",
      "00-" + id + "-" + span + "-01-",  // version 00 has an exact size
      "00-" + id + "-" + span + "-01-more",
      "00-" + id + "-" + span + "-1",
      "00_" + id + "-" + span + "-01",
      " 00-" + id + "-" + span + "-01",
      "01-" + id + "-" + span + "-01more",  // a later one may go on only after '-'
  };
  for (const std::string& header : bad) EXPECT_FALSE(ParseTraceparent(header)) << header;
}

TEST(TraceContextTest, ReadsLaterVersions) {
  const std::string body = "-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-";
  for (const std::string& header : {"01" + body + "ff", "cc" + body + "03-what-comes"}) {
    const auto context = ParseTraceparent(header);
    ASSERT_TRUE(context) << header;
    EXPECT_EQ(context->flags, TraceContext::kSampled);
  }
}

TEST(TraceContextTest, ContinuesOrStarts) {
  TraceIdSource ids;
  const auto continued = ids.Continue(kGood);
  EXPECT_FALSE(continued.is_new);
  EXPECT_EQ(continued.context.trace_id_text(), "0af7651916cd43dd8448eb211c80319c");
  EXPECT_NE(continued.context.span_id_text(), "b7ad6b7169203331");
  EXPECT_TRUE(continued.context.sampled());

  std::set<std::string> traces, spans;
  for (int i = 0; i < 1000; ++i) {
    const auto fresh = ids.Continue("nonsense");
    EXPECT_TRUE(fresh.is_new);
    const auto again = ParseTraceparent(Traceparent(fresh.context).text());
    ASSERT_TRUE(again);
    EXPECT_EQ(*again, fresh.context);
    traces.emplace(fresh.context.trace_id_text());
    spans.emplace(fresh.context.span_id_text());
  }
  EXPECT_EQ(traces.size(), 1000u);
  EXPECT_EQ(spans.size(), 1000u);
}

}  // namespace
}  // namespace aegis::telemetry
