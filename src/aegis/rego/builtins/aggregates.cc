// count, sum, product, max, min, sort, any, all, membership.
#include <algorithm>

#include "aegis/rego/big_number.h"
#include "aegis/rego/builtins/operands.h"
#include "aegis/rego/builtins/unicode.h"
#include "aegis/rego/table.h"

namespace aegis::rego {
namespace {

using internal::BigFloat;

#define AEGIS_LIST_ARG(i)                       \
  if (!args[i].is_array() && !args[i].is_set()) \
  return context.WrongType(i + 1, "one of {set, array}", args[i])

Value Count(BuiltinContext& context, const Value* args) {
  if (args[0].is_string()) {
    return Value::Int(static_cast<int64_t>(CountRunes(args[0].string_value())));
  }
  AEGIS_TYPED_ARG(0, is_collection, "one of {array, object, set, string}");
  return Value::Int(static_cast<int64_t>(args[0].size()));
}

// int64 as long as it goes, then exact integers, then floats.
template <bool product>
Value Accumulate(BuiltinContext& context, const Value* args) {
  AEGIS_LIST_ARG(0);
  const std::span<const Value> elements = args[0].elements();
  int64_t small = product ? 1 : 0;
  bool fits = true, integers = true;
  for (const Value element : elements) {
    if (!element.is_number()) {
      return context.TypeError("operand 1 must be set or array of number but got one with " +
                               std::string(TypeName(element.type())));
    }
    const std::optional<int64_t> value = fits ? element.AsInt64() : std::nullopt;
    fits = value && !(product ? __builtin_mul_overflow(small, *value, &small)
                              : __builtin_add_overflow(small, *value, &small));
  }
  if (fits) return Value::Int(small);
  for (const Value element : elements) {
    if (!context.Charge(16 + internal::StepsToRead(element))) return Value();
  }
  mpz_class exact = product ? 1 : 0;
  for (const Value element : elements) {
    const std::optional<mpz_class> value = internal::ToInteger(element);
    if (!value) {
      integers = false;
      break;
    }
    if (product) {
      exact *= *value;
      if (!context.Charge(mpz_size(exact.get_mpz_t()))) return Value();
    } else {
      exact += *value;
    }
  }
  if (integers) return internal::FromInteger(context.arena(), exact);
  if (product) {
    // The exponents add up, and the text of the result has as many decimals; it is made from three.
    uint64_t decimals = 0;
    for (const Value element : elements) decimals += internal::Decimals(element);
    if (!context.Charge(3 * internal::StepsForDecimals(decimals))) return Value();
  }
  BigFloat sum(Value::Int(product ? 1 : 0));
  for (const Value element : elements) {
    sum = product ? BigFloat::MultiplyDouble(sum, BigFloat(element))
                  : BigFloat::Add(sum, BigFloat(element));
  }
  // OPA begins a product with a float of 53 bits, which every factor is then rounded to.
  return internal::FromFloat(context.arena(), sum, product ? 53 : 64);
}

// A set need not be sorted only to find one of its ends.
std::span<const Value> InAnyOrder(Value list) {
  if (list.is_set()) return {list.table()->entries, list.table()->size};
  return list.elements();
}

// The last of the greatest, or of the least.
template <bool greatest>
Value Extreme(BuiltinContext& context, const Value* args) {
  AEGIS_LIST_ARG(0);
  Value best;
  for (const Value& element : InAnyOrder(args[0])) {
    if (best.is_int() && element.is_int()) {
      const bool better = greatest ? best.int_value() <= element.int_value()
                                   : best.int_value() >= element.int_value();
      if (better) best = element;
      continue;
    }
    const int order = best.is_undefined() ? 0 : Compare(best, element);
    if (greatest ? order <= 0 : order >= 0) best = element;
  }
  return best;
}

Value Sort(BuiltinContext& context, const Value* args) {
  AEGIS_LIST_ARG(0);
  const std::span<const Value> elements = args[0].elements();
  const auto less = [](Value a, Value b) { return Compare(a, b) < 0; };
  if (args[0].is_array() && std::is_sorted(elements.begin(), elements.end(), less)) return args[0];
  if (!context.Charge(internal::Weight(args[0]) * 4)) return Value();
  if (args[0].is_set()) return internal::ArrayOf(context.arena(), elements);
  Value* const sorted = context.arena().AllocateArray<Value>(elements.size());
  if (sorted == nullptr && !elements.empty()) return Value();
  std::copy(elements.begin(), elements.end(), sorted);
  std::stable_sort(sorted, sorted + elements.size(), less);
  return internal::ArrayOf(context.arena(), {sorted, elements.size()});
}

Value All(BuiltinContext& context, const Value* args) {
  AEGIS_LIST_ARG(0);
  for (const Value element : args[0].elements()) {
    if (!element.is_true()) return Value::Bool(false);
  }
  return Value::Bool(true);
}

Value Any(BuiltinContext& context, const Value* args) {
  AEGIS_LIST_ARG(0);
  for (const Value element : args[0].elements()) {
    if (element.is_true()) return Value::Bool(true);
  }
  return Value::Bool(false);
}

Value Member(BuiltinContext& context, const Value* args) {
  const Value collection = args[1];
  const size_t compared = collection.is_set() ? 1 : collection.size();
  if (compared > 64 || args[0].is_collection()) {
    if (!context.Charge((compared * internal::Weight(args[0])) / 16)) return Value();
  }
  if (collection.is_set()) return Value::Bool(collection.Contains(args[0]));
  if (collection.is_array()) {
    for (const Value element : collection.elements()) {
      if (Equal(element, args[0])) return Value::Bool(true);
    }
  } else if (collection.is_object()) {
    for (const aegis::rego::Member& member : collection.members()) {
      if (Equal(member.value, args[0])) return Value::Bool(true);
    }
  }
  return Value::Bool(false);
}

Value MemberWithKey(BuiltinContext&, const Value* args) {
  const Value found = args[2].Get(args[0]);
  return Value::Bool(!found.is_undefined() && Equal(found, args[1]));
}

constexpr Builtin kBuiltins[] = {
    {"count", 1, Count},
    {"sum", 1, Accumulate<false>},
    {"product", 1, Accumulate<true>},
    {"max", 1, Extreme<true>},
    {"min", 1, Extreme<false>},
    {"sort", 1, Sort},
    {"all", 1, All},
    {"any", 1, Any},
    {"internal.member_2", 2, Member},
    {"internal.member_3", 3, MemberWithKey},
};

}  // namespace

std::span<const Builtin> AggregateBuiltins() { return kBuiltins; }

}  // namespace aegis::rego
