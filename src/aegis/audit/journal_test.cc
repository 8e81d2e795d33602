#include "aegis/audit/journal.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <filesystem>
#include <latch>
#include <thread>

#include "aegis/audit/journal_testing.h"
#include "aegis/audit/mem_env.h"

namespace aegis::audit {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class JournalTest : public testing::Test {
 protected:
  JournalTest() : folder_(testing::TempDir() + "aegis-journal-test") {
    std::filesystem::remove_all(folder_);
  }
  ~JournalTest() override { std::filesystem::remove_all(folder_); }

  Journal::Options Options(uint64_t segment_bytes = 1 << 20) {
    return {.folder = folder_, .producer = "gateway-1", .segment_bytes = segment_bytes};
  }
  std::string folder_;
};

TEST_F(JournalTest, KeepsRecordsAcrossRestarts) {
  for (uint64_t start = 0; start < 3; ++start) {
    Journal::Recovery recovery;
    auto journal = Journal::Open(Options(), &recovery);
    ASSERT_TRUE(journal) << journal.error().message;
    EXPECT_EQ(recovery.records, start * 2);
    EXPECT_EQ(recovery.next_sequence, start * 2 + 1);
    EXPECT_EQ(recovery.truncated_bytes, 0u);
    WaitingSink sink;
    for (uint64_t i = 1; i <= 2; ++i) {
      ASSERT_TRUE(sink.AppendAndWait(**journal, "a"));
      EXPECT_EQ(sink.Wait().sequence, start * 2 + i);
    }
    EXPECT_EQ((*journal)->stats().records, 2u);
    EXPECT_EQ((*journal)->stats().queued, 0u);
  }
  EXPECT_THAT(ReadAll(Env::Posix(), folder_),
              ElementsAre("{\"seq\":1,\"text\":\"a\"}", "{\"seq\":2,\"text\":\"a\"}",
                          "{\"seq\":3,\"text\":\"a\"}", "{\"seq\":4,\"text\":\"a\"}",
                          "{\"seq\":5,\"text\":\"a\"}", "{\"seq\":6,\"text\":\"a\"}"));
}

TEST_F(JournalTest, AnIdleRunLeavesNothingBehind) {
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(Journal::Open(Options()));
  EXPECT_THAT(*Env::Posix().List(folder_), ElementsAre("lock"));
}

TEST_F(JournalTest, ManyThreadsGetAGaplessSequenceInTheirOwnOrder) {
  constexpr int kThreads = 4, kRecords = 5000;
  std::vector<std::unique_ptr<WaitingSink>> sinks;
  uint64_t commits = 0;
  {
    auto options = Options(256 << 10);
    options.on_commit = [&](const Journal::Commit& commit) { commits += commit.records != 0; };
    auto journal = Journal::Open(options);
    ASSERT_TRUE(journal);
    std::vector<std::thread> threads;
    for (int t = 0; t < kThreads; ++t) {
      sinks.push_back(std::make_unique<WaitingSink>());
      threads.emplace_back([&journal, t, sink = sinks.back().get()] {
        for (int i = 0; i < kRecords; ++i)
          ASSERT_TRUE(sink->Append(**journal, std::to_string(t) + "/" + std::to_string(i)));
        sink->Wait();
      });
    }
    for (auto& thread : threads) thread.join();
    EXPECT_EQ((*journal)->stats().records, uint64_t{kThreads * kRecords});
  }
  EXPECT_GT(commits, 0u);
  std::vector<bool> seen(kThreads * kRecords + 1);
  for (const auto& sink : sinks) {
    ASSERT_EQ(sink->reported().size(), size_t{kRecords});
    uint64_t last = 0;
    for (const PendingRecord* record : sink->reported()) {
      EXPECT_FALSE(record->failed);
      EXPECT_GT(record->sequence, last);
      last = record->sequence;
      EXPECT_FALSE(seen[last]);
      seen[last] = true;
    }
  }
  EXPECT_EQ(ReadAll(Env::Posix(), folder_).size(), size_t{kThreads * kRecords});
}

TEST_F(JournalTest, RotatesWithoutAGap) {
  {
    auto journal = Journal::Open(Options(4096));
    ASSERT_TRUE(journal);
    WaitingSink sink;
    for (int i = 0; i < 100; ++i) ASSERT_TRUE(sink.AppendAndWait(**journal, std::string(500, 'x')));
  }
  EXPECT_EQ(ReadAll(Env::Posix(), folder_).size(), 100u);
  const auto names = *Env::Posix().List(folder_);
  EXPECT_GT(names.size(), 10u);
  Journal::Recovery recovery;
  ASSERT_TRUE(Journal::Open(Options(4096), &recovery));
  EXPECT_EQ(recovery.records, 100u);

  // A segment that is missing in the middle is told; one that is missing at the front may be
  // archived.
  std::filesystem::remove(folder_ + "/" + names[0]);
  ASSERT_TRUE(Journal::Open(Options(4096), &recovery));
  EXPECT_EQ(recovery.next_sequence, 101u);
  EXPECT_LT(recovery.records, 100u);
  std::filesystem::remove(folder_ + "/" + names[3]);
  EXPECT_EQ(Journal::Open(Options(4096)).error().reason, "journal_corrupt");
}

TEST_F(JournalTest, WritesWhatIsQueuedBeforeItStops) {
  WaitingSink sink;
  {
    auto journal = Journal::Open(Options());
    ASSERT_TRUE(journal);
    for (int i = 0; i < 1000; ++i) ASSERT_TRUE(sink.Append(**journal, "x"));
  }
  EXPECT_EQ(sink.reported().size(), 1000u);
  EXPECT_EQ(ReadAll(Env::Posix(), folder_).size(), 1000u);
}

TEST_F(JournalTest, RefusesWhenFullOrTooLarge) {
  class BlockingSink final : public DurableSink {
   public:
    void OnDurable(std::span<PendingRecord* const>) override {
      entered.count_down();
      go_on.wait();
    }
    std::latch entered{1}, go_on{1};
  };
  auto options = Options();
  options.queue_records = 4;
  BlockingSink blocking;
  PendingRecord first;
  WaitingSink sink;
  auto journal = Journal::Open(options);
  ASSERT_TRUE(journal);
  ASSERT_TRUE((*journal)->Append(&first, &blocking));
  blocking.entered.wait();
  for (int i = 0; i < 4; ++i) EXPECT_TRUE(sink.Append(**journal, "x"));
  EXPECT_FALSE(sink.Append(**journal, "x"));
  EXPECT_EQ((*journal)->stats().queued, 4u);
  blocking.go_on.count_down();
  EXPECT_FALSE(sink.Wait().failed);
  EXPECT_FALSE(sink.Append(**journal, std::string(kMaxRecordBytes, 'x')));
  EXPECT_TRUE(sink.AppendAndWait(**journal, std::string(kMaxRecordBytes - 100, 'x')));
}

TEST_F(JournalTest, IsForOneProcessAndOneProducer) {
  {
    auto journal = Journal::Open(Options());
    ASSERT_TRUE(journal);
    EXPECT_EQ(Journal::Open(Options()).error().reason, "journal_locked");
    WaitingSink sink;
    ASSERT_TRUE(sink.AppendAndWait(**journal, "x"));
  }
  auto options = Options();
  options.producer = "gateway-2";
  EXPECT_EQ(Journal::Open(options).error().reason, "journal_producer");
  for (const char* name : {"", "Gateway", "a b", "../x"}) {
    options.producer = name;
    EXPECT_EQ(Journal::Open(options).error().reason, "journal_producer") << name;
  }
  options = Options();
  options.folder = "/proc/no-such-folder";
  EXPECT_FALSE(Journal::Open(options));
}

TEST(JournalRecoveryTest, CutsATornTailAtAnyLength) {
  // The bytes of a journal that was killed after three commits.
  MemEnv disk;
  Journal::Options options{.folder = "j", .producer = "p", .segment_bytes = 4096, .env = &disk};
  std::string content;
  {
    auto journal = Journal::Open(options);
    ASSERT_TRUE(journal);
    WaitingSink sink;
    for (const char* text : {"one", "two", "three"})
      ASSERT_TRUE(sink.AppendAndWait(**journal, text));
    content = disk.Content("j/" + SegmentName(1));
  }
  const size_t used = content.find_last_not_of('\0') + 1;
  const size_t frame = FrameBytes(std::string_view("{\"seq\":1,\"text\":\"one\"}").size());
  for (size_t size = kSegmentHeaderBytes; size <= used; ++size) {
    for (const bool zeros : {false, true}) {  // reserved space behind it or not
      MemEnv env;
      options.env = &env;
      std::string cut = content.substr(0, size);
      if (zeros) cut.resize(content.size(), '\0');
      env.SetContent("j/" + SegmentName(1), cut);
      Journal::Recovery recovery;
      auto journal = Journal::Open(options, &recovery);
      ASSERT_TRUE(journal) << size << journal.error().message;
      const size_t expected =
          std::min<size_t>((size - kSegmentHeaderBytes) / frame, 2) + (size == used ? 1 : 0);
      // Zeros in the padding are not missed.
      EXPECT_GE(recovery.records, expected) << size;
      EXPECT_LE(recovery.records, expected + 1) << size;
      EXPECT_LE(recovery.truncated_bytes, frame + 8);
      EXPECT_EQ(recovery.truncated_bytes == 0, recovery.truncated_file.empty());
      WaitingSink sink;
      ASSERT_TRUE(sink.AppendAndWait(**journal, "again"));
      EXPECT_EQ(sink.Wait().sequence, recovery.records + 1);
      journal->reset();
      EXPECT_EQ(ReadAll(env, "j").size(), recovery.records + 1);
    }
  }
}

// Flips every byte of a segment in turn.
class CorruptionTest : public testing::TestWithParam<bool> {};

TEST_P(CorruptionTest, IsRefusedWhereverItIsNotATornTail) {
  const bool sealed = GetParam();
  MemEnv disk;
  Journal::Options options{.folder = "j", .producer = "p", .segment_bytes = 4096, .env = &disk};
  const std::string path = "j/" + SegmentName(1);
  std::string content;
  {
    auto journal = Journal::Open(options);
    ASSERT_TRUE(journal);
    WaitingSink sink;
    for (int i = 0; i < 4; ++i) ASSERT_TRUE(sink.AppendAndWait(**journal, "text"));
    if (!sealed) content = disk.Content(path);
  }
  if (sealed) content = disk.Content(path);
  const size_t payload = std::string_view("{\"seq\":1,\"text\":\"text\"}").size();
  const size_t frame = FrameBytes(payload);
  const size_t records_end = kSegmentHeaderBytes + 4 * frame;
  const size_t end = sealed ? content.size() : records_end + 64;
  int refused = 0, repaired = 0, harmless = 0;
  for (size_t at = 0; at < end; ++at) {
    MemEnv env;
    options.env = &env;
    std::string damaged = content;
    damaged[at] = static_cast<char>(damaged[at] ^ 0x5a);
    env.SetContent(path, damaged);
    Journal::Recovery recovery;
    auto journal = Journal::Open(options, &recovery);
    const bool in_padding = at >= kSegmentHeaderBytes && at < records_end &&
                            (at - kSegmentHeaderBytes) % frame >= kFrameHeaderBytes + payload;
    const bool in_last = at >= records_end - frame;
    if (in_padding) {
      EXPECT_TRUE(journal) << at;
      ++harmless;
    } else if (!in_last || (sealed && at < records_end)) {
      ASSERT_FALSE(journal) << at;
      const auto& error = journal.error();
      EXPECT_TRUE(error.reason == "journal_corrupt" || error.reason == "journal_version") << at;
      EXPECT_THAT(error.message, HasSubstr(path));
      EXPECT_EQ(env.Content(path), damaged) << "nothing may be changed";
      ++refused;
    } else {
      // The commit that was being written, or the end of a segment without a later one.
      ASSERT_TRUE(journal) << at << journal.error().message;
      EXPECT_GE(recovery.records, 3u);
      EXPECT_GT(recovery.truncated_bytes, 0u);
      ++repaired;
    }
  }
  EXPECT_GT(refused, 250);
  EXPECT_GT(repaired, 30);
  EXPECT_EQ(harmless, static_cast<int>(4 * (frame - kFrameHeaderBytes - payload)));
}

INSTANTIATE_TEST_SUITE_P(Journal, CorruptionTest, testing::Bool());

}  // namespace
}  // namespace aegis::audit
