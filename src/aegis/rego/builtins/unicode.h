// Characters as Go's unicode and utf8 packages see them.
//
// Internal to the rego library.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace aegis::rego {

inline constexpr uint32_t kReplacementRune = 0xfffd;

inline bool IsAscii(char c) { return static_cast<unsigned char>(c) < 0x80; }

// The character at the start of `text`, which is not empty, and its bytes; U+FFFD and 1 when there
// is no valid one.
uint32_t DecodeLongRune(std::string_view text, size_t& size);  // the same
inline uint32_t DecodeRune(std::string_view text, size_t& size) {
  if (!IsAscii(text[0])) return DecodeLongRune(text, size);
  size = 1;
  return static_cast<unsigned char>(text[0]);
}
void AppendRune(std::string& out, uint32_t rune);
std::vector<uint32_t> Runes(std::string_view text);
size_t CountRunes(std::string_view text);
bool IsAscii(std::string_view text);

// Simple case mapping.
uint32_t LowerRune(uint32_t rune);
uint32_t UpperRune(uint32_t rune);
bool IsSpaceRune(uint32_t rune);
bool IsPrintRune(uint32_t rune);

// strconv.Quote.
void AppendGoQuoted(std::string& out, std::string_view text);

}  // namespace aegis::rego
