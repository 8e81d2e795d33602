// uri.*: RFC 3986 as Go's net/url reads it (1.26).
#include <arpa/inet.h>

#include <algorithm>
#include <string>

#include "aegis/rego/builtins/operands.h"
#include "aegis/rego/builtins/uri.h"

namespace aegis::rego {
namespace {

bool IsLetter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool IsDigit(char c) { return c >= '0' && c <= '9'; }
bool IsIn(char c, std::string_view set) { return set.find(c) != set.npos; }
bool IsUnreserved(char c) { return IsLetter(c) || IsDigit(c) || IsIn(c, "-._~"); }

bool StaysInPath(char c) { return IsUnreserved(c) || IsIn(c, "$&+,/:;=@"); }
bool StaysInHost(char c) { return IsUnreserved(c) || IsIn(c, "!\"$&'()*+,:;<=>[]"); }

int HexDigit(char c) {
  if (IsDigit(c)) return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// Undoes %-escapes; false when one is malformed or `allowed` does not take it (the byte and whether
// it was escaped).
template <typename Allowed>
bool Unescape(std::string_view text, std::string& out, Allowed allowed) {
  for (size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    const bool escaped = c == '%';
    if (escaped) {
      if (text.size() - i < 3) return false;
      const int high = HexDigit(text[i + 1]), low = HexDigit(text[i + 2]);
      if (high < 0 || low < 0) return false;
      c = static_cast<char>(high << 4 | low);
      i += 2;
    }
    if (!allowed(c, escaped)) return false;
    out += c;
  }
  return true;
}

bool AnyByte(char, bool) { return true; }
// Only bytes beyond ASCII, and the percent sign itself, may be escaped in a host.
bool HostByte(char c, bool escaped) {
  const bool ascii = static_cast<unsigned char>(c) < 0x80;
  return escaped ? !ascii || c == '%' : !ascii || StaysInHost(c);
}
bool ZoneByte(char c, bool escaped) {
  const bool ascii = static_cast<unsigned char>(c) < 0x80;
  if (escaped) return c == '%' || c == ' ' || (ascii && StaysInHost(c));
  return !ascii || StaysInHost(c);
}

template <typename Stays>
std::string Escape(std::string_view text, Stays stays) {
  constexpr std::string_view kHex = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    if (stays(c)) {
      out += c;
    } else {
      out += '%';
      out += kHex[static_cast<unsigned char>(c) >> 4];
      out += kHex[static_cast<unsigned char>(c) & 15];
    }
  }
  return out;
}

bool IsOptionalPort(std::string_view text) {
  return text.empty() || (text[0] == ':' && text.find_first_not_of("0123456789", 1) == text.npos);
}

// An IPv6 address, which may have a zone.
bool IsIpv6(std::string_view text) {
  const size_t percent = text.find('%');
  if (percent != text.npos && percent + 1 == text.size()) return false;
  const std::string address(text.substr(0, percent));
  in6_addr bytes;
  return address.find('\0') == address.npos && inet_pton(AF_INET6, address.c_str(), &bytes) == 1;
}

bool ReadBracketedHost(std::string_view host, std::string& out) {
  const size_t close = host.rfind(']');
  if (close == host.npos || !IsOptionalPort(host.substr(close + 1))) return false;
  const std::string_view name = host.substr(1, close - 1);
  std::string unescaped;
  const size_t zone = std::min(name.find("%25"), name.size());
  if (!Unescape(name.substr(0, zone), unescaped, HostByte) ||
      !Unescape(name.substr(zone), unescaped, ZoneByte) || !IsIpv6(unescaped)) {
    return false;
  }
  out = "[" + unescaped + "]" + std::string(host.substr(close + 1));
  return true;
}

bool ReadHost(std::string_view scheme, std::string_view host, std::string& out) {
  const size_t bracket = host.rfind('[');
  if (bracket == 0) return ReadBracketedHost(host, out);
  if (bracket != host.npos) return false;
  if (size_t colon = host.find(':'); colon != host.npos) {
    // Other schemes have lists of hosts, each with a port.
    if (scheme != "http" && scheme != "https") colon = host.rfind(':');
    if (!IsOptionalPort(host.substr(colon))) return false;
  }
  return Unescape(host, out, HostByte);
}

bool IsUserInfo(std::string_view text) {
  std::string unescaped;
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return IsUnreserved(c) || IsIn(c, ":!$&'()*+,;=%@"); }) &&
         Unescape(text, unescaped, AnyByte);
}

// Takes "scheme:" off `rest`; false when there is none in front of a colon.
bool ReadScheme(std::string_view& rest, std::string& scheme) {
  for (size_t i = 0; i < rest.size(); ++i) {
    const char c = rest[i];
    if (IsLetter(c)) continue;
    if (c == ':') {
      if (i == 0) return false;
      for (const char letter : rest.substr(0, i)) {
        scheme += letter >= 'A' && letter <= 'Z' ? static_cast<char>(letter | 0x20) : letter;
      }
      rest.remove_prefix(i + 1);
      return true;
    }
    if (i == 0 || !(IsDigit(c) || IsIn(c, "+-."))) return true;
  }
  return true;
}

bool StaysInFragment(char c) { return IsUnreserved(c) || IsIn(c, "$&+,/:;=?@"); }
bool StaysInUserInfo(char c) { return IsUnreserved(c) || IsIn(c, "$&+,;="); }

