#include "aegis/crypto/pem.h"

#include <algorithm>

#include "aegis/crypto/base64.h"

namespace aegis::crypto {
namespace {

constexpr std::string_view kBegin = "-----BEGIN ";
constexpr std::string_view kEnd = "\n-----END ";
constexpr std::string_view kDashes = "-----";

// The first line without its end and trailing blanks, taken off `text`.
std::string_view TakeLine(std::string_view& text) {
  const size_t end = text.find('\n');
  std::string_view line = text.substr(0, end);
  text.remove_prefix(end == text.npos ? text.size() : end + 1);
  if (end != text.npos && line.ends_with('\r')) line.remove_suffix(1);
  line.remove_suffix(line.size() - (line.find_last_not_of(" \t") + 1));
  return line;
}

// Whether `text` begins with "TYPE-----" and nothing else on that line, which follows "-----END ".
bool IsEndOf(std::string_view text, std::string_view type) {
  if (!text.starts_with(type)) return false;
  text.remove_prefix(type.size());
  if (!text.starts_with(kDashes)) return false;
  text.remove_prefix(kDashes.size());
  return TakeLine(text).empty();
}

// The block whose BEGIN line starts `text` and whose END line is at `end`, or nothing.
std::optional<PemBlock> ReadBlock(std::string_view text, size_t end) {
  const std::string_view whole = text;
  std::string_view type = TakeLine(text);
  // Of a line that ends behind "BEGIN " the space is gone.
  if (type.size() < kBegin.size()) return std::nullopt;
  type.remove_prefix(kBegin.size());
  if (!type.ends_with(kDashes)) return std::nullopt;
  type.remove_suffix(kDashes.size());
  bool headers = false;
  for (std::string_view next = text; !next.empty(); text = next, headers = true) {
    if (TakeLine(next).find(':') == std::string_view::npos) break;
  }
  if (text.empty() || !IsEndOf(whole.substr(end + kEnd.size()), type)) return std::nullopt;
  const size_t start = whole.size() - text.size();
  if (headers && start > end) return std::nullopt;
  PemBlock block{std::string(type), {}};
  // An empty block's END line follows its BEGIN line at once.
  if (start < end) {
    std::string digits(whole.substr(start, end - start));
    std::erase_if(digits, [](char c) { return c == ' ' || c == '\t'; });
    std::optional<std::string> bytes = Base64DecodeAsGo(digits, Base64Form::kStandard);
    if (!bytes) return std::nullopt;
    block.bytes = *std::move(bytes);
  }
  return block;
}

}  // namespace

std::optional<PemBlock> NextPemBlock(std::string_view& text) {
  std::string_view rest = text;
  for (;;) {
    const size_t end = rest.find(kEnd);
    if (end == rest.npos) return std::nullopt;
    const std::string_view after = rest.substr(end + kEnd.size());
    // The last BEGIN before the END, so that one without an END of its own is passed over.
    const size_t begin = rest.substr(0, end).rfind(kBegin);
    if (begin != rest.npos && (begin == 0 || rest[begin - 1] == '\n')) {
      if (std::optional<PemBlock> block = ReadBlock(rest.substr(begin), end - begin)) {
        rest.remove_prefix(end + 1);
        TakeLine(rest);
        text = rest;
        return block;
      }
    }
    rest = after;
  }
}

}  // namespace aegis::crypto
