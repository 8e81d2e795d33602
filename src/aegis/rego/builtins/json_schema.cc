#include "aegis/rego/builtins/json_schema.h"

#include <re2/re2.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "aegis/base/text.h"
#include "aegis/json/writer.h"
#include "aegis/rego/big_number.h"
#include "aegis/rego/builtins/caches.h"
#include "aegis/rego/builtins/formats.h"
#include "aegis/rego/builtins/go_float.h"
#include "aegis/rego/builtins/patterns.h"
#include "aegis/rego/builtins/unicode.h"
#include "aegis/rego/builtins/uri.h"
#include "aegis/rego/edit.h"
#include "aegis/rego/number.h"
#include "aegis/rego/pointer.h"
#include "aegis/rego/table.h"

namespace aegis::rego {
namespace {

constexpr json::Limits kSchemaLimits{
    .max_bytes = size_t{4} << 20, .max_depth = 250, .max_values = size_t{1} << 18};

std::string Number(Value number) {
  char buffer[24];
  return std::string(internal::NumberText(number, buffer));
}

bool IsInteger(Value number) {
  if (number.is_int()) return true;
  const internal::Number& big = *number.big_number();
  return big.digits == 0 || big.point >= static_cast<int64_t>(big.digits);
}

// Whether a / b is an integer.
bool IsMultiple(Value a, Value b) {
  const auto left = internal::ParseDecimal(Number(a)), right = internal::ParseDecimal(Number(b));
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

// A float64 as Go's encoding/json writes it.
bool AppendFloat(std::string& out, std::string_view text) {
  double value;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error == std::errc::result_out_of_range) {
    // Go takes what is too small for zero, and refuses what is too large.
    const auto decimal = internal::ParseDecimal(text);
    if (!decimal || decimal->power > -300) return false;
    value = 0;
  }
  out += GoFloatText(value, -6, 21, false);
  return true;
}

// JSON in which equal values have equal texts: numbers as float64. False when one is too large.
bool AppendCanonical(std::string& out, Value value) {
  if (value.is_number()) return AppendFloat(out, Number(value));
  if (value.is_array()) {
    out += '[';
    for (const Value element : value.elements()) {
      if (out.back() != '[') out += ',';
      if (!AppendCanonical(out, element)) return false;
    }
    out += ']';
    return true;
  }
  if (value.is_object()) {
    out += '{';
    for (const Member& member : value.members()) {
      if (out.back() != '{') out += ',';
      json::AppendGoString(out, member.key.string_value());
      out += ':';
      if (!AppendCanonical(out, member.value)) return false;
    }
    out += '}';
    return true;
  }
  if (value.is_string()) {
    json::AppendGoString(out, value.string_value());
  } else {
    out += ToJson(value);
  }
  return true;
}
std::optional<std::string> Canonical(Value value) {
  std::string out;
  return AppendCanonical(out, value) ? std::optional(std::move(out)) : std::nullopt;
}

// A reference: what is in front of '#', and what is behind it with escapes undone.
struct Reference {
  std::string base;
  std::string fragment;
  std::string key() const { return fragment.empty() ? base : base + "#" + fragment; }
};

std::optional<Reference> ParseReference(std::string_view text) {
  Uri uri;
  if (!ParseUri(text, uri)) return std::nullopt;
  return Reference{std::string(text.substr(0, text.find('#'))), std::move(uri.fragment)};
}

size_t SchemeSize(std::string_view base) {
  const size_t colon = base.find(':');
  return colon == base.npos || base.find_first_of("/?#") < colon ? 0 : colon + 1;
}
size_t AuthorityEnd(std::string_view base) {
  const size_t scheme = SchemeSize(base);
  if (!base.substr(scheme).starts_with("//")) return scheme;
  return std::min(base.find_first_of("/?", scheme + 2), base.size());
}

// remove_dot_segments of RFC 3986 §5.2.4.
std::string WithoutDots(std::string_view path) {
  std::vector<std::string_view> kept;
  const std::vector<std::string_view> segments = Split(path, '/');
  for (size_t i = 0; i < segments.size(); ++i) {
    const bool last = i + 1 == segments.size();
    if (segments[i] == "..") {
      if (kept.size() > 1) kept.pop_back();
      if (last) kept.push_back("");
    } else if (segments[i] != ".") {
      kept.push_back(segments[i]);
    } else if (last) {
      kept.push_back("");
    }
  }
  std::string out;
  for (size_t i = 0; i < kept.size(); ++i) {
    if (i > 0) out += '/';
    out += kept[i];
  }
  return out;
}

// RFC 3986 §5.2.2.
Reference Resolve(const Reference& parent, const Reference& child) {
  Reference out = child;
  const std::string_view base = parent.base;
  if (SchemeSize(child.base) > 0) return out;
  const size_t authority = AuthorityEnd(base);
  const size_t query = std::min(base.find('?', authority), base.size());
  if (child.base.empty()) {
    out.base = base;
  } else if (child.base.starts_with("//")) {
    out.base = std::string(base.substr(0, SchemeSize(base))) + child.base;
  } else if (child.base.starts_with('?')) {
    out.base = std::string(base.substr(0, query)) + child.base;
  } else {
    const std::string_view path = base.substr(authority, query - authority);
    std::string merged(path.substr(0, path.rfind('/') + 1));
    if (child.base.starts_with('/')) merged.clear();
    merged += child.base;
    if (!merged.starts_with('/')) merged.insert(0, 1, '/');  // as Go does, though the RFC does not
    const size_t child_query = std::min(merged.find('?'), merged.size());
    out.base = std::string(base.substr(0, authority)) +
               WithoutDots(std::string_view(merged).substr(0, child_query)) +
               merged.substr(child_query);
  }
  return out;
}

enum Draft : uint8_t { kDraft4 = 4, kDraft6 = 6, kDraft7 = 7, kHybrid = 255 };

constexpr std::string_view kTypes[] = {"array", "boolean", "integer", "number",
                                       "null",  "object",  "string"};

std::string_view TypeOf(Value value) {
  if (value.is_number()) return IsInteger(value) ? "integer" : "number";
  return TypeName(value.type());
}

}  // namespace

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

JsonSchema::JsonSchema() : arena_(16 * 1024, size_t{32} << 20) {}
JsonSchema::~JsonSchema() = default;

// Every function is false, or gives nothing, once there is a problem.
class JsonSchema::Compiler {
 public:
  Compiler(JsonSchema& schema, std::string& problem) : schema_(schema), problem_(problem) {}

