// sprintf, format_int, internal.template_string: Go's fmt for the values that OPA hands to it.
#include <charconv>
#include <cstdio>
#include <string>

#include "aegis/rego/big_number.h"
#include "aegis/rego/builtins/caches.h"
#include "aegis/rego/builtins/operands.h"
#include "aegis/rego/builtins/text.h"
#include "aegis/rego/builtins/unicode.h"
#include "aegis/rego/number.h"
#include "aegis/rego/table.h"

namespace aegis::rego {
namespace {

constexpr int kMaxWidth = 1'000'000;  // Go's fmt ignores what is larger

// An argument as OPA passes it to fmt: int64, *big.Int, float64 or string.
struct Argument {
  enum class Kind { kInt, kBigInt, kFloat, kString } kind = Kind::kString;
  mpz_class integer;
  double real = 0;
  std::string text;
};

Argument MakeArgument(Value value) {
  Argument out;
  if (value.is_string()) {
    out.text = value.string_value();
    return out;
  }
  if (!value.is_number()) {
    AppendRegoText(out.text, value);
    return out;
  }
  char buffer[24];
  const std::string_view text = internal::NumberText(value, buffer);
  out.text = text;
  if (text.find_first_of(".eE") != text.npos) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out.real);
    if (error == std::errc()) out.kind = Argument::Kind::kFloat;
    return out;
  }
  out.kind = value.AsInt64() ? Argument::Kind::kInt : Argument::Kind::kBigInt;
  out.integer = mpz_class(out.text, 10);
  return out;
}

struct Spec {
  bool minus = false, plus = false, sharp = false, space = false, zero = false;
  int width = -1, precision = -1;
};

class Formatter {
 public:
  // Appends to `out`, which is empty.
  Formatter(std::string_view format, std::span<const Value> args, std::string& out)
      : format_(format), args_(args), out_(out) {}

  void Run() {
    while (at_ < format_.size() && out_.size() <= kMaxOutput) {
      const size_t percent = std::min(format_.find('%', at_), format_.size());
      out_.append(format_, at_, percent - at_);
      at_ = percent;
      if (at_ >= format_.size()) break;
      ++at_;
      if (!PlainDirective()) Directive();
    }
    if (!reordered_ && next_ < args_.size()) Extra();
  }
  bool too_long() const { return out_.size() > kMaxOutput; }

 private:
  static constexpr size_t kMaxOutput = size_t{16} << 20;

  char Peek() const { return at_ < format_.size() ? format_[at_] : '\0'; }

  std::optional<int> Digits() {
    if (Peek() < '0' || Peek() > '9') return std::nullopt;
    int value = 0;
    while (Peek() >= '0' && Peek() <= '9') {
      value = std::min(value * 10 + (format_[at_++] - '0'), kMaxWidth + 1);
    }
    return value > kMaxWidth ? std::nullopt : std::optional<int>(value);
  }

  // "[n]": the argument to use next.
  bool ArgumentNumber() {
    if (Peek() != '[') return true;
    reordered_ = true;
    const size_t close = format_.find(']', at_);
    if (close == format_.npos) {
      ++at_;
      return false;
    }
    ++at_;
    const std::optional<int> number = Digits();
    const bool ok =
        number && at_ == close && *number >= 1 && static_cast<size_t>(*number) <= args_.size();
    at_ = close + 1;
    if (ok) next_ = static_cast<size_t>(*number - 1);
    return ok;
  }

  // '*': a width or precision from the arguments.
  std::optional<int> Star() {
    if (next_ >= args_.size()) return std::nullopt;
    const std::optional<int64_t> value = args_[next_++].AsInt64();
    if (!value || *value > kMaxWidth || *value < -kMaxWidth) return std::nullopt;
    return static_cast<int>(*value);
  }

