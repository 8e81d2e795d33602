#include "aegis/gateway/form_data.h"

#include <charconv>
#include <optional>
#include <utility>

#include "aegis/base/text.h"
#include "aegis/net/http1_grammar.h"

namespace aegis::gateway {
namespace {

constexpr std::string_view kCrlf = "\r\n";
constexpr size_t kMaxFieldBytes = 1024;
constexpr size_t kMaxFields = 4;  // there are four that a part may have

// RFC 2046 §5.1.1, without the space.
bool IsBoundary(std::string_view text) {
  if (text.empty() || text.size() > 70) return false;
  for (const char c : text) {
    const bool alphanumeric =
        (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    if (!alphanumeric && std::string_view("'()+_,-./:=?").find(c) == std::string_view::npos) {
      return false;
    }
  }
  return true;
}

// A quoted text without anything in it that needs escaping, or that a reader might take for the end
// of it, off the front of `text`. Nothing: there is none.
std::optional<std::string_view> TakeQuoted(std::string_view& text) {
  if (!text.starts_with('"')) return std::nullopt;
  const size_t end = text.find('"', 1);
  if (end == std::string_view::npos) return std::nullopt;
  const std::string_view quoted = text.substr(1, end - 1);
  if (quoted.find_first_of("\\;\r\n") != std::string_view::npos || !IsValidUtf8(quoted)) {
    return std::nullopt;
  }
  text.remove_prefix(end + 1);
  return quoted;
}

bool TakeWord(std::string_view& text, std::string_view word) {
  if (!text.starts_with(word)) return false;
  text.remove_prefix(word.size());
  return true;
}

// The ';' and the space between parameters.
bool TakeSeparator(std::string_view& text) {
  if (!TakeWord(text, ";")) return false;
  TakeWord(text, " ");
  return true;
}

// form-data; name="..." and perhaps ; filename="..."
bool ReadDisposition(std::string_view text, FormDataReader::Part* out) {
  if (!TakeWord(text, "form-data") || !TakeSeparator(text) || !TakeWord(text, "name="))
    return false;
  const auto name = TakeQuoted(text);
  // HTML encodes what must not stand in a name by '%', and some readers decode it.
  if (!name || name->empty() || name->find('%') != std::string_view::npos) return false;
  // Changes how the other parts are read (RFC 7578 §4.6).
  if (EqualsIgnoreCase(*name, "_charset_")) return false;
  out->name = *name;
  out->is_file = !text.empty();
  out->filename = {};
  if (!out->is_file) return true;
  if (!TakeSeparator(text) || !TakeWord(text, "filename=")) return false;
  const auto filename = TakeQuoted(text);
  if (!filename || !text.empty()) return false;
  out->filename = *filename;
  return true;
}

}  // namespace

std::string_view FindFormBoundary(std::string_view content_type) {
  size_t semicolon = content_type.find(';');
  std::string_view boundary;
  while (semicolon != std::string_view::npos) {
    // A boundary with ';' in it is none, so that a ';' always ends a parameter.
    const size_t next = content_type.find(';', semicolon + 1);
    std::string_view parameter = Trim(content_type.substr(semicolon + 1, next - semicolon - 1));
    semicolon = next;
    const size_t equals = parameter.find('=');
    if (equals == std::string_view::npos) return {};
    const std::string_view name = parameter.substr(0, equals);
    std::string_view value = parameter.substr(equals + 1);
    // That of the charset is checked with the type.
    if (EqualsIgnoreCase(name, "charset")) continue;
    if (!EqualsIgnoreCase(name, "boundary") || !boundary.empty()) return {};
    if (value.size() >= 2 && value.front() == '"' && value.back() == '"') {
      value = value.substr(1, value.size() - 2);
    } else if (!net::IsToken(value)) {
      return {};
    }
    if (!IsBoundary(value)) return {};
    boundary = value;
  }
  return boundary;
}

struct FormDataReader::Fields {
  bool disposition = false, type = false, encoding = false;
  std::optional<uint64_t> length;
};

bool FormDataReader::TakeDelimiter() { return TakeWord(left_, "--") && TakeWord(left_, boundary_); }

FormDataReader::Step FormDataReader::Next(Part* out) {
  // What follows the first delimiter, and each later one when its part was read.
  if (!started_ && !TakeDelimiter()) return Step::kMalformed;
  started_ = true;
  if (left_ == "--" || left_ == "--\r\n") return Step::kEnd;
  if (!TakeWord(left_, kCrlf)) return Step::kMalformed;
  Fields fields;
  *out = {};
  if (!ReadFields(out, &fields)) return Step::kMalformed;
  // "--boundary" anywhere is a delimiter, or it is refused: nobody sends it in earnest otherwise.
  size_t at = left_.find(boundary_);
  while (at != std::string_view::npos && (at < 2 || left_.substr(at - 2, 2) != "--")) {
    at = left_.find(boundary_, at + 1);
  }
  if (at == std::string_view::npos || at < 4 || left_.substr(at - 4, 2) != kCrlf) {
    return Step::kMalformed;
  }
  out->content = left_.substr(0, at - 4);
  left_.remove_prefix(at - 2);
  TakeDelimiter();
  if (fields.length && *fields.length != out->content.size()) return Step::kMalformed;
  if (out->is_file && out->filename.empty() && !out->content.empty()) return Step::kMalformed;
  return Step::kPart;
}

bool FormDataReader::ReadFields(Part* out, Fields* fields) {
  for (size_t count = 0;; ++count) {
    const size_t end = left_.find(kCrlf);
    if (end == std::string_view::npos || end > kMaxFieldBytes || count > kMaxFields) return false;
    const std::string_view line = left_.substr(0, end);
    left_.remove_prefix(end + kCrlf.size());
    if (line.empty()) break;
    if (!net::IsFieldValue(line) || !ReadField(line, out, fields)) return false;
  }
  if (!fields->disposition) return false;
  // Without a name of a file some readers take bytes of no particular type for one all the same.
  return out->is_file || !EqualsIgnoreCase(out->content_type, "application/octet-stream");
}

bool FormDataReader::ReadField(std::string_view line, Part* out, Fields* fields) {
  const auto once = [](bool& seen) { return !std::exchange(seen, true); };
  const size_t colon = line.find(':');
  if (colon == std::string_view::npos) return false;
  const std::string_view name = line.substr(0, colon);
  const std::string_view value = Trim(line.substr(colon + 1));
  if (EqualsIgnoreCase(name, "content-disposition")) {
    return once(fields->disposition) && ReadDisposition(value, out);
  }
  if (EqualsIgnoreCase(name, "content-type")) {
    out->content_type = value;
    // Some readers look for further parts and files in such a part.
    return once(fields->type) && !value.empty() &&
           !EqualsIgnoreCase(value.substr(0, 10), "multipart/") &&
           !EqualsIgnoreCase(value.substr(0, 8), "message/");
  }
  if (EqualsIgnoreCase(name, "content-transfer-encoding")) {
    return once(fields->encoding) &&
           (EqualsIgnoreCase(value, "binary") || EqualsIgnoreCase(value, "8bit"));
  }
  if (EqualsIgnoreCase(name, "content-length")) {
    uint64_t length = 0;
    const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), length);
    if (fields->length || error != std::errc() || end != value.data() + value.size()) return false;
    fields->length = length;
    return true;
  }
  return false;
}

}  // namespace aegis::gateway
