#include "aegis/crypto/der.h"

#include <algorithm>

namespace aegis::crypto {
namespace {

uint8_t ByteAt(std::string_view text, size_t i) { return static_cast<uint8_t>(text[i]); }

bool IsShortestInteger(std::string_view bytes) {
  if (bytes.empty()) return false;
  if (bytes.size() == 1) return true;
  const bool high = (ByteAt(bytes, 1) & 0x80) != 0;
  return !(ByteAt(bytes, 0) == 0 && !high) && !(ByteAt(bytes, 0) == 0xff && high);
}

std::string Decimal(unsigned __int128 number) {
  std::string out;
  do out += static_cast<char>('0' + static_cast<int>(number % 10));
  while ((number /= 10) != 0);
  std::reverse(out.begin(), out.end());
  return out;
}

}  // namespace

bool DerReader::Header(uint8_t& tag, size_t& length, size_t& header) const {
  if (rest_.size() < 2) return false;
  tag = ByteAt(rest_, 0);
  if ((tag & 0x1f) == 0x1f) return false;
  length = ByteAt(rest_, 1);
  header = 2;
  if (length < 0x80) return true;
  const size_t count = length & 0x7f;
  if (count == 0 || count > 4 || rest_.size() < 2 + count) return false;
  length = 0;
  for (size_t i = 0; i < count; ++i) length = length << 8 | ByteAt(rest_, 2 + i);
  header += count;
  return length >= 0x80 && length >> ((count - 1) * 8) != 0;
}

bool DerReader::SkipHeader(uint8_t tag, size_t& length) {
  uint8_t found = 0;
  size_t header = 0;
  if (!Peek(tag) || !Header(found, length, header)) return false;
  rest_.remove_prefix(header);
  return true;
}

bool DerReader::Next(uint8_t& tag, std::string_view& element, std::string_view& contents) const {
  size_t length = 0, header = 0;
  if (!Header(tag, length, header) || rest_.size() - header < length) return false;
  element = rest_.substr(0, header + length);
  contents = element.substr(header);
  return true;
}

bool DerReader::ReadAny(uint8_t& tag, std::string_view& contents) {
  std::string_view element;
  if (!Next(tag, element, contents)) return false;
  rest_.remove_prefix(element.size());
  return true;
}

bool DerReader::Read(uint8_t tag, std::string_view& contents) {
  uint8_t found = 0;
  return Peek(tag) && ReadAny(found, contents);
}

bool DerReader::ReadElement(uint8_t tag, std::string_view& element) {
  uint8_t found = 0;
  std::string_view contents;
  if (!Peek(tag) || !Next(found, element, contents)) return false;
  rest_.remove_prefix(element.size());
  return true;
}

bool DerReader::Enter(uint8_t tag, DerReader& inside) {
  std::string_view contents;
  if (!Read(tag, contents)) return false;
  inside = DerReader(contents);
  return true;
}

bool DerReader::ReadOptional(uint8_t tag, std::optional<std::string_view>& contents) {
  contents.reset();
  if (!Peek(tag)) return true;
  std::string_view read;
  if (!Read(tag, read)) return false;
  contents = read;
  return true;
}

bool DerReader::ReadBoolean(bool& out) {
  std::string_view bytes;
  if (!Read(kDerBoolean, bytes) || bytes.size() != 1) return false;
  out = ByteAt(bytes, 0) == 0xff;
  return out || ByteAt(bytes, 0) == 0;
}

bool DerReader::ReadIntegerBytes(std::string_view& bytes) {
  return Read(kDerInteger, bytes) && IsShortestInteger(bytes);
}

bool DerReader::ReadInt(int64_t& out) {
  std::string_view bytes;
  if (!ReadIntegerBytes(bytes) || bytes.size() > 8) return false;
  uint64_t value = (ByteAt(bytes, 0) & 0x80) != 0 ? ~uint64_t{0} : 0;
  for (size_t i = 0; i < bytes.size(); ++i) value = value << 8 | ByteAt(bytes, i);
  out = static_cast<int64_t>(value);
  return true;
}

bool DerReader::ReadBits(std::string_view& bytes, int& unused_bits) {
  std::string_view contents;
  if (!Read(kDerBitString, contents) || contents.empty()) return false;
  unused_bits = ByteAt(contents, 0);
  bytes = contents.substr(1);
  if (unused_bits > 7 || (bytes.empty() && unused_bits != 0)) return false;
  return unused_bits == 0 || (ByteAt(bytes, bytes.size() - 1) & ((1 << unused_bits) - 1)) == 0;
}

bool DerReader::ReadBitString(std::string& right_aligned) {
  std::string_view bytes;
  int shift = 0;
  if (!ReadBits(bytes, shift)) return false;
  right_aligned.clear();
  unsigned before = 0;
  for (size_t i = 0; i < bytes.size(); ++i) {
    const unsigned byte = ByteAt(bytes, i);
    right_aligned += static_cast<char>((before << 8 | byte) >> shift);
    before = byte;
  }
  return true;
}

bool DerReader::ReadOid(std::vector<int64_t>& arcs) {
  std::string_view bytes;
  arcs.clear();
  if (!Read(kDerObjectIdentifier, bytes) || bytes.empty()) return false;
  for (size_t i = 0; i < bytes.size();) {
    int64_t arc = 0;
    if (ByteAt(bytes, i) == 0x80) return false;
    for (bool more = true; more; ++i) {
      if (i == bytes.size() || arc >= int64_t{1} << 24) return false;
      arc = arc << 7 | (ByteAt(bytes, i) & 0x7f);
      more = (ByteAt(bytes, i) & 0x80) != 0;
    }
    if (arcs.empty()) {
      arcs.push_back(std::min<int64_t>(arc / 40, 2));
      arc -= arcs[0] * 40;
    }
    arcs.push_back(arc);
  }
  return true;
}

std::optional<std::string> OidText(std::string_view contents, bool lenient) {
  if (contents.empty() && !lenient) return std::nullopt;
  std::string out;
  for (size_t i = 0; i < contents.size();) {
    unsigned __int128 arc = 0;
    if (!lenient && ByteAt(contents, i) == 0x80) return std::nullopt;
    for (bool more = true; more; ++i) {
      if (i == contents.size()) return lenient ? std::optional(out) : std::nullopt;
      if (arc >> 121 != 0) return std::nullopt;
      arc = arc << 7 | (ByteAt(contents, i) & 0x7f);
      more = (ByteAt(contents, i) & 0x80) != 0;
    }
    if (out.empty()) {
      const unsigned __int128 first = arc >= 80 ? 2 : arc / 40;
      out = Decimal(first);
      arc -= first * 40;
    }
    out += '.' + Decimal(arc);
  }
  return out;
}

}  // namespace aegis::crypto
