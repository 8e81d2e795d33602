#include "aegis/audit/reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <thread>

#include "aegis/audit/journal.h"
#include "aegis/audit/journal_testing.h"
#include "aegis/audit/mem_env.h"

namespace aegis::audit {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class ReaderTest : public testing::Test {
 protected:
  std::unique_ptr<Journal> OpenJournal() {
    auto journal = Journal::Open({.folder = "j",
                                  .producer = "p",
                                  .segment_bytes = 2048,
                                  .retry_nanos = 100'000,
                                  .env = &env_,
                                  .on_health = health_.callback()});
    EXPECT_TRUE(journal);
    return std::move(*journal);
  }
  std::unique_ptr<Reader> OpenReader() { return Reader::Open("j", &env_).value(); }
  static void Append(Journal& journal, int count, const std::string& text = "text") {
    WaitingSink sink;
    for (int i = 0; i < count; ++i) ASSERT_TRUE(sink.AppendAndWait(journal, text));
  }
  // Sequence numbers up to the end.
  static std::vector<uint64_t> Forward(Reader& reader) {
    std::vector<uint64_t> sequences;
    Entry entry;
    for (;;) {
      const auto more = reader.Next(entry);
      if (!more) ADD_FAILURE() << more.error().message;
      if (!more || !*more) return sequences;
      EXPECT_THAT(entry.json, HasSubstr("\"seq\":" + std::to_string(entry.sequence) + ","));
      sequences.push_back(entry.sequence);
    }
  }
  static std::vector<uint64_t> Backward(Reader& reader) {
    std::vector<uint64_t> sequences;
    Entry entry;
    for (;;) {
      const auto more = reader.Previous(entry);
      if (!more) ADD_FAILURE() << more.error().message;
      if (!more || !*more) return sequences;
      EXPECT_THAT(entry.json, HasSubstr("\"seq\":" + std::to_string(entry.sequence) + ","));
      sequences.push_back(entry.sequence);
    }
  }
  static std::vector<uint64_t> Range(uint64_t first, uint64_t last) {
    std::vector<uint64_t> range;
    for (uint64_t i = first; i <= last; ++i) range.push_back(i);
    return range;
  }
  static std::vector<uint64_t> Reversed(std::vector<uint64_t> range) {
    std::reverse(range.begin(), range.end());
    return range;
  }

  static constexpr size_t kPayload = std::string_view("{\"seq\":1,\"text\":\"text\"}").size();

