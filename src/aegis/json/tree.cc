#include "aegis/json/tree.h"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <vector>

#include "aegis/base/text.h"

namespace aegis::json {

std::optional<int64_t> Tree::AsInt64() const {
  if (kind_ != Kind::kNumber) return std::nullopt;
  const std::string_view digits = text();
  int64_t value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (error != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
  return value;
}

std::span<const Member> Tree::members() const {
  return {static_cast<const Member*>(data_), kind_ == Kind::kObject ? size_ : 0};
}

const Tree* Tree::Find(std::string_view name) const {
  const std::span<const Member> all = members();
  const auto found = std::lower_bound(
      all.begin(), all.end(), name,
      [](const Member& member, std::string_view wanted) { return member.name < wanted; });
  return found != all.end() && found->name == name ? &found->value : nullptr;
}

std::optional<std::string_view> Tree::FindString(std::string_view name) const {
  const Tree* found = Find(name);
  if (found == nullptr || !found->is_string()) return std::nullopt;
  return found->text();
}

// Recursive descent; the depth limit bounds the stack. Children are collected on one shared vector
// and copied to the arena when their parent ends.
class TreeParser {
 public:
  TreeParser(std::string_view text, Arena& arena, const TreeLimits& limits)
      : text_(text), arena_(arena), limits_(limits) {}

  Result<Tree> Parse() {
    if (text_.size() > limits_.max_bytes) {
      return Fail(Code::kResourceExhausted, "json_too_large",
                  "the JSON text has " + std::to_string(text_.size()) + " bytes; at most " +
                      std::to_string(limits_.max_bytes) + " are accepted");
    }
    if (!IsValidUtf8(text_)) {
      return Fail(Code::kInvalidArgument, "json_malformed", "the JSON text is not valid UTF-8");
    }
    Tree root;
    SkipSpace();
    if (!ParseValue(root, 0)) return Fail(std::move(error_));
    SkipSpace();
    if (at_ != text_.size()) {
      Malformed("something follows the end of the JSON value");
      return Fail(std::move(error_));
    }
    return root;
  }

 private:
  bool Refuse(Code code, std::string_view reason, std::string_view what) {
    size_t line = 1, line_start = 0;
    const size_t end = std::min(at_, text_.size());
    for (size_t i = 0; i < end; ++i) {
      if (text_[i] == '\n') {
        ++line;
        line_start = i + 1;
      }
    }
    error_ = Error{code, reason,
                   std::string(what) + " (line " + std::to_string(line) + ", column " +
                       std::to_string(end - line_start + 1) + ")"};
    return false;
  }
  bool Malformed(std::string_view what) {
    return Refuse(Code::kInvalidArgument, "json_malformed", what);
  }
  bool OutOfMemory() {
    return Refuse(Code::kResourceExhausted, "json_memory", "the JSON text needs too much memory");
  }

  char Peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }

  void SkipSpace() {
    while (at_ < text_.size()) {
      const char c = text_[at_];
      if (c != ' ' && c != '\n' && c != '\t' && c != '\r') return;
      ++at_;
    }
  }

  bool ParseValue(Tree& out, int depth) {
    switch (Peek()) {
      case '{':
        return ParseObject(out, depth + 1);
      case '[':
        return ParseArray(out, depth + 1);
      case '"': {
        std::string_view value;
        if (!ParseString(value)) return false;
        SetText(out, Tree::Kind::kString, value);
        return true;
      }
      case 't':
        out.kind_ = Tree::Kind::kBool;
        out.size_ = 1;
        return ParseWord("true");
      case 'f':
        out.kind_ = Tree::Kind::kBool;
        out.size_ = 0;
        return ParseWord("false");
      case 'n':
        out.kind_ = Tree::Kind::kNull;
        return ParseWord("null");
      default:
        return ParseNumber(out);
    }
  }

  static void SetText(Tree& out, Tree::Kind kind, std::string_view value) {
    out.kind_ = kind;
    out.data_ = value.data();
    out.size_ = value.size();
  }

  bool ParseWord(std::string_view word) {
    if (text_.substr(at_, word.size()) != word) return Malformed("expected a JSON value");
    at_ += word.size();
    return true;
  }

  bool Digits() {
    const size_t start = at_;
    while (Peek() >= '0' && Peek() <= '9') ++at_;
    return at_ > start;
  }

  bool ParseNumber(Tree& out) {
    const size_t start = at_;
    if (Peek() == '-') ++at_;
    if (Peek() == '0') {
      ++at_;
    } else if (!Digits()) {
      at_ = start;
      return Malformed("expected a JSON value");
    }
    if (Peek() == '.') {
      ++at_;
      if (!Digits()) return Malformed("expected a digit");
    }
    if (Peek() == 'e' || Peek() == 'E') {
      ++at_;
      if (Peek() == '+' || Peek() == '-') ++at_;
      if (!Digits()) return Malformed("expected a digit");
    }
    SetText(out, Tree::Kind::kNumber, text_.substr(start, at_ - start));
    return true;
  }

  // Four hexadecimal digits at `at_`.
  bool ParseHex4(uint32_t& out) {
    out = 0;
    for (int i = 0; i < 4; ++i, ++at_) {
      const char c = Peek();
      uint32_t digit;
      if (c >= '0' && c <= '9') {
        digit = static_cast<uint32_t>(c - '0');
      } else if (c >= 'a' && c <= 'f') {
        digit = static_cast<uint32_t>(c - 'a' + 10);
      } else if (c >= 'A' && c <= 'F') {
        digit = static_cast<uint32_t>(c - 'A' + 10);
      } else {
        return Malformed("expected four hexadecimal digits after \\u");
      }
      out = out << 4 | digit;
    }
    return true;
  }

  bool ParseUnicodeEscape(std::string& out) {
    uint32_t point;
    if (!ParseHex4(point)) return false;
    if (point >= 0xdc00 && point <= 0xdfff) return Malformed("a lone surrogate in a string");
    if (point >= 0xd800 && point <= 0xdbff) {
      if (text_.substr(at_, 2) != "\\u") return Malformed("a lone surrogate in a string");
      at_ += 2;
      uint32_t low;
      if (!ParseHex4(low)) return false;
      if (low < 0xdc00 || low > 0xdfff) return Malformed("a lone surrogate in a string");
      point = 0x10000 + ((point - 0xd800) << 10) + (low - 0xdc00);
    }
    const auto put = [&out](uint32_t byte) { out.push_back(static_cast<char>(byte)); };
    if (point < 0x80) {
      put(point);
    } else if (point < 0x800) {
      put(0xc0 | point >> 6);
      put(0x80 | (point & 63));
    } else if (point < 0x10000) {
      put(0xe0 | point >> 12);
      put(0x80 | (point >> 6 & 63));
      put(0x80 | (point & 63));
    } else {
      put(0xf0 | point >> 18);
      put(0x80 | (point >> 12 & 63));
      put(0x80 | (point >> 6 & 63));
      put(0x80 | (point & 63));
    }
    return true;
  }

  bool ParseString(std::string_view& out) {
    if (Peek() != '"') return Malformed("expected a string");
    const size_t start = ++at_;
    while (at_ < text_.size() && text_[at_] != '"' && text_[at_] != '\\') {
      if (static_cast<unsigned char>(text_[at_]) < 0x20) {
        return Malformed("a control character in a string");
      }
      ++at_;
    }
    if (Peek() == '"') {
      out = text_.substr(start, at_++ - start);
      return true;
    }
    unescaped_.assign(text_.substr(start, at_ - start));
    while (at_ < text_.size()) {
      const char c = text_[at_++];
      if (c == '"') {
        out = arena_.Copy(unescaped_);
        return out.size() == unescaped_.size() || OutOfMemory();
      }
      if (static_cast<unsigned char>(c) < 0x20) return Malformed("a control character in a string");
      if (c != '\\') {
        unescaped_.push_back(c);
        continue;
      }
      const char escaped = Peek();
      ++at_;
      switch (escaped) {
        case '"':
        case '\\':
        case '/':
          unescaped_.push_back(escaped);
          break;
        case 'b':
          unescaped_.push_back('\b');
          break;
        case 'f':
          unescaped_.push_back('\f');
          break;
        case 'n':
          unescaped_.push_back('\n');
          break;
        case 'r':
          unescaped_.push_back('\r');
          break;
        case 't':
          unescaped_.push_back('\t');
          break;
        case 'u':
          if (!ParseUnicodeEscape(unescaped_)) return false;
          break;
        default:
          return Malformed("an unknown escape in a string");
      }
    }
    return Malformed("a string without its closing quote");
  }

  bool CheckDepth(int depth) {
    return depth <= limits_.max_depth ||
           Refuse(Code::kResourceExhausted, "json_too_deep",
                  "more than " + std::to_string(limits_.max_depth) + " nested arrays and objects");
  }

  template <typename T>
  bool Keep(std::vector<T>& stack, size_t first, Tree& out, Tree::Kind kind) {
    const size_t count = stack.size() - first;
    out.kind_ = kind;
    if (count == 0) return true;
    T* kept = arena_.AllocateArray<T>(count);
    if (kept == nullptr) return OutOfMemory();
    std::copy(stack.begin() + static_cast<ptrdiff_t>(first), stack.end(), kept);
    stack.resize(first);
    out.data_ = kept;
    out.size_ = count;
    return true;
  }

  bool ParseArray(Tree& out, int depth) {
    if (!CheckDepth(depth)) return false;
    const size_t first = elements_.size();
    ++at_;
    SkipSpace();
    if (Peek() == ']') {
      ++at_;
      return Keep(elements_, first, out, Tree::Kind::kArray);
    }
    while (true) {
      Tree element;
      if (!ParseValue(element, depth)) return false;
      elements_.push_back(element);
      SkipSpace();
      const char c = Peek();
      if (c != ',' && c != ']') return Malformed("expected ',' or ']'");
      ++at_;
      if (c == ']') return Keep(elements_, first, out, Tree::Kind::kArray);
      SkipSpace();
    }
  }

  bool ParseObject(Tree& out, int depth) {
    if (!CheckDepth(depth)) return false;
    const size_t first = members_.size();
    ++at_;
    SkipSpace();
    bool more = Peek() != '}';
    if (!more) ++at_;
    while (more) {
      Member member;
      if (!ParseString(member.name)) return false;
      SkipSpace();
      if (Peek() != ':') return Malformed("expected ':'");
      ++at_;
      SkipSpace();
      if (!ParseValue(member.value, depth)) return false;
      members_.push_back(member);
      SkipSpace();
      const char c = Peek();
      if (c != ',' && c != '}') return Malformed("expected ',' or '}'");
      ++at_;
      more = c == ',';
      SkipSpace();
    }
    const auto begin = members_.begin() + static_cast<ptrdiff_t>(first);
    const auto less = [](const Member& a, const Member& b) { return a.name < b.name; };
    if (!std::is_sorted(begin, members_.end(), less)) std::sort(begin, members_.end(), less);
    const auto same = [](const Member& a, const Member& b) { return a.name == b.name; };
    if (std::adjacent_find(begin, members_.end(), same) != members_.end()) {
      return Refuse(Code::kInvalidArgument, "json_duplicate_key",
                    "the object that ends here has two members of the same name");
    }
    return Keep(members_, first, out, Tree::Kind::kObject);
  }

  std::string_view text_;
  Arena& arena_;
  const TreeLimits& limits_;
  size_t at_ = 0;
  Error error_;
  std::string unescaped_;
  std::vector<Tree> elements_;   // of the arrays that are open
  std::vector<Member> members_;  // of the objects that are open
};

Result<Tree> ParseTree(std::string_view text, Arena& arena, const TreeLimits& limits) {
  return TreeParser(text, arena, limits).Parse();
}

void AppendQuoted(std::string& out, std::string_view text) {
  static constexpr char kHex[] = "0123456789abcdef";
  out.push_back('"');
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out.push_back('\\');
      out.push_back(c);
    } else if (byte >= 0x20) {
      out.push_back(c);
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\r') {
      out += "\\r";
    } else if (c == '\t') {
      out += "\\t";
    } else if (c == '\b') {
      out += "\\b";
    } else if (c == '\f') {
      out += "\\f";
    } else {
      out += "\\u00";
      out.push_back(kHex[byte >> 4]);
      out.push_back(kHex[byte & 15]);
    }
  }
  out.push_back('"');
}

void AppendTree(std::string& out, const Tree& tree) {
  switch (tree.kind()) {
    case Tree::Kind::kNull:
      out += "null";
      return;
    case Tree::Kind::kBool:
      out += tree.bool_value() ? "true" : "false";
      return;
    case Tree::Kind::kNumber:
      out += tree.text();
      return;
    case Tree::Kind::kString:
      AppendQuoted(out, tree.text());
      return;
    case Tree::Kind::kArray: {
      out.push_back('[');
      bool first = true;
      for (const Tree& element : tree.elements()) {
        if (!first) out.push_back(',');
        first = false;
        AppendTree(out, element);
      }
      out.push_back(']');
      return;
    }
    case Tree::Kind::kObject: {
      out.push_back('{');
      bool first = true;
      for (const Member& member : tree.members()) {
        if (!first) out.push_back(',');
        first = false;
        AppendQuoted(out, member.name);
        out.push_back(':');
        AppendTree(out, member.value);
      }
      out.push_back('}');
      return;
    }
  }
}

}  // namespace aegis::json
