// Holds documents to schemas.
#include "aegis/rego/builtins/json_schema.h"

#include <re2/re2.h>

#include <algorithm>
#include <map>
#include <utility>

#include "aegis/base/text.h"
#include "aegis/rego/big_number.h"
#include "aegis/rego/builtins/formats.h"
#include "aegis/rego/builtins/json_schema_node.h"
#include "aegis/rego/builtins/unicode.h"
#include "aegis/rego/number.h"
#include "aegis/rego/table.h"

namespace aegis::rego {
namespace {

using internal::CanonicalText;
using internal::IsInteger;
using internal::NumberString;

// Whether a / b is an integer.
bool IsMultiple(Value a, Value b) {
  const auto left = internal::ParseDecimal(NumberString(a)),
             right = internal::ParseDecimal(NumberString(b));
  if (!left || !right || right->digits == 0) return false;
  mpz_class dividend = left->digits, divisor = right->digits, scale;
  const int64_t power = left->power - right->power;
  mpz_ui_pow_ui(scale.get_mpz_t(), 10, static_cast<unsigned long>(std::abs(power)));
  (power < 0 ? divisor : dividend) *= scale;
  return mpz_divisible_p(dividend.get_mpz_t(), divisor.get_mpz_t()) != 0;
}

// The number as Go prints a big.Float of 64 bits with %v.
std::string FloatText(Value number) {
  std::string text = internal::BigFloat(number).ToText();
  if (text.find_first_of(".e") != text.npos) return text;
  const std::string sign = text.starts_with('-') ? "-" : "";
  std::string digits = text.substr(sign.size());
  const size_t exponent = digits.size() - 1;
  if (exponent < 6) return text;
  digits.resize(digits.find_last_not_of('0') + 1);
  std::string out = sign + digits.substr(0, 1);
  if (digits.size() > 1) out += "." + digits.substr(1);
  return out + (exponent < 10 ? "e+0" : "e+") + std::to_string(exponent);
}

std::string_view TypeOf(Value value) {
  if (value.is_number()) return IsInteger(value) ? "integer" : "number";
  return TypeName(value.type());
}

}  // namespace

// Mistakes are gathered with a score for how well a document fitted, by which anyOf and oneOf
// choose whose mistakes to tell.
class JsonSchema::Validator {
 public:
  explicit Validator(BuiltinContext& context) : context_(context) {}

  // A name on the way from the root.
  struct Place {
    std::string_view name;
    const Place* outer;
  };
  // A part of the memory that all mistakes together may take, given back at its end.
  struct Share {
    size_t bytes = 0;
    size_t* all = nullptr;
    Share() = default;
    Share(Share&& other) noexcept : bytes(std::exchange(other.bytes, 0)), all(other.all) {}
    Share& operator=(Share&& other) noexcept {
      std::swap(bytes, other.bytes);
      std::swap(all, other.all);
      return *this;
    }
    ~Share() {
      if (all != nullptr) *all -= bytes;
    }
  };
  struct Result {
    std::vector<SchemaMistake> mistakes;
    Share share;
    int score = 0;
    bool valid() const { return mistakes.empty(); }
  };

  bool failed() const { return failed_; }

  void Validate(const Node& start, Value value, Result& result, const Place& place) {
    if (++depth_ > kMaxDepth) Fail("references of the schema lead in circles");
    const Node* node = &start;
    for (int hops = 0; node->reference != nullptr && !node->pass; node = node->reference) {
      if (++hops > kMaxDepth) Fail("references of the schema lead in circles");
      if (failed_) break;
    }
    if (!context_.Charge(1 + internal::Weight(value) / 64)) failed_ = true;
    if (!failed_) Apply(*node, value, result, place);
    --depth_;
  }

 private:
  static constexpr int kMaxDepth = 600;
  // Of the mistakes that are kept: some 50,000 of the usual size.
  static constexpr size_t kMaxMistakeBytes = size_t{8} << 20;
  // Names in fields: a long one would be copied for each mistake below it.
  static constexpr size_t kMaxNameBytes = 200;

  void Fail(std::string_view why) {
    if (!failed_) context_.Error(why);
    failed_ = true;
  }

  void Add(Result& result, std::string_view type, const Place& place, std::string description) {
    if (failed_) return;
    const size_t copied = FieldSize(place) + description.size();
    if (!context_.Charge(8 + copied / 16)) {
      failed_ = true;
      return;
    }
    const size_t bytes = sizeof(SchemaMistake) + copied;
    if (bytes > kMaxMistakeBytes - std::min(mistake_bytes_, kMaxMistakeBytes)) {
      return Fail("the document has too many mistakes");
    }
    result.mistakes.push_back({std::string(type), Field(place), std::move(description)});
    result.share.all = &mistake_bytes_;
    result.share.bytes += bytes;
    mistake_bytes_ += bytes;
    result.score -= 2;
  }