  MemEnv env_;
  HealthWatch health_;
};

TEST_F(ReaderTest, ReadsBothWaysAcrossSegmentsAndRestarts) {
  for (int i = 0; i < 4; ++i) Append(*OpenJournal(), 25);
  const auto reader = OpenReader();
  EXPECT_EQ(Forward(*reader), Range(1, 100));
  EXPECT_EQ(Backward(*reader), Reversed(Range(1, 100)));
  EXPECT_EQ(Forward(*reader), Range(1, 100));
  ASSERT_TRUE(reader->SeekToEnd());
  EXPECT_THAT(Forward(*reader), IsEmpty());
  EXPECT_EQ(Backward(*reader), Reversed(Range(1, 100)));
  // Turning around in the middle gives the same record twice.
  Entry entry;
  ASSERT_TRUE(reader->SeekToFirst());
  for (int i = 0; i < 40; ++i) ASSERT_TRUE(reader->Next(entry).value());
  EXPECT_EQ(entry.sequence, 40u);
  ASSERT_TRUE(reader->Previous(entry).value());
  EXPECT_EQ(entry.sequence, 40u);
  ASSERT_TRUE(reader->Next(entry).value());
  EXPECT_EQ(entry.sequence, 40u);
  EXPECT_EQ(Forward(*reader), Range(41, 100));
}

TEST_F(ReaderTest, GoesOnWithALiveWriterThroughRotationAndRestart) {
  auto journal = OpenJournal();
  const auto reader = OpenReader();
  EXPECT_THAT(Forward(*reader), IsEmpty());
  Append(*journal, 3);
  EXPECT_EQ(Forward(*reader), Range(1, 3));
  Append(*journal, 50);
  EXPECT_EQ(Forward(*reader), Range(4, 53));
  journal.reset();
  EXPECT_THAT(Forward(*reader), IsEmpty());
  OpenJournal();  // idle: its empty segment comes and goes
  EXPECT_THAT(Forward(*reader), IsEmpty());
  journal = OpenJournal();
  EXPECT_THAT(Forward(*reader), IsEmpty());
  Append(*journal, 2);
  EXPECT_EQ(Forward(*reader), Range(54, 55));
  EXPECT_EQ(Backward(*reader), Reversed(Range(1, 55)));
}

TEST_F(ReaderTest, FollowsAWriterThatIsKilledAndRepaired) {
  auto journal = OpenJournal();
  Append(*journal, 3);
  const auto reader = OpenReader();
  EXPECT_EQ(Forward(*reader), Range(1, 3));
  env_.FailAt(0, MemEnv::Fault::kPowerLoss);
  WaitingSink sink;
  EXPECT_FALSE(sink.AppendAndWait(*journal, "lost"));
  journal.reset();
  env_.Reboot();
  journal = OpenJournal();
  Append(*journal, 2);
  const auto again = OpenReader();
  EXPECT_EQ(Forward(*again).size(), (*journal).stats().records + 3);
}

TEST_F(ReaderTest, ForgetsRecordsThatWereCutAfterAFailedCommit) {
  auto journal = OpenJournal();
  Append(*journal, 3);
  const auto reader = OpenReader();
  EXPECT_EQ(Forward(*reader), Range(1, 3));
  env_.FailAt(1, MemEnv::Fault::kLasting);  // the write works, the sync does not
  WaitingSink sink;
  EXPECT_FALSE(sink.AppendAndWait(*journal, "not durable"));
  EXPECT_EQ(Forward(*reader), Range(4, 4)) << "written, though not durable";
  env_.Heal();
  health_.AwaitHealthy();
  Append(*journal, 2);
  EXPECT_EQ(Forward(*reader), Range(4, 5)) << "the numbers are given anew";
  EXPECT_EQ(Backward(*reader), Reversed(Range(1, 5)));
}

TEST_F(ReaderTest, ReportsCorruptionWithFileAndOffset) {
  Append(*OpenJournal(), 100);
  const std::string path = "j/" + SegmentName(1);
  const std::string whole = env_.Content(path);
  const size_t third = kSegmentHeaderBytes + 2 * FrameBytes(kPayload);
  std::string damaged = whole;
  damaged[third + kFrameHeaderBytes + 3] ^= 1;
  env_.SetContent(path, damaged);
  const auto reader = OpenReader();
  Entry entry;
  EXPECT_TRUE(reader->Next(entry).value());
  EXPECT_TRUE(reader->Next(entry).value());
  const auto result = reader->Next(entry);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().reason, "journal_corrupt");
  EXPECT_THAT(result.error().message, HasSubstr(path + ", offset " + std::to_string(third)));
  // From the end it is met as well.
  ASSERT_TRUE(reader->SeekToEnd());
  Result<bool> more = true;
  while (more && *more) more = reader->Previous(entry);
  EXPECT_FALSE(more);

  env_.SetContent(path, whole);
  ASSERT_TRUE(env_.Remove("j/" + env_.List("j")->at(1)));
  const auto gap = OpenReader();
  more = true;
  while (more && *more) more = gap->Next(entry);
  ASSERT_FALSE(more);
  EXPECT_THAT(more.error().message, HasSubstr("missing"));
}

TEST_F(ReaderTest, TellsCorruptionInTheNewestSegmentFromATornTail) {
  std::string content;
  {
    const auto journal = OpenJournal();
    Append(*journal, 5);
    content = env_.Content("j/" + SegmentName(1));
  }
  const size_t frame = FrameBytes(kPayload);
  std::string damaged = content;
  damaged[kSegmentHeaderBytes + 1 * frame + 40] ^= 1;
  env_.SetContent("j/" + SegmentName(1), damaged);
  Entry entry;
  auto reader = OpenReader();
  EXPECT_TRUE(reader->Next(entry).value());
  EXPECT_EQ(reader->Next(entry).error().reason, "journal_corrupt");

  damaged = content;
  damaged[kSegmentHeaderBytes + 4 * frame + 40] ^= 1;
  env_.SetContent("j/" + SegmentName(1), damaged);
  EXPECT_EQ(Forward(*OpenReader()), Range(1, 4));
}

