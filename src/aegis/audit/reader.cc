#include "aegis/audit/reader.h"

#include <poll.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <algorithm>

#include "aegis/audit/segment.h"
#include "aegis/base/arena.h"
#include "aegis/base/clock.h"
#include "aegis/base/json_text.h"
#include "aegis/json/tree.h"

namespace aegis::audit {

Matcher::Matcher(const Filter& filter) {
  const auto want = [&](std::string_view name, const std::string& value) {
    if (value.empty()) return;
    std::string member = "\"" + std::string(name) + "\":";
    AppendJsonText(member, value);
    wanted_.push_back({std::string(name), value, std::move(member)});
  };
  want("id", filter.id);
  want("decision_id", filter.decision_id);
  want("trace_id", filter.trace_id);
  want("session", filter.session);
  want("agent", filter.agent);
  want("tool", filter.tool);
  want("action", filter.action);
  want("outcome", filter.outcome);
  want("reason", filter.reason);
  want("tenant", filter.tenant);
  want("kind", filter.kind);
  if (filter.since_unix_ns) since_ = FormatRfc3339Millis(*filter.since_unix_ns);
  if (filter.until_unix_ns) until_ = FormatRfc3339Millis(*filter.until_unix_ns);
}

bool Matcher::Matches(std::string_view json) const {
  // Most records are ruled out by a look at the text alone.
  for (const Wanted& wanted : wanted_)
    if (json.find(wanted.member) == std::string_view::npos) return false;
  if (wanted_.empty() && since_.empty() && until_.empty()) return true;

  thread_local Arena arena;
  arena.Reset();
  const auto tree = json::ParseTree(json, arena);
  if (!tree) return false;
  for (const Wanted& wanted : wanted_)
    if (tree->FindString(wanted.name) != std::string_view(wanted.value)) return false;
  const auto time = tree->FindString("time");
  if (!since_.empty() && (!time || *time < since_)) return false;
  return until_.empty() || (time && *time < until_);
}

Reader::Reader(std::string folder, Env& env) : folder_(std::move(folder)), env_(env) {}
Reader::~Reader() = default;

Result<std::unique_ptr<Reader>> Reader::Open(std::string folder, Env* env) {
  std::unique_ptr<Reader> reader(
      new Reader(std::move(folder), env != nullptr ? *env : Env::Posix()));
  AEGIS_RETURN_IF_ERROR(reader->Refresh());
  return reader;
}

Status Reader::Refresh() {
  AEGIS_TRY(std::vector<std::string> names, env_.List(folder_));
  std::erase_if(names, [](const std::string& name) { return !ParseSegmentName(name); });
  if (segment_) {
    const std::string current = SegmentName(segment_->header().first_sequence);
    auto at = std::lower_bound(names.begin(), names.end(), current);
    // The writer removes an empty segment when it stops; it stays current until another one comes.
    if (at == names.end() || *at != current) at = names.insert(at, current);
    index_ = static_cast<size_t>(at - names.begin());
  }
  segments_ = std::move(names);
  return Ok();
}

Result<bool> Reader::Enter(size_t index) {
  auto opened = SegmentReader::Open(env_, folder_, segments_[index]);
  if (!opened) {
    if (opened.error().reason == "not_found") return false;
    return Fail(std::move(opened).error());
  }
  segment_ = std::make_unique<SegmentReader>(std::move(*opened));
  index_ = index;
  offsets_.assign(1, kSegmentHeaderBytes);
  position_ = 0;
  sealed_ = false;
  judged_.reset();
  return true;
}

Result<bool> Reader::Step(Entry* entry) {
  const uint64_t offset = offsets_[position_];
  if (segment_->offset() != offset)
    segment_->Seek(offset, segment_->header().first_sequence + position_);
  for (;;) {
    Frame frame;
    AEGIS_TRY(const SegmentReader::Step step, segment_->Next(frame));
    if (step == SegmentReader::Step::kEnd) {
      sealed_ = true;
      return false;
    }
    if (step == SegmentReader::Step::kStop) {
      if (!is_newest()) return false;
      AEGIS_TRY(const bool end, StopIsEnd());
      if (end) return false;
      continue;
    }
    if (++position_ == offsets_.size()) offsets_.push_back(segment_->offset());
    if (entry != nullptr)
      *entry = {frame.sequence, std::string(frame.payload), segment_->path(), offset};
    return true;
  }
}

Result<bool> Reader::StopIsEnd() {
  if (following_ || judged_ == segment_->offset()) return true;
  AEGIS_TRY(const SegmentReader::Tail tail, segment_->JudgeTail());
  judged_ = segment_->offset();
  if (tail.kind != SegmentReader::Tail::Kind::kCorrupt) return true;
  // Or the writer has gone on while the tail was read; then the place is whole by now.
  Frame frame;
  const uint64_t offset = segment_->offset();
  const uint64_t sequence = segment_->next_sequence();
  AEGIS_TRY(const SegmentReader::Step step, segment_->Next(frame));
  segment_->Seek(offset, sequence);
  if (step != SegmentReader::Step::kStop) return false;
  return Fail(CorruptError(
      segment_->path(), offset,
      "damaged; a later commit at offset " + std::to_string(tail.evidence) + " is whole"));
}

Status Reader::ReadToSegmentEnd() {
  bool start_over = true;
  for (bool again = true; again;) {
    for (;;) {
      AEGIS_TRY(const bool stepped, Step(nullptr));
      if (!stepped) break;
    }
    if (sealed_ || is_newest()) return Ok();
    // Not the newest, so it has a seal by now, unless it is damaged. What was read of it may be out
    // of date, or even have been cut off after a failed commit: start over, once.
    again = std::exchange(start_over, false);
    if (again) {
      AEGIS_TRY(again, Enter(index_));
    }
  }
  return Fail(CorruptError(segment_->path(), segment_->offset(),
                           "damaged, or cut: a segment that is not the newest must have an end"));
}

Result<bool> Reader::Next(Entry& entry) {
  for (;;) {
    if (!segment_) {
      if (segments_.empty()) AEGIS_RETURN_IF_ERROR(Refresh());
      if (segments_.empty()) return false;
      AEGIS_TRY(const bool entered, Enter(0));
      if (!entered) {
        segments_.clear();
        return false;
      }
    }
    AEGIS_TRY(bool stepped, Step(&entry));
    if (stepped) return true;

    AEGIS_RETURN_IF_ERROR(Refresh());
    if (is_newest()) {
      if (position_ != 0 || sealed_) return false;
      // An empty segment is replaced by one of the same name when the writer starts again.
      AEGIS_TRY(const bool entered, Enter(index_));
      if (!entered) return false;
      return Step(&entry);
    }
    if (!sealed_) {
      AEGIS_TRY(stepped, Step(&entry));  // the writer may have gone on before it sealed
      if (stepped) return true;
      AEGIS_RETURN_IF_ERROR(ReadToSegmentEnd());
    }
    const uint64_t expected = segment_->next_sequence();
    AEGIS_TRY(const bool entered, Enter(index_ + 1));
    if (!entered) return false;
    if (segment_->header().first_sequence != expected)
      return Fail(CorruptError(segment_->path(), 0,
                               "record " + std::to_string(expected) +
                                   " belongs here; a segment before this one is missing"));
  }
}

Result<bool> Reader::Previous(Entry& entry) {
  if (!segment_) return false;
  while (position_ == 0) {
    if (index_ == 0) return false;
    const uint64_t expected = segment_->header().first_sequence;
    AEGIS_TRY(const bool entered, Enter(index_ - 1));
    if (!entered) return false;  // archived meanwhile
    AEGIS_RETURN_IF_ERROR(ReadToSegmentEnd());
    if (segment_->next_sequence() != expected)
      return Fail(CorruptError(segment_->path(), segment_->offset(),
                               "the next segment begins with record " + std::to_string(expected) +
                                   "; one between them is missing"));
  }
  --position_;
  const size_t position = position_;
  AEGIS_TRY(const bool stepped, Step(&entry));
  if (!stepped)
    return Fail(
        CorruptError(segment_->path(), offsets_[position], "the record that was here is gone"));
  position_ = position;
  return true;
}

Status Reader::SeekToFirst() {
  segment_.reset();
  index_ = 0;
  position_ = 0;
  return Refresh();
}

Status Reader::SeekToEnd() {
  AEGIS_RETURN_IF_ERROR(SeekToFirst());
  // From the newest to older ones, should the newest have been removed since.
  for (size_t index = segments_.size(); index-- > 0;) {
    AEGIS_TRY(const bool entered, Enter(index));
    if (!entered) {
      segments_.resize(index);
      continue;
    }
    return ReadToSegmentEnd();
  }
  return Ok();
}

Result<std::vector<Entry>> Reader::Last(size_t count, const Matcher& matcher) {
  AEGIS_RETURN_IF_ERROR(SeekToEnd());
  const size_t end_position = position_;
  const std::string end_segment =
      segment_ ? SegmentName(segment_->header().first_sequence) : std::string();
  std::vector<Entry> found;
  Entry entry;
  while (found.size() < count) {
    AEGIS_TRY(const bool more, Previous(entry));
    if (!more) break;
    if (matcher.Matches(entry.json)) found.push_back(std::move(entry));
  }
  std::reverse(found.begin(), found.end());
  // Back to where the end was, so that what has come meanwhile is read next.
  if (segment_) {
    const auto at = std::find(segments_.begin(), segments_.end(), end_segment);
    AEGIS_TRY(const bool entered, Enter(static_cast<size_t>(at - segments_.begin())));
    while (entered && position_ < end_position) {
      AEGIS_TRY(const bool stepped, Step(nullptr));
      if (!stepped) break;
    }
  }
  return found;
}

Result<std::optional<Entry>> Reader::Find(std::string_view id) {
  const Matcher matcher(Filter{.id = std::string(id)});
  if (id.empty()) return std::nullopt;
  AEGIS_RETURN_IF_ERROR(SeekToEnd());
  Entry entry;
  for (;;) {
    AEGIS_TRY(const bool more, Previous(entry));
    if (!more) return std::nullopt;
    if (matcher.Matches(entry.json)) return entry;
  }
}

void Reader::WaitForChange(int millis) {
  // From now on the writer is near, and a stop is taken for what has not come yet.
  following_ = true;
  if (!watch_) {
    watch_ = FileDescriptor(::inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
    if (watch_ && ::inotify_add_watch(watch_.get(), folder_.c_str(),
                                      IN_MODIFY | IN_CREATE | IN_MOVED_TO) >= 0)
      return;  // what changed before the watch was there may be new to the caller
    watch_.Close();
    ::poll(nullptr, 0, std::min(millis, 100));
    return;
  }
  pollfd waiting{watch_.get(), POLLIN, 0};
  ::poll(&waiting, 1, millis);
  char events[4096];
  while (::read(watch_.get(), events, sizeof events) > 0) {
  }
}

}  // namespace aegis::audit
