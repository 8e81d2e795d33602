#include "aegis/rego/builtins/formats.h"

#include <arpa/inet.h>
#include <re2/re2.h>

#include <algorithm>
#include <string>

#include "aegis/base/text.h"
#include "aegis/rego/builtins/caches.h"
#include "aegis/rego/builtins/go_time.h"
#include "aegis/rego/builtins/patterns.h"
#include "aegis/rego/builtins/uri.h"

namespace aegis::rego {
namespace {

bool IsAlphanumeric(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

template <size_t count>
bool IsTime(std::string_view text, const std::string_view (&layouts)[count]) {
  return std::any_of(std::begin(layouts), std::end(layouts), [&](std::string_view layout) {
    return ParseGoTime(layout, text).has_value();
  });
}

bool IsDateTime(std::string_view text) {
  return IsTime(text, {"15:04:05", "15:04:05Z07:00", "2006-01-02", kRfc3339, kRfc3339Nano});
}
bool IsDate(std::string_view text) { return IsTime(text, {"2006-01-02"}); }
bool IsTimeOfDay(std::string_view text) { return IsTime(text, {"15:04:05Z07:00", "15:04:05"}); }

bool IsHostname(std::string_view text) {
  if (text.size() >= 256) return false;
  for (const std::string_view label : Split(text, '.')) {
    if (label.empty() || label.size() > 63 || label.front() == '-' || label.back() == '-') {
      return false;
    }
    if (!std::all_of(label.begin(), label.end(),
                     [](char c) { return IsAlphanumeric(c) || c == '-'; })) {
      return false;
    }
  }
  return true;
}

bool IsAddress(std::string_view text) {
  const std::string address(text);
  in6_addr bytes;
  return text.find('\0') == text.npos && (inet_pton(AF_INET, address.c_str(), &bytes) == 1 ||
                                          inet_pton(AF_INET6, address.c_str(), &bytes) == 1);
}
// Go's ParseIP with a dot or a colon somewhere.
bool IsIpv4(std::string_view text) { return text.find('.') != text.npos && IsAddress(text); }
bool IsIpv6(std::string_view text) { return text.find(':') != text.npos && IsAddress(text); }

bool IsUriReference(std::string_view text) {
  Uri uri;
  return text.find('\\') == text.npos && ParseUri(text, uri);
}
bool IsUri(std::string_view text) {
  Uri uri;
  return text.find('\\') == text.npos && ParseUri(text, uri) && !uri.scheme.empty();
}

// Every brace that is opened in the path is closed.
bool IsUriTemplate(std::string_view text) {
  Uri uri;
  if (text.find('\\') != text.npos || !ParseUri(text, uri)) return false;
  std::string_view path = uri.path;
  for (size_t open = path.find('{'); open != path.npos; open = path.find('{')) {
    const size_t close = path.find('}', open);
    if (close == path.npos) return false;
    path.remove_prefix(close + 1);
  }
  return true;
}

bool IsUuid(std::string_view text) {
  if (text.size() != 36) return false;
  for (size_t i = 0; i < text.size(); ++i) {
    const bool hyphen = i == 8 || i == 13 || i == 18 || i == 23;
    const char c = static_cast<char>(text[i] | 0x20);
    if (hyphen ? text[i] != '-' : !((text[i] >= '0' && text[i] <= '9') || (c >= 'a' && c <= 'f'))) {
      return false;
    }
  }
  return true;
}

// One that is too long to be used is none.
bool IsRegex(std::string_view text) {
  return text.size() <= BuiltinCaches::kMaxPatternText && RE2(GoPattern(text), RE2::Quiet).ok();
}

bool IsJsonPointer(std::string_view text) {
  if (!text.empty() && text[0] != '/') return false;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '~' && (i + 1 == text.size() || (text[i + 1] != '0' && text[i + 1] != '1'))) {
      return false;
    }
  }
  return true;
}
bool IsRelativeJsonPointer(std::string_view text) {
  const size_t digits = std::min(text.find_first_not_of("0123456789"), text.size());
  if (digits == 0 || (digits > 1 && text[0] == '0')) return false;
  const std::string_view rest = text.substr(digits);
  return rest == "#" || IsJsonPointer(rest);
}

// An address of RFC 5322 as Go's net/mail reads it, but for comments, groups and routes: "a@b",
// "Name <a@b>", with quoted strings where they may be.
class Mailbox {
 public:
  explicit Mailbox(std::string_view text) : text_(text) {}

  bool Parse() {
    SkipSpace();
    const size_t start = at_;
    if (AddressSpec() && AtEnd()) return true;
    at_ = start;
    while (Word()) SkipSpace();
    return Take('<') && AddressSpec() && Take('>') && AtEnd();
  }

 private:
  bool AtEnd() {
    SkipSpace();
    return at_ == text_.size();
  }
  void SkipSpace() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\t')) ++at_;
  }
  bool Take(char c) {
    if (at_ >= text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  bool Atom(bool dots) {
    const size_t start = at_;
    const auto is_text = [&](char c) {
      return IsAlphanumeric(c) || (c & 0x80) != 0 ||
             std::string_view("!#$%&'*+-/=?^_`{|}~").find(c) != std::string_view::npos ||
             (dots && c == '.');
    };
    while (at_ < text_.size() && is_text(text_[at_])) ++at_;
    const std::string_view atom = text_.substr(start, at_ - start);
    return !atom.empty() && atom.front() != '.' && atom.back() != '.' &&
           atom.find("..") == atom.npos;
  }
  bool Quoted() {
    if (!Take('"')) return false;
    while (at_ < text_.size() && text_[at_] != '"') {
      if (text_[at_] == '\\') ++at_;
      if (at_ >= text_.size() || static_cast<unsigned char>(text_[at_]) < 0x20) return false;
      ++at_;
    }
    return Take('"');
  }
  bool Word() {
    const size_t start = at_;
    if (Quoted() || (at_ = start, Atom(true))) return true;
    at_ = start;
    return false;
  }
  bool AddressSpec() {
    const size_t start = at_;
    if (!Quoted()) {
      at_ = start;
      if (!Atom(true)) return false;
    }
    if (!Take('@')) return false;
    if (!Take('[')) return Atom(true);
    const size_t close = text_.find(']', at_);
    if (close == text_.npos) return false;
    std::string_view literal = text_.substr(at_, close - at_);
    if (literal.starts_with("IPv6:")) literal.remove_prefix(5);
    at_ = close + 1;
    return IsAddress(literal);
  }

  std::string_view text_;
  size_t at_ = 0;
};

bool IsEmail(std::string_view text) { return Mailbox(text).Parse(); }

}  // namespace

bool IsFormat(std::string_view format, std::string_view text) {
  struct Format {
    std::string_view name;
    bool (*check)(std::string_view text);
  };
  static constexpr Format kFormats[] = {
      {"date", IsDate},
      {"time", IsTimeOfDay},
      {"date-time", IsDateTime},
      {"hostname", IsHostname},
      {"email", IsEmail},
      {"idn-email", IsEmail},
      {"ipv4", IsIpv4},
      {"ipv6", IsIpv6},
      {"uri", IsUri},
      {"uri-reference", IsUriReference},
      {"iri", IsUri},
      {"iri-reference", IsUriReference},
      {"uri-template", IsUriTemplate},
      {"uuid", IsUuid},
      {"regex", IsRegex},
      {"json-pointer", IsJsonPointer},
      {"relative-json-pointer", IsRelativeJsonPointer},
  };
  for (const Format& known : kFormats) {
    if (known.name == format) return known.check(text);
  }
  return true;
}

}  // namespace aegis::rego
