// yaml.*: YAML as OPA reads it since 1.21 (go.yaml.in/yaml/v3 with the core schema of YAML 1.2), by
// libyaml, of which Go's parser is a translation. They differ in flow collections where ':' or '?'
// ends a plain word: "{a: b:}" is refused here.
#include <yaml.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "aegis/crypto/base64.h"
#include "aegis/rego/builtins/go_float.h"
#include "aegis/rego/builtins/go_time.h"
#include "aegis/rego/builtins/operands.h"
#include "aegis/rego/builtins/unicode.h"
#include "aegis/rego/edit.h"
#include "aegis/rego/number.h"
#include "aegis/rego/table.h"

namespace aegis::rego {
namespace {

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

// --- Plain scalars ---

struct Scalar {
  enum class Kind : uint8_t { kString, kNull, kBool, kNumber, kNotFinite, kTimestamp };
  Kind kind = Kind::kString;
  bool truth = false;
  std::string number;  // as JSON
  bool is_float = false;
};

// An integer in Go's syntax: decimal, 0x, 0o, 0b, or 0 for octal; underscores were dropped before.
std::optional<std::string> IntegerText(std::string_view text) {
  const bool negative = text.starts_with('-');
  if (negative || text.starts_with('+')) text.remove_prefix(1);
  int base = 10;
  if (text.size() > 1 && text[0] == '0') {
    const char c = static_cast<char>(text[1] | 0x20);
    base = c == 'x' ? 16 : c == 'o' ? 8 : c == 'b' ? 2 : 8;
    text.remove_prefix(c == 'x' || c == 'o' || c == 'b' ? 2 : 1);
  }
  uint64_t value = 0;
  const char* const end = text.data() + text.size();
  const auto [read, error] = std::from_chars(text.data(), end, value, base);
  if (text.empty() || error != std::errc() || read != end) return std::nullopt;
  if (negative && value > uint64_t{1} << 63) return std::nullopt;
  return (negative && value != 0 ? "-" : "") + std::to_string(value);
}

// [-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?
bool IsFloatText(std::string_view text) {
  if (text.starts_with('-') || text.starts_with('+')) text.remove_prefix(1);
  const auto digits = [&] {
    const size_t count = std::min(text.find_first_not_of("0123456789"), text.size());
    text.remove_prefix(count);
    return count;
  };
  const size_t whole = digits();
  if (text.starts_with('.')) {
    text.remove_prefix(1);
    if (digits() == 0 && whole == 0) return false;
  } else if (whole == 0) {
    return false;
  }
  if (text.starts_with('e') || text.starts_with('E')) {
    text.remove_prefix(1);
    if (text.starts_with('-') || text.starts_with('+')) text.remove_prefix(1);
    if (digits() == 0) return false;
  }
  return text.empty();
}

std::optional<double> Double(std::string_view text) {
  if (text.starts_with('+')) text.remove_prefix(1);
  double value = 0;
  const char* const end = text.data() + text.size();
  const auto [read, error] = std::from_chars(text.data(), end, value);
  if (error == std::errc::result_out_of_range && read == end) {
    // Too small is zero; too large is none.
    const size_t e = text.find_first_of("eE");
    return e != text.npos && text.substr(e + 1).starts_with('-') ? std::optional(0.0)
                                                                 : std::nullopt;
  }
  return error == std::errc() && read == end ? std::optional(value) : std::nullopt;
}

// As encoding/json writes a float64, and strconv's 'g'.
std::string JsonFloat(double value) { return GoFloatText(value, -6, 21, false); }
std::string ShortFloat(double value) { return GoFloatText(value, -4, 6, true); }

bool IsTimestamp(std::string_view text) {
  if (text.size() < 5 || text[4] != '-' || !std::all_of(text.begin(), text.begin() + 4, IsDigit)) {
    return false;
  }
  constexpr std::string_view kLayouts[] = {"2006-1-2T15:4:5.999999999Z07:00",
                                           "2006-1-2t15:4:5.999999999Z07:00",
                                           "2006-1-2 15:4:5.999999999", "2006-1-2"};
  return std::any_of(std::begin(kLayouts), std::end(kLayouts), [&](std::string_view layout) {
    return ParseGoTime(layout, text).has_value();
  });
}

Scalar Resolve(std::string_view text) {
  const auto is = [&](std::initializer_list<std::string_view> words) {
    return std::find(words.begin(), words.end(), text) != words.end();
  };
  Scalar out;
  if (is({"", "~", "null", "Null", "NULL"})) {
    out.kind = Scalar::Kind::kNull;
  } else if (is({"true", "True", "TRUE", "false", "False", "FALSE"})) {
    out.kind = Scalar::Kind::kBool;
    out.truth = (text[0] | 0x20) == 't';
  } else if (is({".nan", ".NaN", ".NAN", ".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF", "-.inf",
                 "-.Inf", "-.INF"})) {
    out.kind = Scalar::Kind::kNotFinite;
  } else if (text[0] == '.') {
    if (const std::optional<double> value = IsFloatText(text) ? Double(text) : std::nullopt) {
      out = {Scalar::Kind::kNumber, false, JsonFloat(*value), true};
    }
  } else if (IsDigit(text[0]) || text[0] == '+' || text[0] == '-') {
    if (IsTimestamp(text)) {
      out.kind = Scalar::Kind::kTimestamp;
      return out;
    }
    std::string plain(text);
    std::erase(plain, '_');
    if (std::optional<std::string> integer = IntegerText(plain)) {
      out = {Scalar::Kind::kNumber, false, *std::move(integer), false};
    } else if (IsFloatText(plain)) {
      if (const std::optional<double> value = Double(plain)) {
        out = {Scalar::Kind::kNumber, false, JsonFloat(*value), true};
      }
    }
  }
  return out;
}

// --- Reading ---

// Lines that start with '%', be they directives or not. libyaml compares each directive with all
// before it, and each tag with all of them.
size_t CountPercentLines(std::string_view text) {
  constexpr std::string_view kBreaks[] = {"\n", "\r", "\xc2\x85", "\xe2\x80\xa8", "\xe2\x80\xa9"};
  size_t count = 0;
  for (size_t at = text.find('%'); at != text.npos; at = text.find('%', at + 1)) {
    const std::string_view before = text.substr(0, at);
    if (at == 0 || std::any_of(std::begin(kBreaks), std::end(kBreaks),
                               [&](std::string_view each) { return before.ends_with(each); })) {
      ++count;
    }
  }
  return count;
}

struct Node {
  enum class Kind : uint8_t { kScalar, kSequence, kMapping };
  Kind kind = Kind::kScalar;
  bool plain = false;  // and without a tag
  std::string tag;     // short: "!!str"; empty: none
  std::string text;
  std::vector<const Node*> children;  // of mappings: key, value, key, value
};

// A stream of documents, of which the first counts; the others must be well-formed all the same.
class Reader {
 public:
  Reader(BuiltinContext& context, std::string_view text) : context_(context) {
    started_ = yaml_parser_initialize(&parser_) == 1;
    yaml_parser_set_encoding(&parser_, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&parser_, reinterpret_cast<const unsigned char*>(text.data()),
                                 text.size());
  }
  ~Reader() { yaml_parser_delete(&parser_); }
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;

