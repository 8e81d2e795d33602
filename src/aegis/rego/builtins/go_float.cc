#include "aegis/rego/builtins/go_float.h"

#include <array>
#include <charconv>

namespace aegis::rego {

std::string GoFloatText(double value, int low, int high, bool two_digits) {
  std::array<char, 64> buffer;
  const auto written = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value,
                                     std::chars_format::scientific);
  std::string text(buffer.data(), written.ptr);
  const size_t e = text.find('e');
  const int exponent = std::stoi(text.substr(e + 1));
  if (value != 0 && (exponent < low || exponent >= high)) {
    if (!two_digits && text[e + 2] == '0') text.erase(e + 2, 1);
    return text;
  }
  const std::string sign = text.starts_with('-') ? "-" : "";
  std::string digits;
  for (const char c : text.substr(sign.size(), e - sign.size())) {
    if (c != '.') digits += c;
  }
  if (exponent < 0)
    return sign + "0." + std::string(static_cast<size_t>(-exponent - 1), '0') + digits;
  const auto whole = static_cast<size_t>(exponent) + 1;
  if (digits.size() <= whole) return sign + digits + std::string(whole - digits.size(), '0');
  return sign + digits.substr(0, whole) + "." + digits.substr(whole);
}

}  // namespace aegis::rego
