// Segments of JSON pointers (RFC 6901).
//
// Internal to the rego library.
#pragma once

#include <string>
#include <string_view>

namespace aegis::rego::internal {

// "a~1b~0" is "a/b~"; other '~' stand for themselves. The same as replacing ~1 first and ~0 then.
inline std::string UnescapePointer(std::string_view segment) {
  std::string out;
  out.reserve(segment.size());
  for (size_t i = 0; i < segment.size(); ++i) {
    const bool escape = segment[i] == '~' && i + 1 < segment.size() &&
                        (segment[i + 1] == '0' || segment[i + 1] == '1');
    out += !escape ? segment[i] : segment[++i] == '1' ? '/' : '~';
  }
  return out;
}

}  // namespace aegis::rego::internal
