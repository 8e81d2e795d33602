// Every I/O call of the journal made to fail, and power lost at every one of them.
#include <gtest/gtest.h>

#include <latch>
#include <map>
#include <thread>
#include <utility>

#include "aegis/audit/journal.h"
#include "aegis/audit/journal_testing.h"
#include "aegis/audit/mem_env.h"

namespace aegis::audit {
namespace {

constexpr char kFolder[] = "journal";

Journal::Options Options(MemEnv& env) {
  // Small segments, so that the scenario rotates; hardly any wait before a fresh start.
  return {.folder = kFolder,
          .producer = "p",
          .segment_bytes = 2048,
          .retry_nanos = 100'000,
          .env = &env};
}

// Texts of records by sequence number that were reported durable.
using Acknowledged = std::map<uint64_t, std::string>;

// Appends commits of one to three records; stops early when the journal refuses.
void AppendSome(Journal& journal, const std::string& prefix, Acknowledged& acknowledged) {
  WaitingSink sink;
  for (int i = 0; i < 12; ++i) {
    bool refused = false;
    for (int n = 0; n <= i % 3 && !refused; ++n) {
      refused = !sink.Append(
          journal, prefix + std::to_string(i) + std::string(static_cast<size_t>(i * 17), 'x'));
    }
    if (refused) break;
    sink.Wait();
  }
  if (sink.appended() == 0) return;
  sink.Wait();
  for (const PendingRecord* record : sink.reported())
    if (!record->failed)
      acknowledged[record->sequence] =
          record->head + std::to_string(record->sequence) + record->tail;
}

void ExpectAllThere(Env& env, const Acknowledged& acknowledged, uint64_t call) {
  const std::vector<std::string> payloads = ReadAll(env, kFolder);
  for (const auto& [sequence, json] : acknowledged) {
    ASSERT_LE(sequence, payloads.size()) << "call " << call;
    ASSERT_EQ(payloads[sequence - 1], json) << "call " << call;
  }
}

TEST(JournalFaultTest, SurvivesAnyCallThatFailsOnce) {
  uint64_t struck = 0;
  for (uint64_t call = 0;; ++call) {
    MemEnv env(static_cast<uint32_t>(call));
    Acknowledged acknowledged;
    env.FailAt(call, MemEnv::Fault::kOnce);
    auto journal = Journal::Open(Options(env));
    if (!journal) {
      EXPECT_EQ(journal.error().reason, "io_error");
      ++struck;
      continue;  // opening says so, and the caller does not start
    }
    AppendSome(**journal, "first", acknowledged);
    if ((*journal)->failed()) {
      EXPECT_NE((*journal)->last_error().find("told to fail"), std::string::npos);
    }
    journal->reset();
    const bool hit = env.struck();
    struck += hit;
    env.Heal();
    ExpectAllThere(env, acknowledged, call);
    Journal::Recovery recovery;
    journal = Journal::Open(Options(env), &recovery);
    ASSERT_TRUE(journal) << "call " << call << ": " << journal.error().message;
    EXPECT_GE(recovery.records, acknowledged.size());
    AppendSome(**journal, "second", acknowledged);
    journal->reset();
    ExpectAllThere(env, acknowledged, call);
    if (!hit) break;
  }
  EXPECT_GT(struck, 40u);
}

TEST(JournalFaultTest, RefusesWhileTheDiskFailsAndWorksAgainAfterwards) {
  for (uint64_t call = 0; call < 60; ++call) {
    MemEnv env(static_cast<uint32_t>(call));
    Acknowledged acknowledged;
    HealthWatch health;
    auto options = Options(env);
    options.on_health = health.callback();
    auto journal = Journal::Open(options);
    ASSERT_TRUE(journal);
    env.FailAt(call, MemEnv::Fault::kLasting);
    AppendSome(**journal, "first", acknowledged);
    if (!env.struck()) break;
    WaitingSink sink;
    EXPECT_FALSE(sink.AppendAndWait(**journal, "x"));
    EXPECT_TRUE((*journal)->failed());
    env.Heal();
    health.AwaitHealthy();
    const size_t before = acknowledged.size();
    AppendSome(**journal, "again", acknowledged);
    EXPECT_EQ(acknowledged.size(), before + 24);
    EXPECT_EQ(acknowledged.rbegin()->first, acknowledged.size()) << "the sequence has a gap";
    journal->reset();
    ExpectAllThere(env, acknowledged, call);
    EXPECT_EQ(ReadAll(env, kFolder).size(), acknowledged.size());
  }
}

// A fresh start after a failure is the time when the files are least tidy.
TEST(JournalFaultTest, LosesNothingWhenPowerIsLostDuringAFreshStart) {
  for (uint32_t seed = 0; seed < 4; ++seed) {
    for (uint64_t call = 0; call < 60; ++call) {
      for (uint64_t later = 0; later < 14; ++later) {
        MemEnv env(seed * 100'000 + static_cast<uint32_t>(call * 100 + later));
        Acknowledged acknowledged;
        auto options = Options(env);
        bool first = true;
        std::latch failed(1);
        options.on_health = [&](const Error* error) {
          if (error == nullptr || !std::exchange(first, false)) return;
          env.FailAt(later, MemEnv::Fault::kPowerLoss);
          failed.count_down();
        };
        auto journal = Journal::Open(options);
        ASSERT_TRUE(journal);
        env.FailAt(call, MemEnv::Fault::kOnce);
        AppendSome(**journal, "first", acknowledged);
        if ((*journal)->last_error().empty()) break;  // the scenario has fewer calls
        failed.wait();
        while ((*journal)->failed() && !env.struck()) std::this_thread::yield();
        AppendSome(**journal, "second", acknowledged);
        journal->reset();
        env.Reboot();
        ExpectAllThere(env, acknowledged, call);
        journal = Journal::Open(Options(env));
        ASSERT_TRUE(journal) << "seed " << seed << " call " << call << " later " << later << ": "
                             << journal.error().message;
        AppendSome(**journal, "third", acknowledged);
        journal->reset();
        ExpectAllThere(env, acknowledged, call);
        if (HasFatalFailure()) return;
      }
    }
  }
}

TEST(JournalFaultTest, LosesNothingWhenPowerIsLostAtAnyCall) {
  uint64_t torn = 0;
  for (uint32_t seed = 0; seed < 40; ++seed) {
    for (uint64_t call = 0;; ++call) {
      MemEnv env(seed * 1000 + static_cast<uint32_t>(call));
      Acknowledged acknowledged;
      bool hit = false;
      // The first crash may fall into opening too; the second one into the recovery from the first.
      for (const uint64_t at : {call, call % 11, call % 7}) {
        env.FailAt(at, MemEnv::Fault::kPowerLoss);
        Journal::Recovery recovery;
        auto options = Options(env);
        options.retry_nanos = 3'600'000'000'000;
        if (auto journal = Journal::Open(options, &recovery)) {
          EXPECT_GE(recovery.records, acknowledged.size());
          torn += recovery.truncated_bytes != 0;
          AppendSome(**journal, std::to_string(at) + "-", acknowledged);
        } else {
          ASSERT_EQ(journal.error().reason, "io_error") << journal.error().message;
        }
        if (at == call) hit = env.struck();
        env.Reboot();
        ExpectAllThere(env, acknowledged, call);
        if (HasFatalFailure()) return;
      }
      auto journal = Journal::Open(Options(env));
      ASSERT_TRUE(journal) << "seed " << seed << " call " << call << ": "
                           << journal.error().message;
      AppendSome(**journal, "last", acknowledged);
      journal->reset();
      ExpectAllThere(env, acknowledged, call);
      if (!hit) break;
    }
  }
  EXPECT_GT(torn, 10u) << "the scenario must meet torn tails";
}

}  // namespace
}  // namespace aegis::audit
