// What a JSON text may be at most.
#pragma once

#include <cstddef>

namespace aegis::json {

struct Limits {
  size_t max_bytes = size_t{1} << 20;
  int max_depth = 64;                   // nested arrays and objects
  size_t max_values = size_t{1} << 20;  // values of all kinds, keys not counted
};

}  // namespace aegis::json
