#include "aegis/rego/builtins/ascii_program.h"

#include <algorithm>

namespace aegis::rego {
namespace {

using Kind = AsciiInstruction::Kind;

struct CharacterClass {
  std::bitset<128> bytes;
  bool beyond = false;  // all characters that are not ASCII, or none of them

  void AddRange(int from, int to) {
    for (int c = from; c <= to; ++c) bytes.set(static_cast<size_t>(c));
  }
  void Negate() {
    bytes.flip();
    beyond = !beyond;
  }
};

// \d, \w, \s and their opposites.
bool NamedClass(char name, CharacterClass& out) {
  CharacterClass named;
  switch (name) {
    case 'd':
    case 'D':
      named.AddRange('0', '9');
      break;
    case 'w':
    case 'W':
      named.AddRange('0', '9');
      named.AddRange('A', 'Z');
      named.AddRange('a', 'z');
      named.AddRange('_', '_');
      break;
    case 's':
    case 'S':
      for (const char c : std::string_view("\t\n\f\r ")) named.AddRange(c, c);
      break;
    default:
      return false;
  }
  if (name < 'a') named.Negate();
  out.bytes |= named.bytes;
  out.beyond |= named.beyond;
  return true;
}

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

bool IsPunctuation(char c) {
  return (c >= '!' && c <= '/') || (c >= ':' && c <= '@') || (c >= '[' && c <= '`' && c != '_') ||
         (c >= '{' && c <= '~');
}

// Recursive descent. Instructions refer to each other relatively, so that what stands for a part of
// the pattern can be moved and copied. All functions return false when the pattern is not for us.
class Reader {
 public:
  explicit Reader(std::string_view pattern) : pattern_(pattern) {}

  bool Run() {
    bool empty;
    if (!Alternatives(empty) || !AtEnd()) return false;
    return Emit({.kind = Kind::kMatch});
  }
  AsciiProgram Take() { return std::move(program_); }

 private:
  static constexpr int kMaxDepth = 50;

  bool AtEnd() const { return at_ >= pattern_.size(); }
  char Peek(size_t ahead = 0) const {
    return at_ + ahead < pattern_.size() ? pattern_[at_ + ahead] : '\0';
  }
  bool Skip(std::string_view text) {
    if (!pattern_.substr(at_).starts_with(text)) return false;
    at_ += text.size();
    return true;
  }

  bool Emit(const AsciiInstruction& instruction) {
    if (program_.size() >= kMaxAsciiInstructions) return false;
    program_.push_back(instruction);
    return true;
  }
  bool EmitBytes(const CharacterClass& taken) {
    return Emit({.kind = Kind::kBytes, .beyond = taken.beyond, .bytes = taken.bytes});
  }
  bool Insert(size_t at, const AsciiInstruction& instruction) {
    if (program_.size() >= kMaxAsciiInstructions) return false;
    program_.insert(program_.begin() + static_cast<ptrdiff_t>(at), instruction);
    return true;
  }
  int SizeFrom(size_t start) const { return static_cast<int>(program_.size() - start); }

  // `empty`: whether it can match without taking anything.
  bool Alternatives(bool& empty) {
    size_t start = program_.size();
    std::vector<size_t> jumps;  // to behind the last alternative
    if (!Sequence(empty)) return false;
    while (Skip("|")) {
      if (!Insert(start, {.kind = Kind::kSplit, .first = 1, .second = SizeFrom(start) + 2})) {
        return false;
      }
      jumps.push_back(program_.size());
      if (!Emit({.kind = Kind::kJump})) return false;
      start = program_.size();
      bool other_empty;
      if (!Sequence(other_empty)) return false;
      empty |= other_empty;
    }
    for (const size_t jump : jumps) program_[jump].first = SizeFrom(jump);
    return true;
  }

  bool Sequence(bool& empty) {
    empty = true;
    while (!AtEnd() && Peek() != '|' && Peek() != ')') {
      const size_t start = program_.size();
      bool part_empty;
      if (!Part(part_empty) || !Repetition(start, part_empty)) return false;
      empty = empty && part_empty;
    }
    return true;
  }

  bool Part(bool& empty) {
    empty = false;
    const char c = pattern_[at_++];
    CharacterClass taken;
    switch (c) {
      case '(':
        return Group(empty);
      case '[':
        return Class(taken) && EmitBytes(taken);
      case '.':
        taken.AddRange(0, 127);
        taken.beyond = true;
        if (!dot_takes_newline_) taken.bytes.reset('\n');
        return EmitBytes(taken);
      case '^':
      case '$':
        empty = true;
        return Emit({.kind = c == '^' ? Kind::kBegin : Kind::kEnd});
      case '*':
      case '+':
      case '?':
      case '{':  // may stand for itself, but seldom does
        return false;
      case '\\':
        if (Peek() == 'A' || Peek() == 'z') {
          empty = true;
          return Emit({.kind = pattern_[at_++] == 'A' ? Kind::kBegin : Kind::kEnd});
        }
        if (NamedClass(Peek(), taken)) {
          ++at_;
          return EmitBytes(taken);
        }
        --at_;
        break;
      default:
        --at_;
    }
    int character;
    if (!Character(character)) return false;
    taken.AddRange(character, character);
    return EmitBytes(taken);
  }

