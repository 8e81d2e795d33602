// Values of Rego, the slow and obvious way: what the engine's values are checked against.
//
// Used by tests only; see reference_evaluator.h.
#pragma once

#include <compare>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "aegis/base/arena.h"
#include "aegis/rego/value.h"

namespace aegis::rego::reference {

class RefValue;

// A number as it was written; compared as a fraction.
struct RefNumber {
  std::string text;
};

struct RefLess {
  bool operator()(const RefValue& a, const RefValue& b) const;
};

using RefArray = std::vector<RefValue>;
using RefObject = std::map<RefValue, RefValue, RefLess>;
using RefSet = std::set<RefValue, RefLess>;

class RefValue {
 public:
  // In OPA's order of types (v1/ast/compare.go).
  using Variant =
      std::variant<std::monostate, bool, RefNumber, std::string, RefArray, RefObject, RefSet>;

  RefValue() = default;  // null
  template <typename T>
    requires(!std::same_as<std::decay_t<T>, RefValue>)
  explicit RefValue(T value) : value_(std::move(value)) {}
  static RefValue Int(int64_t value) { return RefValue(RefNumber{std::to_string(value)}); }

  template <typename T>
  const T* As() const {
    return std::get_if<T>(&value_);
  }
  template <typename T>
  T* As() {
    return std::get_if<T>(&value_);
  }
  size_t type() const { return value_.index(); }

 private:
  Variant value_;
};

// OPA's total order.
std::strong_ordering Compare(const RefValue& a, const RefValue& b);

// Member of an object, element of an array, or the element of a set itself.
std::optional<RefValue> Get(const RefValue& source, const RefValue& key);

RefValue FromRego(Value value);
// The arena must have room; its limit is none of the reference's concern.
Value ToRego(const RefValue& value, Arena& arena);

}  // namespace aegis::rego::reference
