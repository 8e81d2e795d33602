#include "aegis/audit/segment.h"

#include <algorithm>
#include <bit>
#include <charconv>
#include <cstring>

#include "aegis/audit/crc32c.h"

namespace aegis::audit {
namespace {

static_assert(std::endian::native == std::endian::little, "integers are stored as they are");

constexpr std::string_view kMagic =
    "\x89"
    "AEGSEG\n";
constexpr uint32_t kVersion = 1;
constexpr size_t kWindow = 256 * 1024;

template <typename T>
T Load(std::string_view bytes, size_t offset) {
  T value;
  std::memcpy(&value, bytes.data() + offset, sizeof value);
  return value;
}

template <typename T>
void Store(char* out, T value) {
  std::memcpy(out, &value, sizeof value);
}

uint32_t FrameCrc(uint32_t salt, std::string_view frame_from_offset_4) {
  char bytes[4];
  Store(bytes, salt);
  return Crc32c(frame_from_offset_4, Crc32c({bytes, sizeof bytes}));
}

// Fills in the header of the frame that starts at `start` and ends with `out`, and pads it.
void FinishFrame(std::string& out, size_t start, uint32_t salt, FrameType type, uint64_t sequence,
                 uint64_t commit) {
  char* header = out.data() + start;
  const size_t payload = out.size() - start - kFrameHeaderBytes;
  Store(header + 4, static_cast<uint32_t>(payload));
  Store(header + 8, static_cast<uint64_t>(type));
  Store(header + 16, sequence);
  Store(header + 24, commit);
  Store(header, FrameCrc(salt, std::string_view(out).substr(start + 4)));
  out.resize(start + FrameBytes(payload), '\0');
}

}  // namespace

std::string SegmentName(uint64_t first_sequence) {
  std::string digits = std::to_string(first_sequence);
  return std::string(20 - std::min<size_t>(digits.size(), 20), '0') + digits + ".seg";
}

std::optional<uint64_t> ParseSegmentName(std::string_view name) {
  if (name.size() != 24 || !name.ends_with(".seg")) return std::nullopt;
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + 20, value);
  if (error != std::errc() || end != name.data() + 20) return std::nullopt;
  return value;
}

bool IsProducerName(std::string_view producer) {
  return !producer.empty() && producer.size() <= 64 &&
         std::all_of(producer.begin(), producer.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
         });
}

Error CorruptError(const std::string& path, uint64_t offset, std::string_view what) {
  return {
      Code::kDataLoss, "journal_corrupt",
      path + ", offset " + std::to_string(offset) + ": " + std::string(what) +
          "; restore the file from a copy, or move the journal's folder away to begin a new one"};
}

std::string EncodeHeader(const SegmentHeader& header) {
  std::string out(kSegmentHeaderBytes, '\0');
  std::copy(kMagic.begin(), kMagic.end(), out.begin());
  Store(out.data() + 8, kVersion);
  Store(out.data() + 12, static_cast<uint32_t>(kSegmentHeaderBytes));
  Store(out.data() + 16, header.first_sequence);
  Store(out.data() + 24, header.created_unix_ns);
  Store(out.data() + 32, header.salt);
  out[36] = static_cast<char>(header.producer.size());
  std::copy(header.producer.begin(), header.producer.end(), out.begin() + 37);
  Store(out.data() + 124, Crc32c(std::string_view(out).substr(0, 124)));
  return out;
}

Result<SegmentHeader> DecodeHeader(std::string_view bytes, const std::string& path) {
  if (bytes.size() < kSegmentHeaderBytes)
    return Fail(CorruptError(path, 0, "the header is not whole"));
  if (!bytes.starts_with(kMagic))
    return Fail(CorruptError(path, 0, "this is not an audit segment (wrong magic)"));
  const auto version = Load<uint32_t>(bytes, 8);
  if (version != kVersion)
    return Fail(
        Code::kFailedPrecondition, "journal_version",
        path + ": format version " + std::to_string(version) +
            " is not known to this build, which reads version 1; use the build that wrote it");
  if (Load<uint32_t>(bytes, 124) != Crc32c(bytes.substr(0, 124)))
    return Fail(CorruptError(path, 0, "the header's checksum is wrong"));
  SegmentHeader header;
  header.first_sequence = Load<uint64_t>(bytes, 16);
  header.created_unix_ns = Load<int64_t>(bytes, 24);
  header.salt = Load<uint32_t>(bytes, 32);
  header.producer = bytes.substr(37, static_cast<uint8_t>(bytes[36]));
  if (Load<uint32_t>(bytes, 12) != kSegmentHeaderBytes || header.first_sequence == 0 ||
      !IsProducerName(header.producer))
    return Fail(CorruptError(path, 0, "the header's content is not valid"));
  return header;
}

void AppendRecordFrame(std::string& out, uint32_t salt, uint64_t sequence, uint64_t commit,
                       std::string_view head, std::string_view tail) {
  char digits[20];
  const char* digits_end = std::to_chars(digits, digits + sizeof digits, sequence).ptr;
  const size_t start = out.size();
  out.append(kFrameHeaderBytes, '\0');
  out.append(head).append(digits, static_cast<size_t>(digits_end - digits)).append(tail);
  FinishFrame(out, start, salt, FrameType::kRecord, sequence, commit);
}

void AppendEndFrame(std::string& out, uint32_t salt, uint64_t next_sequence) {
  const size_t start = out.size();
  out.append(kFrameHeaderBytes, '\0');
  FinishFrame(out, start, salt, FrameType::kEnd, next_sequence, next_sequence);
}

