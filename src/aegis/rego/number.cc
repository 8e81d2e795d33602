#include "aegis/rego/number.h"

#include <algorithm>
#include <bit>
#include <charconv>
#include <cstdlib>
#include <string>

#include "aegis/rego/hash.h"

namespace aegis::rego {
namespace internal {
namespace {

constexpr uint64_t kPow10[] = {1ull,
                               10ull,
                               100ull,
                               1000ull,
                               10000ull,
                               100000ull,
                               1000000ull,
                               10000000ull,
                               100000000ull,
                               1000000000ull,
                               10000000000ull,
                               100000000000ull,
                               1000000000000ull,
                               10000000000000ull,
                               100000000000000ull,
                               1000000000000000ull,
                               10000000000000000ull,
                               100000000000000000ull,
                               1000000000000000000ull,
                               10000000000000000000ull};
constexpr int kPrefixDigits = 19;

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

int CountDigits(uint64_t value) {  // value > 0
  const int guess = (static_cast<int>(std::bit_width(value)) * 1233) >> 12;
  return guess + (value >= kPow10[guess] ? 1 : 0);
}

// The digits after the prefix, one by one.
class DigitReader {
 public:
  explicit DigitReader(const Number& number)
      : at_(number.text + number.first_digit), left_(number.text == nullptr ? 0 : number.digits) {
    for (int i = 0; i < kPrefixDigits && left_ > 0; ++i) Next();
  }
  bool done() const { return left_ == 0; }
  char Next() {
    if (*at_ == '.') ++at_;
    --left_;
    return *at_++;
  }

