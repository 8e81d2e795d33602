#include "aegis/gateway/envoy/multipart.h"

#include <algorithm>

#include "aegis/base/text.h"
#include "aegis/net/http1_grammar.h"

namespace aegis::gateway {
namespace {

constexpr size_t kMaxLineBytes = 4096;  // between parts
constexpr size_t kMaxHeaders = 10'000;  // of a part

std::string Lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return out;
}

bool IsSpace(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }
void SkipSpace(std::string_view& text) {
  while (!text.empty() && IsSpace(text.front())) text.remove_prefix(1);
}

std::string_view TakeToken(std::string_view& text) {
  size_t size = 0;
  while (size < text.size() && net::IsToken(text.substr(size, 1))) ++size;
  const std::string_view token = text.substr(0, size);
  text.remove_prefix(size);
  return token;
}

// A token or a quoted text. False: neither.
bool TakeValue(std::string_view& text, std::string* out) {
  if (text.empty()) return false;
  if (text.front() != '"') {
    *out = TakeToken(text);
    return !out->empty();
  }
  out->clear();
  for (size_t i = 1; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '"') {
      text.remove_prefix(i + 1);
      return true;
    }
    if (c == '\r' || c == '\n') return false;
    // Browsers do not escape the '\' of a file's path, so that it escapes only what must be.
    constexpr std::string_view kSpecial = "()<>@,;:\\\"/[]?=";
    if (c == '\\' && i + 1 < text.size() && kSpecial.find(text[i + 1]) != std::string_view::npos) {
      *out += text[++i];
    } else {
      *out += c;
    }
  }
  return false;
}

std::string_view SkipBlanks(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  return text;
}

// A line of `text` with its line feed; whole: false when there is none.
std::string_view TakeLine(std::string_view& text, bool* whole) {
  const size_t end = text.find('\n');
  *whole = end != std::string_view::npos;
  const std::string_view line = text.substr(0, *whole ? end + 1 : text.size());
  text.remove_prefix(line.size());
  return line;
}

// A whole line without its CRLF or LF.
std::string_view WithoutEnd(std::string_view line) {
  line.remove_suffix(1);
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

}  // namespace

const std::string* MediaType::Find(std::string_view name) const {
  for (const auto& [key, value] : parameters) {
    if (key == name) return &value;
  }
  return nullptr;
}

bool ReadMediaType(std::string_view text, MediaType* out) {
  std::string_view head = text.substr(0, text.find(';'));
  std::string_view left = text.substr(head.size());
  SkipSpace(head);
  while (!head.empty() && IsSpace(head.back())) head.remove_suffix(1);
  out->type = Lower(head);
  out->parameters.clear();
  const size_t slash = head.find('/');
  if (!net::IsToken(head.substr(0, slash))) return false;
  if (slash != std::string_view::npos && !net::IsToken(head.substr(slash + 1))) return false;
  for (;;) {
    SkipSpace(left);
    if (left.empty()) return true;
    if (left.front() != ';') return false;
    left.remove_prefix(1);
    SkipSpace(left);
    if (left.empty()) return true;
    const std::string name = Lower(TakeToken(left));
    if (name.empty()) return false;
    SkipSpace(left);
    if (!left.starts_with('=')) return false;
    left.remove_prefix(1);
    SkipSpace(left);
    std::string value;
    if (!TakeValue(left, &value)) return false;
    if (const size_t star = name.find('*'); star != std::string::npos) {
      const std::string_view base = std::string_view(name).substr(0, star);
      if (base == "name" || base == "boundary") return false;
      continue;
    }
    const std::string* const before = out->Find(name);
    if (before != nullptr && *before != value) return false;
    if (before == nullptr) out->parameters.emplace_back(name, std::move(value));
  }
}

MultipartReader::MultipartReader(std::string_view body, std::string_view boundary)
    : left_(body), delimiter_("--" + std::string(boundary)) {}

bool MultipartReader::IsFinal(std::string_view line) const {
  if (!line.starts_with(delimiter_ + "--")) return false;
  const std::string_view rest = SkipBlanks(line.substr(delimiter_.size() + 2));
  return rest.empty() || rest == line_end_;
}

