// A worker's way to the journal: hands records over without waiting and hears, once per commit
// batch, which are durable.
//
// Threading: belongs to one worker; OnDurable alone runs on the journal's thread. Ownership: slots
// belong to the recorder and come back to it by themselves.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "aegis/audit/journal.h"
#include "aegis/net/event_loop.h"

namespace aegis::gateway {

// Who waits for a record.
class RecordWaiter {
 public:
  virtual void OnRecorded(bool durable) = 0;

 protected:
  ~RecordWaiter() = default;
};

// A record being written. Its PendingRecord keeps its capacity from use to use.
struct RecordSlot {
  audit::PendingRecord record;
  RecordWaiter* waiter = nullptr;  // nullptr: nobody waits (any more)
  RecordSlot* next = nullptr;      // the recorder's own
};

class Recorder final : private audit::DurableSink {
 public:
  // `journal` must report every record it took before this is destroyed.
  Recorder(net::EventLoop& loop, audit::Journal& journal);
  ~Recorder() override;

  // An empty slot, to be filled and then given to Append or Discard.
  RecordSlot* Take();
  void Discard(RecordSlot* slot);
  // Queues the record; then `waiter` (may be null) is told once, from the loop. False: the journal
  // is full or failed, the slot is gone and nobody will be told; the caller fails closed.
  bool Append(RecordSlot* slot, RecordWaiter* waiter);

  // Records handed over and not reported yet.
  size_t outstanding() const { return outstanding_; }
  // Called from the loop whenever outstanding() has become 0.
  void set_on_idle(void (*callback)(void*), void* context) {
    on_idle_ = callback;
    on_idle_context_ = context;
  }
  // Records that the journal refused or lost, decisions and outcomes alike.
  uint64_t failures() const { return failures_.load(std::memory_order_relaxed); }

 private:
  void OnDurable(std::span<audit::PendingRecord* const> records) override;
  static void OnWake(void* self);
  void Deliver();

  audit::Journal& journal_;
  net::Waker waker_;
  std::atomic<RecordSlot*> done_{nullptr};  // newest first
  std::atomic<int> reporting_{0};           // the journal's thread is in OnDurable
  std::vector<std::unique_ptr<RecordSlot>> slots_;
  RecordSlot* free_ = nullptr;
  size_t outstanding_ = 0;
  void (*on_idle_)(void*) = nullptr;
  void* on_idle_context_ = nullptr;
  std::atomic<uint64_t> failures_{0};
};

}  // namespace aegis::gateway
