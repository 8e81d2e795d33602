#include "aegis/policy/document.h"

#include "aegis/base/text.h"
#include "aegis/policy/dialect.h"

namespace aegis::policy {

std::string_view ModeName(Mode mode) { return mode == Mode::kShadow ? "shadow" : "enforce"; }

std::string_view OpName(Op op) { return OperatorKeys()[static_cast<size_t>(op)].name; }

std::string Condition::Said() const {
  return (short_form.empty() ? std::string(OpName(op)) : short_form) + " " + bound;
}

std::string Schedule::ToString() const {
  std::string text;
  if (days != 0x7F) text += FormatDays(days) + " ";
  if (hours != Hours{}) text += FormatHours(hours) + " ";
  return text + timezone;
}

std::vector<std::vector<std::string>> SplitPath(std::string_view path) {
  std::vector<std::vector<std::string>> parts(1);
  for (std::string_view name : Split(path, '.')) {
    size_t stars = 0;
    while (name.ends_with("[*]")) {
      name.remove_suffix(3);
      ++stars;
    }
    parts.back().emplace_back(name);
    parts.resize(parts.size() + stars);
  }
  return parts;
}

}  // namespace aegis::policy
