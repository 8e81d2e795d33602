// Arithmetic beyond int64 as OPA does it: integers are exact, everything else has 64 bits of
// mantissa (Go's math/big.Float at its default precision) and is printed with the fewest digits
// that tell it apart.
//
// Internal to the rego library.
#pragma once

#include <gmpxx.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "aegis/base/arena.h"
#include "aegis/rego/value.h"

namespace aegis::rego::internal {

// The number if it is an integer, however it is written.
std::optional<mpz_class> ToInteger(Value number);
Value FromInteger(Arena& arena, const mpz_class& integer);

// Steps to charge before a number is read into one of the forms here, and written again: they grow
// with its decimals, also with those that an exponent stands for. 0 for an int64.
uint64_t StepsToRead(Value number);
// For a number of that many decimals.
uint64_t StepsForDecimals(uint64_t decimals);
// Those of a number, 0 for an int64.
uint64_t Decimals(Value number);

// ±digits × 10^power.
struct ExactDecimal {
  mpz_class digits;
  int64_t power = 0;
};
// In Go's grammar: an optional sign, digits with at most one point, an optional exponent of at most
// six digits.
std::optional<ExactDecimal> ParseDecimal(std::string_view text);

// ±mantissa × 2^exponent; the mantissa's top bit is set unless the number is zero.
class BigFloat {
 public:
  BigFloat() = default;  // zero
  explicit BigFloat(Value number);
  // digits × 10^power.
  static BigFloat FromDecimal(const mpz_class& digits, int64_t power);
  // integer × 2^exponent; `more`: something is lost below it.
  static BigFloat Round(const mpz_class& integer, int64_t exponent, bool more = false);

  bool is_zero() const { return mantissa_ == 0; }
  bool negative() const { return negative_; }
  bool IsInteger() const;
  mpz_class Truncated() const;
  BigFloat Negated() const;
  BigFloat Absolute() const { return negative_ ? Negated() : *this; }

  static BigFloat Add(const BigFloat& a, const BigFloat& b);
  static BigFloat Subtract(const BigFloat& a, const BigFloat& b) { return Add(a, b.Negated()); }
  static BigFloat Multiply(const BigFloat& a, const BigFloat& b);
  // Rounded to 53 bits.
  static BigFloat MultiplyDouble(const BigFloat& a, const BigFloat& b);
  static BigFloat Divide(const BigFloat& a, const BigFloat& b);  // b is not zero
  static int Compare(const BigFloat& a, const BigFloat& b);

  // As OPA's FloatToNumber writes it; `bits`: of the mantissa, 64 or 53.
  std::string ToText(int bits = 64) const;

 private:
  mpz_class Exact() const;  // ±mantissa

  bool negative_ = false;
  uint64_t mantissa_ = 0;
  int64_t exponent_ = 0;
};

Value FromFloat(Arena& arena, const BigFloat& value, int bits = 64);

}  // namespace aegis::rego::internal
