#include "aegis/policy/row_writer.h"

#include <algorithm>
#include <array>
#include <cctype>

#include "aegis/policy/node.h"

namespace aegis::policy {
namespace {

constexpr size_t kMaxWords = 80;

// `json` cut after 80 characters.
std::string Words(std::string_view json) {
  size_t characters = 0;
  for (size_t i = 0; i < json.size(); ++i) {
    if ((static_cast<uint8_t>(json[i]) & 0xC0) == 0x80) continue;
    if (characters++ == kMaxWords) return std::string(json.substr(0, i)) + "…";
  }
  return std::string(json);
}

template <typename List, typename Append>
void AppendList(const List& list, std::string& out, Append append) {
  out += '[';
  bool first = true;
  for (const auto& item : list) {
    if (!first) out += ',';
    first = false;
    append(item);
  }
  out += ']';
}

void AppendStrings(const std::vector<std::string>& list, std::string& out) {
  AppendList(list, out, [&](const std::string& item) { AppendJsonString(item, out); });
}

void AppendPlace(const Condition& condition, std::string& out) {
  const std::vector<std::vector<std::string>> parts = SplitPath(condition.path);
  if (parts.size() > 1) {
    out += "\"each\":";
    return AppendList(parts, out, [&](const auto& names) { AppendStrings(names, out); });
  }
  if (parts.front().size() > 1) {
    out += "\"path\":";
    return AppendStrings(parts.front(), out);
  }
  out += "\"key\":";
  AppendJsonString(parts.front().front(), out);
}

// Lower case, no dot at the end.
std::string HostOf(std::string_view text) {
  if (text.ends_with('.')) text.remove_suffix(1);
  std::string host(text);
  std::transform(host.begin(), host.end(), host.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  return host;
}

void AppendDomain(const std::vector<std::string>& patterns, std::string& out) {
  std::vector<std::string> is;
  std::vector<std::string> below;
  for (const std::string& pattern : patterns) {
    const std::string host = HostOf(pattern);
    if (host.starts_with("*.")) {
      below.push_back(host.substr(1));
    } else {
      is.push_back(host);
    }
  }
  out += "{\"is\":";
  AppendStrings(is, out);
  out += ",\"below\":";
  AppendStrings(below, out);
  out += '}';
}

void AppendCidr(const std::vector<std::string>& blocks, std::string& out) {
  AppendList(blocks, out, [&](const std::string& block) {
    if (block.find('/') != std::string::npos) return AppendJsonString(block, out);
    AppendJsonString(block + (block.find(':') == std::string::npos ? "/32" : "/128"), out);
  });
}

std::string_view FamilyOf(Op op) {
  switch (op) {
    case Op::kLt:
    case Op::kLte:
    case Op::kGt:
    case Op::kGte:
      return "number";
    case Op::kEq:
    case Op::kNe:
    case Op::kIn:
    case Op::kNotIn:
      return "equal";
    case Op::kMatches:
    case Op::kStartsWith:
    case Op::kEndsWith:
      return "text";
    case Op::kExists:
      return "exists";
    default:
      return "other";
  }
}

void AppendQuestion(const Condition& condition, std::string& out) {
  out.append(",\"").append(FamilyOf(condition.op)).append("\":{\"");
  out.append(condition.op == Op::kExists ? "is" : OpName(condition.op)).append("\":");
  switch (condition.op) {
    case Op::kMatches:
      AppendJsonString("\\A(?:" + condition.values.front() + ")\\z", out);
      break;
    case Op::kCidr:
      AppendCidr(condition.values, out);
      break;
    case Op::kDomain:
      AppendDomain(condition.values, out);
      break;
    default:
      out += condition.bound;
  }
  out += '}';
}

// What a value that does not hold does; the bound follows, save for exists.
std::string_view FailWords(Op op) {
  switch (op) {
    case Op::kLt:
      return "is not below";
    case Op::kLte:
      return "exceeds";
    case Op::kGt:
      return "is not above";
    case Op::kGte:
      return "is below";
    case Op::kEq:
      return "is not";
    case Op::kNe:
      return "is";
    case Op::kIn:
      return "is not one of";
    case Op::kNotIn:
      return "is one of";
    case Op::kMatches:
      return "does not match";
    case Op::kStartsWith:
      return "does not start with";
    case Op::kEndsWith:
      return "does not end with";
    case Op::kContains:
      return "does not contain";
    case Op::kLengthLte:
      return "is longer than";
    case Op::kLengthGte:
      return "is shorter than";
    case Op::kType:
      return "is not of type";
    case Op::kCidr:
      return "is not an address in";
    case Op::kDomain:
      return "is not a host in";
    case Op::kExists:
      break;
  }
  return "is missing";
}

std::string FailText(const Condition& condition) {
  if (condition.op == Op::kExists) return condition.bound == "true" ? "is missing" : "is present";
  std::string text(FailWords(condition.op));
  if (!condition.short_form.empty()) text += " " + condition.short_form;
  return text + " " + Words(condition.bound);
}

std::string NeedText(const Condition& condition) {
  const std::string name =
      condition.short_form.empty() ? std::string(OpName(condition.op)) : condition.short_form;
  return name + " " + Words(condition.bound);
}

void AppendRows(const std::vector<Condition>& conditions, std::string& out) {
  AppendList(conditions, out, [&](const Condition& condition) { AppendRow(condition, out); });
}

void AppendCaller(const Caller& caller, std::string& out) {
  out += "{\"type\":";
  AppendJsonString(caller.type, out);
  out += ",\"id\":";
  AppendPatternRow(caller.pattern, out);
  out += ",\"who\":";
  AppendJsonString(caller.type + ":" + caller.pattern, out);
  out += ",\"conditions\":";
  AppendRows(caller.conditions, out);
  out += '}';
}

void AppendSchedule(const Schedule& schedule, std::string& out) {
  static constexpr std::array<std::string_view, 7> kDays = {
      "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"};
  std::array<std::vector<Hours>, 7> windows;
  const Hours hours = schedule.hours;
  for (unsigned day = 0; day < 7; ++day) {
    if ((schedule.days >> day & 1) == 0) continue;
    if (hours.from < hours.to) {
      windows[day].push_back(hours);
      continue;
    }
    // Over midnight: it belongs to the day on which it begins.
    windows[day].push_back({hours.from, 1440});
    if (hours.to > 0) windows[(day + 1) % 7].push_back({0, hours.to});
  }
  out += "{\"zone\":";
  AppendJsonString(schedule.timezone, out);
  out += ",\"windows\":{";
  bool first = true;
  for (size_t day = 0; day < 7; ++day) {
    if (windows[day].empty()) continue;
    out += first ? "\"" : ",\"";
    first = false;
    out.append(kDays[day]).append("\":");
    std::sort(windows[day].begin(), windows[day].end(),
              [](const Hours& a, const Hours& b) { return a.from < b.from; });
    AppendList(windows[day], out, [&](const Hours& window) {
      out += "[" + std::to_string(window.from) + "," + std::to_string(window.to) + "]";
    });
  }
  out += "},\"text\":";
  AppendJsonString(schedule.ToString(), out);
  out += '}';
}

}  // namespace

void AppendPatternRow(std::string_view pattern, std::string& out) {
  const size_t first = pattern.find('*');
  const size_t first_other = pattern.find_first_not_of('*');
  auto append = [&out](std::string_view key, std::string_view text) {
    out.append("{\"").append(key).append("\":");
    AppendJsonString(text, out);
    out += '}';
  };
  if (first == std::string_view::npos) return append("is", pattern);
  if (first_other == std::string_view::npos) {
    out += "{\"any\":true}";
    return;
  }
  if (pattern.find_first_not_of('*', first) == std::string_view::npos) {
    return append("prefix", pattern.substr(0, first));
  }
  if (pattern.find('*', first_other) == std::string_view::npos) {
    return append("suffix", pattern.substr(first_other));
  }
  std::string re = "\\A(?s:";
  char before = '\0';
  for (const char c : pattern) {
    const bool plain = std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' ||
                       static_cast<uint8_t>(c) >= 0x80;
    if (c == '*') {
      if (before != '*') re += ".*";
    } else {
      if (!plain) re += '\\';
      re += c;
    }
    before = c;
  }
  append("re", re + ")\\z");
}

void AppendRow(const Condition& condition, std::string& out) {
  out += '{';
  AppendPlace(condition, out);
  AppendQuestion(condition, out);
  out += ",\"violation\":{\"path\":";
  AppendJsonString(condition.path, out);
  out.append(",\"op\":\"").append(OpName(condition.op)).append("\",\"bound\":");
  out += condition.bound;
  out += "},\"name\":";
  AppendJsonString(condition.path, out);
  out += ",\"fail\":";
  AppendJsonString(FailText(condition), out);
  out += ",\"need\":";
  AppendJsonString(NeedText(condition), out);
  out += '}';
}

void AppendBody(const Entry& entry, std::string& out) {
  out += "{\"conditions\":";
  AppendRows(entry.conditions, out);
  if (entry.callers) {
    out += ",\"callers\":";
    AppendList(*entry.callers, out, [&](const Caller& caller) { AppendCaller(caller, out); });
  }
  if (entry.schedule) {
    out += ",\"schedule\":";
    AppendSchedule(*entry.schedule, out);
  }
  out += '}';
}

}  // namespace aegis::policy