  void Merge(Result& result, Result&& other) {
    if (result.mistakes.empty()) {
      result.mistakes = std::move(other.mistakes);
    } else {
      if (!context_.Charge(other.mistakes.size() / 8)) failed_ = true;
      std::move(other.mistakes.begin(), other.mistakes.end(), std::back_inserter(result.mistakes));
    }
    result.share.all = &mistake_bytes_;
    result.share.bytes += std::exchange(other.share.bytes, 0);
    result.score += other.score;
  }

  static std::string_view Cut(std::string_view name) {
    if (name.size() <= kMaxNameBytes) return name;
    size_t size = kMaxNameBytes;
    while (size > 0 && (name[size] & 0xc0) == 0x80) --size;  // not within a character
    return name.substr(0, size);
  }

  static size_t FieldSize(const Place& place) {
    size_t size = 0;
    for (const Place* at = &place; at->outer != nullptr; at = at->outer) {
      size += Cut(at->name).size() + 1;
    }
    return size;
  }

  // "a.0.b"
  static std::string Field(const Place& place) {
    if (place.outer == nullptr) return std::string(place.name);
    std::vector<std::string_view> names;
    for (const Place* at = &place; at->outer != nullptr; at = at->outer) {
      names.push_back(Cut(at->name));
    }
    std::string out;
    for (auto name = names.rbegin(); name != names.rend(); ++name) {
      if (name != names.rbegin()) out += '.';
      out += *name;
    }
    return out;
  }

  Result Sub(const Node& node, Value value, const Place& place) {
    Result result;
    if (!failed_) Validate(node, value, result, place);
    return result;
  }

  void Apply(const Node& node, Value value, Result& result, const Place& place) {
    if (node.pass) {
      if (!*node.pass) Add(result, "false", place, "False always fails validation");
      return;
    }
    const std::string_view type = TypeOf(value);
    const auto is = [&](std::string_view wanted) {
      return std::find(node.types.begin(), node.types.end(), wanted) != node.types.end();
    };
    if (!node.types.empty() && !is(type) && !(value.is_number() && is("number"))) {
      Add(result, "invalid_type", place,
          "Invalid type. Expected: " + node.TypesText() + ", given: " + std::string(type));
      return;
    }
    Combined(node, value, result, place);
    if (value.is_number()) Numeric(node, value, result, place);
    if (value.is_array()) Array(node, value, result, place);
    if (value.is_object()) Object(node, value, result, place);
    Common(node, value, result, place);
    if (value.is_string()) String(node, value, result, place);
    for (const auto& [name, property] : node.properties) {
      const Value member = value.is_object() ? value.Get(name) : Value();
      if (!member.is_undefined() && !failed_) Validate(*property, member, result, {name, &place});
    }
    ++result.score;
  }

  void Combined(const Node& node, Value value, Result& result, const Place& place) {
    if (!node.any_of.empty()) {
      std::optional<Result> best;
      bool found = false;
      for (const Node* each : node.any_of) {
        Result tried = Sub(*each, value, place);
        found = tried.valid();
        if (found) break;
        if (!best || tried.score > best->score) best = std::move(tried);
      }
      if (!found) {
        Add(result, "number_any_of", place, "Must validate at least one schema (anyOf)");
        Merge(result, *std::move(best));
      }
    }
    if (!node.one_of.empty()) {
      std::optional<Result> best;
      int valid = 0;
      for (const Node* each : node.one_of) {
        Result tried = Sub(*each, value, place);
        if (tried.valid()) {
          ++valid;
        } else if (valid == 0 && (!best || tried.score > best->score)) {
          best = std::move(tried);
        }
      }
      if (valid != 1) {
        Add(result, "number_one_of", place, "Must validate one and only one schema (oneOf)");
        if (valid == 0) Merge(result, *std::move(best));
      }
    }
    if (!node.all_of.empty()) {
      bool all = true;
      for (const Node* each : node.all_of) {
        Result tried = Sub(*each, value, place);
        all = all && tried.valid();
        Merge(result, std::move(tried));
      }
      if (!all) Add(result, "number_all_of", place, "Must validate all the schemas (allOf)");
    }
    if (node.negated != nullptr && Sub(*node.negated, value, place).valid()) {
      Add(result, "number_not", place, "Must not validate the schema (not)");
    }
    for (const Node::Dependency& dependency : node.dependencies) {
      if (!value.is_object() || value.Get(dependency.property).is_undefined()) continue;
      for (const std::string_view needed : dependency.needed) {
        if (!value.Get(needed).is_undefined()) continue;
        Add(result, "missing_dependency", place, "Has a dependency on " + std::string(needed));
      }
      if (dependency.schema != nullptr && !failed_) {
        Validate(*dependency.schema, value, result, place);
      }
    }
    Conditional(node, value, result, place);
    ++result.score;
  }