  bool Run(Value document) {
    Draft draft = kHybrid;
    if (!ReadDraft(document, draft) || !Register(document, std::make_shared<Reference>())) {
      return false;
    }
    documents_[""] = document;
    schema_.root_ = Parse(document, Scope{draft, Reference()});
    return schema_.root_ != nullptr;
  }

 private:
  // Together with the size of the text this bounds the work and memory of a schema.
  static constexpr size_t kMaxNodes = 20000;
  static constexpr size_t kMaxPatterns = 200;
  static constexpr int kMaxDepth = 300;
  static constexpr size_t kMaxBaseBytes = 4096;

  struct Scope {
    Draft draft;
    Reference base;
  };

  bool Refuse(std::string why) {
    if (problem_.empty()) problem_ = std::move(why);
    return false;
  }
  bool WrongType(std::string_view expected, std::string_view given) {
    return Refuse("Invalid type. Expected: " + std::string(expected) +
                  ", given: " + std::string(given));
  }
  bool MustBeOf(std::string_view article, std::string_view key, std::string_view what) {
    return Refuse(std::string(key) + " must be of " + std::string(article) + " " +
                  std::string(what));
  }

  bool ReadDraft(Value document, Draft& draft) {
    if (document.is_bool()) return true;
    if (!document.is_object()) return Refuse("schema is invalid");
    const Value schema = document.Get("$schema");
    if (schema.is_undefined()) return true;
    if (!schema.is_string()) return Refuse("$schema must be of type string");
    std::string_view url = schema.string_value();
    const std::optional<Reference> reference = ParseReference(url);
    if (!reference) return Refuse("$schema is no URI");
    const std::string key = reference->key();
    if (key == "http://json-schema.org/draft-04/schema") draft = kDraft4;
    if (key == "http://json-schema.org/draft-06/schema") draft = kDraft6;
    if (key == "http://json-schema.org/draft-07/schema") draft = kDraft7;
    return true;
  }

