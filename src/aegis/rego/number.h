// Numbers that are not an int64 in its shortest form: decimals, exponents, large integers, and
// integers written as "1.0" or "-0". Their text is kept, because OPA prints it again.
//
// Internal to the rego library.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "aegis/rego/value.h"

namespace aegis::rego::internal {

// The value is ±0.d1d2d3… × 10^point, with d1 not zero; d1d2… are the digits of `text` from
// `first_digit` on, `digits` of them (no zeros at the end; dots in the text do not count).
struct Number {
  const char* text = nullptr;
  uint32_t text_size = 0;
  uint32_t first_digit = 0;  // index in text
  uint32_t digits = 0;       // 0: the number is zero
  bool negative = false;     // "-0.0" too
  int64_t point = 0;
  uint64_t prefix = 0;  // d1…d19 as an integer, filled up with zeros
  std::string_view view() const { return {text, text_size}; }
};

// The parts of a number in JSON's grammar, or nothing when `text` is none or its exponent is out of
// int32's range. `out.text` refers to `text`.
bool ScanNumber(std::string_view text, Number& out);
Number FromInt(int64_t value);  // text is empty: every digit is in `prefix`

// OPA's ast.NumberCompare.
int CompareNumbers(Value a, Value b);
uint64_t HashNumber(Value value);

// The nearest integer to a number that is not an int64 if its first digits tell which one that is;
// nothing for numbers under one, for large ones, and when it is about half way between two.
std::optional<int64_t> NearestInteger(const Number& number);

// The text OPA would print; `buffer` holds it when the number is an int64.
std::string_view NumberText(Value number, char (&buffer)[24]);

// Whether OPA takes the number (NumberChecked): not beyond 2^±100000 when written with an exponent.
bool InRange(const Number& number);

// MakeNumber for a text in Go's grammar (strconv.ParseFloat), which takes more than JSON's: a
// leading
// '+', leading zeros, "1." and ".5". It is kept in JSON's form.
Value MakeGoNumber(Arena& arena, std::string_view text);

}  // namespace aegis::rego::internal
