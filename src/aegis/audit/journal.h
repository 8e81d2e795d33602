// The write-ahead journal: records become durable here before a call goes on (group commit).
//
// One writer thread takes all that is queued, gives each record the next sequence number, writes
// them, calls fdatasync once, and reports. Format: docs/formats/audit-segment.md.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "aegis/base/result.h"

namespace aegis::audit {

// One record on its way to disk. Owned by the caller, who must keep it alive and untouched until it
// is reported. The record's canonical JSON is head + decimal sequence number + tail.
struct PendingRecord {
  std::string head;
  std::string tail;
  uint64_t sequence = 0;  // set when durable
  bool failed = false;    // not durable: the call must not go on
  void* context = nullptr;  // the caller's own

  // The journal's own, while the record is queued.
  PendingRecord* next = nullptr;
  class DurableSink* sink = nullptr;
};

// Where a worker hears of its records. OnDurable is called on the journal's thread, once per commit
// with all of the sink's records in it, in order; hand over to the worker's loop and return.
class DurableSink {
 public:
  virtual ~DurableSink() = default;
  virtual void OnDurable(std::span<PendingRecord* const> records) = 0;
};

class Journal {
 public:
  struct Options {
    std::string folder;                          // made if missing
    std::string producer;                        // e.g. gateway id; [a-z0-9-]{1,64}
    uint64_t segment_bytes = 64ull << 20;        // a new file is begun beyond this
    size_t queue_records = 65536;                // Append refuses beyond this
  };
  // What opening found.
  struct Recovery {
    uint64_t records = 0;         // whole records on disk
    uint64_t next_sequence = 1;
    uint64_t truncated_bytes = 0;  // torn tail that was cut off; 0: clean
    std::string truncated_file;
  };

  // Opens the folder, repairs a torn tail, and starts the writer thread.
  // Errors: io_error, disk_full, journal_corrupt (damage that is not a torn tail), journal_locked.
  static Result<std::unique_ptr<Journal>> Open(Options options, Recovery* recovery = nullptr);
  // Writes what is queued, then stops.
  virtual ~Journal() = default;

  // Queues the record. False when the queue is full or the journal has failed (then nothing was
  // queued and the sink is not called): the caller fails closed. Any thread; never blocks.
  virtual bool Append(PendingRecord* record, DurableSink* sink) = 0;

  struct Stats {
    uint64_t records = 0, commits = 0, bytes = 0, queued = 0, failures = 0;
  };
  virtual Stats stats() const = 0;
};

}  // namespace aegis::audit