  // What references are relative to is copied for each of them.
  bool IsShort(const Reference& reference) {
    return reference.base.size() <= kMaxBaseBytes || Refuse("an id or reference is too long");
  }

  // Finds what can be referred to by an id.
  bool Register(Value value, const std::shared_ptr<const Reference>& scope) {
    if (value.is_array()) {
      return std::all_of(value.elements().begin(), value.elements().end(),
                         [&](Value element) { return Register(element, scope); });
    }
    if (!value.is_object()) return true;
    std::shared_ptr<const Reference> inner = scope;
    const Value id = value.Get(value.Get("id").is_undefined() ? "$id" : "id");
    if (id.is_string()) {
      if (const std::optional<Reference> reference = ParseReference(id.string_value())) {
        inner = std::make_shared<const Reference>(Resolve(*scope, *reference));
        if (!IsShort(*inner)) return false;
        if (!documents_.emplace(inner->key(), value).second) {
          return Refuse("Reference already exists: \"" + inner->key() + "\"");
        }
      }
    }
    scopes_[value.bits()] = inner;
    for (const Member& member : value.members()) {
      const std::string_view name = member.key.string_value();
      if (name == "const" || name == "enum") continue;
      // The members of these are names of properties, not keywords.
      if (name == "properties" || name == "dependencies" || name == "patternProperties") {
        for (const Member& below : member.value.members()) {
          if (!Register(below.value, inner)) return false;
        }
      } else if (!Register(member.value, inner)) {
        return false;
      }
    }
    return true;
  }

  // --- Nodes ---

  Node* NewNode() {
    if (schema_.nodes_.size() >= kMaxNodes) {
      Refuse("the schema is too large");
      return nullptr;
    }
    schema_.nodes_.push_back(std::make_unique<Node>());
    return schema_.nodes_.back().get();
  }

  const Node* Parse(Value value, const Scope& scope) {
    Node* const node = NewNode();
    return node != nullptr && ParseInto(*node, value, scope) ? node : nullptr;
  }

  bool ParseInto(Node& node, Value value, const Scope& scope) {
    if (scope.draft >= kDraft6 && value.is_bool()) {
      node.pass = value.is_true();
      return true;
    }
    if (!value.is_object()) return Refuse("Expected: Valid Schema, given: Invalid JSON");
    if (depth_ >= kMaxDepth) return Refuse("the schema nests too deep");
    ++depth_;
    const bool good = ParseKeywords(node, value, scope);
    --depth_;
    return good;
  }

  bool ParseKeywords(Node& node, Value value, const Scope& scope) {
    const std::string_view id =
        scope.draft == kDraft4 || (scope.draft == kHybrid && !value.Get("id").is_undefined())
            ? "id"
            : "$id";
    std::string_view ignored;
    if (!Text(value, id, ignored) || !Definitions(value, scope) || !Text(value, "title", ignored) ||
        !Text(value, "description", ignored)) {
      return false;
    }
    bool done = false;
    if (!RefersTo(node, value, scope, done)) return false;
    if (done) return true;
    return Types(node, value) && Objects(node, value, scope) && Arrays(node, value, scope) &&
           Numbers(node, value, scope) && Strings(node, value) && Sizes(node, value) &&
           Values(node, value, scope) && Combinations(node, value, scope) &&
           Conditions(node, value, scope);
  }

  bool Text(Value value, std::string_view key, std::string_view& out) {
    const Value text = value.Get(key);
    if (text.is_undefined()) return true;
    out = text.string_value();
    return text.is_string() || WrongType("string", key);
  }

  bool Definitions(Value value, const Scope& scope) {
    const Value definitions = value.Get("definitions");
    if (definitions.is_undefined()) return true;
    if (!definitions.is_object()) return WrongType("Array Of Schemas", "definitions");
    for (const Member& member : definitions.members()) {
      if (!member.value.is_bool() && !member.value.is_object()) {
        return WrongType("Array Of Schemas", "definitions");
      }
      if (Parse(member.value, scope) == nullptr) return false;
    }
    return true;
  }

