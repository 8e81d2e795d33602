#include "aegis/rego/big_number.h"

#include <algorithm>
#include <bit>
#include <optional>

#include "aegis/rego/number.h"

namespace aegis::rego::internal {
namespace {

constexpr int64_t kBits = 64;

mpz_class Power(unsigned base, uint64_t exponent) {
  mpz_class out;
  mpz_ui_pow_ui(out.get_mpz_t(), base, exponent);
  return out;
}

mpz_class ShiftLeft(const mpz_class& value, uint64_t bits) {
  mpz_class out;
  mpz_mul_2exp(out.get_mpz_t(), value.get_mpz_t(), bits);
  return out;
}

int64_t BitLength(const mpz_class& value) {
  return value == 0 ? 0 : static_cast<int64_t>(mpz_sizeinbase(value.get_mpz_t(), 2));
}

mpz_class FromUint64(uint64_t value) {
  mpz_class out;
  mpz_import(out.get_mpz_t(), 1, 1, sizeof(value), 0, 0, &value);
  return out;
}
uint64_t ToUint64(const mpz_class& value) {  // the low 64 bits of the magnitude
  uint64_t out = 0;
  mpz_class low;
  mpz_tdiv_r_2exp(low.get_mpz_t(), value.get_mpz_t(), 64);
  mpz_export(&out, nullptr, 1, sizeof(out), 0, 0, low.get_mpz_t());
  return out;
}

// The digits of a number as an integer, and the power of ten it is to be multiplied with.
void Digits(Value number, mpz_class& digits, int64_t& power) {
  if (number.is_int()) {
    const int64_t value = number.int_value();
    digits =
        FromUint64(value < 0 ? ~static_cast<uint64_t>(value) + 1 : static_cast<uint64_t>(value));
    if (value < 0) digits = -digits;
    power = 0;
    return;
  }
  const Number& big = *number.big_number();
  std::string text;
  for (size_t i = big.first_digit; text.size() < big.digits; ++i) {
    if (big.text[i] != '.') text.push_back(big.text[i]);
  }
  digits = text.empty() ? mpz_class(0) : mpz_class(text, 10);
  if (big.negative) digits = -digits;
  power = big.point - static_cast<int64_t>(big.digits);
}

// |integer| × 2^exponent in decimal: digits without zeros at the end, and where the point is.
struct Decimal {
  std::string digits;
  int64_t point = 0;  // 0.digits × 10^point