  // Undefined after an error.
  Value Read() {
    const Node* first = nullptr;
    if (!started_ || !Next() || type() != YAML_STREAM_START_EVENT || !Next()) return Fail();
    while (type() == YAML_DOCUMENT_START_EVENT) {
      anchors_.clear();
      // Go's parser knows version 1.1 only.
      const yaml_version_directive_t* version = event_->event.data.document_start.version_directive;
      if (version != nullptr && (version->major != 1 || version->minor != 1)) return Fail();
      if (!Next()) return Fail();
      const Node* root = ReadNode();
      if (root == nullptr || type() != YAML_DOCUMENT_END_EVENT || !Next()) return Fail();
      if (first == nullptr) first = root;
    }
    if (type() != YAML_STREAM_END_EVENT) return Fail();
    if (first == nullptr) return Value::Null();
    const Value value = Decode(*first);
    return failed_ ? Fail() : value;
  }

 private:
  static constexpr size_t kMaxNodes = size_t{1} << 20;
  // Of the text, and of what it stands for once aliases are followed and members are merged.
  static constexpr size_t kMaxDepth = 400;

  struct Event {
    yaml_event_t event{};
    Event() = default;
    Event(const Event&) = delete;
    Event& operator=(const Event&) = delete;
    ~Event() { yaml_event_delete(&event); }
  };