  // `done`: a reference that was not met before stands for the whole schema.
  bool RefersTo(Node& node, Value value, const Scope& scope, bool& done) {
    std::string_view text;
    if (!Text(value, "$ref", text)) return false;
    if (value.Get("$ref").is_undefined()) return true;
    const std::optional<Reference> parsed = ParseReference(text);
    if (!parsed) return Refuse("the reference " + std::string(text) + " is no URI");
    const auto inner = scopes_.find(value.bits());
    const Reference reference =
        Resolve(inner == scopes_.end() ? scope.base : *inner->second, *parsed);
    if (!IsShort(reference)) return false;
    const auto [known, added] = references_.emplace(reference.key(), nullptr);
    if (!added) {
      node.reference = known->second;
      return true;
    }
    done = true;
    Node* const target = NewNode();
    if (target == nullptr) return false;
    known->second = target;
    const Value document = Find(reference);
    if (document.is_undefined()) return false;
    if (!document.is_bool() && !document.is_object()) {
      return Refuse("Valid Schema must be of type object");
    }
    node.reference = target;
    return ParseInto(*target, document, {scope.draft, reference});
  }

  Value Find(const Reference& reference) {
    if (const auto found = documents_.find(reference.key()); found != documents_.end()) {
      return found->second;
    }
    const auto document = documents_.find(reference.base);
    if (document == documents_.end()) {
      Uri uri;
      ParseUri(reference.base, uri);
      if (uri.scheme.empty()) {
        Refuse("Reference " + reference.key() + " must be canonical");
      } else {
        Refuse("reference to " + reference.key() + ": other documents are not fetched");
      }
      return Value();
    }
    return Follow(document->second, reference.fragment);
  }

  // A JSON pointer; what does not start with '/' is none, and leads to the whole document.
  Value Follow(Value value, std::string_view pointer) {
    if (!pointer.starts_with('/')) return value;
    for (std::string_view token : Split(pointer.substr(1), '/')) {
      const std::string name = internal::UnescapePointer(token);
      if (value.is_object()) {
        const Value member = value.Get(name);
        if (member.is_undefined()) Refuse("Object has no key '" + name + "'");
        value = member;
      } else if (value.is_array()) {
        size_t index = 0;
        const char* const end = token.data() + token.size();
        const auto [read, error] = std::from_chars(token.data(), end, index);
        if (error != std::errc() || read != end) {
          Refuse("Invalid array index '" + std::string(token) + "'");
          return Value();
        }
        if (index >= value.size()) {
          Refuse("Out of bound array[0," + std::to_string(value.size()) + "] index '" +
                 std::to_string(index) + "'");
        }
        value = value.At(index);
      } else {
        Refuse("Invalid token reference '" + std::string(token) + "'");
        return Value();
      }
      if (value.is_undefined()) return value;
    }
    return value;
  }

  bool AddType(Node& node, std::string_view type) {
    if (std::find(std::begin(kTypes), std::end(kTypes), type) == std::end(kTypes)) {
      return Refuse(
          "has a primitive type that is NOT VALID -- given: /" + std::string(type) +
          "/ Expected valid values are:[array boolean integer number null object string]");
    }
    if (std::find(node.types.begin(), node.types.end(), type) != node.types.end()) {
      return Refuse(std::string(type) + " type is duplicated");
    }
    node.types.push_back(type);
    return true;
  }
  bool Types(Node& node, Value value) {
    const Value type = value.Get("type");
    if (type.is_undefined()) return true;
    if (type.is_string()) return AddType(node, type.string_value());
    if (!type.is_array()) return WrongType("type", "string/Array Of Strings");
    return std::all_of(type.elements().begin(), type.elements().end(), [&](Value each) {
      return each.is_string() ? AddType(node, each.string_value())
                              : WrongType("type", "string/Array Of Strings");
    });
  }

