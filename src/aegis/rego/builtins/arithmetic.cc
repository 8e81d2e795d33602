// plus, minus, mul, div, rem, abs, round, ceil, floor, bits.*, numbers.range*. As in OPA: integers
// are exact however large, everything else goes through floats of 64 bits of mantissa.
#include <algorithm>
#include <limits>

#include "aegis/rego/big_number.h"
#include "aegis/rego/builtins/operands.h"
#include "aegis/rego/number.h"

namespace aegis::rego {
namespace {

using internal::BigFloat;
using internal::FromFloat;
using internal::FromInteger;
using internal::ToInteger;

// Work on large numbers counts by their decimals.
bool ChargeFor(BuiltinContext& context, Value number) {
  return context.Charge(internal::StepsToRead(number));
}

#define AEGIS_NUMBER_ARGS(count)                                                  \
  for (int i = 0; i < (count); ++i) {                                             \
    if (!args[i].is_number()) return context.WrongType(i + 1, "number", args[i]); \
    if (!ChargeFor(context, args[i])) return Value();                             \
  }

enum class Op { kPlus, kMinus, kMultiply };

template <Op op>
Value Exact(BuiltinContext& context, const Value* args) {
  AEGIS_NUMBER_ARGS(2);
  if (args[0].is_int() && args[1].is_int()) {
    const int64_t x = args[0].int_value(), y = args[1].int_value();
    int64_t result;
    const bool overflow = op == Op::kPlus    ? __builtin_add_overflow(x, y, &result)
                          : op == Op::kMinus ? __builtin_sub_overflow(x, y, &result)
                                             : __builtin_mul_overflow(x, y, &result);
    if (!overflow) return Value::Int(result);
  }
  const std::optional<mpz_class> a = ToInteger(args[0]), b = ToInteger(args[1]);
  if (a && b) {
    return FromInteger(context.arena(), op == Op::kPlus    ? mpz_class(*a + *b)
                                        : op == Op::kMinus ? mpz_class(*a - *b)
                                                           : mpz_class(*a * *b));
  }
  const BigFloat x(args[0]), y(args[1]);
  return FromFloat(context.arena(), op == Op::kPlus    ? BigFloat::Add(x, y)
                                    : op == Op::kMinus ? BigFloat::Subtract(x, y)
                                                       : BigFloat::Multiply(x, y));
}

Value Minus(BuiltinContext& context, const Value* args) {
  if (args[0].is_set() && args[1].is_set()) {
    SetBuilder difference(context.arena());
    for (const Value element : args[0].elements()) {
      if (!args[1].Contains(element)) difference.Add(element);
    }
    return difference.Build();
  }
  if (!args[0].is_number() && !args[0].is_set()) {
    return context.WrongType(1, "one of {number, set}", args[0]);
  }
  if (args[0].type() != args[1].type()) {
    return context.WrongType(2, args[1].is_number() ? "set" : "number", args[1]);
  }
  return Exact<Op::kMinus>(context, args);
}

constexpr int64_t kSmallest = std::numeric_limits<int32_t>::min();
constexpr int64_t kLargest = std::numeric_limits<int32_t>::max();

// OPA's window for plain integers; the results beyond it differ from floats only in their text.
bool IsSmall(Value value) {
  const std::optional<int64_t> integer = value.AsInt64();
  return integer && *integer >= kSmallest && *integer <= kLargest;
}

Value Divide(BuiltinContext& context, const Value* args) {
  AEGIS_NUMBER_ARGS(2);
  if (IsSmall(args[0]) && IsSmall(args[1])) {
    const int64_t x = *args[0].AsInt64(), y = *args[1].AsInt64();
    if (y == 0) return context.Error("divide by zero");
    if (x != 0 && x % y == 0) return Value::Int(x / y);
  }
  const BigFloat divisor(args[1]);
  if (divisor.is_zero()) return context.Error("divide by zero");
  return FromFloat(context.arena(), BigFloat::Divide(BigFloat(args[0]), divisor));
}

Value Remainder(BuiltinContext& context, const Value* args) {
  AEGIS_NUMBER_ARGS(2);
  if (args[0].is_int() && args[1].is_int()) {
    const int64_t x = args[0].int_value(), y = args[1].int_value();
    if (y == 0) return context.Error("modulo by zero");
    return Value::Int(y == -1 ? 0 : x % y);
  }
  const std::optional<mpz_class> a = ToInteger(args[0]), b = ToInteger(args[1]);
  if (!a || !b) return context.Error("modulo on floating-point number");
  if (*b == 0) return context.Error("modulo by zero");
  return FromInteger(context.arena(), mpz_class(*a % *b));
}

Value Absolute(BuiltinContext& context, const Value* args) {
  AEGIS_NUMBER_ARGS(1);
  if (IsSmall(args[0])) {
    const int64_t value = *args[0].AsInt64();
    return Value::Int(value < 0 ? -value : value);
  }
  return FromFloat(context.arena(), BigFloat(args[0]).Absolute());
}

// OPA makes a float with as many bits as the integer needs: all its digits are printed.
bool IsLong(const mpz_class& whole) { return mpz_sizeinbase(whole.get_mpz_t(), 2) > 64; }

enum class Rounding { kNearest, kUp, kDown };

template <Rounding rounding>
Value Rounded(BuiltinContext& context, const Value* args) {
  AEGIS_NUMBER_ARGS(1);
  if (IsSmall(args[0])) return Value::Int(*args[0].AsInt64());
  if (rounding == Rounding::kNearest && !args[0].is_int()) {
    const std::optional<int64_t> nearest = internal::NearestInteger(*args[0].big_number());
    if (nearest) return Value::Int(*nearest);
  }
  const BigFloat value(args[0]);
  BigFloat result;
  if (rounding == Rounding::kNearest) {
    const BigFloat half = BigFloat::Round(1, -1);
    const BigFloat moved =
        value.negative() ? BigFloat::Subtract(value, half) : BigFloat::Add(value, half);
    const mpz_class whole = moved.Truncated();
    if (IsLong(whole)) return FromInteger(context.arena(), whole);
    result = BigFloat::Round(whole, 0);
  } else {
    const mpz_class whole = value.Truncated();
    if (IsLong(whole)) return FromInteger(context.arena(), whole);
    result = BigFloat::Round(whole, 0);
    const BigFloat one = BigFloat::Round(1, 0);
    // As OPA does it: what was cut off to zero has lost its sign.
    if (rounding == Rounding::kUp && !result.negative() && BigFloat::Compare(value, result) != 0) {
      result = BigFloat::Add(result, one);
    }
    if (rounding == Rounding::kDown && result.negative() && BigFloat::Compare(value, result) != 0) {
      result = BigFloat::Subtract(result, one);
    }
  }
  return FromFloat(context.arena(), result);
}

#define AEGIS_INTEGER_ARG(name, i)                                                     \
  if (!args[i].is_number()) return context.WrongType(i + 1, "number", args[i]);        \
  if (!ChargeFor(context, args[i])) return Value();                                    \
  const std::optional<mpz_class> name##_integer = ToInteger(args[i]);                  \
  if (!name##_integer)                                                                 \
    return context.TypeError("operand " + std::to_string(i + 1) +                      \
                             " must be integer number but got floating-point number"); \
  const mpz_class& name = *name##_integer

enum class Bits { kAnd, kOr, kXor };

template <Bits bits>
Value Bitwise(BuiltinContext& context, const Value* args) {
  AEGIS_INTEGER_ARG(a, 0);
  AEGIS_INTEGER_ARG(b, 1);
  return FromInteger(context.arena(), bits == Bits::kAnd  ? mpz_class(a & b)
                                      : bits == Bits::kOr ? mpz_class(a | b)
                                                          : mpz_class(a ^ b));
}

Value Negate(BuiltinContext& context, const Value* args) {
  AEGIS_INTEGER_ARG(a, 0);
  return FromInteger(context.arena(), mpz_class(~a));
}

template <bool left>
Value Shift(BuiltinContext& context, const Value* args) {
  AEGIS_INTEGER_ARG(a, 0);
  AEGIS_INTEGER_ARG(b, 1);
  if (b < 0) {
    return context.TypeError(
        "operand 2 must be an unsigned integer number but got a negative integer");
  }
  if (b > (1 << 24)) {
    if (!left) return Value::Int(a < 0 ? -1 : 0);
    context.Charge(UINT64_MAX);
    return Value();
  }
  const uint64_t count = b.get_ui();
  if (left && !context.Charge(count / 16)) return Value();
  mpz_class result;
  if (left) {
    mpz_mul_2exp(result.get_mpz_t(), a.get_mpz_t(), count);
  } else {
    mpz_fdiv_q_2exp(result.get_mpz_t(), a.get_mpz_t(), count);
  }
  return FromInteger(context.arena(), result);
}

constexpr uint64_t kMaxRange = 1 << 26;

// Of int64s by one, as most are.
Value ShortRange(BuiltinContext& context, int64_t from, int64_t to) {
  const auto low = static_cast<uint64_t>(std::min(from, to));
  const uint64_t distance = static_cast<uint64_t>(std::max(from, to)) - low;
  if (distance >= kMaxRange || !context.Charge(distance + 1)) {
    context.Charge(UINT64_MAX);
    return Value();
  }
  ArrayBuilder range(context.arena(), distance + 1);
  const auto count = static_cast<int64_t>(distance + 1);
  for (int64_t i = 0; i < count; ++i) range.Add(Value::Int(from <= to ? from + i : from - i));
  return range.Build();
}

Value Range(BuiltinContext& context, const mpz_class& from, const mpz_class& to,
            const mpz_class& step) {
  if (step <= 0) {
    return context.Error("numbers.range_step: step must be a positive integer");
  }
  const mpz_class count = abs(to - from) / step + 1;
  if (count > kMaxRange || !context.Charge(count.get_ui())) {
    context.Charge(UINT64_MAX);
    return Value();
  }
  ArrayBuilder range(context.arena(), count.get_ui());
  mpz_class next = from;
  for (uint64_t i = count.get_ui(); i > 0; --i) {
    range.Add(next.fits_slong_p() ? Value::Int(next.get_si()) : FromInteger(context.arena(), next));
    next += from <= to ? step : mpz_class(-step);
  }
  return range.Build();
}

Value NumbersRange(BuiltinContext& context, const Value* args) {
  if (args[0].is_int() && args[1].is_int()) {
    return ShortRange(context, args[0].int_value(), args[1].int_value());
  }
  AEGIS_INTEGER_ARG(from, 0);
  AEGIS_INTEGER_ARG(to, 1);
  return Range(context, from, to, 1);
}

Value NumbersRangeStep(BuiltinContext& context, const Value* args) {
  AEGIS_INTEGER_ARG(from, 0);
  AEGIS_INTEGER_ARG(to, 1);
  AEGIS_INTEGER_ARG(step, 2);
  return Range(context, from, to, step);
}

constexpr Builtin kBuiltins[] = {
    {"plus", 2, Exact<Op::kPlus>},
    {"minus", 2, Minus},
    {"mul", 2, Exact<Op::kMultiply>},
    {"div", 2, Divide},
    {"rem", 2, Remainder},
    {"abs", 1, Absolute},
    {"round", 1, Rounded<Rounding::kNearest>},
    {"ceil", 1, Rounded<Rounding::kUp>},
    {"floor", 1, Rounded<Rounding::kDown>},
    {"bits.and", 2, Bitwise<Bits::kAnd>},
    {"bits.or", 2, Bitwise<Bits::kOr>},
    {"bits.xor", 2, Bitwise<Bits::kXor>},
    {"bits.negate", 1, Negate},
    {"bits.lsh", 2, Shift<true>},
    {"bits.rsh", 2, Shift<false>},
    {"numbers.range", 2, NumbersRange},
    {"numbers.range_step", 3, NumbersRangeStep},
};

}  // namespace

std::span<const Builtin> ArithmeticBuiltins() { return kBuiltins; }

}  // namespace aegis::rego