  Value Fail(std::string_view why = "the YAML cannot be parsed") {
    failed_ = true;
    return context_.Error(why);
  }

  bool Next() {
    event_ = std::make_unique<Event>();
    return context_.Charge(1) && yaml_parser_parse(&parser_, &event_->event) == 1;
  }
  yaml_event_type_t type() const { return event_->event.type; }

  static std::string Text(const yaml_char_t* text) {
    return text == nullptr ? "" : std::string(reinterpret_cast<const char*>(text));
  }
  static std::string ShortTag(const yaml_char_t* tag) {
    constexpr std::string_view kPrefix = "tag:yaml.org,2002:";
    const std::string text = Text(tag);
    if (text == "!") return "";
    return text.starts_with(kPrefix) ? "!!" + text.substr(kPrefix.size()) : text;
  }

  Node* NewNode(const yaml_char_t* anchor) {
    if (nodes_.size() >= kMaxNodes) return nullptr;
    nodes_.push_back(std::make_unique<Node>());
    if (anchor != nullptr) anchors_[Text(anchor)] = nodes_.back().get();
    return nodes_.back().get();
  }

  // The node that the current event starts; afterwards the event behind it is the current one.
  const Node* ReadNode() {
    if (type() == YAML_ALIAS_EVENT) {
      const auto found = anchors_.find(Text(event_->event.data.alias.anchor));
      return found != anchors_.end() && Next() ? found->second : nullptr;
    }
    if (type() == YAML_SCALAR_EVENT) {
      const auto& scalar = event_->event.data.scalar;
      Node* node = NewNode(scalar.anchor);
      if (node == nullptr) return nullptr;
      node->tag = ShortTag(scalar.tag);
      node->plain = scalar.style == YAML_PLAIN_SCALAR_STYLE && node->tag.empty();
      node->text.assign(reinterpret_cast<const char*>(scalar.value), scalar.length);
      // Quoted and block scalars are strings.
      if (node->tag.empty() && !node->plain) node->tag = "!!str";
      return Next() ? node : nullptr;
    }
    const bool mapping = type() == YAML_MAPPING_START_EVENT;
    if (!mapping && type() != YAML_SEQUENCE_START_EVENT) return nullptr;
    Node* node = NewNode(mapping ? event_->event.data.mapping_start.anchor
                                 : event_->event.data.sequence_start.anchor);
    if (node == nullptr || ++depth_ > kMaxDepth || !Next()) return nullptr;
    node->kind = mapping ? Node::Kind::kMapping : Node::Kind::kSequence;
    const yaml_event_type_t end = mapping ? YAML_MAPPING_END_EVENT : YAML_SEQUENCE_END_EVENT;
    while (type() != end) {
      const Node* child = ReadNode();
      if (child == nullptr) return nullptr;
      node->children.push_back(child);
    }
    --depth_;
    return Next() ? node : nullptr;
  }

  // Every collection is opened before what is in it: this bounds the stack.
  bool Open(const Node& node) {
    if (open_.size() >= kMaxDepth) {
      Fail("the document nests too deep");
    } else if (!open_.insert(&node).second) {
      Fail("an anchor's value contains itself");
    }
    return !failed_;
  }

