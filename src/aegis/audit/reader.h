// Reads audit records from a journal's folder, forward and backward, also while it is being
// written.
//
// Threading: one thread at a time. No lock is taken; the writer is not disturbed. Memory: one
// window of the file (256 KiB, or one record if that is larger) and 8 bytes per record of the
// current segment. Errors: journal_corrupt with file and offset (reading goes no further),
// journal_version, and those of Env; not_found when the folder does not exist.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "aegis/audit/env.h"
#include "aegis/base/file.h"
#include "aegis/base/result.h"

namespace aegis::audit {

class SegmentReader;

struct Entry {
  uint64_t sequence = 0;
  std::string json = {};  // docs/formats/audit-record.md
  std::string file = {};  // path of the segment
  uint64_t offset = 0;
};

// Which records are wanted. Empty members ask for nothing; all others must hold.
struct Filter {
  std::string kind = {};  // "decision", "outcome", "operator"
  std::string id = {};
  std::string decision_id = {};
  std::string tenant = {};
  std::string agent = {};
  std::string session = {};
  std::string tool = {};
  std::string action = {};
  std::string outcome = {};
  std::string reason = {};
  std::string trace_id = {};
  std::optional<int64_t> since_unix_ns = {};  // at or after; compared in milliseconds
  std::optional<int64_t> until_unix_ns = {};  // before
};

// A filter made ready. Immutable; any thread.
class Matcher {
 public:
  explicit Matcher(const Filter& filter);
  // Whether the record's JSON is wanted. A record that is not JSON is not.
  bool Matches(std::string_view json) const;

 private:
  struct Wanted {
    std::string name = {};
    std::string value = {};
    std::string member = {};  // as it stands in canonical JSON
  };
  std::vector<Wanted> wanted_;
  std::string since_, until_;  // RFC 3339, which sorts by time; empty: no bound
};

class Reader {
 public:
  // Stands before the oldest record. `env` must outlive the reader; nullptr: Env::Posix().
  static Result<std::unique_ptr<Reader>> Open(std::string folder, Env* env = nullptr);
  ~Reader();

  // The record behind the place where the reader stands, which moves behind it. False: there is
  // none (yet); asking again later continues.
  Result<bool> Next(Entry& entry);
  // The record before that place, which moves before it. False: there is none.
  Result<bool> Previous(Entry& entry);
  Status SeekToFirst();
  Status SeekToEnd();

  // The newest `count` records that match, oldest first; then stands at the end.
  Result<std::vector<Entry>> Last(size_t count, const Matcher& matcher);
  // The record with that id, searched from the newest; then stands anywhere.
  Result<std::optional<Entry>> Find(std::string_view id);

  // For following: returns when something in the folder may have changed, or after `millis`.
  void WaitForChange(int millis);

 private:
  Reader(std::string folder, Env& env);
  // Lists the folder anew and keeps the current segment current.
  Status Refresh();
  // Makes `index` the current segment, standing before its first record. False: the file is gone,
  // and nothing has changed.
  Result<bool> Enter(size_t index);
  // One step forward within the current segment; `entry` may be nullptr. False: at its end.
  Result<bool> Step(Entry* entry);
  // Whether the stop at the end of the newest segment is just that; an error if it is corruption.
  Result<bool> StopIsEnd();
  // Reads up to the end of the current segment, which must have a seal unless it is the newest.
  Status ReadToSegmentEnd();
  bool is_newest() const { return index_ + 1 == segments_.size(); }

  std::string folder_;
  Env& env_;
  std::vector<std::string> segments_;  // names, sorted
  size_t index_ = 0;
  std::unique_ptr<SegmentReader> segment_;  // the current one; nullptr: none entered yet
  // Of the current segment's frames read so far, and behind the last of them.
  std::vector<uint64_t> offsets_;
  size_t position_ = 0;  // stands before the frame of that index
  bool sealed_ = false;  // the current segment's end frame was read: offsets_ is complete
  std::optional<uint64_t> judged_;  // offset of a stop that was found to be the end
  bool following_ = false;
  FileDescriptor watch_;
};

}  // namespace aegis::audit