TEST_F(ReaderTest, FindsAndFilters) {
  {
    const auto journal = OpenJournal();
    WaitingSink sink;
    for (int i = 0; i < 60; ++i) {
      const std::string n = std::to_string(i);
      ASSERT_TRUE(
          sink.AppendAndWait(*journal, "t\",\"agent\":\"" + std::string(i % 2 ? "a" : "b") +
                                           "\",\"chain\":[{\"id\":\"id-7\"}],\"id\":\"id-" + n +
                                           "\",\"time\":\"2026-01-01T00:00:" + (i < 10 ? "0" : "") +
                                           n + ".000Z\",\"tool\":\"with \\\"quotes\\\""));
    }
  }
  const auto reader = OpenReader();
  const auto found = reader->Find("id-7").value();
  ASSERT_TRUE(found);
  EXPECT_EQ(found->sequence, 8u);
  EXPECT_FALSE(reader->Find("id-60").value());
  EXPECT_FALSE(reader->Find("").value());

  const auto last = [&](const Filter& filter, size_t count = 100) {
    std::vector<uint64_t> sequences;
    const auto entries = reader->Last(count, Matcher(filter)).value();
    for (const Entry& entry : entries) sequences.push_back(entry.sequence);
    return sequences;
  };
  EXPECT_THAT(last({}, 3), ElementsAre(58, 59, 60));
  EXPECT_THAT(last({.agent = "a"}, 2), ElementsAre(58, 60));
  EXPECT_EQ(last({.agent = "a"}).size(), 30u);
  EXPECT_EQ(last({.tool = "with \"quotes\""}).size(), 60u);
  EXPECT_THAT(last({.tool = "with"}), IsEmpty());
  EXPECT_THAT(last({.kind = "decision"}), IsEmpty());
  const int64_t start = 1'767'225'600'000'000'000;
  EXPECT_THAT(last({.agent = "b",
                    .since_unix_ns = start + 4'000'000'000,
                    .until_unix_ns = start + 8'000'000'000}),
              ElementsAre(5, 7));
  EXPECT_THAT(Forward(*reader), IsEmpty());
}

TEST_F(ReaderTest, LastLosesNothingThatComesMeanwhile) {
  const auto journal = OpenJournal();
  Append(*journal, 40);
  const auto reader = OpenReader();
  EXPECT_EQ(reader->Last(5, Matcher({})).value().size(), 5u);
  Append(*journal, 40);
  EXPECT_EQ(Forward(*reader), Range(41, 80));
}

TEST(ReaderFollowTest, FollowsARealFolder) {
  const std::string folder = testing::TempDir() + "aegis-reader-test";
  std::filesystem::remove_all(folder);
  EXPECT_EQ(Reader::Open(folder).error().code, Code::kNotFound);
  constexpr uint64_t kRecords = 3000;
  {
    auto journal = Journal::Open({.folder = folder, .producer = "p", .segment_bytes = 64 << 10});
    ASSERT_TRUE(journal);
    auto reader = Reader::Open(folder);
    ASSERT_TRUE(reader);
    std::thread writer([&] {
      WaitingSink sink;
      for (uint64_t i = 0; i < kRecords; ++i) {
        ASSERT_TRUE(sink.Append(**journal, std::string(i % 300, 'x')));
        if (i % 16 == 0) sink.Wait();
      }
      sink.Wait();
    });
    uint64_t expected = 1;
    Entry entry;
    while (expected <= kRecords) {
      const auto more = (*reader)->Next(entry);
      if (!more) ADD_FAILURE() << more.error().message;
      if (!more) break;
      if (*more) {
        ASSERT_EQ(entry.sequence, expected++);
      } else {
        (*reader)->WaitForChange(1000);
      }
    }
    writer.join();
  }
  std::filesystem::remove_all(folder);
}

// Without following, every stop is judged: a writer that is on its way must not look like damage.
TEST(ReaderFollowTest, ALiveWriterIsNotCorruption) {
  const std::string folder = testing::TempDir() + "aegis-reader-live-test";
  std::filesystem::remove_all(folder);
  {
    auto journal = Journal::Open({.folder = folder, .producer = "p", .segment_bytes = 256 << 10});
    ASSERT_TRUE(journal);
    std::atomic<bool> done = false;
    std::thread writer([&] {
      WaitingSink sink;
      for (int i = 0; i < 2000; ++i) {
        ASSERT_TRUE(sink.Append(**journal, std::string(static_cast<size_t>(i) % 300, 'x')));
        sink.Wait();
      }
      done = true;
    });
    uint64_t most = 0;
    for (bool last = false; !last;) {
      last = done;
      auto reader = Reader::Open(folder);
      ASSERT_TRUE(reader);
      Entry entry;
      Result<bool> more = true;
      uint64_t count = 0;
      while (more && *more) {
        more = (*reader)->Next(entry);
        count += more && *more;
      }
      if (!more) {
        ADD_FAILURE() << more.error().message;
        break;
      }
      EXPECT_GE(count, most);
      most = count;
      const auto found = (*reader)->Last(1, Matcher({}));
      EXPECT_TRUE(found) << found.error().message;
    }
    EXPECT_EQ(most, 2000u);
    writer.join();
  }
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace aegis::audit
