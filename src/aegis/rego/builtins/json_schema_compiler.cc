// Reads schemas.
#include <re2/re2.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "aegis/base/text.h"
#include "aegis/rego/builtins/caches.h"
#include "aegis/rego/builtins/json_schema_node.h"
#include "aegis/rego/builtins/patterns.h"
#include "aegis/rego/builtins/uri.h"
#include "aegis/rego/edit.h"
#include "aegis/rego/number.h"
#include "aegis/rego/pointer.h"

namespace aegis::rego {
namespace {

using internal::CanonicalText;

constexpr json::Limits kSchemaLimits{
    .max_bytes = size_t{4} << 20, .max_depth = 250, .max_values = size_t{1} << 18};

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

}  // namespace

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
      node.constant = CanonicalText(constant);
      if (!node.constant) return Refuse("const: a number is out of range");
    }
    const Value enumeration = value.Get("enum");
    if (enumeration.is_undefined()) return true;
    if (!enumeration.is_array()) return MustBeOf("an", "enum", "array");
    node.enumeration.emplace();
    std::set<std::string> seen;
    for (const Value each : enumeration.elements()) {
      std::optional<std::string> text = CanonicalText(each);
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

}  // namespace aegis::rego
