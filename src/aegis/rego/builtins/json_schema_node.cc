#include "aegis/rego/builtins/json_schema_node.h"

#include <charconv>
#include <utility>

#include "aegis/json/writer.h"
#include "aegis/rego/big_number.h"
#include "aegis/rego/builtins/go_float.h"
#include "aegis/rego/number.h"

namespace aegis::rego::internal {
namespace {

// A float64 as Go's encoding/json writes it.
bool AppendFloat(std::string& out, std::string_view text) {
  double value;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error == std::errc::result_out_of_range) {
    // Go takes what is too small for zero, and refuses what is too large.
    const auto decimal = ParseDecimal(text);
    if (!decimal || decimal->power > -300) return false;
    value = 0;
  }
  out += GoFloatText(value, -6, 21, false);
  return true;
}

// JSON in which equal values have equal texts: numbers as float64. False when one is too large.
bool AppendCanonical(std::string& out, Value value) {
  if (value.is_number()) return AppendFloat(out, NumberString(value));
  if (value.is_array()) {
    out += '[';
    for (const Value element : value.elements()) {
      if (out.back() != '[') out += ',';
      if (!AppendCanonical(out, element)) return false;
    }
    out += ']';
    return true;
  }
  if (value.is_object()) {
    out += '{';
    for (const Member& member : value.members()) {
      if (out.back() != '{') out += ',';
      json::AppendGoString(out, member.key.string_value());
      out += ':';
      if (!AppendCanonical(out, member.value)) return false;
    }
    out += '}';
    return true;
  }
  if (value.is_string()) {
    json::AppendGoString(out, value.string_value());
  } else {
    out += ToJson(value);
  }
  return true;
}

}  // namespace

bool IsInteger(Value number) {
  if (number.is_int()) return true;
  const Number& big = *number.big_number();
  return big.digits == 0 || big.point >= static_cast<int64_t>(big.digits);
}

std::string NumberString(Value number) {
  char buffer[24];
  return std::string(NumberText(number, buffer));
}

std::optional<std::string> CanonicalText(Value value) {
  std::string out;
  return AppendCanonical(out, value) ? std::optional(std::move(out)) : std::nullopt;
}

}  // namespace aegis::rego::internal
