// Segment files: encoding, decoding, and telling a torn tail from corruption. Format and rules:
// docs/formats/audit-segment.md.
//
// Threading: a SegmentReader belongs to one thread; everything else is a value.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "aegis/audit/env.h"
#include "aegis/base/result.h"

namespace aegis::audit {

inline constexpr size_t kSegmentHeaderBytes = 128;
inline constexpr size_t kFrameHeaderBytes = 32;
inline constexpr size_t kMaxRecordBytes = size_t{1} << 20;

struct SegmentHeader {
  uint64_t first_sequence = 1;
  int64_t created_unix_ns = 0;
  uint32_t salt = 0;
  std::string producer = {};
};

enum class FrameType : uint8_t { kRecord = 1, kEnd = 2 };

struct Frame {
  FrameType type = FrameType::kRecord;
  uint64_t sequence = 0;
  uint64_t commit = 0;
  std::string_view payload;
};

// "00000000000000000001.seg".
std::string SegmentName(uint64_t first_sequence);
std::optional<uint64_t> ParseSegmentName(std::string_view name);
// Whether `producer` is [a-z0-9-]{1,64}.
bool IsProducerName(std::string_view producer);

std::string EncodeHeader(const SegmentHeader& header);
// `bytes`: at least the first kSegmentHeaderBytes of the file `path`. Errors: journal_corrupt,
// journal_version.
Result<SegmentHeader> DecodeHeader(std::string_view bytes, const std::string& path);

// Size in the file of a frame with that payload.
inline size_t FrameBytes(size_t payload) { return (kFrameHeaderBytes + payload + 7) & ~size_t{7}; }
// Appends a record's frame; the payload is head + decimal sequence + tail, at most kMaxRecordBytes.
void AppendRecordFrame(std::string& out, uint32_t salt, uint64_t sequence, uint64_t commit,
                       std::string_view head, std::string_view tail);
void AppendEndFrame(std::string& out, uint32_t salt, uint64_t next_sequence);

// Error journal_corrupt: "path, offset N: what; what to do".
Error CorruptError(const std::string& path, uint64_t offset, std::string_view what);

// The frames of one segment from first to last.
class SegmentReader {
 public:
  // Reads and checks the header, also against the file's name. Errors: journal_corrupt,
  // journal_version, and those of Env.
  static Result<SegmentReader> Open(Env& env, const std::string& folder, const std::string& name);

  enum class Step : uint8_t {
    kFrame,  // a record
    kEnd,    // the segment's end frame: sealed
    kStop,   // no whole frame here: where a live writer is, a torn tail, or corruption
  };
  // The next frame; its payload is valid until the next call. After kStop the same place is tried
  // again, with what the file holds by then. Errors: journal_corrupt, and those of Env.
  Result<Step> Next(Frame& frame);

  // What is behind the place where Next stopped.
  struct Tail {
    enum class Kind : uint8_t { kClean, kTorn, kCorrupt } kind = Kind::kClean;
    uint64_t torn_bytes = 0;  // up to the last byte that is not zero
    uint64_t evidence = 0;    // kCorrupt: offset of the later frame that proves it
  };
  Result<Tail> JudgeTail();

  // Goes to a frame that was read before.
  void Seek(uint64_t offset, uint64_t expected_sequence);

  const SegmentHeader& header() const { return header_; }
  const std::string& path() const { return path_; }
  uint64_t offset() const { return offset_; }                // of the next frame
  uint64_t next_sequence() const { return next_sequence_; }  // that it should have

 private:
  SegmentReader(std::unique_ptr<File> file, std::string path, SegmentHeader header);
  // The bytes at `offset`, at least `size` of them unless the file ends; valid until the next call.
  Result<std::string_view> Bytes(uint64_t offset, size_t size);
  // The frame at `offset` if a whole and correct one is there.
  Result<std::optional<Frame>> FrameAt(uint64_t offset);

  std::unique_ptr<File> file_;
  std::string path_;
  SegmentHeader header_;
  uint64_t offset_ = kSegmentHeaderBytes;
  uint64_t next_sequence_;
  uint64_t commit_ = 0;  // of the last frame
  std::string buffer_;
  uint64_t buffer_offset_ = 0;
};

}  // namespace aegis::audit
