// Names of hosts in their one form, so that what a policy lists and what a client sends can be
// compared byte by byte.
//
// Threading: pure functions.
#pragma once

#include <string>
#include <string_view>

namespace aegis {

// Whether `name` is a host name in canonical form: lower-case labels of [a-z0-9_-] (A-labels for
// other letters, RFC 5890 §2.3.2.1), each of 1 to 63 bytes and without '-' at its ends, 253 bytes
// in all, no trailing dot; and no program would take it for an IPv4 address: its last label is
// neither a decimal, an octal nor a hexadecimal number (WHATWG URL, "ends in a number").
bool IsCanonicalHostName(std::string_view name);

// `text` in canonical form: ASCII letters in lower case, one trailing dot taken off. Empty: it is
// no host name. Never decodes anything.
std::string CanonicalHostName(std::string_view text);

}  // namespace aegis
