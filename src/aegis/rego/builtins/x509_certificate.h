// X.509 certificates and certificate requests as OPA's crypto.x509 functions show them: the members
// of Go's x509.Certificate and x509.CertificateRequest (crypto/x509 of Go 1.26), which OPA turns
// into JSON. What Go's parser refuses is refused here.
//
// Stricter: integers have at most 4,096 bytes, object identifiers of policies arcs of at most 128
// bits.
//
// Internal to the rego library.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "aegis/base/arena.h"
#include "aegis/rego/value.h"

namespace aegis::rego {

struct Certificate {
  std::string_view der;  // of the text that it was parsed from
  Value value;           // an object, without URIStrings
  Value uri_strings;     // an array or null

  // For the check of a chain.
  std::vector<std::string_view> dns_names;
  std::vector<std::string_view> addresses;  // 4 or 16 bytes
  bool has_alternative_names = false;       // the extension is there
  std::vector<int64_t> usages;              // Go's numbers
  bool has_unknown_usage = false;
  bool has_unhandled_critical_extension = false;
  int64_t signature_algorithm = 0;  // Go's number
};

// All certificates of `der`, one after the other; nothing, with `problem` set, when one is wrong.
std::optional<std::vector<Certificate>> ParseCertificates(std::string_view der, Arena& arena,
                                                          std::string& problem);

// A request as an object; undefined, with `problem` set, when it is wrong.
Value ParseCertificateRequest(std::string_view der, Arena& arena, std::string& problem);

}  // namespace aegis::rego
