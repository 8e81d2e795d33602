// The write-ahead journal: records become durable here before a call goes on (group commit).
//
// One writer thread takes all that is queued, gives each record the next sequence number, writes
// them, calls fdatasync once, and reports. Whatever is queued meanwhile is the next commit, so that
// commits grow with the load and no time is spent waiting for company. Format and crash recovery:
// docs/formats/audit-segment.md.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "aegis/audit/env.h"
#include "aegis/base/result.h"

namespace aegis::audit {

class DurableSink;

// One record on its way to disk. Owned by the caller, who must keep it alive and untouched until it
// is reported. The record's canonical JSON is head + decimal sequence number + tail, at most 1 MiB.
struct PendingRecord {
  std::string head;
  std::string tail;
  uint64_t sequence = 0;    // set when durable
  bool failed = false;      // not durable: the call must not go on
  void* context = nullptr;  // the caller's own

  // The journal's own, while the record is queued.
  PendingRecord* next = nullptr;
  DurableSink* sink = nullptr;
};

// Where a worker hears of its records. OnDurable is called on the journal's thread, once per commit
// with all of the sink's records in it, in order; hand over to the worker's loop and return.
// Records that failed come the same way, with `failed` set. A sink must outlive its last record.
class DurableSink {
 public:
  virtual ~DurableSink() = default;
  virtual void OnDurable(std::span<PendingRecord* const> records) = 0;
};

class Journal {
 public:
  struct Commit {
    int64_t nanos = 0;  // to write and sync
    size_t records = 0;
    size_t bytes = 0;
  };
  struct Options {
    std::string folder;                    // made if missing
    std::string producer;                  // e.g. gateway id; [a-z0-9-]{1,64}
    uint64_t segment_bytes = 64ull << 20;  // a new file is begun beyond this
    size_t queue_records = 65536;          // Append refuses beyond this
    int64_t retry_nanos = 1'000'000'000;   // between fresh starts after a failure
    Env* env = nullptr;                    // must outlive the journal; nullptr: Env::Posix()
    // Both are called on the journal's thread and must return quickly; empty: not called.
    // After each durable commit.
    std::function<void(const Commit&)> on_commit = {};
    // The journal failed; nullptr: it works again.
    std::function<void(const Error*)> on_health = {};
  };
  // What opening found.
  struct Recovery {
    uint64_t records = 0;  // whole ones on disk
    uint64_t next_sequence = 1;
    uint64_t truncated_bytes = 0;  // torn tail that was cut off; 0: clean
    std::string truncated_file;
  };

  // Opens the folder, repairs a torn tail, and starts the writer thread.
  // Errors: io_error, disk_full, journal_corrupt (damage that is not a torn tail; nothing is
  // changed), journal_locked, journal_producer (the folder is another producer's, or the name is
  // not one), journal_version.
  static Result<std::unique_ptr<Journal>> Open(Options options, Recovery* recovery = nullptr);
  // Writes what is queued, then stops. No Append may run or come after.
  virtual ~Journal() = default;

  // Queues the record. False when the queue is full, the record is too large or the journal has
  // failed (then nothing was queued and the sink is not called): the caller fails closed. Any
  // thread; never blocks.
  virtual bool Append(PendingRecord* record, DurableSink* sink) = 0;

  // After a failed write or sync the journal refuses records, and tries every `retry_nanos` to make
  // a fresh start in a new segment (disk space may be back).
  virtual bool failed() const = 0;
  // Why it failed last; empty if it never did.
  virtual std::string last_error() const = 0;

  struct Stats {
    uint64_t records = 0;  // durable since Open
    uint64_t commits = 0;
    uint64_t bytes = 0;     // of frames
    uint64_t queued = 0;    // now
    uint64_t failures = 0;  // records that were reported as failed
  };
  virtual Stats stats() const = 0;
};

}  // namespace aegis::audit