  // What most directives are: a verb without flags for what it is meant for. False if it is not.
  bool PlainDirective() {
    if (next_ >= args_.size()) return false;
    const Value value = args_[next_];
    const char verb = Peek();
    if (value.is_string() && (verb == 's' || verb == 'v')) {
      out_ += value.string_value();
    } else if (value.is_string() && verb == 'q') {
      AppendGoQuoted(out_, value.string_value());
    } else if (value.is_int() && (verb == 'd' || verb == 'v')) {
      char buffer[24];
      const auto [end, error] = std::to_chars(buffer, buffer + sizeof(buffer), value.int_value());
      out_.append(buffer, end);
    } else if (!value.is_number() && !value.is_string() && (verb == 'v' || verb == 's')) {
      AppendRegoText(out_, value);
    } else {
      return false;
    }
    ++at_;
    ++next_;
    return true;
  }

  void Directive() {
    Spec spec;
    bool good = true;
    for (;; ++at_) {
      const char c = Peek();
      if (c == '-') {
        spec.minus = true;
      } else if (c == '+') {
        spec.plus = true;
      } else if (c == '#') {
        spec.sharp = true;
      } else if (c == ' ') {
        spec.space = true;
      } else if (c == '0') {
        spec.zero = true;
      } else {
        break;
      }
    }
    good = ArgumentNumber() && good;
    if (Peek() == '*') {
      ++at_;
      if (const std::optional<int> width = Star()) {
        spec.width = *width < 0 ? -*width : *width;
        if (*width < 0) spec.minus = true;
      } else {
        out_ += "%!(BADWIDTH)";
      }
    } else if (const std::optional<int> width = Digits()) {
      spec.width = *width;
    }
    if (Peek() == '.') {
      ++at_;
      good = ArgumentNumber() && good;
      if (Peek() == '*') {
        ++at_;
        const std::optional<int> precision = Star();
        if (!precision || *precision < 0) {
          if (!precision) out_ += "%!(BADPREC)";
        } else {
          spec.precision = *precision;
        }
      } else {
        spec.precision = Digits().value_or(0);
      }
    }
    good = ArgumentNumber() && good;
    if (at_ >= format_.size()) {
      out_ += "%!(NOVERB)";
      return;
    }
    size_t size;
    const uint32_t verb = DecodeRune(format_.substr(at_), size);
    at_ += size;
    if (verb == '%') {
      out_ += '%';
    } else if (!good) {
      Bad(verb, "(BADINDEX)");
    } else if (next_ >= args_.size()) {
      Bad(verb, "(MISSING)");
    } else {
      const Argument argument = MakeArgument(args_[next_++]);
      if (spec.minus) spec.zero = false;
      Print(verb, spec, argument);
    }
  }

  void Bad(uint32_t verb, std::string_view what) {
    out_ += "%!";
    AppendRune(out_, verb);
    out_ += what;
  }

  static std::string_view TypeOf(const Argument& argument) {
    switch (argument.kind) {
      case Argument::Kind::kInt:
        return "int64";
      case Argument::Kind::kBigInt:
        return "*big.Int";
      case Argument::Kind::kFloat:
        return "float64";
      case Argument::Kind::kString:
        break;
    }
    return "string";
  }

  // %!verb(type=value)
  void BadVerb(uint32_t verb, const Argument& argument) {
    out_ += "%!";
    AppendRune(out_, verb);
    out_ += '(';
    if (argument.kind == Argument::Kind::kBigInt) {
      out_ += "big.Int=" + argument.text + ")";
      return;
    }
    out_ += TypeOf(argument);
    out_ += '=';
    Print('v', Spec(), argument);
    out_ += ')';
  }

  void Extra() {
    out_ += "%!(EXTRA ";
    for (size_t i = next_; i < args_.size(); ++i) {
      if (i > next_) out_ += ", ";
      const Argument argument = MakeArgument(args_[i]);
      out_ += TypeOf(argument);
      out_ += '=';
      Print('v', Spec(), argument);
    }
    out_ += ')';
  }

