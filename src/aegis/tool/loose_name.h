// Names of params as the loosest reader takes them: what is one name to some reader must be one to
// policy, so that a tool never takes a param that policy has not seen under that name.
//
// Threading: free functions, no allocation.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace aegis::tool {

// Writes `name` without distinction of case to `out`, which has room for name.size() bytes; returns
// how many were written. ASCII letters, and U+017F and U+212A, which fold to s and k (Go's
// encoding/json and Java match names so).
size_t FoldCase(std::string_view name, char* out);

// The same; besides, PHP drops leading spaces and makes '_' of ' ' and '.'.
size_t FoldName(std::string_view name, char* out);
std::string LooseName(std::string_view name);

// Whether FoldCase of `text` is `folded`: negative, zero, positive as std::string_view::compare.
int CompareFolded(std::string_view text, std::string_view folded);

}  // namespace aegis::tool
