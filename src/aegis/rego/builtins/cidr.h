// Internal to the rego library.
#pragma once

#include <string>
#include <string_view>

namespace aegis::rego {

// The address of 4 or 16 bytes as Go writes it (RFC 5952; IPv4 in IPv6 as IPv4).
std::string AddressText(std::string_view bytes);

}  // namespace aegis::rego
