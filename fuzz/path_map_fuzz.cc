// The finder of actions against the words of path_template.h: lines of templates, an empty line,
// and a path. What is found is a template that matches, and no other that matches is narrower.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "aegis/base/text.h"
#include "aegis/tool/action_map.h"
#include "aegis/tool/path_template.h"
#include "aegis/tool/spec.h"

namespace {

using aegis::Split;
using aegis::tool::ActionMap;
using aegis::tool::Overlap;
using aegis::tool::PathTemplate;

bool Matches(const PathTemplate& path, const std::vector<std::string_view>& parts, bool slash) {
  for (size_t i = 0; i < path.segments.size(); ++i) {
    if (i >= parts.size()) return false;
    const auto& segment = path.segments[i];
    if (segment.kind == PathTemplate::Kind::kRest) return true;
    if (segment.kind == PathTemplate::Kind::kLiteral && segment.text != parts[i]) return false;
  }
  return parts.size() == path.segments.size() && path.slash == slash;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const size_t gap = text.find("\n\n");
  if (gap == std::string_view::npos || size > 4096) return 0;
  const std::string_view path = text.substr(gap + 2);
  // As CheckGovernedPath leaves them.
  if (!path.starts_with('/') || path.find("//") != std::string_view::npos) return 0;
  const bool slash = path.size() > 1 && path.ends_with('/');
  std::vector<std::string_view> parts;
  if (path.size() > 1) parts = Split(path.substr(1, path.size() - 1 - slash), '/');

  aegis::tool::Spec spec;
  spec.name = "t";
  spec.base_url = "http://h";
  std::vector<PathTemplate> templates;
  for (const std::string_view line : Split(text.substr(0, gap), '\n')) {
    PathTemplate parsed;
    if (!aegis::tool::ParsePathTemplate(line, &parsed).empty() || templates.size() == 50) continue;
    spec.actions.push_back({std::to_string(templates.size()), "GET", std::string(line), {}, 15});
    templates.push_back(std::move(parsed));
  }
  std::vector<aegis::tool::Mistake> mistakes;
  if (!aegis::tool::ReadSpec(aegis::tool::SpecJson(spec), &mistakes)) return 0;

  size_t best = templates.size();
  for (size_t i = 0; i < templates.size(); ++i) {
    if (!Matches(templates[i], parts, slash)) continue;
    if (best < templates.size() && Compare(templates[i], templates[best]) != Overlap::kFirst)
      continue;
    best = i;
  }
  const ActionMap map(spec);
  ActionMap::Match match;
  map.Find("GET", path, &match);
  const bool found = match.kind == ActionMap::Match::Kind::kFound;
  if (match.kind == ActionMap::Match::Kind::kOtherMethod) std::abort();
  // In doubt, one that differs in case or a '/' at the end may be narrower.
  if (match.kind == ActionMap::Match::Kind::kDoubtful) return 0;
  if (found != (best < templates.size())) std::abort();
  if (!found) return 0;
  if (match.action->name() != spec.actions[best].name) std::abort();
  for (size_t i = 0; i < match.action->variable_count(); ++i) {
    const std::string_view value = match.variables[i];
    if (value.empty() || value.data() < path.data() ||
        value.data() + value.size() > path.data() + path.size()) {
      std::abort();
    }
  }
  return 0;
}
