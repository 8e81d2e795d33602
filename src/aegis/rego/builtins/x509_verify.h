// Whether a certificate chains up to a trusted one, with OpenSSL and Go's rules on top (Go's
// Certificate.Verify, which OPA calls).
//
// Internal to the rego library.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "aegis/rego/builtins/x509_certificate.h"

namespace aegis::rego {

struct VerifyOptions {
  int64_t time_unix_s = 0;
  std::string_view dns_name = {};     // a host or an address; empty: not checked
  std::vector<int64_t> usages = {1};  // Go's numbers; one of them must hold along the chain
};

// The first certificate is the trusted one, the last the one to be verified, those between may
// help. The chain from the last to the first, as indices; nothing when there is none. What would
// need a certificate signed with MD5 or SHA-1, or an RSA key below 1024 bits, is no chain.
std::optional<std::vector<size_t>> VerifyChain(std::span<const Certificate> certificates,
                                               const VerifyOptions& options);

}  // namespace aegis::rego
