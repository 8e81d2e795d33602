#include "aegis/audit/journal.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <climits>
#include <ctime>
#include <mutex>
#include <thread>
#include <vector>

#include "aegis/audit/recovery.h"
#include "aegis/audit/segment.h"
#include "aegis/base/clock.h"
#include "aegis/base/ids.h"

namespace aegis::audit {
namespace {

// A commit is closed when it has this size, so that its buffer stays small and its records are not
// kept waiting for more.
constexpr size_t kMaxCommitBytes = size_t{4} << 20;
// How far ahead of the records the file is filled with zeros at a time.
constexpr uint64_t kZeroStep = uint64_t{512} << 10;
// A record's JSON is longer than its parts by the number's digits.
constexpr size_t kMaxDigits = 20;

// Lets one thread sleep until another wakes it; waking a thread that is awake costs one load.
class Doorbell {
 public:
  // Sleeps at most `nanos` (negative: no limit), unless `skip` holds once a Ring would be noticed.
  template <typename Skip>
  void Sleep(int64_t nanos, Skip skip) {
    asleep_.store(1, std::memory_order_seq_cst);
    if (!skip()) {
      timespec limit{nanos / 1'000'000'000, nanos % 1'000'000'000};
      ::syscall(SYS_futex, &asleep_, FUTEX_WAIT_PRIVATE, 1, nanos < 0 ? nullptr : &limit, nullptr,
                0);
    }
    asleep_.store(0, std::memory_order_seq_cst);
  }
  void Ring() {
    if (asleep_.load(std::memory_order_seq_cst) == 0) return;
    if (asleep_.exchange(0, std::memory_order_seq_cst) == 0) return;
    ::syscall(SYS_futex, &asleep_, FUTEX_WAKE_PRIVATE, INT_MAX, nullptr, nullptr, 0);
  }

 private:
  std::atomic<uint32_t> asleep_{0};
};

class JournalImpl final : public Journal {
 public:
  JournalImpl(Options options, Env& env, std::unique_ptr<FileLock> lock, uint64_t next_sequence)
      : options_(std::move(options)),
        env_(env),
        lock_(std::move(lock)),
        next_sequence_(next_sequence) {}

  ~JournalImpl() override {
    stop_.store(true, std::memory_order_seq_cst);
    doorbell_.Ring();
    if (writer_.joinable()) writer_.join();
  }

  Status Start() {
    AEGIS_RETURN_IF_ERROR(BeginSegment());
    try {
      writer_ = std::thread([this] { Run(); });
    } catch (const std::system_error& failure) {
      return Fail(Code::kInternal, "io_error",
                  std::string("cannot start the journal's thread: ") + failure.what());
    }
    return Ok();
  }

  bool Append(PendingRecord* record, DurableSink* sink) override {
    if (failed_.load(std::memory_order_acquire)) return false;
    if (record->head.size() + record->tail.size() + kMaxDigits > kMaxRecordBytes) return false;
    if (queued_.fetch_add(1, std::memory_order_relaxed) >= options_.queue_records) {
      queued_.fetch_sub(1, std::memory_order_relaxed);
      return false;
    }
    record->sink = sink;
    record->failed = false;
    PendingRecord* top = newest_.load(std::memory_order_relaxed);
    do {
      record->next = top;
    } while (!newest_.compare_exchange_weak(top, record, std::memory_order_seq_cst,
                                            std::memory_order_relaxed));
    doorbell_.Ring();
    return true;
  }

  bool failed() const override { return failed_.load(std::memory_order_acquire); }

  std::string last_error() const override {
    const std::lock_guard lock(error_mutex_);
    return last_error_;
  }

  Stats stats() const override {
    return {records_.load(std::memory_order_relaxed), commits_.load(std::memory_order_relaxed),
            bytes_.load(std::memory_order_relaxed), queued_.load(std::memory_order_relaxed),
            failures_.load(std::memory_order_relaxed)};
  }

 private:
  // The segment that is being written.
  struct Segment {
    std::unique_ptr<File> file;
    std::string path;
    uint32_t salt = 0;
    uint64_t first_sequence = 0;
    uint64_t durable = 0;  // offset behind the last durable commit
    uint64_t zeroed = 0;   // offset up to which the file is known to hold written zeros
    bool sealed = false;   // durably; a newer segment may exist
  };

  void Run() {
    for (;;) {
      // Stop is read first: what was queued before it was set is then seen by TakeAll.
      const bool stop = stop_.load(std::memory_order_seq_cst);
      if (PendingRecord* list = TakeAll()) {
        Write(list);
        continue;
      }
      if (stop) break;
      const bool failed = failed_.load(std::memory_order_relaxed);
      doorbell_.Sleep(failed ? options_.retry_nanos : -1, [this] {
        return newest_.load(std::memory_order_seq_cst) != nullptr ||
               stop_.load(std::memory_order_seq_cst);
      });
      if (failed && Now() >= retry_at_) StartAfresh();
    }
    if (!failed_.load(std::memory_order_relaxed)) Finish();
  }

