// The fingerprint of a call's params that goes into its audit record.
#pragma once

#include <array>
#include <string>
#include <string_view>

#include "aegis/rego/value.h"

namespace aegis::decision {

// Threading: one thread at a time.
class ParamsHasher {
 public:
  // "sha256:" and 64 hexadecimal digits: SHA-256 of the params as JSON with keys in byte order, no
  // white space, and numbers as they were written (1.0 and 1 differ, and no digit of a large number
  // is lost). Undefined params count as {}. The view lives until the next call; once warm nothing
  // is allocated.
  std::string_view Hash(rego::Value params);

 private:
  std::string json_;
  std::array<char, 7 + 64> text_;
};

}  // namespace aegis::decision