  Value Decode(const Node& node) {
    // Aliases make small texts large.
    if (failed_ || !context_.Charge(1 + node.text.size() / 64)) {
      failed_ = true;
      return Value();
    }
    if (node.kind == Node::Kind::kScalar) return DecodeScalar(node);
    if (!Open(node)) return Value();
    Value out;
    if (node.kind == Node::Kind::kSequence) {
      ArrayBuilder array(context_.arena(), node.children.size());
      for (const Node* child : node.children) array.Add(Decode(*child));
      out = array.Build();
    } else {
      Value object = Value::EmptyObject();
      std::set<std::string> own;
      AddMembers(node, own, object);
      out = object;
    }
    open_.erase(&node);
    if (out.is_undefined() && !failed_) return Fail("the document becomes too large");
    return out;
  }

  Value DecodeScalar(const Node& node) {
    if (!node.plain) {
      // Other tags than the core schema's leave a string what it is.
      const bool core = node.tag == "!!int" || node.tag == "!!float" || node.tag == "!!bool" ||
                        node.tag == "!!null" || node.tag == "!!timestamp" || node.tag == "!!binary";
      if (!core) return String(context_, node.text);
      return DecodeTagged(node);
    }
    const Scalar scalar = Resolve(node.text);
    switch (scalar.kind) {
      case Scalar::Kind::kNull:
        return Value::Null();
      case Scalar::Kind::kBool:
        return Value::Bool(scalar.truth);
      case Scalar::Kind::kNumber:
        return MakeNumber(context_.arena(), scalar.number);
      case Scalar::Kind::kNotFinite:
        return Fail("a number is not finite");
      default:
        return String(context_, node.text);
    }
  }

  Value DecodeTagged(const Node& node) {
    if (node.tag == "!!binary") {
      const auto bytes = crypto::Base64DecodeAsGo(node.text, crypto::Base64Form::kStandard);
      return bytes ? String(context_, *bytes) : Fail("a binary value is not base64");
    }
    const Scalar scalar = Resolve(node.text);
    const bool number = scalar.kind == Scalar::Kind::kNumber;
    if (node.tag == "!!null" && scalar.kind == Scalar::Kind::kNull) return Value::Null();
    if (node.tag == "!!bool" && scalar.kind == Scalar::Kind::kBool)
      return Value::Bool(scalar.truth);
    if (node.tag == "!!int" && number && !scalar.is_float) {
      return MakeNumber(context_.arena(), scalar.number);
    }
    if (node.tag == "!!float" && number) {
      const std::optional<double> value = Double(scalar.number);
      return value ? MakeNumber(context_.arena(), JsonFloat(*value)) : Fail();
    }
    return Fail("a value is not what its tag says");
  }

  // The name that a key takes in JSON; nothing after an error.
  std::optional<std::string> Name(const Node& key) {
    if (key.kind != Node::Kind::kScalar) {
      Fail("a key is no scalar");
      return std::nullopt;
    }
    const Value value = Decode(key);
    if (value.is_string()) return std::string(value.string_value());
    if (value.is_bool()) return value.is_true() ? "true" : "false";
    if (value.is_number()) {
      std::string text = ToJson(value);
      const Scalar scalar = Resolve(key.text);
      if (!scalar.is_float) return text;
      // OPA names members after float32.
      const std::optional<double> number = Double(text);
      std::array<char, 64> buffer;
      const auto written = std::to_chars(buffer.data(), buffer.data() + buffer.size(),
                                         static_cast<float>(number.value_or(0)));
      return std::string(buffer.data(), written.ptr);
    }
    Fail("a key has no name in JSON");
    return std::nullopt;
  }

  bool Insert(Value& object, std::string_view name, Value value) {
    if (failed_) return false;
    const Value key = MakeString(context_.arena(), name);
    if (ObjectInsert(context_.arena(), object, key, value) == Edit::kOk) return true;
    Fail("the document becomes too large");
    return false;
  }

