#include "aegis/net/http1_grammar.h"

#include <arpa/inet.h>
#include <time.h>

#include <charconv>
#include <cstdio>

#include "aegis/base/text.h"

namespace aegis::net {
namespace internal {
namespace {

constexpr bool Contains(std::string_view set, char c) {
  for (char member : set) {
    if (member == c) return true;
  }
  return false;
}

constexpr std::array<uint8_t, 256> MakeClasses() {
  std::array<uint8_t, 256> table{};
  for (int i = 0; i < 256; ++i) {
    const char c = static_cast<char>(i);
    const bool letter = (i >= 'a' && i <= 'z') || (i >= 'A' && i <= 'Z');
    const bool digit = i >= '0' && i <= '9';
    uint8_t mask = 0;
    if (letter || digit || (i > 0 && Contains("!#$%&'*+-.^_`|~", c))) mask |= kTokenChar;
    if (i == '\t' || (i >= 0x20 && i != 0x7f)) mask |= kFieldChar;
    if (letter || digit || (i > 0 && Contains("-._~!$&'()*+,;=:@/%", c))) mask |= kPathChar;
    if (i > 0x20 && i < 0x7f && i != '#') mask |= kQueryChar;
    if (letter || digit || (i > 0 && Contains("-._:[]", c))) mask |= kHostChar;
    if (digit || (i >= 'a' && i <= 'f') || (i >= 'A' && i <= 'F')) mask |= kHexDigit;
    table[static_cast<size_t>(i)] = mask;
  }
  return table;
}

}  // namespace

constinit const std::array<uint8_t, 256> kCharClass = MakeClasses();

}  // namespace internal

namespace {

int HexValue(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  return (c | 0x20) - 'a' + 10;
}

// A segment that some program resolves: "." or "..", also with path parameters behind it (";x"),
// which Java servers cut off first.
bool IsDotSegment(std::string_view segment) {
  segment = segment.substr(0, segment.find(';'));
  return segment == "." || segment == "..";
}

}  // namespace

bool AllOfClass(std::string_view text, uint8_t mask) {
  for (char c : text) {
    if (!HasClass(c, mask)) return false;
  }
  return true;
}

bool IsHostAndPort(std::string_view text) {
  if (text.size() > 255 || !AllOfClass(text, internal::kHostChar)) return false;
  const bool bracketed = text.starts_with('[');
  const size_t end = bracketed ? text.find(']') : text.find(':');
  const std::string_view host = text.substr(0, end).substr(bracketed ? 1 : 0);
  if (bracketed) {
    std::array<char, INET6_ADDRSTRLEN> address{};
    in6_addr ignored;
    if (end == std::string_view::npos || host.size() >= address.size()) return false;
    host.copy(address.data(), host.size());
    if (::inet_pton(AF_INET6, address.data(), &ignored) != 1) return false;
  } else if (host.empty() || host.find_first_of("[]") != std::string_view::npos) {
    return false;
  }
  const std::string_view rest =
      end == std::string_view::npos ? std::string_view() : text.substr(end + (bracketed ? 1 : 0));
  if (rest.empty()) return true;
  unsigned port = 0;
  const char* const last = rest.data() + rest.size();
  const auto [stop, error] = std::from_chars(rest.data() + 1, last, port);
  return rest[0] == ':' && rest.size() <= 6 && error == std::errc() && stop == last && port > 0 &&
         port <= 65535;
}

std::optional<std::string> PercentDecode(std::string_view text, bool plus_is_space) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '+' && plus_is_space) {
      out.push_back(' ');
    } else if (c != '%') {
      out.push_back(c);
    } else {
      if (text.size() - i < 3 || !HasClass(text[i + 1], internal::kHexDigit) ||
          !HasClass(text[i + 2], internal::kHexDigit)) {
        return std::nullopt;
      }
      out.push_back(static_cast<char>(HexValue(text[i + 1]) * 16 + HexValue(text[i + 2])));
      i += 2;
    }
  }
  return out;
}

