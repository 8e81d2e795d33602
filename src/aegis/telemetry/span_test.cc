#include "aegis/telemetry/span.h"

#include <gtest/gtest.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <string>
#include <thread>

#include "aegis/base/file.h"
#include "aegis/base/text.h"
#include "aegis/telemetry/otlp.h"

namespace aegis::telemetry {
namespace {

TEST(SpanRecordTest, KeepsWhatItIsGiven) {
  SpanRecord span;
  span.SetName({"POST", " ", "/tools"});
  span.Add(SpanKey::kTool, "payments");
  span.Add(SpanKey::kRule, "");
  span.Add(SpanKey::kStatus, 403);
  EXPECT_EQ(span.name(), "POST /tools");
  ASSERT_EQ(span.attribute_count(), 2U);
  EXPECT_EQ(span.attribute(0).text, "payments");
  EXPECT_EQ(SpanKeyName(span.attribute(1).key), "http.response.status_code");
  EXPECT_EQ(span.attribute(1).number, 403);
  EXPECT_EQ(span.cut(), 0U);
}

TEST(SpanRecordTest, LongTextsAreCutBetweenCharacters) {
  SpanRecord span;
  std::string text(SpanRecord::kMaxTextBytes - 1, 'a');
  text += "\xc3\xa9";
  span.Add(SpanKey::kAction, text);
  EXPECT_EQ(span.attribute(0).text, std::string(SpanRecord::kMaxTextBytes - 1, 'a'));
  EXPECT_EQ(span.cut(), 1U);
}

TEST(SpanRecordTest, HasNoRoomForMoreThanItHolds) {
  SpanRecord span;
  for (int round = 0; round < 3; ++round) {
    for (size_t key = 0; key < kSpanKeyCount; ++key) {
      span.Add(static_cast<SpanKey>(key), std::string(1000, 'x'));
    }
  }
  size_t bytes = 0;
  for (size_t i = 0; i < span.attribute_count(); ++i) bytes += span.attribute(i).text.size();
  EXPECT_LE(bytes, 1024U);
  EXPECT_GT(span.cut(), 0U);
}

TEST(SpanQueueTest, IsBoundedAndKeepsOrder) {
  SpanQueue queue(4, -1);
  for (int i = 0; i < 4; ++i) {
    SpanRecord* span = queue.Begin();
    ASSERT_NE(span, nullptr);
    span->Add(SpanKey::kStatus, i);
    queue.Commit();
  }
  EXPECT_EQ(queue.Begin(), nullptr);
  EXPECT_EQ(queue.at(0).attribute(0).number, 0);
  queue.Pop(1);
  ASSERT_NE(queue.Begin(), nullptr);
  queue.Commit();
  EXPECT_EQ(queue.size(), 4U);
  EXPECT_EQ(queue.at(0).attribute(0).number, 1);
}

TEST(SpanQueueTest, MinorSpansLeaveHalfToOthers) {
  SpanQueue queue(4, -1);
  for (int i = 0; i < 2; ++i) {
    ASSERT_NE(queue.Begin(true), nullptr);
    queue.Commit();
  }
  EXPECT_EQ(queue.Begin(true), nullptr);
  EXPECT_NE(queue.Begin(), nullptr);
}

TEST(SpanQueueTest, SaysWhenItIsHalfFull) {
  const FileDescriptor wake(::eventfd(0, EFD_NONBLOCK));
  SpanQueue queue(4, wake.get());
  uint64_t count = 0;
  queue.Begin();
  queue.Commit();
  EXPECT_LT(::read(wake.get(), &count, sizeof count), 0);
  queue.Begin();
  queue.Commit();
  EXPECT_EQ(::read(wake.get(), &count, sizeof count), 8);
}

TEST(SpanQueueTest, OneWriterAndOneReaderLoseNothing) {
  constexpr int64_t kSpans = 100'000;
  SpanQueue queue(64, -1);
  std::thread writer([&queue] {
    for (int64_t i = 0; i < kSpans;) {
      SpanRecord* span = queue.Begin();
      if (span == nullptr) {
        std::this_thread::yield();
        continue;
      }
      span->Add(SpanKey::kStatus, i++);
      queue.Commit();
    }
  });
  for (int64_t next = 0; next < kSpans;) {
    const size_t count = queue.size();
    for (size_t i = 0; i < count; ++i) ASSERT_EQ(queue.at(i).attribute(0).number, next++);
    queue.Pop(count);
    if (count == 0) std::this_thread::yield();
  }
  writer.join();
}

TEST(OtlpTest, BytesOfARequest) {
  SpanRecord span;
  span.context.trace_id.fill('a');
  span.context.span_id.fill('b');
  span.context.flags = TraceContext::kSampled;
  span.parent_id.fill('c');
  span.parent_is_remote = true;
  span.SetName({"x\xff"});
  span.start_unix_ns = 1;
  span.end_unix_ns = 2;
  span.failed = true;
  span.Add(SpanKey::kStatus, 502);
  OtlpTraceRequest request({{"service.name", "aegis"}}, "1.0");
  request.Add(span);
  std::string out;
  request.AppendTo(out);
  // By hand, after the .proto files; tests/e2e reads the same with the real ones.
  EXPECT_EQ(HexEncode(out),
            "0a9901"
            "0a19"
            "0a17"
            "0a0c" +
                HexEncode("service.name") +
                "1207"
                "0a05" +
                HexEncode("aegis") +
                "127c"
                "0a0c"
                "0a05" +
                HexEncode("aegis") + "1203" + HexEncode("1.0") +
                "126c"
                "0a10" +
                HexEncode(std::string(16, '\xaa')) + "1208" + HexEncode(std::string(8, '\xbb')) +
                "2208" + HexEncode(std::string(8, '\xcc')) +
                "2a04"
                "78efbfbd"
                "3002"
                "390100000000000000"
                "410200000000000000"
                "4a20"
                "0a19" +
                HexEncode("http.response.status_code") +
                "1203"
                "18f603"
                "7a02"
                "1802"
                "850101030000");
}

TEST(OtlpTest, ReadsWhatWasRejected) {
  EXPECT_EQ(ReadOtlpTraceResponse("")->rejected_spans, 0U);
  const auto partial = ReadOtlpTraceResponse("\x0a\x07\x08\x03\x12\x03\x62\x61\x64");
  ASSERT_TRUE(partial);
  EXPECT_EQ(partial->rejected_spans, 3U);
  EXPECT_EQ(partial->message, "bad");
  const std::string negative = "\x0a\x0b\x08" + std::string(9, '\xff') + "\x01";
  EXPECT_EQ(ReadOtlpTraceResponse(negative)->rejected_spans, 0U);
  for (const std::string_view bad : {"\x0a", "\x08\x01", "{}", "\x0a\x02\x08"}) {
    EXPECT_FALSE(ReadOtlpTraceResponse(bad)) << HexEncode(bad);
  }
}

}  // namespace
}  // namespace aegis::telemetry