 private:
  const char* at_;
  uint32_t left_;
};

int CompareMagnitude(const Number& a, const Number& b) {
  if (a.digits == 0 || b.digits == 0) {
    return a.digits == b.digits ? 0 : a.digits == 0 ? -1 : 1;
  }
  if (a.point != b.point) return a.point < b.point ? -1 : 1;
  if (a.prefix != b.prefix) return a.prefix < b.prefix ? -1 : 1;
  DigitReader left(a), right(b);
  while (!left.done() && !right.done()) {
    const char x = left.Next(), y = right.Next();
    if (x != y) return x < y ? -1 : 1;
  }
  return left.done() == right.done() ? 0 : left.done() ? -1 : 1;
}

int CompareExact(const Number& a, const Number& b) {
  const bool a_negative = a.negative && a.digits != 0;
  const bool b_negative = b.negative && b.digits != 0;
  if (a_negative != b_negative) return a_negative ? -1 : 1;
  const int magnitude = CompareMagnitude(a, b);
  return a_negative ? -magnitude : magnitude;
}

// OPA holds two decimals that end in '0' and have more than 15 digits for equal when they are the
// same float64 (NumberCompare, "xIsF && yIsF"); everything else it compares exactly.
bool EndsInZeroAfterDot(std::string_view text) {
  if (text.empty() || text.back() != '0') return false;
  const size_t last = text.find_last_not_of(".0");
  return last != std::string_view::npos && text.substr(0, last + 1).find('.') != text.npos;
}

// OPA's parseDecimal: at most 15 digits from the first that is not zero, and no extreme exponent.
bool IsShortDecimal(const Number& number) {
  int written = 0;
  for (size_t i = number.first_digit; i < number.text_size; ++i) {
    const char c = number.text[i];
    if (c == 'e' || c == 'E') break;
    if (c != '.') ++written;
  }
  return written <= 15 && number.point <= 300 && number.point >= -300;
}

std::optional<double> AsDouble(std::string_view text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error == std::errc::result_out_of_range) {
    return std::nullopt;
  }
  return value;
}

bool SameFloatInOpa(const Number& a, const Number& b) {
  if (!EndsInZeroAfterDot(a.view()) || !EndsInZeroAfterDot(b.view())) return false;
  if (IsShortDecimal(a) && IsShortDecimal(b)) return false;
  const std::optional<double> x = AsDouble(a.view()), y = AsDouble(b.view());
  return x && y && *x == *y;
}

// A number in Go's grammar in JSON's: without a leading '+' and leading zeros, with digits on both
// sides of the point.
std::string Normalized(std::string_view text) {
  std::string out;
  size_t at = 0;
  if (at < text.size() && (text[at] == '+' || text[at] == '-')) {
    if (text[at++] == '-') out += '-';
  }
  const size_t end = std::min(text.find_first_of("eE", at), text.size());
  const std::string_view mantissa = text.substr(at, end - at);
  const size_t dot = std::min(mantissa.find('.'), mantissa.size());
  std::string_view whole = mantissa.substr(0, dot);
  std::string_view fraction = dot < mantissa.size() ? mantissa.substr(dot + 1) : std::string_view();
  if (whole.empty() && fraction.empty()) return "";
  while (whole.size() > 1 && whole[0] == '0') whole.remove_prefix(1);
  out += whole.empty() ? "0" : whole;
  if (!fraction.empty()) {
    out += '.';
    out += fraction;
  }
  out += text.substr(end);
  return out;
}

}  // namespace

bool ScanNumber(std::string_view text, Number& out) {
  out = Number{};
  if (text.empty() || text.size() > UINT32_MAX / 2) return false;
  out.text = text.data();
  out.text_size = static_cast<uint32_t>(text.size());
  size_t at = 0;
  if (text[0] == '-') {
    out.negative = true;
    ++at;
  }
  const auto peek = [&] { return at < text.size() ? text[at] : '\0'; };
  if (!IsDigit(peek())) return false;
  if (peek() == '0' && at + 1 < text.size() && IsDigit(text[at + 1])) return false;

  bool dot = false;
  int64_t before_dot = 0;  // digits from the first that is not zero to the dot
  int64_t zeros = 0;       // after the dot and before the first that is not zero
  uint32_t digits = 0;     // all from the first that is not zero
  uint32_t trailing = 0;   // zeros at their end
  for (; at < text.size(); ++at) {
    const char c = text[at];
    if (c == '.') {
      if (dot || at + 1 >= text.size() || !IsDigit(text[at + 1])) return false;
      dot = true;
      continue;
    }
    if (!IsDigit(c)) break;
    if (digits == 0 && c == '0') {
      if (dot) ++zeros;
      continue;
    }
    if (digits == 0) out.first_digit = static_cast<uint32_t>(at);
    if (digits < kPrefixDigits) out.prefix = out.prefix * 10 + static_cast<uint64_t>(c - '0');
    ++digits;
    if (!dot) ++before_dot;
    trailing = c == '0' ? trailing + 1 : 0;
  }
  int64_t exponent = 0;
  if (peek() == 'e' || peek() == 'E') {
    ++at;
    bool negative = false;
    if (peek() == '-' || peek() == '+') negative = text[at++] == '-';
    if (!IsDigit(peek())) return false;
    for (; IsDigit(peek()); ++at) {
      exponent = std::min<int64_t>(exponent * 10 + (text[at] - '0'), 1'000'000'000'000);
    }
    if (negative) exponent = -exponent;
  }
  if (at != text.size()) return false;
  if (digits == 0) {
    out.first_digit = 0;
    return true;
  }
  out.point = (before_dot > 0 ? before_dot : -zeros) + exponent;
  if (digits < kPrefixDigits) out.prefix *= kPow10[kPrefixDigits - digits];
  out.digits = digits - trailing;
  return true;
}

Number FromInt(int64_t value) {
  Number out;
  if (value == 0) return out;
  out.negative = value < 0;
  const uint64_t magnitude =
      value < 0 ? ~static_cast<uint64_t>(value) + 1 : static_cast<uint64_t>(value);
  const int digits = CountDigits(magnitude);
  out.point = digits;
  out.digits = static_cast<uint32_t>(digits);
  out.prefix = magnitude * kPow10[kPrefixDigits - digits];
  return out;
}

int CompareNumbers(Value a, Value b) {
  if (a.is_int() && b.is_int()) {
    const int64_t x = a.int_value(), y = b.int_value();
    return x < y ? -1 : x > y ? 1 : 0;
  }
  if (a.IsSame(b)) return 0;
  if (a.is_int()) return CompareExact(FromInt(a.int_value()), *b.big_number());
  if (b.is_int()) return CompareExact(*a.big_number(), FromInt(b.int_value()));
  const Number &x = *a.big_number(), &y = *b.big_number();
  const int exact = CompareExact(x, y);
  return exact != 0 && SameFloatInOpa(x, y) ? 0 : exact;
}

uint64_t HashNumber(Value value) {
  // Integers of up to 15 digits, which most numbers are, are hashed as such however they are
  // written; digits behind the prefix do not count, for what OPA holds for equal may differ there.
  constexpr int kShortDigits = 15;
  constexpr auto kShort = static_cast<int64_t>(kPow10[kShortDigits]);
  const auto hash_short = [](int64_t integer) {
    return Mix(static_cast<uint64_t>(integer) ^ kHashSeed, kOdd1);
  };
  if (value.is_int() && value.int_value() > -kShort && value.int_value() < kShort) {
    return hash_short(value.int_value());
  }
  const Number large = value.is_int() ? FromInt(value.int_value()) : Number{};
  const Number& number = value.is_int() ? large : *value.big_number();
  if (number.digits == 0) return hash_short(0);
  if (number.point > 0 && number.point <= kShortDigits) {
    const uint64_t unit = kPow10[kPrefixDigits - number.point];
    const auto integer = static_cast<int64_t>(number.prefix / unit);
    if (number.prefix % unit == 0) return hash_short(number.negative ? -integer : integer);
  }
  return Mix(number.prefix ^ kHashSeed,
             kOdd0 ^ static_cast<uint64_t>(number.point * 2 + (number.negative ? 1 : 0)));
}

std::optional<int64_t> NearestInteger(const Number& number) {
  constexpr int kMostDigits = 15;
  // Units of the prefix: for the digits behind it, and for what OPA's float of 64 bits loses when
  // the number is read and when a half is added to it.
  constexpr uint64_t kDoubt = 10;
  if (number.digits == 0 || number.point < 1 || number.point > kMostDigits) return std::nullopt;
  const uint64_t one = kPow10[kPrefixDigits - number.point];
  const uint64_t fraction = number.prefix % one;
  const uint64_t from_half = fraction < one / 2 ? one / 2 - fraction : fraction - one / 2;
  if (from_half < kDoubt) return std::nullopt;
  const auto magnitude = static_cast<int64_t>(number.prefix / one + (fraction > one / 2 ? 1 : 0));
  return number.negative ? -magnitude : magnitude;
}

std::string_view NumberText(Value number, char (&buffer)[24]) {
  if (!number.is_int()) return number.big_number()->view();
  const auto [end, error] = std::to_chars(buffer, buffer + sizeof(buffer), number.int_value());
  return {buffer, static_cast<size_t>(end - buffer)};
}

// With an exponent, the binary exponent must be within ±100000 (OPA's validateNumber); 2^100000 is
// 9.99002093014384507…e30102 and 2^-100001 is 5.00499439870469…e-30104.
bool InRange(const Number& number) {
  const std::string_view text = number.view();
  if (number.digits == 0 || text.find_first_of("eE") == text.npos) return true;
  if (number.point == 30103) return number.prefix < 9990020930143845079u;
  if (number.point == -30103) return number.prefix >= 5004994398704692000u;
  return number.point < 30103 && number.point > -30103;
}

Value MakeGoNumber(Arena& arena, std::string_view text) {
  const Value number = MakeNumber(arena, text);
  return number.is_undefined() ? MakeNumber(arena, Normalized(text)) : number;
}

}  // namespace internal

