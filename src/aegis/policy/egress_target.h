// Entries of `egress.allow`: "api.example.com:443", "*.example.com", "10.0.0.0/8:8000-8100".
//
// Threading: pure functions.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace aegis::policy {

struct EgressTarget {
  enum class Kind : uint8_t {
    kHost,     // one host
    kBelow,    // every host below one
    kNetwork,  // a block of IP addresses
  };
  Kind kind = Kind::kHost;
  // In the form in which calls name hosts: lower case, A-labels, no trailing dot, without "*."; a
  // block with its prefix length.
  std::string text;
  uint16_t first_port = 443;  // an entry without a port means this one alone
  uint16_t last_port = 443;

  // "api.example.com:443"; equal for entries that mean the same.
  std::string Canonical() const;
  // Whether all that `other` names is named by this one too.
  bool Covers(const EgressTarget& other) const;
};

// What is wrong with the entry, as the end of a sentence; empty: nothing, and `*target` (may be
// nullptr) is what it says.
std::string ReadEgressTarget(std::string_view text, EgressTarget* target);

}  // namespace aegis::policy
