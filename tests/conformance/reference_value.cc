#include "conformance/reference_value.h"

#include <gmpxx.h>

#include <algorithm>
#include <cstdlib>

namespace aegis::rego::reference {
namespace {

// RFC 8259 §6: [minus] int [frac] [exp]
mpq_class Fraction(const std::string& text) {
  const size_t e = std::min(text.find_first_of("eE"), text.size());
  std::string digits = text.substr(0, e);
  long exponent = e == text.size() ? 0 : std::strtol(text.c_str() + e + 1, nullptr, 10);
  if (const size_t point = digits.find('.'); point != std::string::npos) {
    exponent -= static_cast<long>(digits.size() - point - 1);
    digits.erase(point, 1);
  }
  mpz_class power;
  mpz_ui_pow_ui(power.get_mpz_t(), 10, static_cast<unsigned long>(std::labs(exponent)));
  const mpz_class integer(digits, 10);
  mpq_class out = exponent < 0 ? mpq_class(integer, power) : mpq_class(integer * power);
  out.canonicalize();
  return out;
}

template <typename Range, typename CompareElement>
std::strong_ordering CompareInOrder(const Range& a, const Range& b, CompareElement compare) {
  auto left = a.begin();
  auto right = b.begin();
  for (; left != a.end() && right != b.end(); ++left, ++right) {
    if (const auto order = compare(*left, *right); order != 0) return order;
  }
  return a.size() <=> b.size();
}

}  // namespace

std::strong_ordering Compare(const RefValue& a, const RefValue& b) {
  if (a.type() != b.type()) return a.type() <=> b.type();
  if (const bool* left = a.As<bool>()) return *left <=> *b.As<bool>();
  if (const RefNumber* left = a.As<RefNumber>()) {
    return cmp(Fraction(left->text), Fraction(b.As<RefNumber>()->text)) <=> 0;
  }
  if (const std::string* left = a.As<std::string>())
    return left->compare(*b.As<std::string>()) <=> 0;
  if (const RefArray* left = a.As<RefArray>()) {
    return CompareInOrder(*left, *b.As<RefArray>(),
                          [](const RefValue& x, const RefValue& y) { return Compare(x, y); });
  }
  if (const RefSet* left = a.As<RefSet>()) {
    return CompareInOrder(*left, *b.As<RefSet>(),
                          [](const RefValue& x, const RefValue& y) { return Compare(x, y); });
  }
  if (const RefObject* left = a.As<RefObject>()) {
    return CompareInOrder(*left, *b.As<RefObject>(), [](const auto& x, const auto& y) {
      const auto keys = Compare(x.first, y.first);
      return keys != 0 ? keys : Compare(x.second, y.second);
    });
  }
  return std::strong_ordering::equal;  // null
}

bool RefLess::operator()(const RefValue& a, const RefValue& b) const { return Compare(a, b) < 0; }

std::optional<RefValue> Get(const RefValue& source, const RefValue& key) {
  if (const RefObject* object = source.As<RefObject>()) {
    const auto found = object->find(key);
    if (found == object->end()) return std::nullopt;
    return found->second;
  }
  if (const RefSet* set = source.As<RefSet>()) {
    const auto found = set->find(key);
    if (found == set->end()) return std::nullopt;
    return *found;
  }
  if (const RefArray* array = source.As<RefArray>(); array != nullptr && key.As<RefNumber>()) {
    // OPA takes "1.0" for an index too, but not "1e0".
    const std::string& text = key.As<RefNumber>()->text;
    const mpq_class index = Fraction(text);
    if (text.find_first_of("eE") != std::string::npos || index.get_den() != 1 || index < 0 ||
        index >= static_cast<unsigned long>(array->size())) {
      return std::nullopt;
    }
    return (*array)[index.get_num().get_ui()];
  }
  return std::nullopt;
}

RefValue FromRego(Value value) {
  switch (value.type()) {
    case Type::kUndefined:
    case Type::kNull:
      return RefValue();
    case Type::kBool:
      return RefValue(value.bool_value());
    case Type::kNumber:
      return RefValue(RefNumber{ToJson(value)});
    case Type::kString:
      return RefValue(std::string(value.string_value()));
    case Type::kArray: {
      RefArray array;
      for (const Value element : value.elements()) array.push_back(FromRego(element));
      return RefValue(std::move(array));
    }
    case Type::kObject: {
      RefObject object;
      for (const Member& member : value.members()) {
        object.emplace(FromRego(member.key), FromRego(member.value));
      }
      return RefValue(std::move(object));
    }
    case Type::kSet: {
      RefSet set;
      for (const Value element : value.elements()) set.insert(FromRego(element));
      return RefValue(std::move(set));
    }
  }
  return RefValue();
}

Value ToRego(const RefValue& value, Arena& arena) {
  if (const bool* truth = value.As<bool>()) return Value::Bool(*truth);
  if (const RefNumber* number = value.As<RefNumber>()) return MakeNumber(arena, number->text);
  if (const std::string* text = value.As<std::string>()) return MakeString(arena, *text);
  if (const RefArray* array = value.As<RefArray>()) {
    ArrayBuilder builder(arena);
    for (const RefValue& element : *array) builder.Add(ToRego(element, arena));
    return builder.Build();
  }
  if (const RefSet* set = value.As<RefSet>()) {
    SetBuilder builder(arena);
    for (const RefValue& element : *set) builder.Add(ToRego(element, arena));
    return builder.Build();
  }
  if (const RefObject* object = value.As<RefObject>()) {
    ObjectBuilder builder(arena);
    for (const auto& [key, member] : *object) {
      builder.Add(ToRego(key, arena), ToRego(member, arena));
    }
    return builder.Build();
  }
  return Value::Null();
}

}  // namespace aegis::rego::reference
