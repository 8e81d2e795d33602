// What a JSON Schema is compiled to, and the canonical texts by which its values are compared.
//
// Internal to the rego library; included by the files of json_schema.h only.
#pragma once

#include <re2/re2.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "aegis/rego/builtins/json_schema.h"
#include "aegis/rego/value.h"

namespace aegis::rego {

struct JsonSchema::Node {
  // `true` and `false` as schemas.
  std::optional<bool> pass;
  const Node* reference = nullptr;

  std::vector<std::string_view> types;
  std::vector<std::pair<std::string_view, const Node*>> properties;
  std::vector<std::pair<std::unique_ptr<RE2>, const Node*>> pattern_properties;
  std::optional<bool> allows_additional_properties;
  const Node* additional_properties = nullptr;
  const Node* property_names = nullptr;
  struct Dependency {
    std::string_view property;
    std::vector<std::string_view> needed;
    const Node* schema = nullptr;
  };
  std::vector<Dependency> dependencies;
  std::vector<const Node*> items;
  bool one_for_all_items = false;
  std::optional<bool> allows_additional_items;
  const Node* additional_items = nullptr;
  const Node* contains = nullptr;

  Value multiple_of, minimum, exclusive_minimum, maximum, exclusive_maximum;
  std::optional<int64_t> min_length, max_length, min_properties, max_properties, min_items,
      max_items;
  std::unique_ptr<RE2> pattern;
  std::string_view format;
  std::vector<std::string_view> required;
  bool unique_items = false;
  std::optional<std::string> constant;
  std::optional<std::vector<std::string>> enumeration;

  std::vector<const Node*> one_of, any_of, all_of;
  const Node* negated = nullptr;
  const Node* condition = nullptr;
  const Node* then = nullptr;
  const Node* otherwise = nullptr;

  std::string TypesText() const {
    if (types.size() == 1) return std::string(types[0]);
    std::string out = "[";
    for (const std::string_view type : types) {
      if (out.size() > 1) out += ',';
      out += type;
    }
    return out + "]";
  }
};

namespace internal {

// Whether a number has no fraction but zeros.
bool IsInteger(Value number);
// The number's text as it was written.
std::string NumberString(Value number);
// Equal values have equal texts. Nothing: a number is too large to be compared.
std::optional<std::string> CanonicalText(Value value);

}  // namespace internal

}  // namespace aegis::rego