  // All that is queued, oldest first.
  PendingRecord* TakeAll() {
    if (newest_.load(std::memory_order_relaxed) == nullptr) return nullptr;
    PendingRecord* newest = newest_.exchange(nullptr, std::memory_order_seq_cst);
    PendingRecord* list = nullptr;
    while (newest != nullptr) {
      PendingRecord* older = newest->next;
      newest->next = list;
      list = newest;
      newest = older;
    }
    return list;
  }

  // Commits the list, in more than one part if it is long.
  void Write(PendingRecord* list) {
    while (list != nullptr) {
      if (failed_.load(std::memory_order_relaxed)) {
        TakeWhile(list, [] { return true; });
        Report(/*failed=*/true);
        return;
      }
      if (segment_.durable >= options_.segment_bytes) {
        if (Status status = Rotate(); !status) {
          SetFailed(std::move(status).error());
          continue;
        }
      }
      buffer_.clear();
      const uint64_t commit = next_sequence_;
      TakeWhile(list, [&] {
        PendingRecord* record = list;
        AppendRecordFrame(buffer_, segment_.salt, commit + batch_.size(), commit, record->head,
                          record->tail);
        return buffer_.size() < kMaxCommitBytes;
      });
      const int64_t start = Now();
      const size_t bytes = buffer_.size();
      if (Status status = WriteBuffer(); !status) {
        SetFailed(std::move(status).error());
        Report(/*failed=*/true);
        continue;
      }
      for (PendingRecord* record : batch_) record->sequence = next_sequence_++;
      const Commit done{Now() - start, batch_.size(), bytes};
      records_.fetch_add(done.records, std::memory_order_relaxed);
      commits_.fetch_add(1, std::memory_order_relaxed);
      bytes_.fetch_add(bytes, std::memory_order_relaxed);
      Report(/*failed=*/false);
      if (options_.on_commit) options_.on_commit(done);
    }
  }

  // Moves records from the list to the batch, as long as `more()`, called for each before, holds.
  template <typename More>
  void TakeWhile(PendingRecord*& list, More more) {
    batch_.clear();
    bool go_on = true;
    while (list != nullptr && go_on) {
      go_on = more();
      batch_.push_back(list);
      list = list->next;
    }
  }

  // Makes the buffer durable at the segment's end.
  Status WriteBuffer() {
    const size_t bytes = buffer_.size();
    const uint64_t end = segment_.durable + bytes;
    uint64_t zeroed = segment_.zeroed;
    if (end > zeroed) {
      // The zeros go with the records into one write, and their metadata into one sync.
      zeroed = std::max(end, std::min(end + kZeroStep, options_.segment_bytes));
      buffer_.resize(static_cast<size_t>(zeroed - segment_.durable), '\0');
    }
    AEGIS_RETURN_IF_ERROR(segment_.file->Write(segment_.durable, buffer_));
    AEGIS_RETURN_IF_ERROR(segment_.file->Sync());
    segment_.durable = end;
    segment_.zeroed = zeroed;
    return Ok();
  }

  // Tells each sink of its records in the batch, which are the callers' again afterwards.
  void Report(bool failed) {
    const size_t count = batch_.size();
    if (failed) failures_.fetch_add(count, std::memory_order_relaxed);
    queued_.fetch_sub(count, std::memory_order_relaxed);
    size_t sinks = 0;
    for (PendingRecord* record : batch_) {
      record->failed = failed;
      if (failed) record->sequence = 0;
      size_t i = 0;
      while (i < sinks && by_sink_[i].sink != record->sink) ++i;
      if (i == sinks) {
        if (++sinks > by_sink_.size()) by_sink_.emplace_back();
        by_sink_[i].sink = record->sink;
        by_sink_[i].records.clear();
      }
      by_sink_[i].records.push_back(record);
    }
    batch_.clear();
    for (size_t i = 0; i < sinks; ++i) by_sink_[i].sink->OnDurable(by_sink_[i].records);
  }

  // Ends the current segment, unless it has no records (the next one then takes its name), and
  // begins another. A seal is never touched again: a newer segment may already rely on it.
  Status Rotate() {
    if (!segment_.sealed && segment_.first_sequence != next_sequence_) {
      AEGIS_RETURN_IF_ERROR(Seal(*segment_.file, segment_.salt, segment_.durable, next_sequence_));
      segment_.sealed = true;
    }
    return BeginSegment();
  }

