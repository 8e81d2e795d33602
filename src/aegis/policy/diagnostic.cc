#include "aegis/policy/diagnostic.h"

#include <algorithm>
#include <utility>

#include "aegis/base/text.h"
#include "aegis/policy/node.h"

namespace aegis::policy {
namespace {

// Messages quote policies. What a terminal would obey (C0, DEL and C1 controls) is written as \x1b.
std::string WithoutControls(std::string text) {
  auto is_control = [&text](size_t i) {
    const auto c = static_cast<uint8_t>(text[i]);
    if (c == 0xC2 && i + 1 < text.size()) return static_cast<uint8_t>(text[i + 1]) < 0xA0;
    return c < 0x20 || c == 0x7F;
  };
  size_t i = 0;
  while (i < text.size() && !is_control(i)) ++i;
  if (i == text.size()) return text;
  std::string out = text.substr(0, i);
  for (; i < text.size(); ++i) {
    if (!is_control(i)) {
      out += text[i];
      continue;
    }
    if (static_cast<uint8_t>(text[i]) == 0xC2)
      ++i;  // U+0080 to U+009F: the second byte is the code
    out += "\\x" + HexEncode(std::string_view(text).substr(i, 1));
  }
  return out;
}

}  // namespace

std::string Diagnostic::ToString() const {
  std::string text = file;
  if (position.line > 0) {
    text += ':' + std::to_string(position.line) + ':' + std::to_string(position.column);
  }
  text += severity == Severity::kWarning ? ": warning: " : ": ";
  return text + message;
}

void Diagnostics::Add(Diagnostic diagnostic) {
  diagnostic.message = WithoutControls(std::move(diagnostic.message));
  // Equal reports come from one alias read several times, so they are near each other.
  const size_t first = items_.size() > 64 ? items_.size() - 64 : 0;
  for (size_t i = first; i < items_.size(); ++i) {
    const Diagnostic& known = items_[i];
    if (known.position == diagnostic.position && known.message == diagnostic.message &&
        known.file == diagnostic.file) {
      return;
    }
  }
  ++(diagnostic.severity == Severity::kError ? errors_ : warnings_);
  if (items_.size() >= kMaxKept) {
    ++dropped_;
    return;
  }
  // Reports of one file are kept sorted; files keep the order in which they were read.
  auto at = items_.end();
  while (at != items_.begin()) {
    const Diagnostic& before = *(at - 1);
    if (before.file != diagnostic.file) break;
    if (std::pair(before.position.line, before.position.column) <=
        std::pair(diagnostic.position.line, diagnostic.position.column)) {
      break;
    }
    --at;
  }
  items_.insert(at, std::move(diagnostic));
}

void Diagnostics::Append(Diagnostics other) {
  const size_t kept = other.items_.size();
  size_t kept_errors = 0;
  for (Diagnostic& item : other.items_) {
    kept_errors += item.severity == Severity::kError ? 1 : 0;
    Add(std::move(item));
  }
  errors_ += other.errors_ - kept_errors;
  warnings_ += other.warnings_ - (kept - kept_errors);
  dropped_ += other.dropped_;
}

std::string Diagnostics::ToString() const {
  std::string text;
  for (const Diagnostic& item : items_) text += item.ToString() + '\n';
  if (dropped_ > 0) text += "... and " + std::to_string(dropped_) + " more\n";
  return text;
}

std::string Diagnostics::ToJson() const {
  std::string out = "[";
  for (const Diagnostic& item : items_) {
    out += out.size() > 1 ? ",{\"severity\":" : "{\"severity\":";
    out += item.severity == Severity::kWarning ? "\"warning\",\"file\":" : "\"error\",\"file\":";
    AppendJsonString(item.file, out);
    if (item.position.line > 0) {
      out += ",\"line\":" + std::to_string(item.position.line) +
             ",\"column\":" + std::to_string(item.position.column);
    }
    out += ",\"message\":";
    AppendJsonString(item.message, out);
    out += '}';
  }
  return out + "]";
}

}  // namespace aegis::policy