  // Of two members of a name the last one counts; members of what is merged ("<<") count only where
  // there are none of the mapping's own, those that are merged first before others.
  void AddMembers(const Node& node, std::set<std::string>& taken, Value& object) {
    std::vector<const Node*> merged;
    std::set<std::string> own;
    for (size_t i = 0; i + 1 < node.children.size() && !failed_; i += 2) {
      const Node &key = *node.children[i], &value = *node.children[i + 1];
      if ((key.plain && key.text == "<<") || key.tag == "!!merge") {
        if (value.kind == Node::Kind::kSequence) {
          merged.insert(merged.end(), value.children.begin(), value.children.end());
        } else {
          merged.push_back(&value);
        }
        continue;
      }
      const std::optional<std::string> name = Name(key);
      if (!name) return;
      if (taken.contains(*name)) continue;
      own.insert(*name);
      if (!Insert(object, *name, Decode(value))) return;
    }
    taken.merge(own);
    for (const Node* each : merged) {
      if (failed_) return;
      if (each->kind != Node::Kind::kMapping) {
        Fail("map merge requires map or sequence of maps as the value");
        return;
      }
      if (!context_.Charge(1) || !Open(*each)) {
        failed_ = true;
        return;
      }
      AddMembers(*each, taken, object);
      open_.erase(each);
    }
  }