std::optional<int64_t> Value::AsInt64() const {
  if (is_int()) return int_value();
  if (!is_number()) return std::nullopt;
  std::string_view text = big_number()->view();
  if (text.starts_with('-')) text.remove_prefix(1);
  if (text.size() > 19) return std::nullopt;
  const size_t dot = text.find('.');
  const std::string_view fraction = dot == text.npos ? std::string_view() : text.substr(dot + 1);
  if (fraction.find_first_not_of('0') != fraction.npos) return std::nullopt;
  const std::string_view whole = text.substr(0, dot);
  uint64_t value = 0;
  for (const char c : whole) {
    if (c < '0' || c > '9') return std::nullopt;
    value = value * 10 + static_cast<uint64_t>(c - '0');
  }
  if (value > INT64_MAX) return std::nullopt;
  const auto magnitude = static_cast<int64_t>(value);
  return big_number()->negative ? -magnitude : magnitude;
}

Value MakeNumber(Arena& arena, std::string_view text) {
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  // Leading zeros and "-0" are not an int64's shortest form; JSON refuses the former.
  if (error == std::errc() && end == text.data() + text.size() &&
      (value != 0 ? text[text[0] == '-' ? 1 : 0] != '0' : text == "0")) {
    return Value::Int(value);
  }
  internal::Number number;
  if (!internal::ScanNumber(text, number) || !internal::InRange(number)) return Value();
  const std::string_view kept = arena.Copy(text);
  auto* stored = arena.New<internal::Number>(number);
  if (stored == nullptr || kept.size() != text.size()) return Value();
  stored->text = kept.data();
  return Value(Value::Head(Type::kNumber, Value::kBigNumber, 0, 0),
               reinterpret_cast<uint64_t>(stored));
}

}  // namespace aegis::rego
