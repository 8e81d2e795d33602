// What the addresses in a tool's document may be. Each check gives what is wrong as the end of a
// sentence ("must not be empty"), or nothing when the text is good.
//
// Threading: free functions.
#pragma once

#include <string>
#include <string_view>

namespace aegis::tool {

inline constexpr size_t kMaxUrlBytes = 2048;

// "http(s)://host[:port][/path]", without user info, query and fragment.
std::string CheckBaseUrl(std::string_view url);

// A name by which agents reach a tool: a DNS name of two labels at least (RFC 1123 §2.1), as it is
// in a Host field: lower case, IDNA in its ASCII form, no port, no dot at the end. Addresses and
// localhost, which are the gateway's own, are refused.
std::string CheckHost(std::string_view host);

}  // namespace aegis::tool