  BuiltinContext& context_;
  yaml_parser_t parser_{};
  bool started_ = false;
  bool failed_ = false;
  size_t depth_ = 0;
  std::unique_ptr<Event> event_;
  std::vector<std::unique_ptr<Node>> nodes_;
  std::map<std::string, const Node*> anchors_;
  std::set<const Node*> open_;  // the collections around what is decoded
};

// --- Writing ---

// What a scalar's text allows, as libyaml's emitter analyzes it.
struct Allowed {
  bool plain = true;
  bool single_quoted = true;
  bool literal = true;
  bool multiline = false;
};

bool IsBreak(uint32_t rune) {
  return rune == '\n' || rune == '\r' || rune == 0x85 || rune == 0x2028 || rune == 0x2029;
}
bool IsPrintable(uint32_t rune) {
  return rune == '\n' || (rune >= 0x20 && rune <= 0x7e) || (rune >= 0xa0 && rune <= 0xd7ff) ||
         (rune >= 0xe000 && rune <= 0xfffd && rune != 0xfeff);
}
// What a YAML text may hold at all.
bool IsYamlRune(uint32_t rune) {
  return rune == '\t' || rune == '\r' || rune == 0x85 || rune == 0xfeff || IsPrintable(rune) ||
         rune < 0x20 || rune >= 0x10000;
}

Allowed Analyze(const std::vector<uint32_t>& text) {
  Allowed out;
  if (text.empty()) {
    out.literal = false;
    return out;
  }
  const auto is_blank = [&](size_t i) {
    return i >= text.size() || text[i] == ' ' || text[i] == '\t';
  };
  const auto three = [&](uint32_t c) {
    return text.size() >= 3 && text[0] == c && text[1] == c && text[2] == c;
  };
  bool indicators = three('-') || three('.');
  bool breaks = false, special = false, tabs = false, break_space = false, space_break = false;
  bool previous_space = false, previous_break = false, preceded = true;
  for (size_t i = 0; i < text.size(); ++i) {
    const uint32_t c = text[i];
    const bool followed = is_blank(i + 1);
    constexpr std::string_view kFirst = "#,[]{}&*!|>'\"%@`";
    if (i == 0) {
      if (c < 0x80 && kFirst.find(static_cast<char>(c)) != kFirst.npos) indicators = true;
      if ((c == '?' || c == ':' || c == '-') && followed) indicators = true;
    } else {
      if (c == ':' && followed) indicators = true;
      if (c == '#' && preceded) indicators = true;
    }
    if (c == '\t') {
      tabs = true;
    } else if (!IsPrintable(c)) {
      special = true;
    }
    if (c == ' ') {
      break_space = break_space || previous_break;
      previous_space = true;
      previous_break = false;
    } else if (IsBreak(c)) {
      breaks = true;
      space_break = space_break || previous_space;
      previous_space = false;
      previous_break = true;
    } else {
      previous_space = previous_break = false;
    }
    preceded = c == ' ' || c == '\t' || IsBreak(c) || c == 0;
  }
  const uint32_t first = text.front(), last = text.back();
  const bool edge_space = first == ' ' || last == ' ' || IsBreak(first) || IsBreak(last);
  out.multiline = breaks;
  out.plain =
      !(edge_space || break_space || space_break || tabs || special || breaks || indicators);
  out.single_quoted = !(break_space || space_break || tabs || special);
  out.literal = !(last == ' ' || space_break || special);
  return out;
}

// Texts that other readers of YAML might take for something else are quoted.
bool LooksPlain(std::string_view text) {
  constexpr std::string_view kOldBools[] = {"y", "Y", "yes", "Yes", "YES", "on",  "On",  "ON",
                                            "n", "N", "no",  "No",  "NO",  "off", "Off", "OFF"};
  if (Resolve(text).kind != Scalar::Kind::kString) return false;
  if (std::find(std::begin(kOldBools), std::end(kOldBools), text) != std::end(kOldBools)) {
    return false;
  }
  // Numbers to the base of 60: 1:20.
  std::string_view rest = text;
  if (rest.starts_with('-') || rest.starts_with('+')) rest.remove_prefix(1);
  if (rest.empty() || !IsDigit(rest[0]) || rest.find(':') == rest.npos) return true;
  rest.remove_prefix(std::min(rest.find_first_not_of("0123456789_"), rest.size()));
  size_t groups = 0;
  while (rest.size() > 1 && rest[0] == ':' && IsDigit(rest[1])) {
    const bool two = rest.size() > 2 && rest[1] <= '5' && IsDigit(rest[2]);
    rest.remove_prefix(two ? 3 : 2);
    ++groups;
  }
  if (rest.starts_with('.')) {
    rest.remove_prefix(1 +
                       std::min(rest.substr(1).find_first_not_of("0123456789_"), rest.size() - 1));
  }
  return groups == 0 || !rest.empty();
}

// Letters for the order of keys: beyond ASCII all but the blocks of punctuation, symbols and emoji.
bool IsLetter(uint32_t c) {
  if (c < 0x80) return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
  constexpr std::pair<uint32_t, uint32_t> kOthers[] = {
      {0x80, 0xa9},     {0xab, 0xb4},     {0xb6, 0xb9},      {0xbb, 0xbf},     {0xd7, 0xd7},
      {0xf7, 0xf7},     {0x2000, 0x206f}, {0x20a0, 0x20cf},  {0x2190, 0x2bff}, {0x3000, 0x3004},
      {0xfe00, 0xfe0f}, {0xfeff, 0xfeff}, {0x1f000, 0x1faff}};
  return std::none_of(std::begin(kOthers), std::end(kOthers),
                      [&](const auto& range) { return c >= range.first && c <= range.second; });
}

class Writer {
 public:
  std::string Write(Value value) {
    Node(value, 0, true);
    if (!out_.ends_with('\n')) out_ += '\n';
    return std::move(out_);
  }

 private:
  void Indent(size_t indent) { out_.append(indent, ' '); }

  // `inline_first`: the first line of a collection stands where the text ends now.
  void Node(Value value, size_t indent, bool inline_first) {
    if (value.is_array() && value.size() > 0) {
      for (size_t i = 0; i < value.size(); ++i) {
        if (i > 0 || !inline_first) Break(indent);
        out_ += "- ";
        Node(value.At(i), indent + 2, true);
      }
    } else if (value.is_object() && value.size() > 0) {
      Mapping(value, indent, inline_first);
    } else {
      Scalar(value, indent, false);
    }
  }

  void Break(size_t indent) {
    if (!out_.empty() && out_.back() != '\n') out_ += '\n';
    Indent(indent);
  }

