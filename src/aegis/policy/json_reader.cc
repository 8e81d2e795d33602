#include <charconv>

#include "aegis/policy/node_builder.h"

namespace aegis::policy {
namespace {

// Strict RFC 8259, with positions. The json library's parser keeps none, and yaml-cpp is not strict
// JSON (surrogate pairs, control characters, trailing commas).
class JsonReader {
 public:
  JsonReader(const SourceText& source, const SourceLimits& limits, Diagnostics& diagnostics)
      : text_(source.text()), builder_(source, limits, diagnostics) {}

  bool Read(DocumentSink& sink) {
    builder_.StartDocument();
    SkipSpace();
    if (!ReadValue()) return false;
    SkipSpace();
    if (at_ < text_.size()) return Refuse("text after the end of the JSON value");
    sink.OnDocument(builder_.tree());
    return true;
  }

 private:
  bool Refuse(std::string message) {
    builder_.Report(at_, "not valid JSON: " + std::move(message));
    return false;
  }
  char Peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }
  void SkipSpace() {
    while (Peek() == ' ' || Peek() == '\n' || Peek() == '\r' || Peek() == '\t') ++at_;
  }
  uint32_t Offset() const { return static_cast<uint32_t>(at_); }

  // Recursion is bounded by the builder's depth limit.
  bool ReadValue() {
    switch (Peek()) {
      case '{':
        return ReadObject();
      case '[':
        return ReadArray();
      case '"': {
        const uint32_t offset = Offset();
        std::string text;
        return ReadString(text) && Scalar(Node::Kind::kString, offset, text);
      }
      case 't':
        return ReadWord("true", Node::Kind::kBool);
      case 'f':
        return ReadWord("false", Node::Kind::kBool);
      case 'n':
        return ReadWord("null", Node::Kind::kNull);
      default:
        return ReadNumber();
    }
  }

  bool Scalar(Node::Kind kind, uint32_t offset, const std::string& text) {
    return builder_.AddScalar(kind, false, offset, text, text) != nullptr;
  }

  bool ReadWord(std::string_view word, Node::Kind kind) {
    if (text_.substr(at_, word.size()) != word) return Refuse("a value is expected here");
    const uint32_t offset = Offset();
    at_ += word.size();
    return Scalar(kind, offset, std::string(word));
  }

  bool ReadNumber() {
    const size_t start = at_;
    auto digits = [&] {
      const size_t first = at_;
      while (Peek() >= '0' && Peek() <= '9') ++at_;
      return at_ > first;
    };
    if (Peek() == '-') ++at_;
    const bool zero = Peek() == '0';
    const size_t whole = at_;
    if (!digits()) return Refuse("a value is expected here");
    if (zero && at_ - whole > 1) return Refuse("a number must not begin with 0");
    if (Peek() == '.') {
      ++at_;
      if (!digits()) return Refuse("a digit is expected after the decimal point");
    }
    if (Peek() == 'e' || Peek() == 'E') {
      ++at_;
      if (Peek() == '+' || Peek() == '-') ++at_;
      if (!digits()) return Refuse("a digit is expected in the exponent");
    }
    const std::string number(text_.substr(start, at_ - start));
    const std::string problem = NumberProblem(number);
    if (!problem.empty()) {
      builder_.Report(start, "the number '" + number.substr(0, 80) + "' " + problem);
    }
    return Scalar(Node::Kind::kNumber, static_cast<uint32_t>(start), number);
  }

  bool ReadHex(uint32_t& value) {
    if (at_ + 4 > text_.size()) return Refuse("four hexadecimal digits are expected after \\u");
    const char* first = text_.data() + at_;
    const auto [end, error] = std::from_chars(first, first + 4, value, 16);
    if (error != std::errc() || end != first + 4) {
      return Refuse("four hexadecimal digits are expected after \\u");
    }
    at_ += 4;
    return true;
  }

  bool ReadEscape(std::string& out) {
    const char c = Peek();
    static constexpr std::string_view kFrom = "\"\\/bfnrt";
    static constexpr std::string_view kTo = "\"\\/\b\f\n\r\t";
    if (const size_t i = kFrom.find(c); c != '\0' && i != std::string_view::npos) {
      ++at_;
      out += kTo[i];
      return true;
    }
    if (c != 'u') return Refuse("an unknown escape after '\\'");
    ++at_;
    uint32_t code = 0;
    if (!ReadHex(code)) return false;
    if (code >= 0xD800 && code < 0xE000) {
      uint32_t low = 0;
      if (code >= 0xDC00 || text_.substr(at_, 2) != "\\u")
        return Refuse("half of a surrogate pair");
      at_ += 2;
      if (!ReadHex(low)) return false;
      if (low < 0xDC00 || low >= 0xE000) return Refuse("half of a surrogate pair");
      code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
    }
    AppendUtf8(code, out);
    return true;
  }

  static void AppendUtf8(uint32_t code, std::string& out) {
    auto put = [&out](uint32_t byte) { out += static_cast<char>(byte); };
    if (code < 0x80) return put(code);
    if (code < 0x800) {
      put(0xC0 | code >> 6);
      return put(0x80 | (code & 0x3F));
    }
    if (code < 0x10000) {
      put(0xE0 | code >> 12);
    } else {
      put(0xF0 | code >> 18);
      put(0x80 | (code >> 12 & 0x3F));
    }
    put(0x80 | (code >> 6 & 0x3F));
    put(0x80 | (code & 0x3F));
  }

  bool ReadString(std::string& out) {
    ++at_;
    while (true) {
      if (at_ >= text_.size()) return Refuse("a string is not closed");
      const char c = text_[at_];
      if (static_cast<uint8_t>(c) < 0x20) return Refuse("a control character in a string");
      ++at_;
      if (c == '"') return true;
      if (c != '\\') {
        out += c;
      } else if (!ReadEscape(out)) {
        return false;
      }
    }
  }

  bool ReadArray() {
    if (!builder_.OpenList(Offset())) return false;
    ++at_;
    SkipSpace();
    for (bool first = true; Peek() != ']'; first = false) {
      if (!first) {
        if (Peek() != ',') return Refuse("',' or ']' is expected here");
        ++at_;
        SkipSpace();
      }
      if (!ReadValue()) return false;
      SkipSpace();
    }
    ++at_;
    builder_.Close();
    return true;
  }

  bool ReadObject() {
    if (!builder_.OpenMap(Offset())) return false;
    ++at_;
    SkipSpace();
    for (bool first = true; Peek() != '}'; first = false) {
      if (!first) {
        if (Peek() != ',') return Refuse("',' or '}' is expected here");
        ++at_;
        SkipSpace();
      }
      if (Peek() != '"') return Refuse("a key in double quotes is expected here");
      const uint32_t offset = Offset();
      std::string key;
      if (!ReadString(key) || !Scalar(Node::Kind::kString, offset, key)) return false;
      SkipSpace();
      if (Peek() != ':') return Refuse("':' is expected after the key");
      ++at_;
      SkipSpace();
      if (!ReadValue()) return false;
      SkipSpace();
    }
    ++at_;
    builder_.Close();
    return true;
  }

  std::string_view text_;
  NodeBuilder builder_;
  size_t at_ = 0;
};

}  // namespace

bool ReadJson(const SourceText& source, const SourceLimits& limits, DocumentSink& sink,
              Diagnostics& diagnostics) {
  return JsonReader(source, limits, diagnostics).Read(sink);
}

}  // namespace aegis::policy