  void Pad(const Spec& spec, std::string_view text, bool zeros = false) {
    const auto width = static_cast<size_t>(std::max(spec.width, 0));
    const size_t length = CountRunes(text);
    const size_t fill = width > length ? width - length : 0;
    if (spec.minus) {
      out_ += text;
      out_.append(fill, ' ');
    } else {
      out_.append(fill, zeros && spec.zero ? '0' : ' ');
      out_ += text;
    }
  }

  void Print(uint32_t verb, const Spec& spec, const Argument& argument) {
    if (verb == 'T') {
      Pad(spec, TypeOf(argument));
      return;
    }
    switch (argument.kind) {
      case Argument::Kind::kInt:
      case Argument::Kind::kBigInt:
        PrintInt(verb, spec, argument);
        return;
      case Argument::Kind::kFloat:
        PrintFloat(verb, spec, argument);
        return;
      case Argument::Kind::kString:
        PrintString(verb, spec, argument);
        return;
    }
  }

  static std::string_view FirstRunes(std::string_view text, int count) {
    if (count < 0) return text;
    size_t at = 0;
    for (size_t size; count > 0 && at < text.size(); --count, at += size) {
      DecodeRune(text.substr(at), size);
    }
    return text.substr(0, at);
  }

  void PrintString(uint32_t verb, const Spec& spec, const Argument& argument) {
    const std::string& text = argument.text;
    switch (verb) {
      case 'v':
        if (spec.sharp) {
          std::string quoted;
          AppendGoQuoted(quoted, text);
          Pad(spec, quoted, true);
          return;
        }
        [[fallthrough]];
      case 's':
        Pad(spec, FirstRunes(text, spec.precision), true);
        return;
      case 'q': {
        std::string quoted;
        if (spec.sharp && text.find('`') == text.npos) {
          quoted = "`" + std::string(FirstRunes(text, spec.precision)) + "`";
        } else {
          AppendGoQuoted(quoted, FirstRunes(text, spec.precision));
        }
        Pad(spec, quoted, true);
        return;
      }
      case 'x':
      case 'X': {
        const char* const digits = verb == 'x' ? "0123456789abcdef" : "0123456789ABCDEF";
        const size_t size = spec.precision < 0
                                ? text.size()
                                : std::min(text.size(), static_cast<size_t>(spec.precision));
        std::string hex;
        for (size_t i = 0; i < size; ++i) {
          if (spec.space && i > 0) hex += ' ';
          if (spec.sharp && (spec.space || i == 0)) hex += verb == 'x' ? "0x" : "0X";
          hex += digits[static_cast<unsigned char>(text[i]) >> 4];
          hex += digits[static_cast<unsigned char>(text[i]) & 15];
        }
        Pad(spec, hex, true);
        return;
      }
      default:
        BadVerb(verb, argument);
    }
  }

  void PrintInt(uint32_t verb, const Spec& spec, const Argument& argument) {
    int base = 10;
    std::string_view prefix;
    const bool big = argument.kind == Argument::Kind::kBigInt;
    switch (verb) {
      case 'v':
      case 'd':
        break;
      case 's':
        if (!big) return BadVerb(verb, argument);
        break;
      case 'b':
        base = 2;
        if (spec.sharp) prefix = "0b";
        break;
      case 'o':
      case 'O':
        base = 8;
        if (spec.sharp) prefix = "0";
        if (verb == 'O') prefix = "0o";
        break;
      case 'x':
        base = 16;
        if (spec.sharp) prefix = "0x";
        break;
      case 'X':
        base = -16;
        if (spec.sharp) prefix = "0X";
        break;
      case 'c':
      case 'q':
      case 'U':
        if (big) return BadVerb(verb, argument);
        PrintRune(verb, spec, argument);
        return;
      default:
        BadVerb(verb, argument);
        return;
    }
    std::string digits = mpz_class(abs(argument.integer)).get_str(base);
    const std::string_view sign = argument.integer < 0 ? "-"
                                  : spec.plus          ? "+"
                                  : spec.space         ? " "
                                                       : "";
    if (spec.precision == 0 && argument.integer == 0) digits.clear();
    size_t least = spec.precision > 0 ? static_cast<size_t>(spec.precision) : 0;
    if (spec.zero && spec.precision < 0 && spec.width > 0) {
      const auto width = static_cast<size_t>(spec.width);
      const size_t taken = sign.size() + (big ? prefix.size() : 0);
      least = width > taken ? width - taken : 0;
    }
    if (digits.size() < least) digits.insert(0, least - digits.size(), '0');
    Pad(spec, std::string(sign) + std::string(prefix) + digits);
  }