  void Mapping(Value object, size_t indent, bool inline_first) {
    std::vector<Member> members(object.members().begin(), object.members().end());
    std::sort(members.begin(), members.end(), [](const Member& a, const Member& b) {
      return KeyLess(a.key.string_value(), b.key.string_value());
    });
    bool first = true;
    for (const Member& member : members) {
      if (!first || !inline_first) Break(indent);
      first = false;
      const std::string_view key = member.key.string_value();
      const bool simple = key.size() <= 128 && !Analyze(Runes(key)).multiline;
      if (!simple) out_ += "? ";
      Scalar(member.key, indent + 2, simple);
      if (!simple) {
        Break(indent);
        out_ += ": ";
        Node(member.value, indent + 2, true);
        continue;
      }
      out_ += ':';
      const bool collection = member.value.is_collection() && member.value.size() > 0;
      if (!collection) out_ += ' ';
      Node(member.value, indent + 2, !collection);
    }
  }

  void Scalar(Value value, size_t indent, bool key) {
    if (value.is_string()) return StringScalar(value.string_value(), indent, key);
    if (value.is_number()) {
      const std::string text = ToJson(value);
      const auto scalar = Resolve(text);
      const std::optional<double> number = scalar.is_float ? Double(text) : std::nullopt;
      out_ += number ? ShortFloat(*number) : scalar.number;
    } else {
      out_ += ToJson(value);
    }
  }

  void StringScalar(std::string_view text, size_t indent, bool key) {
    const std::vector<uint32_t> runes = Runes(text);
    const Allowed allowed = Analyze(runes);
    if (text.find('\n') != text.npos) {
      if (allowed.literal && !key) return Literal(text, indent);
      return DoubleQuoted(runes);
    }
    if (!LooksPlain(text)) return DoubleQuoted(runes);
    if (allowed.plain && !(text.empty() && key)) {
      out_ += text;
    } else if (allowed.single_quoted) {
      out_ += '\'';
      for (const char c : text) out_.append(c == '\'' ? 2 : 1, c);
      out_ += '\'';
    } else {
      DoubleQuoted(runes);
    }
  }

  void Literal(std::string_view text, size_t indent) {
    if (indent == 0) indent = 2;
    out_ += '|';
    if (text[0] == ' ' || text[0] == '\n') out_ += '2';
    const std::string_view kept = text.substr(0, text.find_last_not_of('\n') + 1);
    if (kept.size() == text.size()) out_ += '-';
    if (text.size() - kept.size() > 1 || kept.empty()) out_ += '+';
    out_ += '\n';
    bool line_start = true;
    for (const char c : text) {
      if (c != '\n' && line_start) Indent(indent);
      out_ += c;
      line_start = c == '\n';
    }
  }

  void DoubleQuoted(const std::vector<uint32_t>& runes) {
    out_ += '"';
    for (const uint32_t rune : runes) {
      if (IsPrintable(rune) && !IsBreak(rune) && rune != '"' && rune != '\\') {
        AppendRune(out_, rune);
        continue;
      }
      constexpr std::pair<uint32_t, char> kNames[] = {
          {0, '0'},     {7, 'a'},    {8, 'b'},    {9, 't'},      {10, 'n'},
          {11, 'v'},    {12, 'f'},   {13, 'r'},   {0x1b, 'e'},   {'"', '"'},
          {'\\', '\\'}, {0x85, 'N'}, {0xa0, '_'}, {0x2028, 'L'}, {0x2029, 'P'}};
      out_ += '\\';
      const auto* const name = std::find_if(std::begin(kNames), std::end(kNames),
                                            [&](const auto& each) { return each.first == rune; });
      if (name != std::end(kNames)) {
        out_ += name->second;
        continue;
      }
      const int digits = rune <= 0xff ? 2 : rune <= 0xffff ? 4 : 8;
      out_ += digits == 2 ? 'x' : digits == 4 ? 'u' : 'U';
      for (int shift = 4 * (digits - 1); shift >= 0; shift -= 4) {
        out_ += "0123456789ABCDEF"[rune >> shift & 15];
      }
    }
    out_ += '"';
  }

