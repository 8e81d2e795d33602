// Character classes and small grammars of HTTP (RFC 9110 §5.6, RFC 3986 §2), shared by the parser
// and those who write messages. Stateless.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace aegis::net {

namespace internal {
enum : uint8_t {
  kTokenChar = 1,  // RFC 9110 §5.6.2
  kFieldChar = 2,  // HTAB, SP, VCHAR, obs-text
  kPathChar = 4,   // RFC 3986 pchar and '/'; '%' is checked apart
  kQueryChar = 8,  // VCHAR but '#'; wider than RFC 3986, since clients send [] {} | unescaped
  kHostChar = 16,  // reg-name without pct-encoding and sub-delims, IP literals, port
  kHexDigit = 32,
};
extern const std::array<uint8_t, 256> kCharClass;
}  // namespace internal

inline bool HasClass(char c, uint8_t mask) {
  return (internal::kCharClass[static_cast<uint8_t>(c)] & mask) != 0;
}
bool AllOfClass(std::string_view text, uint8_t mask);

inline bool IsToken(std::string_view text) {
  return !text.empty() && AllOfClass(text, internal::kTokenChar);
}
// Whether `value` may be sent as a field value: no control bytes but HTAB.
inline bool IsFieldValue(std::string_view value) { return AllOfClass(value, internal::kFieldChar); }
// Whether `text` is a host or host:port (RFC 9110 §7.2) that every reader takes for the same one: a
// name of letters, digits and "-._", or an IPv6 address in brackets; a port of 1 to 65535 or none.
bool IsHostAndPort(std::string_view text);

// Percent-decodes; '+' stays as it is unless `plus_is_space` (form encoding). Nothing when a '%' is
// not followed by two hexadecimal digits.
std::optional<std::string> PercentDecode(std::string_view text, bool plus_is_space);

// Why a governed path is refused; empty: it is fine. Refused is what two programs may read as
// different paths: "." and ".." segments however written, empty segments but one at the end,
// encoded
// '/', '\', '%' and control bytes, bytes that are not UTF-8 once decoded. The text is static.
std::string_view CheckGovernedPath(std::string_view path);

// RFC 9110 §5.6.7, e.g. "Sun, 06 Nov 1994 08:49:37 GMT".
std::string FormatHttpDate(int64_t unix_seconds);

// The standard phrase of a status, e.g. "Not Found"; "Status" for an unknown one.
std::string_view StatusPhrase(int status);

}  // namespace aegis::net