  // A schema or a bool.
  bool Additional(Value value, std::string_view key, const Scope& scope,
                  std::optional<bool>& allows, const Node*& out) {
    const Value additional = value.Get(key);
    if (additional.is_undefined()) return true;
    if (additional.is_bool()) {
      allows = additional.is_true();
      return true;
    }
    if (!additional.is_object()) return WrongType("boolean/Valid Schema", key);
    out = Parse(additional, scope);
    return out != nullptr;
  }

  std::unique_ptr<RE2> Pattern(std::string_view pattern) {
    // All of them together may be as long as one pattern elsewhere: a kept schema keeps them.
    pattern_bytes_ += pattern.size();
    if (++patterns_ > kMaxPatterns || pattern_bytes_ > BuiltinCaches::kMaxPatternText) {
      Refuse("the schema's patterns are too many or too long");
      return nullptr;
    }
    RE2::Options options;
    options.set_log_errors(false);
    options.set_max_mem(1 << 20);
    auto regex = std::make_unique<RE2>(GoPattern(pattern), options);
    return regex->ok() ? std::move(regex) : nullptr;
  }

  bool Objects(Node& node, Value value, const Scope& scope) {
    if (const Value properties = value.Get("properties"); !properties.is_undefined()) {
      if (!properties.is_object()) return Refuse("Properties must be of type object");
      for (const Member& member : properties.members()) {
        const Node* property = Parse(member.value, scope);
        if (property == nullptr) return false;
        node.properties.emplace_back(member.key.string_value(), property);
      }
    }
    if (!Additional(value, "additionalProperties", scope, node.allows_additional_properties,
                    node.additional_properties)) {
      return false;
    }
    if (const Value patterns = value.Get("patternProperties"); !patterns.is_undefined()) {
      if (!patterns.is_object()) return WrongType("Valid Schema", "patternProperties");
      for (const Member& member : patterns.members()) {
        std::unique_ptr<RE2> regex = Pattern(member.key.string_value());
        if (regex == nullptr) {
          return Refuse("Invalid regex pattern '" + std::string(member.key.string_value()) + "'");
        }
        const Node* property = Parse(member.value, scope);
        if (property == nullptr) return false;
        node.pattern_properties.emplace_back(std::move(regex), property);
      }
    }
    const Value names = value.Get("propertyNames");
    if (!names.is_undefined() && scope.draft >= kDraft6) {
      if (!names.is_bool() && !names.is_object()) {
        return WrongType("Valid Schema", "patternProperties");
      }
      node.property_names = Parse(names, scope);
      if (node.property_names == nullptr) return false;
    }
    return Dependencies(node, value, scope);
  }

  bool Dependencies(Node& node, Value value, const Scope& scope) {
    const Value dependencies = value.Get("dependencies");
    if (dependencies.is_undefined()) return true;
    if (!dependencies.is_object()) return Refuse("dependencies must be of type object");
    for (const Member& member : dependencies.members()) {
      Node::Dependency& dependency = node.dependencies.emplace_back();
      dependency.property = member.key.string_value();
      const std::string_view wrong = "Dependency must be of type Schema Or Array Of Strings";
      if (member.value.is_array()) {
        for (const Value needed : member.value.elements()) {
          if (!needed.is_string()) return Refuse(std::string(wrong));
          dependency.needed.push_back(needed.string_value());
        }
      } else if (member.value.is_bool() || member.value.is_object()) {
        dependency.schema = Parse(member.value, scope);
        if (dependency.schema == nullptr) return false;
      } else {
        return Refuse(std::string(wrong));
      }
    }
    return true;
  }

  bool Arrays(Node& node, Value value, const Scope& scope) {
    if (const Value items = value.Get("items"); !items.is_undefined()) {
      const bool one = items.is_bool() || items.is_object();
      if (!one && !items.is_array()) return WrongType("Valid Schema/Array Of Schemas", "items");
      node.one_for_all_items = one;
      for (const Value item : one ? std::span<const Value>(&items, 1) : items.elements()) {
        if (!item.is_bool() && !item.is_object()) {
          return WrongType("Valid Schema/Array Of Schemas", "items");
        }
        const Node* parsed = Parse(item, scope);
        if (parsed == nullptr) return false;
        node.items.push_back(parsed);
      }
    }
    return Additional(value, "additionalItems", scope, node.allows_additional_items,
                      node.additional_items);
  }

