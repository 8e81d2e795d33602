// Templates of paths: "/v1/customers/{id}/charges", "/files/{path...}", "/static/**".
//
//   literal      1 or more of A-Z a-z 0-9 - . _ ~ ! $ & ' ( ) + , = : @
//   {name}       one segment, not empty; a name is a letter or '_', then letters, digits, '_' or
//   '-' {name...}    one or more segments up to the end of the path; only as the last one
//   **           the same without a name
//
// A '/' at the end is part of the template. Templates are compared with paths whose
// percent-encoding is decoded, and which hold no encoded '/', no dot segments and no empty ones.
//
// Threading: values.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace aegis::tool {

inline constexpr size_t kMaxTemplateBytes = 1024;
inline constexpr size_t kMaxSegments = 32;
inline constexpr size_t kMaxVariableBytes = 64;

struct PathTemplate {
  // In the order of how narrow they are.
  enum class Kind : uint8_t { kLiteral, kVariable, kRest };
  struct Segment {
    Kind kind = Kind::kLiteral;
    std::string text;  // the literal, or the name; empty for "**"
  };
  std::vector<Segment> segments;
  bool slash = false;  // ends with '/'
};

// What is wrong as the end of a sentence; empty: `*out` is the template.
std::string ParsePathTemplate(std::string_view text, PathTemplate* out);

// How the paths that two templates match relate. A '/' at the end and the case of literals make no
// difference here, as they make none to many servers.
enum class Overlap : uint8_t {
  kNone,       // no path matches both
  kFirst,      // each that matches the first matches the second too: the first is narrower
  kSecond,     // the other way round
  kSame,       // both match the same paths
  kAmbiguous,  // some match both, and neither is narrower
};
Overlap Compare(const PathTemplate& a, const PathTemplate& b);

}  // namespace aegis::tool