SegmentReader::SegmentReader(std::unique_ptr<File> file, std::string path, SegmentHeader header)
    : file_(std::move(file)),
      path_(std::move(path)),
      header_(std::move(header)),
      next_sequence_(header_.first_sequence) {}

Result<SegmentReader> SegmentReader::Open(Env& env, const std::string& folder,
                                          const std::string& name) {
  const std::string path = folder + "/" + name;
  AEGIS_TRY(std::unique_ptr<File> file, env.OpenToRead(path));
  char bytes[kSegmentHeaderBytes];
  AEGIS_TRY(const size_t got, file->Read(0, bytes, sizeof bytes));
  AEGIS_TRY(SegmentHeader header, DecodeHeader({bytes, got}, path));
  if (ParseSegmentName(name) != header.first_sequence)
    return Fail(CorruptError(path, 0, "the file's name and its header do not agree"));
  return SegmentReader(std::move(file), path, std::move(header));
}

Result<std::string_view> SegmentReader::Bytes(uint64_t offset, size_t size) {
  if (offset < buffer_offset_ || offset + size > buffer_offset_ + buffer_.size()) {
    size_t wanted = std::max(size, kWindow);
    uint64_t start = offset;
    if (offset < buffer_offset_) {  // going backward: what lies before will be asked for next
      start -= std::min<uint64_t>(offset, kWindow / 2);
      wanted += static_cast<size_t>(offset - start);
    }
    buffer_offset_ = start;
    buffer_.resize(wanted);
    auto got = file_->Read(start, buffer_.data(), wanted);
    if (!got) {
      buffer_.clear();
      return Fail(std::move(got).error());
    }
    buffer_.resize(*got);
  }
  const std::string_view bytes = buffer_;
  return bytes.substr(std::min<size_t>(static_cast<size_t>(offset - buffer_offset_), bytes.size()));
}

Result<std::optional<Frame>> SegmentReader::FrameAt(uint64_t offset) {
  AEGIS_TRY(std::string_view bytes, Bytes(offset, kFrameHeaderBytes));
  if (bytes.size() < kFrameHeaderBytes) return std::nullopt;
  // The type with its zeros: no payload has such a word.
  const auto type = Load<uint64_t>(bytes, 8);
  const size_t payload = Load<uint32_t>(bytes, 4);
  if (type == 0 || type > 0xff || payload > kMaxRecordBytes) return std::nullopt;
  AEGIS_TRY(bytes, Bytes(offset, kFrameHeaderBytes + payload));
  if (bytes.size() < kFrameHeaderBytes + payload) return std::nullopt;
  if (Load<uint32_t>(bytes, 0) !=
      FrameCrc(header_.salt, bytes.substr(4, kFrameHeaderBytes - 4 + payload)))
    return std::nullopt;
  return Frame{static_cast<FrameType>(type), Load<uint64_t>(bytes, 16), Load<uint64_t>(bytes, 24),
               bytes.substr(kFrameHeaderBytes, payload)};
}

Result<SegmentReader::Step> SegmentReader::Next(Frame& frame) {
  AEGIS_TRY(const std::optional<Frame> found, FrameAt(offset_));
  if (!found) {
    buffer_.clear();  // what was read ahead may be out of date by the next call
    return Step::kStop;
  }
  if (found->type != FrameType::kRecord && found->type != FrameType::kEnd)
    return Fail(CorruptError(path_, offset_, "a frame of an unknown type"));
  if (found->sequence != next_sequence_ || found->commit > found->sequence ||
      found->commit < commit_)
    return Fail(CorruptError(path_, offset_,
                             "a frame with sequence number " + std::to_string(found->sequence) +
                                 " where " + std::to_string(next_sequence_) + " belongs"));
  frame = *found;
  if (found->type == FrameType::kEnd) return Step::kEnd;
  offset_ += FrameBytes(found->payload.size());
  commit_ = found->commit;
  ++next_sequence_;
  return Step::kFrame;
}

Result<SegmentReader::Tail> SegmentReader::JudgeTail() {
  Tail tail;
  buffer_.clear();
  for (uint64_t at = offset_;; at += 8) {
    AEGIS_TRY(std::string_view bytes, Bytes(at, kFrameHeaderBytes));
    if (bytes.empty()) break;
    size_t zeros = 0;
    while (zeros + 8 <= bytes.size() && Load<uint64_t>(bytes, zeros) == 0) zeros += 8;
    if (zeros != 0) {
      at += zeros - 8;
      continue;
    }
    const size_t word = std::min<size_t>(bytes.size(), 8);
    uint64_t value = 0;
    std::memcpy(&value, bytes.data(), word);
    if (value == 0) continue;  // less than a word at the end of the file
    tail.torn_bytes = at - offset_ + 8 -
                      static_cast<uint64_t>(std::countl_zero(value)) / 8;  // up to its last byte
    if (at == offset_ || bytes.size() < kFrameHeaderBytes) continue;
    AEGIS_TRY(const std::optional<Frame> later, FrameAt(at));
    if (later && (later->type != FrameType::kRecord || later->commit > next_sequence_)) {
      tail.kind = Tail::Kind::kCorrupt;
      tail.evidence = at;
      return tail;
    }
  }
  if (tail.torn_bytes != 0) tail.kind = Tail::Kind::kTorn;
  buffer_.clear();
  return tail;
}

void SegmentReader::Seek(uint64_t offset, uint64_t expected_sequence) {
  offset_ = offset;
  next_sequence_ = expected_sequence;
  commit_ = 0;
}

}  // namespace aegis::audit