  // Makes the segment whose first record is the next one. `segment_` changes only on success.
  Status BeginSegment() {
    const std::string temporary = options_.folder + "/new.tmp";
    Segment fresh;
    fresh.path = options_.folder + "/" + SegmentName(next_sequence_);
    fresh.first_sequence = next_sequence_;
    fresh.durable = kSegmentHeaderBytes;
    RandomBytes({reinterpret_cast<uint8_t*>(&fresh.salt), sizeof fresh.salt});
    AEGIS_TRY(fresh.file, env_.Create(temporary));
    std::string start = EncodeHeader({.first_sequence = next_sequence_,
                                      .created_unix_ns = Clock::System().UnixNanos(),
                                      .salt = fresh.salt,
                                      .producer = options_.producer});
    fresh.zeroed = std::max<uint64_t>(std::min(kZeroStep, options_.segment_bytes), start.size());
    start.resize(static_cast<size_t>(fresh.zeroed), '\0');
    AEGIS_RETURN_IF_ERROR(fresh.file->Reserve(options_.segment_bytes));
    AEGIS_RETURN_IF_ERROR(fresh.file->Write(0, start));
    AEGIS_RETURN_IF_ERROR(fresh.file->SyncAll());
    AEGIS_RETURN_IF_ERROR(env_.Rename(temporary, fresh.path));
    AEGIS_RETURN_IF_ERROR(env_.SyncFolder(options_.folder));
    segment_ = std::move(fresh);
    return Ok();
  }

  // After a failure: puts the current segment in order and begins another.
  void StartAfresh() {
    if (Status status = Rotate(); !status) {
      SetFailed(std::move(status).error());
      return;
    }
    failed_.store(false, std::memory_order_release);
    if (options_.on_health) options_.on_health(nullptr);
  }

  // In order: the next Open finds nothing to repair. Failing here loses nothing.
  void Finish() {
    if (segment_.first_sequence != next_sequence_) {
      (void)Seal(*segment_.file, segment_.salt, segment_.durable, next_sequence_);
    } else if (env_.Remove(segment_.path)) {
      (void)env_.SyncFolder(options_.folder);
    }
  }

  void SetFailed(Error error) {
    {
      const std::lock_guard lock(error_mutex_);
      last_error_ = error.ToString();
    }
    retry_at_ = Now() + options_.retry_nanos;
    const bool before = failed_.exchange(true, std::memory_order_acq_rel);
    if (!before && options_.on_health) options_.on_health(&error);
  }

  static int64_t Now() { return Clock::System().MonotonicNanos(); }

  const Options options_;
  Env& env_;
  const std::unique_ptr<FileLock> lock_;

  // Written by appenders; on cache lines of their own.
  alignas(64) std::atomic<PendingRecord*> newest_{nullptr};  // linked to older ones
  alignas(64) std::atomic<uint64_t> queued_{0};
  alignas(64) Doorbell doorbell_;
  std::atomic<bool> stop_{false};
  std::atomic<bool> failed_{false};

  // The writer thread's own.
  alignas(64) Segment segment_;
  uint64_t next_sequence_;
  int64_t retry_at_ = 0;
  std::string buffer_;
  std::vector<PendingRecord*> batch_;
  struct SinkRecords {
    DurableSink* sink = nullptr;
    std::vector<PendingRecord*> records;
  };
  std::vector<SinkRecords> by_sink_;

  std::atomic<uint64_t> records_{0}, commits_{0}, bytes_{0}, failures_{0};
  mutable std::mutex error_mutex_;
  std::string last_error_;
  std::thread writer_;
};

}  // namespace

Result<std::unique_ptr<Journal>> Journal::Open(Options options, Recovery* recovery) {
  if (!IsProducerName(options.producer))
    return Fail(Code::kInvalidArgument, "journal_producer",
                "the producer's name \"" + options.producer.substr(0, 80) +
                    "\" is not 1 to 64 of a-z, 0-9 and '-'");
  Env& env = options.env != nullptr ? *options.env : Env::Posix();
  AEGIS_RETURN_IF_ERROR(env.MakeFolder(options.folder));
  AEGIS_TRY(std::unique_ptr<FileLock> lock, env.Lock(options.folder + "/lock"));
  AEGIS_TRY(const Recovery found, RecoverFolder(env, options.folder, options.producer));
  if (recovery != nullptr) *recovery = found;
  auto journal =
      std::make_unique<JournalImpl>(std::move(options), env, std::move(lock), found.next_sequence);
  AEGIS_RETURN_IF_ERROR(journal->Start());
  return journal;
}

}  // namespace aegis::audit
