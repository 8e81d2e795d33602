#include "aegis/tool/path_template.h"

#include <algorithm>

#include "aegis/base/text.h"

namespace aegis::tool {
namespace {

using Kind = PathTemplate::Kind;

bool IsLetter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool IsDigit(char c) { return c >= '0' && c <= '9'; }

bool IsLiteral(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) {
    return IsLetter(c) || IsDigit(c) ||
           std::string_view("-._~!$&'()+,=:@").find(c) != std::string_view::npos;
  });
}

bool IsVariableName(std::string_view name) {
  if (name.empty() || name.size() > kMaxVariableBytes) return false;
  if (!IsLetter(name[0]) && name[0] != '_') return false;
  return std::all_of(name.begin(), name.end(),
                     [](char c) { return IsLetter(c) || IsDigit(c) || c == '_' || c == '-'; });
}

std::string ParseSegment(std::string_view text, PathTemplate::Segment* out) {
  if (text == "**") {
    out->kind = Kind::kRest;
    return {};
  }
  if (text.starts_with('{') && text.ends_with('}')) {
    std::string_view name = text.substr(1, text.size() - 2);
    out->kind = Kind::kVariable;
    if (name.ends_with("...")) {
      name.remove_suffix(3);
      out->kind = Kind::kRest;
    }
    if (!IsVariableName(name)) {
      return "has a variable that is not {name} or {name...}, a name being up to 64 letters, "
             "digits, '_' and '-', the first no digit";
    }
    out->text = name;
    return {};
  }
  if (text.find_first_of("{}") != std::string_view::npos) {
    return "has a segment that is a variable in part; a variable must be the whole segment";
  }
  if (text.empty()) return "has an empty segment";
  if (text == "." || text == "..") return "has a segment '.' or '..'";
  if (text.find('%') != std::string_view::npos) {
    return "has a '%'; write literals as they are once they are decoded";
  }
  if (text.find('*') != std::string_view::npos) {
    return "has a '*'; write {name} for one segment and ** for all that follow";
  }
  if (!IsLiteral(text)) return "has a character that literals of paths may not have";
  out->text = text;
  return {};
}

// Whether every path of `a` is one of `b`, given that they have one in common.
bool IsWithin(const PathTemplate& a, const PathTemplate& b) {
  for (size_t i = 0; i < b.segments.size(); ++i) {
    const Kind kind = b.segments[i].kind;
    if (kind == Kind::kRest) return true;
    if (i >= a.segments.size() || a.segments[i].kind > kind) return false;
  }
  return a.segments.size() == b.segments.size();
}

bool Meet(const PathTemplate& a, const PathTemplate& b) {
  for (size_t i = 0;; ++i) {
    const bool a_ends = i == a.segments.size(), b_ends = i == b.segments.size();
    if (a_ends || b_ends) return a_ends && b_ends;
    const auto &x = a.segments[i], &y = b.segments[i];
    if (x.kind == Kind::kRest || y.kind == Kind::kRest) return true;
    if (x.kind == Kind::kLiteral && y.kind == Kind::kLiteral && !EqualsIgnoreCase(x.text, y.text)) {
      return false;
    }
  }
}

}  // namespace

std::string ParsePathTemplate(std::string_view text, PathTemplate* out) {
  *out = {};
  if (text.size() > kMaxTemplateBytes) {
    return "is longer than " + std::to_string(kMaxTemplateBytes) + " bytes";
  }
  if (!text.starts_with('/')) return "must begin with '/'";
  std::string_view left = text.substr(1);
  if (left.empty()) return {};
  if (left.ends_with('/')) {
    out->slash = true;
    left.remove_suffix(1);
  }
  for (const std::string_view part : Split(left, '/')) {
    if (out->segments.size() == kMaxSegments) {
      return "has more than " + std::to_string(kMaxSegments) + " segments";
    }
    if (!out->segments.empty() && out->segments.back().kind == Kind::kRest) {
      return "has a segment behind {name...} or **, which must be the last one";
    }
    PathTemplate::Segment segment;
    if (std::string problem = ParseSegment(part, &segment); !problem.empty()) return problem;
    for (const PathTemplate::Segment& before : out->segments) {
      if (segment.kind != Kind::kLiteral && before.kind != Kind::kLiteral &&
          before.text == segment.text) {
        return "has the variable '" + segment.text + "' twice";
      }
    }
    out->segments.push_back(std::move(segment));
  }
  if (out->slash && out->segments.back().kind == Kind::kRest) {
    return "has a '/' behind {name...} or **, which matches it already";
  }
  return {};
}

Overlap Compare(const PathTemplate& a, const PathTemplate& b) {
  if (!Meet(a, b)) return Overlap::kNone;
  const bool a_in_b = IsWithin(a, b), b_in_a = IsWithin(b, a);
  if (a_in_b && b_in_a) return Overlap::kSame;
  if (a_in_b) return Overlap::kFirst;
  return b_in_a ? Overlap::kSecond : Overlap::kAmbiguous;
}

}  // namespace aegis::tool
