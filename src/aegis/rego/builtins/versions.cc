// semver.* (Semantic Versioning 2.0.0, with an optional "v" in front as in OPA).
#include <algorithm>
#include <charconv>
#include <string>
#include <vector>

#include "aegis/base/text.h"
#include "aegis/rego/builtins/operands.h"

namespace aegis::rego {
namespace {

struct Version {
  int64_t numbers[3] = {};  // major, minor, patch
  std::string_view pre_release;
};

bool IsNumeric(std::string_view text) {
  return !text.empty() && text.find_first_not_of("0123456789") == text.npos;
}

// Identifiers with dots between them.
bool AreIdentifiers(std::string_view text) {
  const std::vector<std::string_view> parts = Split(text, '.');
  return std::all_of(parts.begin(), parts.end(), [](std::string_view part) {
    return !part.empty() && std::all_of(part.begin(), part.end(), [](char c) {
      return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-';
    });
  });
}

bool HasLeadingZero(std::string_view text) {
  return text.size() > 1 && text[0] == '0' && IsNumeric(text);
}

std::optional<Version> ParseVersion(std::string_view text) {
  if (text.starts_with('v')) text.remove_prefix(1);
  Version out;
  if (const size_t plus = text.find('+'); plus != text.npos) {
    if (!AreIdentifiers(text.substr(plus + 1))) return std::nullopt;
    text = text.substr(0, plus);
  }
  if (const size_t minus = text.find('-'); minus != text.npos) {
    out.pre_release = text.substr(minus + 1);
    if (!AreIdentifiers(out.pre_release)) return std::nullopt;
    const std::vector<std::string_view> parts = Split(out.pre_release, '.');
    if (std::any_of(parts.begin(), parts.end(), HasLeadingZero)) return std::nullopt;
    text = text.substr(0, minus);
  }
  const std::vector<std::string_view> parts = Split(text, '.');
  if (parts.size() != 3) return std::nullopt;
  for (size_t i = 0; i < 3; ++i) {
    const std::string_view part = parts[i];
    if (!IsNumeric(part) || HasLeadingZero(part)) return std::nullopt;
    const char* const end = part.data() + part.size();
    if (std::from_chars(part.data(), end, out.numbers[i]).ec != std::errc()) return std::nullopt;
  }
  return out;
}

template <typename T>
int Order(const T& a, const T& b) {
  return a < b ? -1 : b < a ? 1 : 0;
}

// Numeric identifiers come first, in the order of their values.
int CompareIdentifiers(std::string_view a, std::string_view b) {
  const bool a_numeric = IsNumeric(a), b_numeric = IsNumeric(b);
  if (a_numeric != b_numeric) return a_numeric ? -1 : 1;
  if (!a_numeric) return Order(a, b);
  // Beyond int64 OPA's conversion gives the largest, so that such numbers are equal.
  const auto value = [](std::string_view text) {
    int64_t out = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
    return error == std::errc() ? out : INT64_MAX;
  };
  return Order(value(a), value(b));
}

int CompareVersions(const Version& a, const Version& b) {
  for (size_t i = 0; i < 3; ++i) {
    if (a.numbers[i] != b.numbers[i]) return Order(a.numbers[i], b.numbers[i]);
  }
  if (a.pre_release == b.pre_release) return 0;
  if (a.pre_release.empty() || b.pre_release.empty()) return a.pre_release.empty() ? 1 : -1;
  const std::vector<std::string_view> left = Split(a.pre_release, '.');
  const std::vector<std::string_view> right = Split(b.pre_release, '.');
  for (size_t i = 0; i < std::min(left.size(), right.size()); ++i) {
    const int order = CompareIdentifiers(left[i], right[i]);
    if (order != 0) return order;
  }
  return Order(left.size(), right.size());
}

Value SemverCompare(BuiltinContext& context, const Value* args) {
  AEGIS_STRING_ARG(a_text, 0);
  AEGIS_STRING_ARG(b_text, 1);
  const std::optional<Version> a = ParseVersion(a_text), b = ParseVersion(b_text);
  if (!a || !b) {
    return context.Error("operand " + std::string(a ? "2" : "1") + ": string " +
                         std::string(a ? b_text : a_text) + " is not a valid SemVer");
  }
  return Value::Int(CompareVersions(*a, *b));
}

Value SemverIsValid(BuiltinContext&, const Value* args) {
  return Value::Bool(args[0].is_string() && ParseVersion(args[0].string_value()).has_value());
}

constexpr Builtin kBuiltins[] = {
    {"semver.compare", 2, SemverCompare},
    {"semver.is_valid", 1, SemverIsValid},
};

}  // namespace

std::span<const Builtin> VersionBuiltins() { return kBuiltins; }

}  // namespace aegis::rego
