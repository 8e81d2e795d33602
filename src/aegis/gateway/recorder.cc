#include "aegis/gateway/recorder.h"

#include <thread>

#include "aegis/base/result.h"

namespace aegis::gateway {

Recorder::Recorder(net::EventLoop& loop, audit::Journal& journal)
    : journal_(journal), waker_(loop, &Recorder::OnWake, this) {}

Recorder::~Recorder() {
  AEGIS_CHECK(outstanding_ == 0);
  // The last report has been delivered, but the journal's thread may not have left OnDurable yet.
  while (reporting_.load(std::memory_order_acquire) != 0) std::this_thread::yield();
}

RecordSlot* Recorder::Take() {
  if (!free_) {
    slots_.push_back(std::make_unique<RecordSlot>());
    slots_.back()->record.context = slots_.back().get();
    return slots_.back().get();
  }
  RecordSlot* slot = free_;
  free_ = slot->next;
  slot->next = nullptr;
  return slot;
}

void Recorder::Discard(RecordSlot* slot) {
  slot->waiter = nullptr;
  slot->record.failed = false;
  slot->next = free_;
  free_ = slot;
}

bool Recorder::Append(RecordSlot* slot, RecordWaiter* waiter) {
  slot->waiter = waiter;
  slot->record.context = slot;
  ++outstanding_;
  if (journal_.Append(&slot->record, this)) return true;
  --outstanding_;
  failures_.fetch_add(1, std::memory_order_relaxed);
  Discard(slot);
  return false;
}

void Recorder::OnDurable(std::span<audit::PendingRecord* const> records) {
  if (records.empty()) return;
  reporting_.fetch_add(1, std::memory_order_acquire);
  RecordSlot* const oldest = static_cast<RecordSlot*>(records.front()->context);
  RecordSlot* newest = oldest;
  for (audit::PendingRecord* record : records.subspan(1)) {
    auto* slot = static_cast<RecordSlot*>(record->context);
    slot->next = newest;
    newest = slot;
  }
  oldest->next = done_.load(std::memory_order_relaxed);
  while (!done_.compare_exchange_weak(oldest->next, newest, std::memory_order_release,
                                      std::memory_order_relaxed)) {
  }
  waker_.Wake();
  reporting_.fetch_sub(1, std::memory_order_release);
}

void Recorder::OnWake(void* self) { static_cast<Recorder*>(self)->Deliver(); }

void Recorder::Deliver() {
  RecordSlot* newest_first = done_.exchange(nullptr, std::memory_order_acquire);
  RecordSlot* list = nullptr;
  while (newest_first) {
    RecordSlot* slot = newest_first;
    newest_first = slot->next;
    slot->next = list;
    list = slot;
  }
  while (list) {
    RecordSlot* slot = list;
    list = slot->next;
    RecordWaiter* waiter = slot->waiter;
    const bool durable = !slot->record.failed;
    if (!durable) failures_.fetch_add(1, std::memory_order_relaxed);
    --outstanding_;
    Discard(slot);
    if (waiter) waiter->OnRecorded(durable);
  }
  if (outstanding_ == 0 && on_idle_) on_idle_(on_idle_context_);
}

}  // namespace aegis::gateway
