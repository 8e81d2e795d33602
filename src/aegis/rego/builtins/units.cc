// units.parse and units.parse_bytes.
#include <gmpxx.h>

#include <algorithm>
#include <array>
#include <string>
#include <utility>

#include "aegis/rego/big_number.h"
#include "aegis/rego/builtins/operands.h"
#include "aegis/rego/builtins/unicode.h"
#include "aegis/rego/number.h"

namespace aegis::rego {
namespace {

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

// An amount with more digits than this in its exponent is refused, as in OPA.
constexpr size_t kMaxExponentDigits = 6;

struct Quantity {
  std::string_view amount;
  std::string_view unit;
};

// Splits "1.5e3KiB" where the number ends; nothing after an error.
std::optional<Quantity> SplitQuantity(BuiltinContext& context, std::string_view text) {
  if (text.find(' ') != text.npos) {
    context.Error("spaces not allowed in resource strings");
    return std::nullopt;
  }
  size_t end = 0;
  for (; end < text.size(); ++end) {
    const char c = text[end];
    if (c == 'e' || c == 'E') {
      const char next = end + 1 < text.size() ? text[end + 1] : '\0';
      if (!IsDigit(next) && next != '+' && next != '-') break;
      if (!IsDigit(next)) ++end;
      const std::string_view rest = text.substr(end + 1);
      const size_t digits = std::min(rest.find_first_not_of("0123456789"), rest.size());
      if (digits > kMaxExponentDigits) {
        context.Error("exponent too large");
        return std::nullopt;
      }
    } else if (!IsDigit(c) && c != '.' && c != '+' && c != '-') {
      break;
    }
  }
  if (end == 0) {
    context.Error("no amount provided");
    return std::nullopt;
  }
  return Quantity{text.substr(0, end), text.substr(end)};
}

std::string Lower(std::string_view text) {
  std::string out;
  for (size_t size; !text.empty(); text.remove_prefix(size)) {
    AppendRune(out, LowerRune(DecodeRune(text, size)));
  }
  return out;
}

std::string WithoutQuotes(std::string_view text) {
  std::string out(text);
  std::erase(out, '"');
  return out;
}

mpz_class PowerOfTen(uint64_t exponent) {
  mpz_class out;
  mpz_ui_pow_ui(out.get_mpz_t(), 10, exponent);
  return out;
}

constexpr uint64_t kThousand = 1000;

// The factors of k, m, g, t, p, e: powers of 1000, with an i of 1024.
constexpr std::string_view kPrefixes = "kmgtpe";

std::optional<uint64_t> Factor(char prefix, bool binary) {
  const size_t power = kPrefixes.find(prefix);
  if (power == kPrefixes.npos) return std::nullopt;
  uint64_t out = 1;
  for (size_t i = 0; i <= power; ++i) out *= binary ? 1024 : kThousand;
  return out;
}

// Ki, M, g …: both cases, except that m is a thousandth and M a million.
std::optional<uint64_t> SiFactor(std::string_view unit) {
  if (unit.empty()) return 1;
  if (unit == "M") return kThousand * kThousand;
  const char first = static_cast<char>(unit[0] | 0x20);
  if (unit.size() == 1) return Factor(first, false);
  return unit.substr(1) == "i" ? Factor(first, true) : std::nullopt;
}

// The value of "0.001" as a float64 is what OPA multiplies with: mantissa / 2^60.
constexpr uint64_t kMilliMantissa = 1152921504606847;
constexpr unsigned kMilliShift = 60;

// |numerator / denominator| rounded to ten digits after the point, halves up.
std::string TenDigits(const mpz_class& numerator, const mpz_class& denominator) {
  const mpz_class scaled = abs(numerator) * PowerOfTen(10);
  std::string text = mpz_class((2 * scaled + denominator) / (2 * denominator)).get_str(10);
  if (text.size() < 11) text.insert(0, 11 - text.size(), '0');
  text.insert(text.size() - 10, 1, '.');
  if (numerator < 0) text.insert(0, 1, '-');
  return text;
}

Value Parse(BuiltinContext& context, const Value* args) {
  AEGIS_STRING_ARG(raw, 0);
  if (!context.Charge(raw.size() / 8)) return Value();
  const std::string text = WithoutQuotes(raw);
  const std::optional<Quantity> quantity = SplitQuantity(context, text);
  if (!quantity) return Value();
  std::string unit(quantity->unit);
  if (unit.size() > 1) unit = unit.substr(0, 1) + Lower(std::string_view(unit).substr(1));
  const bool milli = unit == "m";
  const std::optional<uint64_t> factor = milli ? kMilliMantissa : SiFactor(unit);
  if (!factor) return context.Error("unit " + unit + " not recognized");
  const auto amount = internal::ParseDecimal(quantity->amount);
  if (!amount) return context.Error("could not parse amount to a number");
  const uint64_t shift = static_cast<uint64_t>(std::abs(amount->power));
  if (!context.Charge(shift / 4)) return Value();

  mpz_class numerator = amount->digits * mpz_class(*factor), denominator = 1;
  (amount->power < 0 ? denominator : numerator) *= PowerOfTen(shift);
  if (milli) denominator <<= kMilliShift;
  if (mpz_divisible_p(numerator.get_mpz_t(), denominator.get_mpz_t()) != 0) {
    return internal::FromInteger(context.arena(), numerator / denominator);
  }
  return MakeNumber(context.arena(), TenDigits(numerator, denominator));
}

std::optional<uint64_t> ByteFactor(std::string_view unit) {
  if (unit.empty()) return 1;
  const std::string_view rest = unit.substr(1);
  if (rest.empty() || rest == "b") return Factor(unit[0], false);
  return rest == "i" || rest == "ib" ? Factor(unit[0], true) : std::nullopt;
}

Value ParseBytes(BuiltinContext& context, const Value* args) {
  AEGIS_STRING_ARG(raw, 0);
  if (!context.Charge(raw.size() / 8)) return Value();
  const std::string text = WithoutQuotes(Lower(raw));
  const std::optional<Quantity> quantity = SplitQuantity(context, text);
  if (!quantity) return Value();
  const std::optional<uint64_t> factor = ByteFactor(quantity->unit);
  if (!factor) {
    return context.Error("byte unit " + std::string(quantity->unit) + " not recognized");
  }
  const auto amount = internal::ParseDecimal(quantity->amount);
  if (!amount) return context.Error("could not parse byte amount to a number");
  const uint64_t shift = static_cast<uint64_t>(std::abs(amount->power));
  if (!context.Charge(shift / 4)) return Value();

  // OPA computes with 64 bits of mantissa and cuts off what is behind the point.
  using internal::BigFloat;
  const BigFloat value = BigFloat::FromDecimal(amount->digits, amount->power);
  const BigFloat bytes = BigFloat::Multiply(value, BigFloat::Round(mpz_class(*factor), 0));
  return internal::FromInteger(context.arena(), bytes.Truncated());
}

constexpr Builtin kBuiltins[] = {
    {"units.parse", 1, Parse},
    {"units.parse_bytes", 1, ParseBytes},
};

}  // namespace

std::span<const Builtin> UnitBuiltins() { return kBuiltins; }

}  // namespace aegis::rego
