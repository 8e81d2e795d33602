#include "aegis/tool/loose_name.h"

#include <algorithm>

namespace aegis::tool {
namespace {

constexpr std::string_view kLongS = "\xc5\xbf";
constexpr std::string_view kKelvin = "\xe2\x84\xaa";

// The folded byte at `*at`, which moves behind it.
char TakeFolded(std::string_view text, size_t* at) {
  const char c = text[(*at)++];
  if (c >= 'A' && c <= 'Z') return static_cast<char>(c + ('a' - 'A'));
  if (c == kLongS[0] && text.substr(*at - 1).starts_with(kLongS)) {
    *at += kLongS.size() - 1;
    return 's';
  }
  if (c == kKelvin[0] && text.substr(*at - 1).starts_with(kKelvin)) {
    *at += kKelvin.size() - 1;
    return 'k';
  }
  return c;
}

}  // namespace

size_t FoldCase(std::string_view name, char* out) {
  size_t size = 0;
  for (size_t at = 0; at < name.size();) out[size++] = TakeFolded(name, &at);
  return size;
}

size_t FoldName(std::string_view name, char* out) {
  name.remove_prefix(std::min(name.find_first_not_of(' '), name.size()));
  const size_t size = FoldCase(name, out);
  for (size_t i = 0; i < size; ++i) {
    if (out[i] == ' ' || out[i] == '.') out[i] = '_';
  }
  return size;
}

std::string LooseName(std::string_view name) {
  std::string out(name.size(), '\0');
  out.resize(FoldName(name, out.data()));
  return out;
}

int CompareFolded(std::string_view text, std::string_view folded) {
  size_t at = 0, i = 0;
  while (at < text.size() && i < folded.size()) {
    const auto a = static_cast<unsigned char>(TakeFolded(text, &at));
    const auto b = static_cast<unsigned char>(folded[i++]);
    if (a != b) return a < b ? -1 : 1;
  }
  if (at < text.size()) return 1;
  return i < folded.size() ? -1 : 0;
}

}  // namespace aegis::tool
