#include "aegis/tool/base_url.h"

#include <charconv>

#include "aegis/base/text.h"

namespace aegis::tool {
namespace {

bool IsAlphanumeric(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

// "host", "host:port", "[::1]:port".
std::string CheckAuthority(std::string_view authority) {
  std::string_view port;
  if (authority.starts_with('[')) {
    const size_t close = authority.find(']');
    if (close == std::string_view::npos) return "has an IPv6 address without ']'";
    for (const char c : authority.substr(1, close - 1)) {
      if (!IsAlphanumeric(c) && c != ':' && c != '.') return "has a malformed IPv6 address";
    }
    if (close == 1) return "has an empty host";
    port = authority.substr(close + 1);
    if (!port.empty() && port.front() != ':') return "has something after ']' that is not a port";
  } else {
    const size_t colon = authority.find(':');
    const std::string_view host = authority.substr(0, colon);
    if (host.empty()) return "has an empty host";
    if (host.size() > 253) return "has a host name that is longer than 253 bytes";
    for (const char c : host) {
      if (!IsAlphanumeric(c) && c != '.' && c != '_' && c != '-') {
        return "has a host name with other characters than A-Z a-z 0-9 . _ -";
      }
    }
    if (colon != std::string_view::npos) port = authority.substr(colon);
  }
  if (port.empty()) return {};
  unsigned number = 0;
  const char* end = port.data() + port.size();
  const auto parsed = std::from_chars(port.data() + 1, end, number);
  if (parsed.ec != std::errc() || parsed.ptr != end || number == 0 || number > 65535) {
    return "has a port that is not a number from 1 to 65535";
  }
  return {};
}

}  // namespace

std::string CheckBaseUrl(std::string_view url) {
  if (url.size() > kMaxUrlBytes) {
    return "is longer than " + std::to_string(kMaxUrlBytes) + " bytes";
  }
  const bool https = url.starts_with("https://");
  if (!https && !url.starts_with("http://")) return "must begin with http:// or https://";
  const std::string_view rest = url.substr(https ? 8 : 7);
  const size_t slash = rest.find('/');
  const std::string_view path = slash == std::string_view::npos ? "" : rest.substr(slash);
  for (const char c : rest) {
    if (c == '@') return "must not have user info; Aegis keeps credentials elsewhere";
    if (c == '?' || c == '#') return "must not have a query or a fragment";
    const auto byte = static_cast<unsigned char>(c);
    if (byte <= 0x20 || byte >= 0x7f || c == '\\' || c == '"' || c == '<' || c == '>') {
      return "has a character that must be percent-encoded";
    }
  }
  for (const std::string_view segment : Split(path, '/')) {
    if (segment == "." || segment == "..") return "must not have '.' or '..' in its path";
  }
  return CheckAuthority(rest.substr(0, slash));
}

std::string CheckHost(std::string_view host) {
  if (host.empty() || host.size() > 253) return "must have 1 to 253 bytes";
  for (const char c : host) {
    if (static_cast<unsigned char>(c) >= 0x80) {
      return "must be in its ASCII form: write xn--… (IDNA) for other characters";
    }
    if (c >= 'A' && c <= 'Z') return "must be in lower case";
    if (c == ':') return "must be a name without a port; calls to any port of it are the tool's";
    if (!IsAlphanumeric(c) && c != '.' && c != '-')
      return "may only have the characters a-z 0-9 . -";
  }
  if (host.ends_with('.')) return "must not end with '.'";
  const auto labels = Split(host, '.');
  for (const std::string_view label : labels) {
    if (label.empty() || label.size() > 63) return "must have labels of 1 to 63 bytes between dots";
    if (label.front() == '-' || label.back() == '-')
      return "has a label that begins or ends with '-'";
  }
  if (labels.size() < 2) return "must have a dot in it: names without one may be the gateway's own";
  if (labels.back() == "localhost") return "must not be the gateway's own name";
  // A last label of digits is how every resolver tells an address (WHATWG URL, "ends in a number").
  const std::string_view last = labels.back();
  if (last.find_first_not_of("0123456789") == std::string_view::npos || last.starts_with("0x")) {
    return "must be a name, not an address: addresses are the gateway's own";
  }
  return {};
}

}  // namespace aegis::tool
