// The protobuf wire format (protobuf docs "Encoding"), read and written field by field, for
// messages that are not worth generated code.
//
// Threading: one thread at a time. Ownership: what is read are views into the input; nothing is
// copied.
#pragma once

#include <bit>
#include <cstdint>
#include <string>
#include <string_view>

namespace aegis {

// Groups (wire types 3 and 4) are not among them: no message that Aegis reads has one.
enum class Wire : uint8_t { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };

struct WireField {
  uint32_t number = 0;  // 1 to 2^29 - 1
  Wire wire = Wire::kVarint;
  uint64_t value = 0;      // kVarint, kFixed64, kFixed32
  std::string_view bytes;  // kBytes
};

// Reads one message. Strict: what is not protobuf, in whole or in part, is told and never skipped.
class WireReader {
 public:
  explicit WireReader(std::string_view bytes) : left_(bytes) {}
  bool done() const { return left_.empty(); }

  // The next field. False: the bytes are not protobuf, and the reader is of no more use.
  bool Next(WireField& out) {
    uint64_t tag = 0;
    if (!Varint(tag) || tag >> 3 == 0 || tag >> 3 >= uint64_t{1} << 29) return false;
    out.number = static_cast<uint32_t>(tag >> 3);
    out.bytes = {};
    out.value = 0;
    switch (tag & 7) {
      case 0:
        out.wire = Wire::kVarint;
        return Varint(out.value);
      case 1:
        out.wire = Wire::kFixed64;
        return Fixed(8, out.value);
      case 2: {
        out.wire = Wire::kBytes;
        uint64_t size = 0;
        if (!Varint(size) || size > left_.size()) return false;
        out.bytes = left_.substr(0, size);
        left_.remove_prefix(size);
        return true;
      }
      case 5:
        out.wire = Wire::kFixed32;
        return Fixed(4, out.value);
      default:
        return false;
    }
  }

  // One number without a tag, as packed lists have them. False: as of Next.
  bool Varint(uint64_t& out) {
    out = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      if (left_.empty()) return false;
      const auto byte = static_cast<uint8_t>(left_.front());
      left_.remove_prefix(1);
      if (shift == 63 && byte > 1) return false;
      out |= static_cast<uint64_t>(byte & 0x7f) << shift;
      if (byte < 0x80) return true;
    }
    return false;
  }

 private:
  bool Fixed(size_t size, uint64_t& out) {
    if (left_.size() < size) return false;
    for (size_t i = 0; i < size; ++i) {
      out |= static_cast<uint64_t>(static_cast<uint8_t>(left_[i])) << (8 * i);
    }
    left_.remove_prefix(size);
    return true;
  }
  std::string_view left_;
};

// Appends fields to `out`, which must outlive it. As in proto3, the caller leaves out what has its
// default value.
class WireWriter {
 public:
  explicit WireWriter(std::string& out) : out_(out) {}

  void Number(uint32_t field, uint64_t value) {
    Tag(field, Wire::kVarint);
    Varint(value);
  }
  void Double(uint32_t field, double value) { Fixed64(field, std::bit_cast<uint64_t>(value)); }
  void Fixed64(uint32_t field, uint64_t value) {
    Tag(field, Wire::kFixed64);
    for (int i = 0; i < 8; ++i, value >>= 8) out_ += static_cast<char>(value);
  }
  void Fixed32(uint32_t field, uint32_t value) {
    Tag(field, Wire::kFixed32);
    for (int i = 0; i < 4; ++i, value >>= 8) out_ += static_cast<char>(value);
  }
  void Bytes(uint32_t field, std::string_view value) {
    Tag(field, Wire::kBytes);
    Varint(value.size());
    out_ += value;
  }
  // A message as a field: what is written between Begin and End. They nest.
  //   const size_t mark = writer.Begin(3);  …  writer.End(mark);
  [[nodiscard]] size_t Begin(uint32_t field) {
    Tag(field, Wire::kBytes);
    // Most messages are shorter than 128 bytes, so that their size takes this one byte.
    out_ += '\0';
    return out_.size();
  }
  void End(size_t mark) {
    size_t size = out_.size() - mark;
    if (size < 0x80) {
      out_[mark - 1] = static_cast<char>(size);
      return;
    }
    char digits[10];
    size_t count = 0;
    for (; size >= 0x80; size >>= 7) digits[count++] = static_cast<char>(size | 0x80);
    digits[count++] = static_cast<char>(size);
    out_.replace(mark - 1, 1, digits, count);
  }

 private:
  void Tag(uint32_t field, Wire wire) {
    Varint(uint64_t{field} << 3 | static_cast<uint64_t>(wire));
  }
  void Varint(uint64_t value) {
    for (; value >= 0x80; value >>= 7) out_ += static_cast<char>(value | 0x80);
    out_ += static_cast<char>(value);
  }

  std::string& out_;
};

}  // namespace aegis