  void Conditional(const Node& node, Value value, Result& result, const Place& place) {
    if (node.condition == nullptr) return;
    const bool holds = Sub(*node.condition, value, place).valid();
    const Node* branch = holds ? node.then : node.otherwise;
    if (branch == nullptr) return;
    Result tried = Sub(*branch, value, place);
    if (tried.valid()) return;
    Add(result, holds ? "condition_then" : "condition_else", place,
        holds ? R"(Must validate "then" as "if" was valid)"
              : R"(Must validate "else" as "if" was not valid)");
    Merge(result, std::move(tried));
  }

  // The value's canonical text; empty after an error.
  std::string Text(Value value) {
    if (!context_.Charge(internal::Weight(value))) failed_ = true;
    std::optional<std::string> text = CanonicalText(value);
    if (!text) Fail("a number is out of range");
    return text ? *std::move(text) : "";
  }

  void Common(const Node& node, Value value, Result& result, const Place& place) {
    if (node.constant && Text(value) != *node.constant) {
      Add(result, "const", place, Field(place) + " does not match: " + *node.constant);
    }
    if (node.enumeration) {
      const std::string text = Text(value);
      const auto& allowed = *node.enumeration;
      if (std::find(allowed.begin(), allowed.end(), text) == allowed.end()) {
        std::string list;
        for (const std::string& each : allowed) {
          if (&each != &allowed.front()) list += ", ";
          list += each;
        }
        Add(result, "enum", place, Field(place) + " must be one of the following: " + list);
      }
    }
    if (value.is_string() && !node.format.empty() &&
        !context_.Charge(value.string_value().size() / 4)) {
      failed_ = true;
    } else if (value.is_string() && !node.format.empty() &&
               !IsFormat(node.format, value.string_value())) {
      Add(result, "format", place, "Does not match format '" + std::string(node.format) + "'");
    }
    ++result.score;
  }

  void Numeric(const Node& node, Value value, Result& result, const Place& place) {
    const auto compare = [&](Value bound) { return internal::CompareNumbers(value, bound); };
    if (!value.is_int() && !context_.Charge(static_cast<uint64_t>(
                               std::abs(value.big_number()->point) + value.big_number()->digits))) {
      failed_ = true;
      return;
    }
    if (!node.multiple_of.is_undefined() && !IsMultiple(value, node.multiple_of)) {
      Add(result, "multiple_of", place, "Must be a multiple of " + FloatText(node.multiple_of));
    }
    if (!node.maximum.is_undefined() && compare(node.maximum) > 0) {
      Add(result, "number_lte", place, "Must be less than or equal to " + FloatText(node.maximum));
    }
    if (!node.exclusive_maximum.is_undefined() && compare(node.exclusive_maximum) >= 0) {
      Add(result, "number_lt", place, "Must be less than " + FloatText(node.exclusive_maximum));
    }
    if (!node.minimum.is_undefined() && compare(node.minimum) < 0) {
      Add(result, "number_gte", place,
          "Must be greater than or equal to " + FloatText(node.minimum));
    }
    if (!node.exclusive_minimum.is_undefined() && compare(node.exclusive_minimum) <= 0) {
      Add(result, "number_gt", place, "Must be greater than " + FloatText(node.exclusive_minimum));
    }
    ++result.score;
  }

  void String(const Node& node, Value value, Result& result, const Place& place) {
    const std::string_view text = value.string_value();
    const auto length = static_cast<int64_t>(CountRunes(text));
    if (node.min_length && length < *node.min_length) {
      Add(result, "string_gte", place,
          "String length must be greater than or equal to " + std::to_string(*node.min_length));
    }
    if (node.max_length && length > *node.max_length) {
      Add(result, "string_lte", place,
          "String length must be less than or equal to " + std::to_string(*node.max_length));
    }
    if (node.pattern != nullptr && !context_.Charge(1 + text.size() / 64)) failed_ = true;
    if (node.pattern != nullptr && !RE2::PartialMatch(re2::StringPiece(text), *node.pattern)) {
      Add(result, "pattern", place, "Does not match pattern '" + node.pattern->pattern() + "'");
    }
    ++result.score;
  }