  // Others would be costly to print; no float64 is among them.
  static bool IsPrintable(Value number) {
    return number.is_int() || std::abs(number.big_number()->point) < 1000;
  }
  bool Bound(Value value, std::string_view key, Value& out) {
    const Value bound = value.Get(key);
    if (bound.is_undefined()) return true;
    out = bound;
    if (!bound.is_number()) return MustBeOf("a", key, "Number");
    return IsPrintable(bound) || Refuse(std::string(key) + " is out of range");
  }
  // In draft 4 a bool that makes the other bound exclusive, since draft 6 a bound of its own.
  bool ExclusiveBound(Value value, std::string_view key, std::string_view inclusive_key,
                      Draft draft, Value& inclusive, Value& out) {
    const Value bound = value.Get(key);
    if (bound.is_undefined()) return true;
    if (bound.is_number() && draft != kDraft4) {
      out = bound;
      return IsPrintable(bound) || Refuse(std::string(key) + " is out of range");
    }
    if (!bound.is_bool() || (draft != kDraft4 && draft != kHybrid)) {
      return WrongType(draft == kDraft4   ? "boolean"
                       : draft == kHybrid ? "boolean/number"
                                          : "number",
                       key);
    }
    if (inclusive.is_undefined()) {
      return Refuse(std::string(key) + " cannot be used without " + std::string(inclusive_key));
    }
    if (bound.is_true()) out = std::exchange(inclusive, Value());
    return true;
  }
  bool Numbers(Node& node, Value value, const Scope& scope) {
    if (const Value multiple = value.Get("multipleOf"); !multiple.is_undefined()) {
      if (!multiple.is_number()) return WrongType("Number", "multipleOf");
      if (internal::CompareNumbers(multiple, Value::Int(0)) <= 0) {
        return Refuse("multipleOf must be strictly greater than 0");
      }
      if (!IsPrintable(multiple)) return Refuse("multipleOf is out of range");
      node.multiple_of = multiple;
    }
    return Bound(value, "minimum", node.minimum) &&
           ExclusiveBound(value, "exclusiveMinimum", "minimum", scope.draft, node.minimum,
                          node.exclusive_minimum) &&
           Bound(value, "maximum", node.maximum) &&
           ExclusiveBound(value, "exclusiveMaximum", "maximum", scope.draft, node.maximum,
                          node.exclusive_maximum);
  }

  bool Size(Value value, std::string_view key, std::optional<int64_t>& out) {
    const Value size = value.Get(key);
    if (size.is_undefined()) return true;
    if (!size.is_int()) return MustBeOf("an", key, "integer");
    out = size.int_value();
    return *out >= 0 || Refuse(std::string(key) + " must be greater than or equal to 0");
  }
  bool Sizes(Value value, std::string_view low_key, std::string_view high_key,
             std::optional<int64_t>& low, std::optional<int64_t>& high) {
    if (!Size(value, low_key, low) || !Size(value, high_key, high)) return false;
    if (!low || !high || *low <= *high || low_key == "minItems") return true;
    return Refuse(std::string(low_key) + " cannot be greater than " + std::string(high_key));
  }
  bool Strings(Node& node, Value value) {
    if (!Sizes(value, "minLength", "maxLength", node.min_length, node.max_length)) return false;
    std::string_view pattern;
    if (!Text(value, "pattern", pattern)) return false;
    if (!value.Get("pattern").is_undefined()) {
      node.pattern = Pattern(pattern);
      if (node.pattern == nullptr) return Refuse("pattern must be a valid regex");
    }
    return Text(value, "format", node.format);
  }

