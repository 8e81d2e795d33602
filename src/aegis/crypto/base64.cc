#include "aegis/crypto/base64.h"

#include <array>
#include <cstdint>

namespace aegis::crypto {
namespace {

constexpr char kStandard[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr char kUrl[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

constexpr std::array<int8_t, 256> ReverseTable(const char* alphabet) {
  std::array<int8_t, 256> table{};
  for (int8_t& entry : table) entry = -1;
  for (int i = 0; i < 64; ++i) table[static_cast<uint8_t>(alphabet[i])] = static_cast<int8_t>(i);
  return table;
}
constexpr std::array<int8_t, 256> kStandardReverse = ReverseTable(kStandard);
constexpr std::array<int8_t, 256> kUrlReverse = ReverseTable(kUrl);

std::string Encode(std::string_view bytes, const char* alphabet) {
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  size_t i = 0;
  const auto byte = [&](size_t at) {
    return static_cast<uint32_t>(static_cast<uint8_t>(bytes[at]));
  };
  for (; i + 3 <= bytes.size(); i += 3) {
    const uint32_t group = byte(i) << 16 | byte(i + 1) << 8 | byte(i + 2);
    for (int shift = 18; shift >= 0; shift -= 6) out.push_back(alphabet[group >> shift & 63]);
  }
  const size_t left = bytes.size() - i;
  if (left > 0) {
    const uint32_t group = byte(i) << 16 | (left == 2 ? byte(i + 1) << 8 : 0);
    out.push_back(alphabet[group >> 18 & 63]);
    out.push_back(alphabet[group >> 12 & 63]);
    if (left == 2) out.push_back(alphabet[group >> 6 & 63]);
  }
  return out;
}

// `text` has no padding. Left-over bits must be zero (RFC 4648 §3.5).
std::optional<std::string> Decode(std::string_view text, const std::array<int8_t, 256>& reverse) {
  if (text.size() % 4 == 1) return std::nullopt;
  std::string out;
  out.reserve(text.size() / 4 * 3 + 2);
  uint32_t group = 0;
  int bits = 0;
  for (const char c : text) {
    const int8_t value = reverse[static_cast<uint8_t>(c)];
    if (value < 0) return std::nullopt;
    group = group << 6 | static_cast<uint32_t>(value);
    bits += 6;
    if (bits >= 8) {
      bits -= 8;
      out.push_back(static_cast<char>(group >> bits & 0xff));
      group &= (uint32_t{1} << bits) - 1;
    }
  }
  if (group != 0) return std::nullopt;
  return out;
}

}  // namespace

std::string Base64Encode(std::string_view bytes) {
  std::string out = Encode(bytes, kStandard);
  out.append((4 - out.size() % 4) % 4, '=');
  return out;
}

std::optional<std::string> Base64Decode(std::string_view text) {
  if (text.size() % 4 != 0) return std::nullopt;
  for (int i = 0; i < 2 && text.ends_with('='); ++i) text.remove_suffix(1);
  return Decode(text, kStandardReverse);
}

std::string Base64UrlEncode(std::string_view bytes) { return Encode(bytes, kUrl); }

std::optional<std::string> Base64UrlDecode(std::string_view text) {
  return Decode(text, kUrlReverse);
}

std::optional<std::string> Base64DecodeAsGo(std::string_view text, Base64Form form) {
  const bool padded = form == Base64Form::kStandard || form == Base64Form::kUrl;
  const bool url = form == Base64Form::kUrl || form == Base64Form::kUrlUnpadded;
  const std::array<int8_t, 256>& reverse = url ? kUrlReverse : kStandardReverse;
  std::string out;
  out.reserve(text.size() / 4 * 3 + 3);
  uint32_t group = 0;
  int digits = 0, padding = 0;
  for (const char c : text) {
    if (c == '\r' || c == '\n') continue;
    if (c == '=' && padded) {
      if (digits < 2 || digits + ++padding > 4) return std::nullopt;
      continue;
    }
    const int value = reverse[static_cast<uint8_t>(c)];
    if (value < 0 || padding > 0) return std::nullopt;
    group = group << 6 | static_cast<uint32_t>(value);
    if (++digits == 4) {
      for (int shift = 16; shift >= 0; shift -= 8) out += static_cast<char>(group >> shift);
      group = 0;
      digits = 0;
    }
  }
  if (digits == 0) return out;
  if (digits == 1 || (padded && digits + padding != 4)) return std::nullopt;
  group <<= 6 * (4 - digits);
  for (int i = 0; i < digits - 1; ++i) out += static_cast<char>(group >> (16 - 8 * i));
  return out;
}

}  // namespace aegis::crypto
