#include "aegis/rego/builtins/unicode.h"

#include <locale.h>
#include <wctype.h>

#include <algorithm>

#include "aegis/base/result.h"

namespace aegis::rego {
namespace {

// The C library's Unicode tables; "C.UTF-8" comes with it.
locale_t Utf8Locale() {
  static const locale_t locale = newlocale(LC_CTYPE_MASK, "C.UTF-8", nullptr);
  AEGIS_BUG(locale == nullptr);
  return locale;
}

}  // namespace

uint32_t DecodeLongRune(std::string_view text, size_t& size) {
  const auto byte = [&](size_t i) -> uint32_t {
    return i < text.size() ? static_cast<unsigned char>(text[i]) : 0;
  };
  const auto follows = [&](size_t i) { return (byte(i) & 0xc0) == 0x80; };
  const uint32_t first = byte(0);
  size = 1;
  if (first < 0x80) return first;
  if (first >= 0xc2 && first <= 0xdf && follows(1)) {
    size = 2;
    return (first & 0x1f) << 6 | (byte(1) & 0x3f);
  }
  if (first >= 0xe0 && first <= 0xef && follows(1) && follows(2)) {
    const uint32_t rune = (first & 0xf) << 12 | (byte(1) & 0x3f) << 6 | (byte(2) & 0x3f);
    if (rune < 0x800 || (rune >= 0xd800 && rune <= 0xdfff)) return kReplacementRune;
    size = 3;
    return rune;
  }
  if (first >= 0xf0 && first <= 0xf4 && follows(1) && follows(2) && follows(3)) {
    const uint32_t rune =
        (first & 7) << 18 | (byte(1) & 0x3f) << 12 | (byte(2) & 0x3f) << 6 | (byte(3) & 0x3f);
    if (rune < 0x10000 || rune > 0x10ffff) return kReplacementRune;
    size = 4;
    return rune;
  }
  return kReplacementRune;
}

void AppendRune(std::string& out, uint32_t rune) {
  if (rune > 0x10ffff || (rune >= 0xd800 && rune <= 0xdfff)) rune = kReplacementRune;
  const auto put = [&out](uint32_t byte) { out.push_back(static_cast<char>(byte)); };
  if (rune < 0x80) {
    put(rune);
  } else if (rune < 0x800) {
    put(0xc0 | rune >> 6);
    put(0x80 | (rune & 63));
  } else if (rune < 0x10000) {
    put(0xe0 | rune >> 12);
    put(0x80 | (rune >> 6 & 63));
    put(0x80 | (rune & 63));
  } else {
    put(0xf0 | rune >> 18);
    put(0x80 | (rune >> 12 & 63));
    put(0x80 | (rune >> 6 & 63));
    put(0x80 | (rune & 63));
  }
}

std::vector<uint32_t> Runes(std::string_view text) {
  std::vector<uint32_t> runes;
  runes.reserve(text.size());
  for (size_t size; !text.empty(); text.remove_prefix(size)) {
    runes.push_back(DecodeRune(text, size));
  }
  return runes;
}

size_t CountRunes(std::string_view text) {
  size_t count = 0;
  for (size_t size; !text.empty(); text.remove_prefix(size)) {
    DecodeRune(text, size);
    ++count;
  }
  return count;
}

bool IsAscii(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return IsAscii(c); });
}

uint32_t LowerRune(uint32_t rune) {
  if (rune < 0x80) return rune >= 'A' && rune <= 'Z' ? rune + 32 : rune;
  return Utf8Locale() == nullptr ? rune : towlower_l(rune, Utf8Locale());
}

uint32_t UpperRune(uint32_t rune) {
  if (rune < 0x80) return rune >= 'a' && rune <= 'z' ? rune - 32 : rune;
  return Utf8Locale() == nullptr ? rune : towupper_l(rune, Utf8Locale());
}

bool IsSpaceRune(uint32_t rune) {
  return (rune >= 9 && rune <= 13) || rune == ' ' || rune == 0x85 || rune == 0xa0 ||
         rune == 0x1680 || (rune >= 0x2000 && rune <= 0x200a) || rune == 0x2028 || rune == 0x2029 ||
         rune == 0x202f || rune == 0x205f || rune == 0x3000;
}

bool IsPrintRune(uint32_t rune) {
  if (rune < 0x80) return rune >= 0x20 && rune < 0x7f;
  if (IsSpaceRune(rune) || Utf8Locale() == nullptr) return false;
  return iswprint_l(rune, Utf8Locale()) != 0 && rune != 0xad;
}

void AppendGoQuoted(std::string& out, std::string_view text) {
  static constexpr char kHex[] = "0123456789abcdef";
  const auto hex = [&out](uint32_t value, int digits) {
    for (int shift = 4 * (digits - 1); shift >= 0; shift -= 4) {
      out.push_back(kHex[value >> shift & 15]);
    }
  };
  const auto is_special = [](char c) { return c < ' ' || c > '~' || c == '"' || c == '\\'; };
  out.push_back('"');
  for (size_t size;; text.remove_prefix(size)) {
    const auto plain =
        static_cast<size_t>(std::find_if(text.begin(), text.end(), is_special) - text.begin());
    out.append(text, 0, plain);
    text.remove_prefix(plain);
    if (text.empty()) break;
    const uint32_t rune = DecodeRune(text, size);
    if (rune == kReplacementRune && size == 1) {
      out += "\\x";
      hex(static_cast<unsigned char>(text[0]), 2);
    } else if (rune == '"' || rune == '\\') {
      out.push_back('\\');
      out.push_back(static_cast<char>(rune));
    } else if (IsPrintRune(rune)) {
      out.append(text, 0, size);
    } else if (rune >= 7 && rune <= 13) {
      out.push_back('\\');
      out.push_back("abtnvfr"[rune - 7]);
    } else if (rune < 0x20 || rune == 0x7f) {
      out += "\\x";
      hex(rune, 2);
    } else if (rune < 0x10000) {
      out += "\\u";
      hex(rune, 4);
    } else {
      out += "\\U";
      hex(rune, 8);
    }
  }
  out.push_back('"');
}

}  // namespace aegis::rego