// `encoded` as it stands when it has nothing that must be escaped, else `plain` escaped.
template <typename Stays>
std::string Encoded(std::string_view encoded, std::string_view plain, Stays stays) {
  const bool valid = std::all_of(encoded.begin(), encoded.end(),
                                 [&](char c) { return stays(c) || IsIn(c, "!$&'()*+,;=:@[]%"); });
  return valid ? std::string(encoded) : Escape(plain, stays);
}

std::string EncodedUserInfo(std::string_view text) {
  const size_t colon = text.find(':');
  std::string name, password;
  Unescape(text.substr(0, colon), name, AnyByte);
  std::string out = Escape(name, StaysInUserInfo);
  if (colon == text.npos) return out;
  Unescape(text.substr(colon + 1), password, AnyByte);
  return out + ":" + Escape(password, StaysInUserInfo);
}

}  // namespace

std::string UriPathText(const Uri& uri) {
  return uri.path == "*" ? "*" : Encoded(uri.encoded_path, uri.path, StaysInPath);
}

std::string UriText(const Uri& uri) {
  std::string out = uri.scheme.empty() ? "" : uri.scheme + ":";
  if (!uri.opaque.empty()) {
    out += uri.opaque;
  } else {
    const bool authority = !uri.host.empty() || uri.user_info;
    if (authority || (!uri.scheme.empty() && !uri.omit_host && !uri.path.empty())) out += "//";
    if (uri.user_info) out += EncodedUserInfo(*uri.user_info) + "@";
    out += Escape(uri.host, StaysInHost);
    const std::string path = UriPathText(uri);
    if (!path.empty() && path[0] != '/' && !uri.host.empty()) out += '/';
    if (out.empty() && path.substr(0, path.find('/')).find(':') != path.npos) out += "./";
    out += path;
  }
  if (uri.force_query || !uri.raw_query.empty()) out += "?" + uri.raw_query;
  if (!uri.fragment.empty()) {
    out += "#" + Encoded(uri.encoded_fragment, uri.fragment, StaysInFragment);
  }
  return out;
}

bool EncodesPath(const Uri& uri) { return Escape(uri.path, StaysInPath) == uri.encoded_path; }
bool EncodesFragment(const Uri& uri) {
  return Escape(uri.fragment, StaysInFragment) == uri.encoded_fragment;
}

bool ParseUri(std::string_view text, Uri& out) {
  const size_t hash = std::min(text.find('#'), text.size());
  std::string_view rest = text.substr(0, hash);
  for (const char c : rest) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) return false;
  }
  if (hash < text.size()) {
    out.encoded_fragment = text.substr(hash + 1);
    if (!Unescape(out.encoded_fragment, out.fragment, AnyByte)) return false;
  }
  if (rest == "*") {
    out.path = out.raw_path = out.encoded_path = "*";
    return true;
  }
  if (!ReadScheme(rest, out.scheme)) return false;
  if (const size_t question = rest.find('?'); question != rest.npos) {
    out.raw_query = rest.substr(question + 1);
    out.force_query = out.raw_query.empty();
    rest = rest.substr(0, question);
  }
  if (!rest.starts_with('/')) {
    if (!out.scheme.empty()) {
      out.opaque = rest;
      return true;
    }
    if (rest.substr(0, rest.find('/')).find(':') != rest.npos) return false;
  }
  if (rest.starts_with("//") && (!out.scheme.empty() || !rest.starts_with("///"))) {
    const std::string_view authority = rest.substr(2, rest.find('/', 2) - 2);
    rest.remove_prefix(2 + authority.size());
    const size_t at = authority.rfind('@');
    const std::string_view host = at == authority.npos ? authority : authority.substr(at + 1);
    if (!ReadHost(out.scheme, host, out.host)) return false;
    if (at != authority.npos) {
      if (!IsUserInfo(authority.substr(0, at))) return false;
      out.user_info = authority.substr(0, at);
    }
  } else {
    out.omit_host = !out.scheme.empty() && rest.starts_with('/');
  }
  out.encoded_path = rest;
  if (!Unescape(rest, out.path, AnyByte)) return false;
  out.raw_path = Escape(out.path, StaysInPath) == rest ? out.path : rest;
  return true;
}

namespace {

Value Parse(BuiltinContext& context, const Value* args) {
  AEGIS_STRING_ARG(text, 0);
  Uri uri;
  if (!ParseUri(text, uri)) return context.Error("the URI cannot be parsed");
  std::string_view host = uri.host, port;
  if (const size_t colon = host.rfind(':');
      colon != host.npos && IsOptionalPort(host.substr(colon))) {
    port = host.substr(colon + 1);
    host = host.substr(0, colon);
  }
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  ObjectBuilder object(context.arena());
  const auto add = [&](std::string_view name, std::string_view value) {
    if (!value.empty()) object.Add(name, String(context, value));
  };
  add("scheme", uri.scheme);
  add("hostname", host);
  add("port", port);
  add("path", uri.path);
  add("raw_path", uri.raw_path);
  add("raw_query", uri.raw_query);
  add("fragment", uri.fragment);
  return object.Build();
}

Value IsValid(BuiltinContext&, const Value* args) {
  Uri uri;
  const std::string_view text = args[0].string_value();
  return Value::Bool(!text.empty() && ParseUri(text, uri));
}

constexpr Builtin kBuiltins[] = {
    {"uri.parse", 1, Parse},
    {"uri.is_valid", 1, IsValid},
};

}  // namespace

std::span<const Builtin> UriBuiltins() { return kBuiltins; }

}  // namespace aegis::rego
