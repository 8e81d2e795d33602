#include "aegis/policy/contradiction.h"

#include <algorithm>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string_view>

#include "aegis/policy/node.h"
#include "aegis/policy/number.h"

namespace aegis::policy {
namespace {

bool IsOne(Op op, std::initializer_list<Op> ops) {
  return std::find(ops.begin(), ops.end(), op) != ops.end();
}

// --- By type: bits of the types that can meet a condition ---

constexpr uint8_t kNullBit = 1, kBoolBit = 2, kNumberBit = 4, kStringBit = 8, kArrayBit = 16,
                  kObjectBit = 32, kAnyBits = 63;

uint8_t TypeOfJson(std::string_view json) {
  switch (json.empty() ? '\0' : json.front()) {
    case '"':
      return kStringBit;
    case '[':
      return kArrayBit;
    case '{':
      return kObjectBit;
    case 't':
    case 'f':
      return kBoolBit;
    case 'n':
      return kNullBit;
    default:
      return kNumberBit;
  }
}

uint8_t TypeOfName(std::string_view bound) {  // a JSON string
  if (bound == R"("string")") return kStringBit;
  if (bound == R"("number")" || bound == R"("integer")") return kNumberBit;
  if (bound == R"("boolean")") return kBoolBit;
  if (bound == R"("array")") return kArrayBit;
  if (bound == R"("object")") return kObjectBit;
  return bound == R"("null")" ? kNullBit : kAnyBits;
}

uint8_t TypesThatMeet(const Condition& condition) {
  switch (condition.op) {
    case Op::kEq:
      return TypeOfJson(condition.bound);
    case Op::kIn: {
      uint8_t types = 0;
      for (const std::string& value : condition.values) types |= TypeOfJson(value);
      return types;
    }
    case Op::kLt:
    case Op::kLte:
    case Op::kGt:
    case Op::kGte:
      return kNumberBit;
    case Op::kMatches:
    case Op::kStartsWith:
    case Op::kEndsWith:
    case Op::kCidr:
    case Op::kDomain:
      return kStringBit;
    case Op::kContains:
      return kStringBit | kArrayBit;
    case Op::kLengthLte:
    case Op::kLengthGte:
      return kStringBit | kArrayBit | kObjectBit;
    case Op::kType:
      return TypeOfName(condition.bound);
    default:
      return kAnyBits;
  }
}

// --- By bounds ---

bool IsNumber(std::string_view json) {
  return TypeOfJson(json) == kNumberBit && NumberProblem(json).empty();
}

// Whether `lower` asks for more than `upper` allows.
bool AboveUpper(const Condition& lower, const Condition& upper) {
  const bool low = IsOne(lower.op, {Op::kGt, Op::kGte});
  const bool high = IsOne(upper.op, {Op::kLt, Op::kLte});
  const bool lengths = lower.op == Op::kLengthGte && upper.op == Op::kLengthLte;
  if (!lengths && !(low && high)) return false;
  if (!IsNumber(lower.bound) || !IsNumber(upper.bound)) return false;
  const int order = CompareNumbers(lower.bound, upper.bound);
  const bool open = lower.op == Op::kGt || upper.op == Op::kLt;
  return order > 0 || (order == 0 && open);
}

// --- By value: where one condition lists the values that meet it ---

bool SameJson(std::string_view a, std::string_view b) {
  if (IsNumber(a) && IsNumber(b)) return CompareNumbers(a, b) == 0;
  return a == b;
}

// The text of a JSON string that is written without escapes.
std::optional<std::string_view> PlainText(std::string_view json) {
  if (TypeOfJson(json) != kStringBit || json.find('\\') != json.npos) return std::nullopt;
  return json.substr(1, json.size() - 2);
}

// Whether `value` certainly fails the condition.
bool Fails(std::string_view value, const Condition& condition) {
  if ((TypeOfJson(value) & TypesThatMeet(condition)) == 0) return true;
  const auto lists = [&] {
    return std::any_of(condition.values.begin(), condition.values.end(),
                       [&](const std::string& each) { return SameJson(each, value); });
  };
  const std::optional<std::string_view> text = PlainText(value);
  const auto order = [&] { return CompareNumbers(value, condition.bound); };
  const bool numbers = IsNumber(value) && IsNumber(condition.bound);
  switch (condition.op) {
    case Op::kEq:
      return !SameJson(condition.bound, value);
    case Op::kNe:
      return SameJson(condition.bound, value);
    case Op::kIn:
      return !lists();
    case Op::kNotIn:
      return lists();
    case Op::kLt:
      return numbers && order() >= 0;
    case Op::kLte:
      return numbers && order() > 0;
    case Op::kGt:
      return numbers && order() <= 0;
    case Op::kGte:
      return numbers && order() < 0;
    case Op::kStartsWith:
      return text && !condition.values.empty() && !text->starts_with(condition.values.front());
    case Op::kEndsWith:
      return text && !condition.values.empty() && !text->ends_with(condition.values.front());
    default:
      return false;
  }
}

bool NoListedValueMeets(const Condition& listed, const Condition& other) {
  if (listed.op == Op::kEq) return Fails(listed.bound, other);
  return listed.op == Op::kIn &&
         std::all_of(listed.values.begin(), listed.values.end(),
                     [&](const std::string& value) { return Fails(value, other); });
}

}  // namespace

bool Contradict(const Condition& a, const Condition& b) {
  if (a.path != b.path || a.path.find("[*]") != std::string::npos) return false;
  const auto absent = [](const Condition& c) { return c.op == Op::kExists && c.bound == "false"; };
  if (absent(a) != absent(b)) return true;  // every other operator needs the parameter
  if (absent(a)) return false;
  return (TypesThatMeet(a) & TypesThatMeet(b)) == 0 || AboveUpper(a, b) || AboveUpper(b, a) ||
         NoListedValueMeets(a, b) || NoListedValueMeets(b, a);
}

}  // namespace aegis::policy