  bool Group(bool& empty) {
    const bool outer = dot_takes_newline_;
    if (Skip("?s:")) {
      dot_takes_newline_ = true;
    } else if (Skip("?P<")) {
      while (!AtEnd() && Peek() != '>') ++at_;
      ++at_;
    } else if (Peek() == '?' && !Skip("?:")) {
      return false;
    }
    if (++depth_ > kMaxDepth || !Alternatives(empty) || !Skip(")")) return false;
    --depth_;
    dot_takes_newline_ = outer;
    return true;
  }

  // One character that stands for itself or is escaped.
  bool Character(int& out) {
    if (AtEnd()) return false;
    char c = pattern_[at_++];
    if (c == '\\') {
      if (AtEnd()) return false;
      c = pattern_[at_++];
      constexpr std::string_view kLetters = "tnrfva", kMeanings = "\t\n\r\f\v\a";
      if (c == 'x') return Hexadecimal(out);
      if (const size_t known = kLetters.find(c); known != kLetters.npos) {
        out = kMeanings[known];
        return true;
      }
      if (!IsPunctuation(c)) return false;
    }
    out = static_cast<unsigned char>(c);
    return out < 128;
  }

  // What follows \x.
  bool Hexadecimal(int& out) {
    const bool braces = Skip("{");
    out = 0;
    size_t digits = 0;
    for (; HexDigit(Peek()) >= 0 && (braces || digits < 2); ++digits) {
      out = out * 16 + HexDigit(pattern_[at_++]);
      if (out > 127) return false;
    }
    return braces ? digits > 0 && Skip("}") : digits == 2;
  }

  // What follows [.
  bool Class(CharacterClass& out) {
    const bool negated = Skip("^");
    for (bool first = true; first || Peek() != ']'; first = false) {
      if (AtEnd() || (Peek() == '[' && Peek(1) == ':')) return false;
      if (Peek() == '\\' && NamedClass(Peek(1), out)) {
        at_ += 2;
        continue;
      }
      int from, to;
      if (!Character(from)) return false;
      to = from;
      if (Peek() == '-' && Peek(1) != ']') {
        ++at_;
        if (!Character(to)) return false;
      }
      out.AddRange(from, to);
    }
    ++at_;
    if (negated) out.Negate();
    return true;
  }

  // Without zeros in front: with them RE2 takes the braces for themselves.
  bool Number(size_t& out) {
    const size_t start = at_;
    if (Peek() == '0' && Peek(1) >= '0' && Peek(1) <= '9') return false;
    for (out = 0; Peek() >= '0' && Peek() <= '9' && out <= kMaxAsciiInstructions; ++at_) {
      out = out * 10 + static_cast<size_t>(Peek() - '0');
    }
    return at_ > start && out <= kMaxAsciiInstructions;
  }

  // The repetition, if there is one, of what stands from `start` on.
  bool Repetition(size_t start, bool& empty) {
    constexpr size_t kUnlimited = SIZE_MAX;
    size_t least = 0, most = kUnlimited;
    if (Skip("+")) {
      least = 1;
    } else if (Skip("?")) {
      most = 1;
    } else if (Skip("{")) {
      if (!Number(least)) return false;
      most = least;
      if (Skip(",") && Peek() == '}') {
        most = kUnlimited;
      } else if (Peek() != '}' && !Number(most)) {
        return false;
      }
      if (!Skip("}") || least > most || most == 0) return false;
    } else if (!Skip("*")) {
      return true;
    }
    const bool lazy = Skip("?");
    if (empty || (!AtEnd() && std::string_view("*+?{").find(Peek()) != std::string_view::npos)) {
      return false;
    }
    empty = least == 0;
    const AsciiProgram one(program_.begin() + static_cast<ptrdiff_t>(start), program_.end());
    const int size = SizeFrom(start);
    program_.resize(start);
    const auto split = [lazy](int preferred, int other) {
      return AsciiInstruction{.kind = Kind::kSplit,
                              .first = lazy ? other : preferred,
                              .second = lazy ? preferred : other};
    };
    for (size_t i = 0; i < least; ++i) {
      if (!Append(one)) return false;
    }
    if (most == kUnlimited) {
      if (least > 0) return Emit(split(-size, 1));
      return Emit(split(1, size + 2)) && Append(one) &&
             Emit({.kind = Kind::kJump, .first = -size - 1});
    }
    for (size_t left = most - least; left > 0; --left) {
      const size_t skipped = left * static_cast<size_t>(size + 1);
      if (skipped > kMaxAsciiInstructions) return false;
      if (!Emit(split(1, static_cast<int>(skipped))) || !Append(one)) return false;
    }
    return true;
  }

  bool Append(const AsciiProgram& part) {
    if (program_.size() + part.size() > kMaxAsciiInstructions) return false;
    program_.insert(program_.end(), part.begin(), part.end());
    return true;
  }

  std::string_view pattern_;
  size_t at_ = 0;
  int depth_ = 0;
  bool dot_takes_newline_ = false;
  AsciiProgram program_;
};

}  // namespace

std::optional<AsciiProgram> ReadAsciiPattern(std::string_view pattern) {
  Reader reader(pattern);
  if (!reader.Run()) return std::nullopt;
  return reader.Take();
}

}  // namespace aegis::rego