  void Items(const Node& node, Value value, Result& result, const Place& place) {
    for (size_t i = 0; i < value.size() && !failed_; ++i) {
      const Node* item = node.one_for_all_items  ? node.items[0]
                         : i < node.items.size() ? node.items[i]
                         : node.items.empty()    ? nullptr
                                                 : node.additional_items;
      if (item == nullptr) break;
      const std::string index = std::to_string(i);
      Merge(result, Sub(*item, value.At(i), {index, &place}));
    }
    if (!node.one_for_all_items && !node.items.empty() && value.size() > node.items.size() &&
        node.allows_additional_items == false) {
      Add(result, "array_no_additional_items", place, "No additional items allowed on array");
    }
  }

  void Array(const Node& node, Value value, Result& result, const Place& place) {
    Items(node, value, result, place);
    const auto size = static_cast<int64_t>(value.size());
    if (node.min_items && size < *node.min_items) {
      Add(result, "array_min_items", place,
          "Array must have at least " + std::to_string(*node.min_items) + " items");
    }
    if (node.max_items && size > *node.max_items) {
      Add(result, "array_max_items", place,
          "Array must have at most " + std::to_string(*node.max_items) + " items");
    }
    if (node.unique_items) {
      std::map<std::string, size_t> seen;
      for (size_t i = 0; i < value.size() && !failed_; ++i) {
        const auto [known, added] = seen.emplace(Text(value.At(i)), i);
        if (added) continue;
        Add(result, "unique", place,
            "array items[" + std::to_string(known->second) + "," + std::to_string(i) +
                "] must be unique");
        known->second = i;
      }
    }
    if (node.contains != nullptr) {
      std::optional<Result> best;
      bool found = false;
      for (size_t i = 0; i < value.size() && !found && !failed_; ++i) {
        const std::string index = std::to_string(i);
        Result tried = Sub(*node.contains, value.At(i), {index, &place});
        found = tried.valid();
        if (!found && (!best || tried.score > best->score)) best = std::move(tried);
      }
      if (!found) {
        Add(result, "contains", place, "At least one of the items must match");
        if (best) Merge(result, *std::move(best));
      }
    }
    ++result.score;
  }

  void Object(const Node& node, Value value, Result& result, const Place& place) {
    const auto size = static_cast<int64_t>(value.size());
    if (node.min_properties && size < *node.min_properties) {
      Add(result, "array_min_properties", place,
          "Must have at least " + std::to_string(*node.min_properties) + " properties");
    }
    if (node.max_properties && size > *node.max_properties) {
      Add(result, "array_max_properties", place,
          "Must have at most " + std::to_string(*node.max_properties) + " properties");
    }
    for (const std::string_view name : node.required) {
      if (value.Get(name).is_undefined()) {
        Add(result, "required", place, std::string(name) + " is required");
      } else {
        ++result.score;
      }
    }
    for (const Member& member : value.members()) {
      if (failed_) return;
      OtherProperty(node, member, result, place);
    }
    if (node.property_names != nullptr) {
      for (const Member& member : value.members()) {
        Result tried = Sub(*node.property_names, member.key, place);
        if (tried.valid()) continue;
        Add(result, "invalid_property_name", place,
            "Property name of \"" + std::string(member.key.string_value()) + "\" does not match");
        Merge(result, std::move(tried));
      }
    }
    ++result.score;
  }

  // Properties by pattern, and those that nothing else describes.
  void OtherProperty(const Node& node, const Member& member, Result& result, const Place& place) {
    const std::string_view name = member.key.string_value();
    bool matched = false;
    for (const auto& [regex, property] : node.pattern_properties) {
      if (!context_.Charge(1 + name.size() / 64)) failed_ = true;
      if (!RE2::PartialMatch(re2::StringPiece(name), *regex)) continue;
      matched = true;
      Merge(result, Sub(*property, member.value, {name, &place}));
    }
    if (matched) {
      ++result.score;
      return;
    }
    if (node.additional_properties == nullptr && node.allows_additional_properties != false) return;
    const auto known = std::lower_bound(
        node.properties.begin(), node.properties.end(), name,
        [](const auto& property, std::string_view wanted) { return property.first < wanted; });
    if (known != node.properties.end() && known->first == name) return;
    if (node.additional_properties != nullptr) {
      Merge(result, Sub(*node.additional_properties, member.value, {name, &place}));
    } else {
      Add(result, "additional_property_not_allowed", place,
          "Additional property " + std::string(name) + " is not allowed");
    }
  }

  BuiltinContext& context_;
  size_t mistake_bytes_ = 0;  // of all that are kept now
  int depth_ = 0;
  bool failed_ = false;
};

bool JsonSchema::Validate(BuiltinContext& context, Value document,
                          std::vector<SchemaMistake>& out) const {
  Validator validator(context);
  Validator::Result result;
  validator.Validate(*root_, document, result, {"(Root)", nullptr});
  out = std::move(result.mistakes);
  return !validator.failed();
}

}  // namespace aegis::rego
