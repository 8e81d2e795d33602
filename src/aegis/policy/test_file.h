// Files of policy unit tests, read.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "aegis/policy/parse.h"

namespace aegis::policy {

// One call and what the decision on it must be.
struct PolicyTest {
  std::string file;
  Position position;
  std::string name;
  std::string input_json;  // the `input` document that policies see
  int64_t time_unix_ns = 0;
  std::vector<std::pair<std::string, std::string>> expected;  // field, value
};

// The tests of all files that have no mistake; mistakes go to `diagnostics`.
std::vector<PolicyTest> ReadTests(std::span<const SourceFile> files, Diagnostics& diagnostics,
                                  const SourceLimits& limits = {});

}  // namespace aegis::policy
