#include "aegis/json/writer.h"

#include <array>
#include <cstdint>

namespace aegis::json {
namespace {

constexpr char kHex[] = "0123456789abcdef";

constexpr std::array<bool, 256> MakeSpecial(bool go) {
  std::array<bool, 256> special{};
  for (size_t i = 0; i < 0x20; ++i) special[i] = true;
  special['"'] = special['\\'] = true;
  for (size_t i = 0x80; i < 256; ++i) special[i] = true;
  if (go) special['<'] = special['>'] = special['&'] = true;
  return special;
}
constexpr std::array<bool, 256> kSpecial = MakeSpecial(false);
constexpr std::array<bool, 256> kGoSpecial = MakeSpecial(true);

void AppendEscaped(std::string& out, unsigned char byte) {
  switch (byte) {
    case '"':
      out += "\\\"";
      return;
    case '\\':
      out += "\\\\";
      return;
    case '\n':
      out += "\\n";
      return;
    case '\r':
      out += "\\r";
      return;
    case '\t':
      out += "\\t";
      return;
    case '\b':
      out += "\\b";
      return;
    case '\f':
      out += "\\f";
      return;
    default:
      out += "\\u00";
      out.push_back(kHex[byte >> 4]);
      out.push_back(kHex[byte & 15]);
  }
}

// Bytes of the UTF-8 character at the start of `text`; 0 when there is none.
size_t CharacterSize(std::string_view text) {
  const auto byte = [&](size_t i) -> uint32_t { return static_cast<unsigned char>(text[i]); };
  const auto follows = [&](size_t i) { return i < text.size() && (byte(i) & 0xc0) == 0x80; };
  const uint32_t first = byte(0);
  if (first >= 0xc2 && first <= 0xdf) return follows(1) ? 2 : 0;
  if (first >= 0xe0 && first <= 0xef) {
    if (!follows(1) || !follows(2)) return 0;
    if (first == 0xe0 && byte(1) < 0xa0) return 0;
    if (first == 0xed && byte(1) > 0x9f) return 0;
    return 3;
  }
  if (first >= 0xf0 && first <= 0xf4) {
    if (!follows(1) || !follows(2) || !follows(3)) return 0;
    if (first == 0xf0 && byte(1) < 0x90) return 0;
    if (first == 0xf4 && byte(1) > 0x8f) return 0;
    return 4;
  }
  return 0;
}

// `go`: escape what Go escapes beyond RFC 8785.
template <bool go>
void Append(std::string& out, std::string_view text) {
  constexpr const std::array<bool, 256>& kTable = go ? kGoSpecial : kSpecial;
  out.push_back('"');
  size_t plain_from = 0;
  for (size_t i = 0; i < text.size();) {
    const auto byte = static_cast<unsigned char>(text[i]);
    if (!kTable[byte]) {
      ++i;
      continue;
    }
    size_t size = 1;
    std::string_view replacement;
    if (byte >= 0x80) {
      size = CharacterSize(text.substr(i));
      const std::string_view character = text.substr(i, size);
      if (size == 0) {
        replacement = go ? "\\ufffd" : "\xef\xbf\xbd";
        size = 1;
      } else if (go && character == "\u2028") {
        replacement = "\\u2028";
      } else if (go && character == "\u2029") {
        replacement = "\\u2029";
      } else {
        i += size;
        continue;
      }
    }
    out.append(text, plain_from, i - plain_from);
    if (replacement.empty() && (byte == '<' || byte == '>' || byte == '&')) {
      out += "\\u00";
      out.push_back(kHex[byte >> 4]);
      out.push_back(kHex[byte & 15]);
    } else if (replacement.empty()) {
      AppendEscaped(out, byte);
    } else {
      out += replacement;
    }
    i += size;
    plain_from = i;
  }
  out.append(text, plain_from);
  out.push_back('"');
}

}  // namespace

void AppendString(std::string& out, std::string_view text) { Append<false>(out, text); }

void AppendGoString(std::string& out, std::string_view text) { Append<true>(out, text); }

}  // namespace aegis::json
