#include "aegis/base/json_text.h"

#include <array>

namespace aegis {
namespace {

// Printable ASCII that stands for itself.
constexpr std::array<bool, 256> kPlain = [] {
  std::array<bool, 256> plain{};
  for (size_t c = 0x20; c < 0x80; ++c) plain[c] = c != '"' && c != '\\';
  return plain;
}();

// Size of the UTF-8 sequence at the start of `text`, which begins with a byte above 0x7f; 0: none.
size_t SequenceSize(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
  const uint8_t first = byte(0);
  size_t size = 0;
  uint8_t low = 0x80, high = 0xbf;  // of the second byte: no overlong forms, surrogates, > U+10FFFF
  if (first >= 0xc2 && first <= 0xdf) {
    size = 2;
  } else if (first >= 0xe0 && first <= 0xef) {
    size = 3;
    if (first == 0xe0) low = 0xa0;
    if (first == 0xed) high = 0x9f;
  } else if (first >= 0xf0 && first <= 0xf4) {
    size = 4;
    if (first == 0xf0) low = 0x90;
    if (first == 0xf4) high = 0x8f;
  }
  if (size == 0 || text.size() < size || byte(1) < low || byte(1) > high) return 0;
  for (size_t i = 2; i < size; ++i)
    if ((byte(i) & 0xc0) != 0x80) return 0;
  return size;
}

void AppendControl(std::string& out, char c) {
  static constexpr char kHex[] = "0123456789abcdef";
  switch (c) {
    case '"':
      out.append("\\\"");
      return;
    case '\\':
      out.append("\\\\");
      return;
    case '\b':
      out.append("\\b");
      return;
    case '\t':
      out.append("\\t");
      return;
    case '\n':
      out.append("\\n");
      return;
    case '\f':
      out.append("\\f");
      return;
    case '\r':
      out.append("\\r");
      return;
    default:
      out.append("\\u00");
      out.push_back(kHex[static_cast<uint8_t>(c) >> 4]);
      out.push_back(kHex[static_cast<uint8_t>(c) & 15]);
  }
}

}  // namespace

void AppendJsonText(std::string& out, std::string_view text, size_t max_bytes) {
  const bool cut = text.size() > max_bytes;
  if (cut) {
    text = text.substr(0, max_bytes);
    // Not in the middle of a character: back to its first byte, if there is one nearby.
    size_t end = text.size();
    while (end > 0 && text.size() - end < 3 && (static_cast<uint8_t>(text[end - 1]) & 0xc0) == 0x80)
      --end;
    if (end > 0 && static_cast<uint8_t>(text[end - 1]) >= 0xc0 &&
        SequenceSize(text.substr(end - 1)) == 0)
      text = text.substr(0, end - 1);
  }
  out.push_back('"');
  size_t at = 0;
  while (at < text.size()) {
    size_t end = at;
    while (end < text.size() && kPlain[static_cast<uint8_t>(text[end])]) ++end;
    out.append(text, at, end - at);
    at = end;
    if (at == text.size()) break;
    const char c = text[at];
    if (static_cast<uint8_t>(c) < 0x80) {
      AppendControl(out, c);
      ++at;
    } else if (const size_t size = SequenceSize(text.substr(at)); size != 0) {
      out.append(text, at, size);
      at += size;
    } else {
      out.append("\xef\xbf\xbd");
      ++at;
    }
  }
  if (cut) out.append("\xe2\x80\xa6");
  out.push_back('"');
}

std::string EscapeJsonPointer(std::string_view name) {
  std::string out;
  for (const char c : name) {
    if (c == '~') {
      out += "~0";
    } else if (c == '/') {
      out += "~1";
    } else {
      out += c;
    }
  }
  return out;
}

}  // namespace aegis