  void PrintRune(uint32_t verb, const Spec& spec, const Argument& argument) {
    const bool valid = argument.integer >= 0 && argument.integer <= 0x10ffff;
    const auto rune = valid ? static_cast<uint32_t>(argument.integer.get_ui()) : kReplacementRune;
    std::string text;
    if (verb == 'c') {
      AppendRune(text, rune);
    } else if (verb == 'q') {
      std::string quoted, plain;
      AppendRune(plain, rune);
      AppendGoQuoted(quoted, plain);
      if (rune == '"') quoted = "\"\"\"";
      if (rune == '\'') quoted = "\"\\'\"";
      text = "'" + quoted.substr(1, quoted.size() - 2) + "'";
    } else {
      char buffer[32];
      const int size = std::snprintf(buffer, sizeof(buffer), "U+%04lX", argument.integer.get_ui());
      text.assign(buffer, static_cast<size_t>(size));
    }
    Pad(spec, text);
  }

  // Go's strconv.FormatFloat(value, 'e', -1, 64) and the like, with at least two exponent digits.
  static std::string Float(double value, char form, int precision) {
    char buffer[1100];
    std::to_chars_result result{};
    const auto style = form == 'e'   ? std::chars_format::scientific
                       : form == 'f' ? std::chars_format::fixed
                                     : std::chars_format::general;
    const int limited = std::min(precision, 700);
    if (precision >= 0) {
      result = std::to_chars(buffer, buffer + sizeof(buffer), value, style, limited);
    } else if (form != 'g') {
      result = std::to_chars(buffer, buffer + sizeof(buffer), value, style);
    } else {
      // %e is used if the exponent is below -4 or at least 6, whatever the number of digits.
      result = std::to_chars(buffer, buffer + sizeof(buffer), value, std::chars_format::scientific);
      const std::string_view text(buffer, static_cast<size_t>(result.ptr - buffer));
      const size_t mark = text.find('e');
      int exponent = 0;
      if (mark != text.npos) {
        const size_t digits = mark + (text[mark + 1] == '+' ? 2 : 1);
        std::from_chars(text.data() + digits, text.data() + text.size(), exponent);
      }
      if (exponent >= -4 && exponent < 6) {
        result = std::to_chars(buffer, buffer + sizeof(buffer), value, std::chars_format::fixed);
      }
    }
    return {buffer, static_cast<size_t>(result.ptr - buffer)};
  }

  void PrintFloat(uint32_t verb, const Spec& spec, const Argument& argument) {
    std::string text;
    const int precision = spec.precision;
    switch (verb) {
      case 'v':
      case 'g':
      case 'G':
        text = Float(argument.real, 'g', precision);
        break;
      case 'f':
      case 'F':
        text = Float(argument.real, 'f', precision < 0 ? 6 : precision);
        break;
      case 'e':
      case 'E':
        text = Float(argument.real, 'e', precision < 0 ? 6 : precision);
        break;
      default:
        BadVerb(verb, argument);
        return;
    }
    if (verb == 'G' || verb == 'E') {
      for (char& c : text) {
        if (c == 'e') c = 'E';
      }
    }
    if (text[0] != '-' && spec.plus) text.insert(0, 1, '+');
    if (text[0] != '-' && text[0] != '+' && spec.space) text.insert(0, 1, ' ');
    if (spec.zero && spec.width > 0 && !(text[0] >= '0' && text[0] <= '9')) {
      // The sign comes before the zeros.
      out_ += text[0];
      Spec rest = spec;
      --rest.width;
      Pad(rest, text.substr(1), true);
      return;
    }
    Pad(spec, text, true);
  }

