#include "aegis/policy/node.h"

#include <algorithm>

namespace aegis::policy {
namespace {

constexpr size_t kMaxDigits = 64;
constexpr long kMaxExponent = 1000;

constexpr size_t kBlock = 1024;

bool StartsCharacter(char c) { return (static_cast<uint8_t>(c) & 0xC0) != 0x80; }

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

size_t SkipDigits(std::string_view text, size_t at) {
  while (at < text.size() && IsDigit(text[at])) ++at;
  return at;
}

// [-+]? ( \. [0-9]+ | [0-9]+ ( \. [0-9]* )? ) ( [eE] [-+]? [0-9]+ )?   (YAML 1.2.2 §10.3.2)
struct DecimalParts {
  bool negative = false;
  std::string_view whole, fraction, exponent;  // exponent with its sign
  bool has_point = false;
};

std::optional<DecimalParts> SplitDecimal(std::string_view text) {
  DecimalParts parts;
  size_t at = 0;
  if (at < text.size() && (text[at] == '-' || text[at] == '+')) parts.negative = text[at++] == '-';
  size_t end = SkipDigits(text, at);
  parts.whole = text.substr(at, end - at);
  at = end;
  if (at < text.size() && text[at] == '.') {
    parts.has_point = true;
    end = SkipDigits(text, at + 1);
    parts.fraction = text.substr(at + 1, end - at - 1);
    at = end;
  }
  if (parts.whole.empty() && parts.fraction.empty()) return std::nullopt;
  if (at < text.size() && (text[at] == 'e' || text[at] == 'E')) {
    size_t digits = at + 1;
    if (digits < text.size() && (text[digits] == '-' || text[digits] == '+')) ++digits;
    end = SkipDigits(text, digits);
    if (end == digits) return std::nullopt;
    parts.exponent = text.substr(at + 1, end - at - 1);
    at = end;
  }
  if (at != text.size()) return std::nullopt;
  return parts;
}

std::string JsonSpelling(const DecimalParts& parts) {
  std::string_view whole = parts.whole;
  while (whole.size() > 1 && whole.front() == '0') whole.remove_prefix(1);
  if (whole.empty()) whole = "0";
  std::string text;
  const bool integer = parts.fraction.empty() && parts.exponent.empty();
  if (parts.negative && !(integer && whole == "0")) text += '-';
  text += whole;
  if (!parts.fraction.empty()) text.append(1, '.').append(parts.fraction);
  if (!parts.exponent.empty()) text.append(1, 'e').append(parts.exponent);
  return text;
}

// 0o[0-7]+ and 0x[0-9a-fA-F]+, as decimal. Empty: more than 64 bits.
std::optional<std::string> BasedInteger(std::string_view text) {
  if (text.size() < 3 || text[0] != '0' || (text[1] != 'x' && text[1] != 'o')) return std::nullopt;
  const unsigned base = text[1] == 'x' ? 16 : 8;
  uint64_t value = 0;
  bool fits = true;
  for (const char c : text.substr(2)) {
    unsigned digit = 99;
    if (IsDigit(c)) digit = static_cast<unsigned>(c - '0');
    if (c >= 'a' && c <= 'f') digit = static_cast<unsigned>(c - 'a') + 10;
    if (c >= 'A' && c <= 'F') digit = static_cast<unsigned>(c - 'A') + 10;
    if (digit >= base) return std::nullopt;
    fits = fits && value <= (UINT64_MAX - digit) / base;
    value = value * base + digit;
  }
  return fits ? std::to_string(value) : std::string();
}

bool IsOneOf(std::string_view text, std::initializer_list<std::string_view> words) {
  return std::find(words.begin(), words.end(), text) != words.end();
}

}  // namespace

const Node::Member* Node::FindMember(std::string_view key) const {
  for (const Member& member : members) {
    if (member.key == key) return &member;
  }
  return nullptr;
}

const Node* Node::Find(std::string_view key) const {
  const Member* member = FindMember(key);
  return member == nullptr ? nullptr : member->value;
}

Node* NodeTree::New(Node::Kind kind, uint32_t offset) {
  Node& node = nodes_.emplace_back();
  node.kind = kind;
  node.offset = offset;
  return &node;
}

std::string_view NodeTree::Keep(std::string text) { return keys_.emplace_back(std::move(text)); }

std::string Describe(const Node& node) {
  switch (node.kind) {
    case Node::Kind::kNull:
      return "nothing (null)";
    case Node::Kind::kBool:
      return "the boolean " + node.text;
    case Node::Kind::kNumber:
      return "the number " + node.text.substr(0, 80);
    case Node::Kind::kList:
      return node.items.empty() ? "an empty list" : "a list";
    case Node::Kind::kMap:
      return node.members.empty() ? "an empty map" : "a map";
    case Node::Kind::kString:
      break;
  }
  return node.text.empty() ? "empty text" : "the text '" + Shorten(node.text) + "'";
}

std::string Shorten(std::string_view text) {
  if (text.size() <= 60) return std::string(text);
  size_t cut = 57;
  while (cut > 0 && !StartsCharacter(text[cut])) --cut;  // not inside a code point
  return std::string(text.substr(0, cut)) + "...";
}

void AppendJsonString(std::string_view text, std::string& out) {
  static constexpr char kHex[] = "0123456789abcdef";
  out += '"';
  for (const char c : text) {
    switch (c) {
      case '"':
        out += "\\\"";
        break;
      case '\\':
        out += "\\\\";
        break;
      case '\n':
        out += "\\n";
        break;
      case '\r':
        out += "\\r";
        break;
      case '\t':
        out += "\\t";
        break;
      default:
        if (static_cast<uint8_t>(c) < 0x20) {
          out += "\\u00";
          out += kHex[static_cast<uint8_t>(c) >> 4];
          out += kHex[static_cast<uint8_t>(c) & 15];
        } else {
          out += c;
        }
    }
  }
  out += '"';
}

void AppendJson(const Node& node, std::string& out) {
  switch (node.kind) {
    case Node::Kind::kNull:
      out += "null";
      return;
    case Node::Kind::kBool:
    case Node::Kind::kNumber:
      out += node.text;
      return;
    case Node::Kind::kString:
      AppendJsonString(node.text, out);
      return;
    case Node::Kind::kList:
      out += '[';
      for (size_t i = 0; i < node.items.size(); ++i) {
        if (i > 0) out += ',';
        AppendJson(*node.items[i], out);
      }
      out += ']';
      return;
    case Node::Kind::kMap:
      out += '{';
      for (size_t i = 0; i < node.members.size(); ++i) {
        if (i > 0) out += ',';
        AppendJsonString(node.members[i].key, out);
        out += ':';
        AppendJson(*node.members[i].value, out);
      }
      out += '}';
      return;
  }
}

std::string NumberProblem(std::string_view json_number) {
  const std::optional<DecimalParts> parts = SplitDecimal(json_number);
  if (!parts) return "is not a number";
  if (parts->whole.size() + parts->fraction.size() > kMaxDigits) {
    return "has more than " + std::to_string(kMaxDigits) + " digits";
  }
  if (!parts->exponent.empty()) {
    std::string_view digits = parts->exponent;
    if (!IsDigit(digits.front())) digits.remove_prefix(1);
    while (digits.size() > 1 && digits.front() == '0') digits.remove_prefix(1);
    if (digits.size() > 4 || std::stol(std::string(digits)) > kMaxExponent) {
      return "has an exponent outside -" + std::to_string(kMaxExponent) + " to " +
             std::to_string(kMaxExponent);
    }
  }
  return {};
}

PlainScalar ResolvePlainScalar(std::string_view text) {
  PlainScalar result;
  result.text = text;
  if (IsOneOf(text, {"", "~", "null", "Null", "NULL"})) {
    result.kind = Node::Kind::kNull;
    return result;
  }
  if (IsOneOf(text, {"true", "True", "TRUE", "false", "False", "FALSE"})) {
    result.kind = Node::Kind::kBool;
    result.text = text.front() == 't' || text.front() == 'T' ? "true" : "false";
    return result;
  }
  if (std::optional<std::string> integer = BasedInteger(text)) {
    result.kind = Node::Kind::kNumber;
    if (integer->empty()) result.problem = "does not fit 64 bits; write it in decimal";
    result.text = *std::move(integer);
    return result;
  }
  if (const std::optional<DecimalParts> parts = SplitDecimal(text)) {
    result.kind = Node::Kind::kNumber;
    result.text = JsonSpelling(*parts);
    result.problem = NumberProblem(result.text);
    return result;
  }
  std::string_view unsigned_text = text;
  if (text.front() == '-' || text.front() == '+') unsigned_text.remove_prefix(1);
  if (IsOneOf(unsigned_text, {".inf", ".Inf", ".INF"}) || IsOneOf(text, {".nan", ".NaN", ".NAN"})) {
    result.kind = Node::Kind::kNumber;
    result.problem = "is not a finite number; put it in quotes if text is meant";
  }
  return result;
}

SourceText::SourceText(std::string_view name, std::string_view text) : name_(name), text_(text) {
  if (text_.starts_with("\xEF\xBB\xBF")) text_.remove_prefix(3);
}

void SourceText::Index() const {
  if (!line_starts_.empty()) return;
  line_starts_.push_back(0);
  uint32_t characters = 0;
  for (size_t i = 0; i < text_.size(); ++i) {
    if (i % kBlock == 0) characters_before_.push_back(characters);
    if (StartsCharacter(text_[i])) ++characters;
    if (text_[i] == '\n') line_starts_.push_back(static_cast<uint32_t>(i + 1));
  }
  characters_before_.push_back(characters);
}

// Code points that start before `offset`, in a time that does not depend on the length of lines.
uint32_t SourceText::CharactersBefore(size_t offset) const {
  const size_t block = std::min(offset / kBlock, characters_before_.size() - 1);
  uint32_t characters = characters_before_[block];
  for (size_t i = block * kBlock; i < offset; ++i) characters += StartsCharacter(text_[i]) ? 1 : 0;
  return characters;
}

Position SourceText::PositionAt(size_t offset) const {
  Index();
  offset = std::min(offset, text_.size());
  const auto next = std::upper_bound(line_starts_.begin(), line_starts_.end(), offset);
  const size_t line = static_cast<size_t>(next - line_starts_.begin());
  const uint32_t column = CharactersBefore(offset) - CharactersBefore(line_starts_[line - 1]) + 1;
  return {static_cast<uint32_t>(line), column};
}

size_t SourceText::OffsetOf(size_t line, size_t byte_column) const {
  Index();
  if (line >= line_starts_.size()) return text_.size();
  return std::min(line_starts_[line] + byte_column, text_.size());
}

}  // namespace aegis::policy
