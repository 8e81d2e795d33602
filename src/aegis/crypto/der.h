// Reading DER (X.690) piece by piece: definite lengths in their shortest form, tags below 31,
// integers and bit strings in their only form. What is not DER ends the reading with false.
//
// Threading: a reader is a value. Ownership: what it gives points into the text it reads.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace aegis::crypto {

// Identifier octets.
enum DerTag : uint8_t {
  kDerBoolean = 0x01,
  kDerInteger = 0x02,
  kDerBitString = 0x03,
  kDerOctetString = 0x04,
  kDerNull = 0x05,
  kDerObjectIdentifier = 0x06,
  kDerUtf8String = 0x0c,
  kDerNumericString = 0x12,
  kDerPrintableString = 0x13,
  kDerT61String = 0x14,
  kDerIa5String = 0x16,
  kDerUtcTime = 0x17,
  kDerGeneralizedTime = 0x18,
  kDerBmpString = 0x1e,
  kDerSequence = 0x30,
  kDerSet = 0x31,
};
constexpr uint8_t DerContext(uint8_t number) { return 0x80 | number; }
constexpr uint8_t DerContextConstructed(uint8_t number) { return 0xa0 | number; }

class DerReader {
 public:
  explicit DerReader(std::string_view der) : rest_(der) {}

  bool empty() const { return rest_.empty(); }
  std::string_view rest() const { return rest_; }
  bool Peek(uint8_t tag) const { return !rest_.empty() && static_cast<uint8_t>(rest_[0]) == tag; }

  // One element: its contents, or itself with tag and length.
  bool Read(uint8_t tag, std::string_view& contents);
  bool ReadElement(uint8_t tag, std::string_view& element);
  bool ReadAny(uint8_t& tag, std::string_view& contents);
  // The contents of a constructed element as a reader of its own.
  bool Enter(uint8_t tag, DerReader& inside);
  // True too when the next element has another tag or there is none; `contents` is then nothing.
  bool ReadOptional(uint8_t tag, std::optional<std::string_view>& contents);

  // The tag and the length only, which need not be that of what follows.
  bool SkipHeader(uint8_t tag, size_t& length);

  bool ReadBoolean(bool& out);
  // Two's complement bytes.
  bool ReadIntegerBytes(std::string_view& bytes);
  bool ReadInt(int64_t& out);
  // The bits as whole bytes, shifted so that the last bit is the lowest of the last byte; and
  // unshifted.
  bool ReadBitString(std::string& right_aligned);
  bool ReadBits(std::string_view& bytes, int& unused_bits);
  // Arcs below 2^31.
  bool ReadOid(std::vector<int64_t>& arcs);

 private:
  // Tag, length, and the bytes that these take.
  bool Header(uint8_t& tag, size_t& length, size_t& header) const;
  bool Next(uint8_t& tag, std::string_view& element, std::string_view& contents) const;

  std::string_view rest_;
};

// Arcs of any size of an object identifier's contents, dotted. Nothing when it is not one, or has
// an arc of more than 128 bits. `lenient`: zeros in front of an arc and a last arc without end are
// passed over.
std::optional<std::string> OidText(std::string_view contents, bool lenient = false);

}  // namespace aegis::crypto