  std::string_view format_;
  std::span<const Value> args_;
  size_t at_ = 0;
  size_t next_ = 0;
  bool reordered_ = false;
  std::string& out_;
};

Value Sprintf(BuiltinContext& context, const Value* args) {
  AEGIS_STRING_ARG(format, 0);
  AEGIS_TYPED_ARG(1, is_array, "array");
  if (!context.Charge(internal::Weight(args[1]) / 4)) return Value();
  Scratch scratch(context);
  Formatter formatter(format, args[1].elements(), scratch.text());
  formatter.Run();
  if (formatter.too_long()) return context.Error("the text becomes too long");
  return String(context, scratch.text());
}

Value FormatInt(BuiltinContext& context, const Value* args) {
  AEGIS_TYPED_ARG(0, is_number, "number");
  AEGIS_TYPED_ARG(1, is_number, "number");
  const int64_t base = args[1].int_value();
  if (base != 2 && base != 8 && base != 10 && base != 16) {
    return context.TypeError("operand 2 must be one of {2, 8, 10, 16}");
  }
  if (args[0].is_int()) {
    char buffer[72];
    const auto [end, error] =
        std::to_chars(buffer, buffer + sizeof(buffer), args[0].int_value(), static_cast<int>(base));
    return String(context, std::string_view(buffer, static_cast<size_t>(end - buffer)));
  }
  const std::string_view text = args[0].big_number()->view();
  const mpz_class integer = text.find_first_of(".eE") == text.npos
                                ? mpz_class(std::string(text), 10)
                                : internal::BigFloat(args[0]).Truncated();
  if (!context.Charge(mpz_size(integer.get_mpz_t()) * 4)) return Value();
  return String(context, integer.get_str(static_cast<int>(base)));
}

Value TemplateString(BuiltinContext& context, const Value* args) {
  AEGIS_TYPED_ARG(0, is_array, "array");
  std::string text;
  for (Value part : args[0].elements()) {
    if (part.is_set()) {
      if (part.size() == 0) {
        text += "<undefined>";
        continue;
      }
      if (part.size() > 1)
        return context.Error("template-strings must not produce multiple outputs");
      part = part.elements()[0];
    } else if (part.is_array() || part.is_object()) {
      return context.Error("illegal argument type: " + std::string(TypeName(part.type())));
    }
    if (part.is_string()) {
      text += part.string_value();
    } else {
      AppendRegoText(text, part);
    }
  }
  return String(context, text);
}

constexpr Builtin kBuiltins[] = {
    {"sprintf", 2, Sprintf},
    {"format_int", 2, FormatInt},
    {"internal.template_string", 1, TemplateString},
};

}  // namespace

void AppendRegoText(std::string& out, Value value) {
  bool first = true;
  const auto separate = [&] {
    if (!first) out += ", ";
    first = false;
  };
  switch (value.type()) {
    case Type::kString:
      AppendGoQuoted(out, value.string_value());
      return;
    case Type::kArray:
    case Type::kSet:
      if (value.is_set() && value.size() == 0) {
        out += "set()";
        return;
      }
      out += value.is_set() ? '{' : '[';
      for (const Value element : value.elements()) {
        separate();
        AppendRegoText(out, element);
      }
      out += value.is_set() ? '}' : ']';
      return;
    case Type::kObject:
      out += '{';
      for (const Member& member : value.members()) {
        separate();
        AppendRegoText(out, member.key);
        out += ": ";
        AppendRegoText(out, member.value);
      }
      out += '}';
      return;
    default:
      AppendJson(value, out);
  }
}

std::span<const Builtin> FormatBuiltins() { return kBuiltins; }

}  // namespace aegis::rego