  bool Sizes(Node& node, Value value) {
    if (!Sizes(value, "minProperties", "maxProperties", node.min_properties, node.max_properties)) {
      return false;
    }
    if (const Value required = value.Get("required"); !required.is_undefined()) {
      if (!required.is_array()) return MustBeOf("an", "required", "array");
      std::set<std::string_view> seen;
      for (const Value name : required.elements()) {
        if (!name.is_string()) return WrongType("string", "required");
        if (!seen.insert(name.string_value()).second)
          return Refuse("required items must be unique");
        node.required.push_back(name.string_value());
      }
    }
    if (!Sizes(value, "minItems", "maxItems", node.min_items, node.max_items)) return false;
    const Value unique = value.Get("uniqueItems");
    node.unique_items = unique.is_true();
    return unique.is_undefined() || unique.is_bool() || MustBeOf("a", "uniqueItems", "boolean");
  }

  bool Values(Node& node, Value value, const Scope& scope) {
    if (const Value contains = value.Get("contains");
        !contains.is_undefined() && scope.draft >= kDraft6) {
      node.contains = Parse(contains, scope);
      if (node.contains == nullptr) return false;
    }
    if (const Value constant = value.Get("const");
        !constant.is_undefined() && scope.draft >= kDraft6) {
      node.constant = Canonical(constant);
      if (!node.constant) return Refuse("const: a number is out of range");
    }
    const Value enumeration = value.Get("enum");
    if (enumeration.is_undefined()) return true;
    if (!enumeration.is_array()) return MustBeOf("an", "enum", "array");
    node.enumeration.emplace();
    std::set<std::string> seen;
    for (const Value each : enumeration.elements()) {
      std::optional<std::string> text = Canonical(each);
      if (!text) return Refuse("enum: a number is out of range");
      if (!seen.insert(*text).second) return Refuse("enum items must be unique");
      node.enumeration->push_back(*std::move(text));
    }
    return true;
  }

  bool List(Value value, std::string_view key, const Scope& scope, std::vector<const Node*>& out) {
    const Value list = value.Get(key);
    if (list.is_undefined()) return true;
    if (!list.is_array()) return MustBeOf("an", key, "array");
    for (const Value each : list.elements()) {
      const Node* node = Parse(each, scope);
      if (node == nullptr) return false;
      out.push_back(node);
    }
    return true;
  }
  bool One(Value value, std::string_view key, const Scope& scope, const Node*& out) {
    const Value schema = value.Get(key);
    if (schema.is_undefined()) return true;
    if (!schema.is_bool() && !schema.is_object()) return MustBeOf("an", key, "object");
    out = Parse(schema, scope);
    return out != nullptr;
  }
  bool Combinations(Node& node, Value value, const Scope& scope) {
    return List(value, "oneOf", scope, node.one_of) && List(value, "anyOf", scope, node.any_of) &&
           List(value, "allOf", scope, node.all_of) && One(value, "not", scope, node.negated);
  }
  bool Conditions(Node& node, Value value, const Scope& scope) {
    return scope.draft < kDraft7 ||
           (One(value, "if", scope, node.condition) && One(value, "then", scope, node.then) &&
            One(value, "else", scope, node.otherwise));
  }

  JsonSchema& schema_;
  std::string& problem_;
  std::map<std::string, Value> documents_;                       // by what they are referred to
  std::map<uint64_t, std::shared_ptr<const Reference>> scopes_;  // of objects, by their place
  std::map<std::string, Node*> references_;
  size_t patterns_ = 0;
  size_t pattern_bytes_ = 0;
  int depth_ = 0;
};

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
    std::optional<std::string> text = Canonical(value);
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

std::shared_ptr<const JsonSchema> JsonSchema::Compile(std::string_view text, std::string& problem) {
  std::shared_ptr<JsonSchema> schema(new JsonSchema());
  const aegis::Result<Value> document =
      internal::ParseJsonLastWins(text, schema->arena_, kSchemaLimits);
  if (!document) {
    problem = document.error().message;
    return nullptr;
  }
  if (!Compiler(*schema, problem).Run(*document)) return nullptr;
  return schema;
}

bool JsonSchema::Validate(BuiltinContext& context, Value document,
                          std::vector<SchemaMistake>& out) const {
  Validator validator(context);
  Validator::Result result;
  validator.Validate(*root_, document, result, {"(Root)", nullptr});
  out = std::move(result.mistakes);
  return !validator.failed();
}

}  // namespace aegis::rego
