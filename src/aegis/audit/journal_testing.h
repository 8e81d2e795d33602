// What the journal's tests share: a sink to wait on, and reading a folder back.
#pragma once

#include <gtest/gtest.h>

#include <condition_variable>
#include <deque>
#include <mutex>
#include <string>
#include <vector>

#include "aegis/audit/env.h"
#include "aegis/audit/journal.h"
#include "aegis/audit/segment.h"

namespace aegis::audit {

// Owns records and waits for them. Appending is for one thread.
class WaitingSink final : public DurableSink {
 public:
  // Queues a record whose JSON is {"seq":N,"text":"…"}; false when the journal refused it.
  bool Append(Journal& journal, const std::string& text) {
    records_.emplace_back();
    PendingRecord& record = records_.back();
    record.head = "{\"seq\":";
    record.tail = ",\"text\":\"" + text + "\"}";
    if (!journal.Append(&record, this)) {
      records_.pop_back();
      return false;
    }
    ++appended_;
    return true;
  }
  size_t appended() const { return appended_; }
  // Waits for all records so far, and returns the last one; there must be one.
  const PendingRecord& Wait() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return reported_.size() == appended_; });
    return *reported_.back();
  }
  // Whether the record became durable.
  bool AppendAndWait(Journal& journal, const std::string& text) {
    return Append(journal, text) && !Wait().failed;
  }
  // In the order in which they were reported; call after Wait.
  const std::vector<PendingRecord*>& reported() const { return reported_; }

  void OnDurable(std::span<PendingRecord* const> records) override {
    const std::lock_guard lock(mutex_);
    reported_.insert(reported_.end(), records.begin(), records.end());
    changed_.notify_all();
  }

 private:
  std::deque<PendingRecord> records_;
  size_t appended_ = 0;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<PendingRecord*> reported_;
};

// Waits for the journal to fail and to work again.
class HealthWatch {
 public:
  std::function<void(const Error*)> callback() {
    return [this](const Error* error) {
      const std::lock_guard lock(mutex_);
      failed_ = error != nullptr;
      changed_.notify_all();
    };
  }
  void AwaitHealthy() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return !failed_; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool failed_ = false;
};

// The payloads of all segments in order; fails the test if their sequence numbers have a gap.
inline std::vector<std::string> ReadAll(Env& env, const std::string& folder) {
  std::vector<std::string> payloads;
  uint64_t next = 0;
  const std::vector<std::string> names = env.List(folder).value();
  for (const std::string& name : names) {
    if (!ParseSegmentName(name)) continue;
    auto reader = SegmentReader::Open(env, folder, name);
    if (!reader) {
      ADD_FAILURE() << reader.error().message;
      return payloads;
    }
    if (next != 0) {
      EXPECT_EQ(reader->next_sequence(), next);
    }
    Frame frame;
    for (;;) {
      const auto step = reader->Next(frame);
      if (!step) {
        ADD_FAILURE() << step.error().message;
        return payloads;
      }
      if (*step != SegmentReader::Step::kFrame) break;
      payloads.emplace_back(frame.payload);
    }
    next = reader->next_sequence();
  }
  return payloads;
}

}  // namespace aegis::audit