  Decimal() = default;
  Decimal(const mpz_class& integer, int64_t exponent) {
    const mpz_class scaled = exponent >= 0
                                 ? ShiftLeft(integer, static_cast<uint64_t>(exponent))
                                 : mpz_class(integer * Power(5, static_cast<uint64_t>(-exponent)));
    digits = scaled.get_str(10);
    point = static_cast<int64_t>(digits.size()) + std::min<int64_t>(exponent, 0);
    const size_t last = digits.find_last_not_of('0');
    digits.resize(last == digits.npos ? 0 : last + 1);
  }
  char at(size_t i) const { return i < digits.size() ? digits[i] : '0'; }
  void RoundDown(size_t count) {
    if (count >= digits.size()) return;
    digits.resize(count);
    while (!digits.empty() && digits.back() == '0') digits.pop_back();
  }
  void RoundUp(size_t count) {
    if (count >= digits.size()) return;
    while (count > 0 && digits[count - 1] == '9') --count;
    if (count == 0) {
      digits = "1";
      ++point;
      return;
    }
    ++digits[count - 1];
    digits.resize(count);
  }
  void RoundNearest(size_t count) {
    if (count >= digits.size()) return;
    // Exactly half way: to even.
    const bool half = digits[count] == '5' && count + 1 == digits.size();
    const bool up = half ? count > 0 && (digits[count - 1] - '0') % 2 != 0 : digits[count] >= '5';
    up ? RoundUp(count) : RoundDown(count);
  }
  // To `count` digits, where both, one or none of the ways are allowed.
  void Round(size_t count, bool down, bool up) {
    if (down && up) {
      RoundNearest(count);
    } else if (down) {
      RoundDown(count);
    } else if (up) {
      RoundUp(count);
    }
  }
};

}  // namespace

uint64_t Decimals(Value number) {
  if (number.is_int()) return 0;
  const Number& big = *number.big_number();
  const int64_t power = big.point - static_cast<int64_t>(big.digits);
  return big.digits + static_cast<uint64_t>(power < 0 ? -power : power);
}

uint64_t StepsForDecimals(uint64_t decimals) {
  const uint64_t limbs = decimals / 19 + 1;  // of 64 bits
  return limbs * 2 * static_cast<uint64_t>(std::bit_width(limbs));
}

uint64_t StepsToRead(Value number) {
  return number.is_int() ? 0 : StepsForDecimals(Decimals(number));
}

std::optional<mpz_class> ToInteger(Value number) {
  mpz_class digits;
  int64_t power;
  Digits(number, digits, power);
  if (digits == 0) return digits;
  if (power < 0) return std::nullopt;  // there are no zeros at the end of the digits
  return mpz_class(digits * Power(10, static_cast<uint64_t>(power)));
}

Value FromInteger(Arena& arena, const mpz_class& integer) {
  return MakeNumber(arena, integer.get_str(10));
}

namespace {
bool IsDigit(char c) { return c >= '0' && c <= '9'; }
constexpr size_t kMaxExponentDigits = 6;
}  // namespace

std::optional<ExactDecimal> ParseDecimal(std::string_view text) {
  size_t at = 0;
  bool negative = false;
  if (at < text.size() && (text[at] == '+' || text[at] == '-')) negative = text[at++] == '-';
  std::string digits;
  bool point = false;
  ExactDecimal out;
  for (; at < text.size() && (IsDigit(text[at]) || (text[at] == '.' && !point)); ++at) {
    if (text[at] == '.') {
      point = true;
      continue;
    }
    digits += text[at];
    if (point) --out.power;
  }
  if (digits.empty()) return std::nullopt;
  out.digits = mpz_class(digits, 10);
  if (negative) out.digits = -out.digits;
  if (at == text.size()) return out;
  if (text[at] != 'e' && text[at] != 'E') return std::nullopt;
  ++at;
  bool down = false;
  if (at < text.size() && (text[at] == '+' || text[at] == '-')) down = text[at++] == '-';
  if (at == text.size() || text.size() - at > kMaxExponentDigits) return std::nullopt;
  int64_t exponent = 0;
  for (; at < text.size(); ++at) {
    if (!IsDigit(text[at])) return std::nullopt;
    exponent = exponent * 10 + (text[at] - '0');
  }
  out.power += down ? -exponent : exponent;
  return out;
}

BigFloat BigFloat::Round(const mpz_class& integer, int64_t exponent, bool more) {
  BigFloat out;
  if (integer == 0) return out;
  out.negative_ = integer < 0;
  mpz_class magnitude = abs(integer);
  const int64_t surplus = BitLength(magnitude) - kBits;
  if (surplus <= 0) {
    out.mantissa_ = ToUint64(ShiftLeft(magnitude, static_cast<uint64_t>(-surplus)));
    out.exponent_ = exponent + surplus;
    return out;
  }
  const auto dropped = static_cast<uint64_t>(surplus);
  const bool half = mpz_tstbit(magnitude.get_mpz_t(), dropped - 1) != 0;
  const bool below = more || mpz_scan1(magnitude.get_mpz_t(), 0) < dropped - 1;
  mpz_class kept;
  mpz_fdiv_q_2exp(kept.get_mpz_t(), magnitude.get_mpz_t(), dropped);
  out.mantissa_ = ToUint64(kept);
  out.exponent_ = exponent + surplus;
  if (half && (below || (out.mantissa_ & 1) != 0)) {
    if (++out.mantissa_ == 0) {
      out.mantissa_ = uint64_t{1} << 63;
      ++out.exponent_;
    }
  }
  return out;
}

BigFloat::BigFloat(Value number) {
  if (number.is_int()) {
    const int64_t value = number.int_value();
    if (value == 0) return;
    negative_ = value < 0;
    const uint64_t magnitude =
        negative_ ? ~static_cast<uint64_t>(value) + 1 : static_cast<uint64_t>(value);
    const int unused = std::countl_zero(magnitude);
    mantissa_ = magnitude << unused;
    exponent_ = -unused;
    return;
  }
  mpz_class digits;
  int64_t power;
  Digits(number, digits, power);
  *this = FromDecimal(digits, power);
  if (digits == 0) negative_ = !number.is_int() && number.big_number()->negative;
}

BigFloat BigFloat::FromDecimal(const mpz_class& digits, int64_t power) {
  if (power >= 0) return Round(digits * Power(10, static_cast<uint64_t>(power)), 0);
  const mpz_class divisor = Power(10, static_cast<uint64_t>(-power));
  const int64_t shift = std::max<int64_t>(0, kBits + 2 + BitLength(divisor) - BitLength(digits));
  const mpz_class shifted = ShiftLeft(digits, static_cast<uint64_t>(shift));
  const mpz_class quotient = shifted / divisor;
  const bool more = quotient * divisor != shifted;
  return Round(quotient, -shift, more);
}

mpz_class BigFloat::Exact() const {
  const mpz_class magnitude = FromUint64(mantissa_);
  return negative_ ? mpz_class(-magnitude) : magnitude;
}

bool BigFloat::IsInteger() const {
  if (mantissa_ == 0 || exponent_ >= 0) return true;
  return exponent_ > -kBits && (mantissa_ & ((uint64_t{1} << -exponent_) - 1)) == 0;
}

mpz_class BigFloat::Truncated() const {
  if (exponent_ >= 0) return ShiftLeft(Exact(), static_cast<uint64_t>(exponent_));
  if (exponent_ <= -kBits) return 0;
  mpz_class out;
  mpz_tdiv_q_2exp(out.get_mpz_t(), Exact().get_mpz_t(), static_cast<uint64_t>(-exponent_));
  return out;
}

BigFloat BigFloat::Negated() const {
  BigFloat out = *this;
  out.negative_ = !negative_;
  return out;
}

BigFloat BigFloat::Add(const BigFloat& a, const BigFloat& b) {
  if (a.is_zero() && b.is_zero()) {
    BigFloat out;
    out.negative_ = a.negative_ && b.negative_;
    return out;
  }
  if (a.is_zero()) return b;
  if (b.is_zero()) return a;
  const BigFloat& high = a.exponent_ >= b.exponent_ ? a : b;
  const BigFloat& low = a.exponent_ >= b.exponent_ ? b : a;
  const int64_t distance = high.exponent_ - low.exponent_;
  if (distance > 3 * kBits) {
    // Only the sign of what is far below can matter.
    return Round(ShiftLeft(high.Exact(), 3 * kBits) + (low.negative_ ? -1 : 1),
                 high.exponent_ - 3 * kBits);
  }
  return Round(ShiftLeft(high.Exact(), static_cast<uint64_t>(distance)) + low.Exact(),
               low.exponent_);
}

BigFloat BigFloat::Multiply(const BigFloat& a, const BigFloat& b) {
  BigFloat out = Round(a.Exact() * b.Exact(), a.exponent_ + b.exponent_);
  if (out.is_zero()) out.negative_ = a.negative_ != b.negative_;
  return out;
}

BigFloat BigFloat::MultiplyDouble(const BigFloat& a, const BigFloat& b) {
  mpz_class exact = a.Exact() * b.Exact();
  int64_t exponent = a.exponent_ + b.exponent_;
  if (const int64_t surplus = BitLength(exact) - 53; surplus > 0) {
    const auto dropped = static_cast<uint64_t>(surplus);
    const mpz_class magnitude = abs(exact);
    const bool half = mpz_tstbit(magnitude.get_mpz_t(), dropped - 1) != 0;
    const bool below = mpz_scan1(magnitude.get_mpz_t(), 0) < dropped - 1;
    mpz_class kept;
    mpz_fdiv_q_2exp(kept.get_mpz_t(), magnitude.get_mpz_t(), dropped);
    if (half && (below || mpz_odd_p(kept.get_mpz_t()))) kept += 1;
    exact = exact < 0 ? mpz_class(-kept) : kept;
    exponent += surplus;
  }
  BigFloat out = Round(exact, exponent);
  if (out.is_zero()) out.negative_ = a.negative_ != b.negative_;
  return out;
}

BigFloat BigFloat::Divide(const BigFloat& a, const BigFloat& b) {
  BigFloat out;
  out.negative_ = a.negative_ != b.negative_;
  if (a.is_zero()) return out;
  // Both have their top bits: the quotient has 64 bits when it is shifted by 63 or by 64.
  const int64_t shift = a.mantissa_ >= b.mantissa_ ? kBits - 1 : kBits;
  const unsigned __int128 shifted = static_cast<unsigned __int128>(a.mantissa_) << shift;
  out.mantissa_ = static_cast<uint64_t>(shifted / b.mantissa_);
  out.exponent_ = a.exponent_ - b.exponent_ - shift;
  const auto rest = static_cast<uint64_t>(shifted % b.mantissa_);
  // To the nearest, half way to even.
  const uint64_t above = b.mantissa_ - rest;
  if (rest > above || (rest == above && (out.mantissa_ & 1) != 0)) {
    if (++out.mantissa_ == 0) {
      out.mantissa_ = uint64_t{1} << (kBits - 1);
      ++out.exponent_;
    }
  }
  return out;
}

int BigFloat::Compare(const BigFloat& a, const BigFloat& b) {
  const BigFloat difference = Subtract(a, b);
  return difference.is_zero() ? 0 : difference.negative_ ? -1 : 1;
}

namespace {

// The digits of a fraction one by one.
class FractionDigits {
 public:
  using Wide = unsigned __int128;
  static constexpr int kFractionBits = 124;  // ten times as much still fits