std::string_view CheckGovernedPath(std::string_view path) {
  if (path.empty() || path[0] != '/') return "the path does not start with '/'";
  // Most paths have no '%': nothing to decode then, and no allocation.
  std::string decoded_storage;
  std::string_view decoded = path;
  if (path.find('%') != std::string_view::npos) {
    std::optional<std::string> text = PercentDecode(path, false);
    if (!text) return "a '%' in the path is not followed by two hexadecimal digits";
    decoded_storage = *std::move(text);
    decoded = decoded_storage;
    size_t slashes = 0, decoded_slashes = 0;
    for (char c : path) slashes += c == '/';
    for (char c : decoded) decoded_slashes += c == '/';
    if (slashes != decoded_slashes) return "the path holds an encoded slash";
  }
  for (char c : decoded) {
    const auto byte = static_cast<uint8_t>(c);
    if (byte < 0x20 || byte == 0x7f) return "the path holds an encoded control byte";
    if (c == '\\') return "the path holds a backslash";
    if (c == '%') return "the path is percent-encoded twice";
  }
  if (!IsValidUtf8(decoded)) return "the path is not UTF-8";
  size_t start = 1;
  while (start <= decoded.size()) {
    size_t end = decoded.find('/', start);
    const bool last = end == std::string_view::npos;
    if (last) end = decoded.size();
    const std::string_view segment = decoded.substr(start, end - start);
    if (segment.empty() && !last) return "the path holds an empty segment";
    if (IsDotSegment(segment)) return "the path holds a dot segment";
    start = end + 1;
  }
  return {};
}

std::string FormatHttpDate(int64_t unix_seconds) {
  const time_t time = unix_seconds;
  tm parts{};
  ::gmtime_r(&time, &parts);
  static constexpr const char* kDays[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
  static constexpr const char* kMonths[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                            "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  std::array<char, 96> text{};
  const int size = std::snprintf(text.data(), text.size(), "%s, %02d %s %04d %02d:%02d:%02d GMT",
                                 kDays[parts.tm_wday], parts.tm_mday, kMonths[parts.tm_mon],
                                 parts.tm_year + 1900, parts.tm_hour, parts.tm_min, parts.tm_sec);
  return {text.data(), static_cast<size_t>(size)};
}

std::string_view StatusPhrase(int status) {
  switch (status) {
    case 100:
      return "Continue";
    case 200:
      return "OK";
    case 201:
      return "Created";
    case 202:
      return "Accepted";
    case 204:
      return "No Content";
    case 206:
      return "Partial Content";
    case 301:
      return "Moved Permanently";
    case 302:
      return "Found";
    case 303:
      return "See Other";
    case 304:
      return "Not Modified";
    case 307:
      return "Temporary Redirect";
    case 308:
      return "Permanent Redirect";
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 402:
      return "Payment Required";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 406:
      return "Not Acceptable";
    case 408:
      return "Request Timeout";
    case 409:
      return "Conflict";
    case 410:
      return "Gone";
    case 411:
      return "Length Required";
    case 412:
      return "Precondition Failed";
    case 413:
      return "Content Too Large";
    case 414:
      return "URI Too Long";
    case 415:
      return "Unsupported Media Type";
    case 417:
      return "Expectation Failed";
    case 421:
      return "Misdirected Request";
    case 422:
      return "Unprocessable Content";
    case 428:
      return "Precondition Required";
    case 429:
      return "Too Many Requests";
    case 431:
      return "Request Header Fields Too Large";
    case 500:
      return "Internal Server Error";
    case 501:
      return "Not Implemented";
    case 502:
      return "Bad Gateway";
    case 503:
      return "Service Unavailable";
    case 504:
      return "Gateway Timeout";
    case 505:
      return "HTTP Version Not Supported";
    default:
      return "Status";
  }
}

}  // namespace aegis::net