  // Numbers in names are ordered by their values, letters behind what is no letter.
  static bool KeyLess(std::string_view a_text, std::string_view b_text) {
    const std::vector<uint32_t> a = Runes(a_text), b = Runes(b_text);
    const auto is_digit = [](uint32_t c) { return c >= '0' && c <= '9'; };
    bool digits = false;
    for (size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
      if (a[i] == b[i]) {
        digits = is_digit(a[i]);
        continue;
      }
      const bool a_letter = IsLetter(a[i]), b_letter = IsLetter(b[i]);
      if (a_letter && b_letter) return a[i] < b[i];
      if (a_letter || b_letter) return digits ? a_letter : b_letter;
      uint64_t a_number = 0, b_number = 0;
      if (a[i] == '0' || b[i] == '0') {
        for (size_t j = i; j-- > 0 && is_digit(a[j]);) {
          if (a[j] == '0') continue;
          a_number = b_number = 1;
          break;
        }
      }
      size_t a_end = i, b_end = i;
      for (; a_end < a.size() && is_digit(a[a_end]); ++a_end)
        a_number = a_number * 10 + a[a_end] - '0';
      for (; b_end < b.size() && is_digit(b[b_end]); ++b_end)
        b_number = b_number * 10 + b[b_end] - '0';
      if (a_number != b_number) {
        return static_cast<int64_t>(a_number) < static_cast<int64_t>(b_number);
      }
      if (a_end != b_end) return a_end < b_end;
      return a[i] < b[i];
    }
    return a.size() < b.size();
  }

  std::string out_;
};

// Whether all strings are ones that a YAML text may hold.
bool IsWritable(Value value) {
  if (value.is_string()) {
    const std::vector<uint32_t> runes = Runes(value.string_value());
    return std::all_of(runes.begin(), runes.end(), IsYamlRune);
  }
  if (value.is_object()) {
    const auto members = value.members();
    return std::all_of(members.begin(), members.end(), [](const Member& member) {
      return IsWritable(member.key) && IsWritable(member.value);
    });
  }
  const auto elements = value.elements();
  return std::all_of(elements.begin(), elements.end(), IsWritable);
}

constexpr json::Limits kLimits{
    .max_bytes = size_t{64} << 20, .max_depth = 500, .max_values = size_t{8} << 20};

Value Marshal(BuiltinContext& context, const Value* args) {
  if (!context.Charge(internal::Weight(args[0]))) return Value();
  std::string json;
  internal::AppendGoJson(args[0], json);
  const Result<Value> value = internal::ParseJsonLastWins(json, context.arena(), kLimits);
  if (!value) return context.Error(value.error().message);
  if (!IsWritable(*value)) return context.Error("a text holds characters that YAML cannot hold");
  // Indentation makes it longer by the depth.
  if (!context.Charge(json.size() / 16 + internal::Weight(*value) *
                                             static_cast<uint64_t>(internal::Height(*value)) /
                                             16)) {
    return Value();
  }
  return String(context, Writer().Write(*value));
}

Value Unmarshal(BuiltinContext& context, const Value* args) {
  AEGIS_STRING_ARG(text, 0);
  if (!context.Charge(text.size() / 8)) return Value();
  if (CountPercentLines(text) > 100) return context.Error("too many lines start with '%'");
  return Reader(context, text).Read();
}

Value IsValid(BuiltinContext& context, const Value* args) {
  if (!args[0].is_string()) return Value::Bool(false);
  const Value value = Unmarshal(context, args);
  context.ClearError();
  if (!context.Charge(0)) return Value();
  return Value::Bool(!value.is_undefined());
}

constexpr Builtin kBuiltins[] = {
    {"yaml.marshal", 1, Marshal},
    {"yaml.unmarshal", 1, Unmarshal},
    {"yaml.is_valid", 1, IsValid},
};

}  // namespace

std::span<const Builtin> YamlBuiltins() { return kBuiltins; }

}  // namespace aegis::rego
