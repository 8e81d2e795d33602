#include "aegis/policy/number.h"

#include <algorithm>
#include <string>

namespace aegis::policy {
namespace {

// value = sign * 0.digits * 10^exponent; digits has no zeros at its ends, is empty for zero.
struct Decimal {
  int sign = 0;
  std::string digits;
  long exponent = 0;
};

Decimal Parse(std::string_view text) {
  Decimal decimal;
  decimal.sign = 1;
  if (text.starts_with('-')) {
    decimal.sign = -1;
    text.remove_prefix(1);
  }
  long exponent = 0;
  if (const size_t e = text.find_first_of("eE"); e != std::string_view::npos) {
    std::string_view digits = text.substr(e + 1);
    if (digits.starts_with('+')) digits.remove_prefix(1);
    exponent = std::stol(std::string(digits));
    text = text.substr(0, e);
  }
  const size_t point = std::min(text.find('.'), text.size());
  decimal.digits = text.substr(0, point);
  exponent += static_cast<long>(point);
  if (point < text.size()) decimal.digits += text.substr(point + 1);
  const size_t first = std::min(decimal.digits.find_first_not_of('0'), decimal.digits.size());
  decimal.digits.erase(0, first);
  decimal.exponent = exponent - static_cast<long>(first);
  decimal.digits.erase(decimal.digits.find_last_not_of('0') + 1);
  if (decimal.digits.empty()) decimal = {};
  return decimal;
}

}  // namespace

int CompareNumbers(std::string_view a, std::string_view b) {
  const Decimal left = Parse(a);
  const Decimal right = Parse(b);
  if (left.sign != right.sign) return left.sign < right.sign ? -1 : 1;
  if (left.sign == 0) return 0;
  if (left.exponent != right.exponent) {
    return (left.exponent < right.exponent ? -1 : 1) * left.sign;
  }
  const int order = left.digits.compare(right.digits);
  return (order < 0 ? -1 : order > 0 ? 1 : 0) * left.sign;
}

}  // namespace aegis::policy