  // Of numerator / 2^bits, with at most kFractionBits.
  FractionDigits(Wide numerator, int bits) : rest_((numerator << (kFractionBits - bits)) & kMask) {}
  char Next() {
    rest_ *= 10;
    const char digit = static_cast<char>('0' + static_cast<int>(rest_ >> kFractionBits));
    rest_ &= kMask;
    return digit;
  }
  bool done() const { return rest_ == 0; }

 private:
  static constexpr Wide kMask = (Wide{1} << kFractionBits) - 1;
  Wide rest_;
};

// What Shortest gives for 64 bits, found without the digits behind those that are needed. Nothing
// for floats that are very small or have no fraction, or when the neighbours do not begin alike.
std::optional<Decimal> ShortestOfFraction(uint64_t mantissa, int64_t exponent) {
  if (exponent >= 0 || 1 - exponent > FractionDigits::kFractionBits) return std::nullopt;
  // In halves of a unit.
  const int bits = static_cast<int>(1 - exponent);
  const FractionDigits::Wide doubled = FractionDigits::Wide{mantissa} << 1;
  const auto whole = static_cast<uint64_t>(doubled >> bits);
  if ((doubled - 1) >> bits != whole || (doubled + 1) >> bits != whole) return std::nullopt;
  Decimal out;
  if (whole != 0) out.digits = std::to_string(whole);
  out.point = static_cast<int64_t>(out.digits.size());
  FractionDigits middle(doubled, bits), lower(doubled - 1, bits), upper(doubled + 1, bits);
  const bool inclusive = (mantissa & 1) == 0;
  while (!middle.done()) {
    const char digit = middle.Next(), low = lower.Next(), high = upper.Next();
    if (digit == '0' && out.digits.empty()) {
      if (low != '0' || high != '0') return std::nullopt;
      --out.point;
      continue;
    }
    out.digits.push_back(digit);
    const bool down = low != digit || (inclusive && low != '0' && lower.done());
    const bool up = digit != high && (inclusive || digit + 1 < high || !upper.done());
    if (!down && !up) continue;
    const size_t count = out.digits.size();
    if (!middle.done()) out.digits.push_back(middle.Next());
    if (!middle.done()) out.digits.push_back('1');  // there is more
    out.Round(count, down, up);
    return out;
  }
  return out;
}

// The fewest digits between half a unit below and above (Go's roundShortest).
Decimal Shortest(uint64_t mantissa, int64_t exponent, int bits) {
  if (bits == kBits) {
    if (std::optional<Decimal> fast = ShortestOfFraction(mantissa, exponent)) return *fast;
  }
  Decimal decimal(FromUint64(mantissa), exponent);
  const mpz_class doubled = ShiftLeft(FromUint64(mantissa), 1);
  const int unused = 64 - bits;  // bits of the mantissa, which are zero
  const mpz_class half_unit = ShiftLeft(1, static_cast<uint64_t>(unused));
  const Decimal lower(doubled - half_unit, exponent - 1), upper(doubled + half_unit, exponent - 1);
  const bool inclusive = (mantissa >> unused & 1) == 0;
  for (size_t i = 0; i < decimal.digits.size(); ++i) {
    const char digit = decimal.digits[i], low = lower.at(i), high = upper.at(i);
    const bool down = low != digit || (inclusive && i + 1 == lower.digits.size());
    const bool up = digit != high && (inclusive || digit + 1 < high || i + 1 < upper.digits.size());
    if (!down && !up) continue;
    decimal.Round(i + 1, down, up);
    break;
  }
  return decimal;
}

}  // namespace

std::string BigFloat::ToText(int bits) const {
  const std::string sign = negative_ ? "-" : "";
  if (is_zero()) return sign + "0";
  const Decimal shortest = Shortest(mantissa_, exponent_, bits);
  const std::string& digits = shortest.digits;
  const int64_t point = shortest.point;
  const auto count = static_cast<int64_t>(digits.size());
  if (IsInteger()) {
    // All digits, in front of the point.
    std::string out = sign + digits.substr(0, static_cast<size_t>(std::min(count, point)));
    out.append(static_cast<size_t>(std::max<int64_t>(0, point - count)), '0');
    return out;
  }
  const int64_t exponent = point - 1;
  if (exponent < -4 || exponent >= 6) {
    std::string out = sign + digits.substr(0, 1);
    if (count > 1) out += "." + digits.substr(1);
    const std::string power = std::to_string(exponent < 0 ? -exponent : exponent);
    out += exponent < 0 ? "e-" : "e+";
    if (power.size() < 2) out += '0';
    return out + power;
  }
  if (point <= 0) return sign + "0." + std::string(static_cast<size_t>(-point), '0') + digits;
  std::string whole = digits.substr(0, static_cast<size_t>(std::min(count, point)));
  whole.append(static_cast<size_t>(std::max<int64_t>(0, point - count)), '0');
  return count > point ? sign + whole + "." + digits.substr(static_cast<size_t>(point))
                       : sign + whole;
}

Value FromFloat(Arena& arena, const BigFloat& value, int bits) {
  return MakeNumber(arena, value.ToText(bits));
}

}  // namespace aegis::rego::internal
