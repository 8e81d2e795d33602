#include "aegis/base/text.h"

#include <algorithm>
#include <cstdint>

namespace aegis {

std::string HexEncode(std::string_view bytes) {
  static constexpr char kHex[] = "0123456789abcdef";
  std::string text;
  text.reserve(bytes.size() * 2);
  for (const char c : bytes) {
    text.push_back(kHex[static_cast<uint8_t>(c) >> 4]);
    text.push_back(kHex[static_cast<uint8_t>(c) & 15]);
  }
  return text;
}

std::optional<std::string> HexDecode(std::string_view text) {
  auto digit = [](char c) -> int {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
  };
  if (text.size() % 2 != 0) return std::nullopt;
  std::string bytes;
  bytes.reserve(text.size() / 2);
  for (size_t i = 0; i < text.size(); i += 2) {
    const int high = digit(text[i]);
    const int low = digit(text[i + 1]);
    if (high < 0 || low < 0) return std::nullopt;
    bytes.push_back(static_cast<char>(high << 4 | low));
  }
  return bytes;
}

bool IsValidUtf8(std::string_view text) {
  const auto* p = reinterpret_cast<const uint8_t*>(text.data());
  const auto* end = p + text.size();
  while (p < end) {
    const uint8_t first = *p++;
    if (first < 0x80) continue;
    int more;
    uint32_t point;
    uint32_t least;
    if ((first & 0xe0) == 0xc0) {
      more = 1, point = first & 0x1f, least = 0x80;
    } else if ((first & 0xf0) == 0xe0) {
      more = 2, point = first & 0x0f, least = 0x800;
    } else if ((first & 0xf8) == 0xf0) {
      more = 3, point = first & 0x07, least = 0x10000;
    } else {
      return false;
    }
    if (end - p < more) return false;
    for (; more > 0; --more) {
      if ((*p & 0xc0) != 0x80) return false;
      point = point << 6 | (*p++ & 0x3f);
    }
    if (point < least || point > 0x10ffff || (point >= 0xd800 && point <= 0xdfff)) return false;
  }
  return true;
}

std::string ReplaceBadUtf8(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    size_t length = 1;
    while (length < 4 && length < text.size() && !IsValidUtf8(text.substr(0, length))) ++length;
    const bool valid = IsValidUtf8(text.substr(0, length));
    out.append(valid ? text.substr(0, length) : "\xef\xbf\xbd");
    text.remove_prefix(valid ? length : 1);
  }
  return out;
}

std::vector<std::string_view> Split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  for (;;) {
    const size_t at = text.find(separator);
    parts.push_back(text.substr(0, at));
    if (at == std::string_view::npos) return parts;
    text.remove_prefix(at + 1);
  }
}

std::string_view Trim(std::string_view text) {
  const size_t first = text.find_first_not_of(" \t");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

bool EqualsIgnoreCase(std::string_view a, std::string_view b) {
  auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; };
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [&](char x, char y) { return lower(x) == lower(y); });
}

std::optional<std::string_view> NearestSpelling(std::string_view word,
                                                std::span<const std::string_view> candidates) {
  if (word.size() > 64) return std::nullopt;
  size_t best_distance = (word.size() + 2) / 3 + 1;
  std::optional<std::string_view> best;
  for (const std::string_view candidate : candidates) {
    if (candidate.size() > 64) continue;
    const size_t width = candidate.size() + 1;
    std::vector<size_t> before(width), row(width), next(width);
    for (size_t j = 0; j < width; ++j) row[j] = j;
    for (size_t i = 1; i <= word.size(); ++i) {
      next[0] = i;
      for (size_t j = 1; j < width; ++j) {
        const size_t change = row[j - 1] + (word[i - 1] == candidate[j - 1] ? 0 : 1);
        next[j] = std::min({change, row[j] + 1, next[j - 1] + 1});
        if (i > 1 && j > 1 && word[i - 1] == candidate[j - 2] && word[i - 2] == candidate[j - 1])
          next[j] = std::min(next[j], before[j - 2] + 1);
      }
      before.swap(row);
      row.swap(next);
    }
    if (row.back() < best_distance) {
      best_distance = row.back();
      best = candidate;
    }
  }
  return best;
}

bool MatchesWildcard(std::string_view pattern, std::string_view text) {
  size_t p = 0;
  size_t t = 0;
  size_t star = std::string_view::npos;
  size_t resume = 0;
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      resume = t;
    } else if (p < pattern.size() && pattern[p] == text[t]) {
      ++p;
      ++t;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      t = ++resume;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

}  // namespace aegis
