#include "aegis/audit/recovery.h"

#include <optional>
#include <vector>

#include "aegis/audit/segment.h"

namespace aegis::audit {
namespace {

// Where a sealed segment leads: the sequence number in its end frame, which is the file's last.
Result<uint64_t> ReadSeal(Env& env, const std::string& folder, const std::string& name) {
  AEGIS_TRY(SegmentReader reader, SegmentReader::Open(env, folder, name));
  AEGIS_TRY(const std::unique_ptr<File> file, env.OpenToRead(reader.path()));
  AEGIS_TRY(const uint64_t size, file->Size());
  if (size >= kSegmentHeaderBytes + kFrameHeaderBytes && size % 8 == 0) {
    // The end frame says itself which number it carries, so expect what is there.
    char bytes[kFrameHeaderBytes];
    AEGIS_TRY(const size_t got, file->Read(size - sizeof bytes, bytes, sizeof bytes));
    std::string expected;
    uint64_t sequence = 0;
    std::string_view(bytes, sizeof bytes).copy(reinterpret_cast<char*>(&sequence), 8, 16);
    AppendEndFrame(expected, reader.header().salt, sequence);
    if (got == sizeof bytes && expected == std::string_view(bytes, sizeof bytes)) return sequence;
  }
  return Fail(CorruptError(reader.path(), size, "a segment that is not the newest has no end"));
}

}  // namespace

Status Seal(File& file, uint32_t salt, uint64_t offset, uint64_t next_sequence) {
  std::string end;
  AppendEndFrame(end, salt, next_sequence);
  // Cut first: what is behind `offset` may be the remains of a failed commit.
  AEGIS_RETURN_IF_ERROR(file.Truncate(offset));
  AEGIS_RETURN_IF_ERROR(file.Write(offset, end));
  return file.SyncAll();
}

Result<Journal::Recovery> RecoverFolder(Env& env, const std::string& folder,
                                        const std::string& producer) {
  AEGIS_TRY(const std::vector<std::string> names, env.List(folder));
  std::vector<std::string> segments, leftovers;
  for (const std::string& name : names) {
    if (ParseSegmentName(name)) segments.push_back(name);
    if (name.ends_with(".tmp")) leftovers.push_back(name);
  }

  Journal::Recovery recovery;
  std::optional<uint64_t> leads_to;
  for (size_t i = 0; i + 1 < segments.size(); ++i) {
    const uint64_t first = *ParseSegmentName(segments[i]);
    if (leads_to && *leads_to != first)
      return Fail(CorruptError(folder + "/" + segments[i], 0,
                               "record " + std::to_string(*leads_to) +
                                   " belongs here; a segment "
                                   "before this one is missing"));
    AEGIS_TRY(leads_to, ReadSeal(env, folder, segments[i]));
  }
  if (!segments.empty()) {
    AEGIS_TRY(SegmentReader reader, SegmentReader::Open(env, folder, segments.back()));
    const SegmentHeader& header = reader.header();
    if (header.producer != producer)
      return Fail(Code::kFailedPrecondition, "journal_producer",
                  reader.path() + ": written by producer \"" + header.producer + "\", not \"" +
                      producer + "\"; give each producer a folder of its own");
    if (leads_to && *leads_to != header.first_sequence)
      return Fail(CorruptError(reader.path(), 0,
                               "record " + std::to_string(*leads_to) +
                                   " belongs here; a segment "
                                   "before this one is missing"));
    Frame frame;
    auto step = reader.Next(frame);
    while (step && *step == SegmentReader::Step::kFrame) step = reader.Next(frame);
    if (!step) return Fail(std::move(step).error());
    if (*step == SegmentReader::Step::kStop) {
      AEGIS_TRY(const SegmentReader::Tail tail, reader.JudgeTail());
      if (tail.kind == SegmentReader::Tail::Kind::kCorrupt)
        return Fail(CorruptError(reader.path(), reader.offset(),
                                 "damaged, and not by a crash: a later commit at offset " +
                                     std::to_string(tail.evidence) + " is whole"));
      recovery.truncated_bytes = tail.torn_bytes;
      if (tail.torn_bytes != 0) recovery.truncated_file = reader.path();
    }
    // Sealed or not: the cut behind an end frame may not have become durable.
    AEGIS_TRY(const std::unique_ptr<File> file, env.OpenToWrite(reader.path()));
    AEGIS_RETURN_IF_ERROR(Seal(*file, header.salt, reader.offset(), reader.next_sequence()));
    recovery.next_sequence = reader.next_sequence();
    recovery.records = recovery.next_sequence - *ParseSegmentName(segments.front());
  }
  for (const std::string& name : leftovers) AEGIS_RETURN_IF_ERROR(env.Remove(folder + "/" + name));
  return recovery;
}

}  // namespace aegis::audit