bool MultipartReader::IsDelimiter(std::string_view line) {
  if (!line.starts_with(delimiter_)) return false;
  const std::string_view rest = SkipBlanks(line.substr(delimiter_.size()));
  if (parts_ == 0 && rest == "\n") line_end_ = "\n";
  return rest == line_end_;
}

MultipartReader::Step MultipartReader::Next(Part* out) {
  if (delimiter_ == "--") return Step::kMalformed;
  bool expects_part = false;
  for (;;) {
    bool whole = false;
    const std::string_view line = TakeLine(left_, &whole);
    if (line.size() > kMaxLineBytes) return Step::kMalformed;
    if (!whole) return IsFinal(line) ? Step::kEnd : Step::kMalformed;
    if (IsDelimiter(line)) {
      ++parts_;
      return ReadHeaders(out) && ReadContent(out) ? Step::kPart : Step::kMalformed;
    }
    if (IsFinal(line)) return Step::kEnd;
    if (expects_part) return Step::kMalformed;
    if (parts_ == 0) continue;  // the preamble
    if (line != line_end_) return Step::kMalformed;
    expects_part = true;
  }
}

bool MultipartReader::ReadHeaders(Part* out) {
  out->form_name.clear();
  out->content_type.clear();
  bool has_disposition = false, has_type = false;
  for (size_t count = 0;; ++count) {
    if (count == kMaxHeaders) return false;
    bool whole = false;
    const std::string_view first = TakeLine(left_, &whole);
    if (!whole || first.starts_with(' ') || first.starts_with('\t')) return false;
    std::string line(Trim(WithoutEnd(first)));
    if (line.empty()) return true;
    const size_t colon = line.find(':');
    if (colon == std::string::npos || !net::IsToken(std::string_view(line).substr(0, colon)))
      return false;
    while (left_.starts_with(' ') || left_.starts_with('\t')) {
      const std::string_view more = TakeLine(left_, &whole);
      if (!whole) return false;
      line.append(" ").append(Trim(WithoutEnd(more)));
    }
    const std::string_view name = std::string_view(line).substr(0, colon);
    const std::string_view value = Trim(std::string_view(line).substr(colon + 1));
    if (EqualsIgnoreCase(name, "Content-Disposition") && !has_disposition) {
      has_disposition = true;
      MediaType disposition;
      // What Go cannot read is a part without a name, which is left out; here it is malformed, so
      // that no part escapes policy that another reader finds a name in.
      if (!ReadMediaType(value, &disposition)) return false;
      const std::string* const form_name = disposition.Find("name");
      if (disposition.type == "form-data" && form_name != nullptr) out->form_name = *form_name;
    } else if (EqualsIgnoreCase(name, "Content-Type") && !has_type) {
      has_type = true;
      out->content_type = value;
    } else if (EqualsIgnoreCase(name, "Content-Transfer-Encoding") &&
               EqualsIgnoreCase(value, "quoted-printable")) {
      return false;
    }
  }
}

// Up to the next delimiter at the start of a line, whose line end before it is not content.
bool MultipartReader::ReadContent(Part* out) {
  // Whether what follows makes `delimiter_` one. At the end of the body, it is.
  const auto delimits = [](std::string_view after) {
    if (after.empty() || after.starts_with("--")) return true;
    return after.front() == ' ' || after.front() == '\t' || after.front() == '\r' ||
           after.front() == '\n';
  };
  if (left_.starts_with(delimiter_) && delimits(left_.substr(delimiter_.size()))) {
    out->content = {};
    return true;
  }
  const std::string end = line_end_ + delimiter_;
  size_t at = left_.starts_with(delimiter_) ? delimiter_.size() : 0;
  for (;; at += end.size()) {
    at = left_.find(end, at);
    if (at == std::string_view::npos) return false;
    if (delimits(left_.substr(at + end.size()))) break;
  }
  out->content = left_.substr(0, at);
  left_.remove_prefix(at);
  return true;
}

}  // namespace aegis::gateway
