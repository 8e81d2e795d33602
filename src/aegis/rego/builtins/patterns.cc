// regex.* and glob.*, on RE2, whose syntax is Go's and which is linear in the text.
#include "aegis/rego/builtins/patterns.h"

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "aegis/rego/builtins/caches.h"
#include "aegis/rego/builtins/operands.h"
#include "aegis/rego/builtins/unicode.h"

namespace aegis::rego {

std::string GoPattern(std::string_view pattern) {
  std::string out;
  bool in_class = false;
  for (size_t i = 0; i < pattern.size(); ++i) {
    const char c = pattern[i];
    out += c;
    if (c == '\\' && i + 1 < pattern.size()) {
      out += pattern[++i];
    } else if (c == '[') {
      in_class = true;
    } else if (c == ']') {
      in_class = false;
    } else if (c == '(' && !in_class && pattern.substr(i + 1).starts_with("?<")) {
      out += "?P<";
      i += 2;
    }
  }
  return out;
}

namespace {

Expression* Regex(BuiltinContext& context, std::string_view pattern) {
  std::string problem;
  Expression* regex = context.caches().Pattern(
      context, PatternKind::kRegex, pattern, [&] { return GoPattern(pattern); }, problem);
  if (regex == nullptr) context.Error("error parsing regexp: " + problem);
  return regex;
}

// Undefined when the steps are used up.
Value Found(BuiltinContext& context, Expression& pattern, std::string_view text) {
  return Value::Bool(pattern.Matches(context, text));
}

Value Match(BuiltinContext& context, const Value* args) {
  AEGIS_STRING_ARG(pattern, 0);
  AEGIS_STRING_ARG(text, 1);
  Expression* const regex = Regex(context, pattern);
  if (regex == nullptr) return Value();
  return Found(context, *regex, text);
}

Value IsValid(BuiltinContext& context, const Value* args) {
  if (!args[0].is_string()) return Value::Bool(false);
  std::string problem;
  const std::string_view pattern = args[0].string_value();
  const Expression* regex = context.caches().Pattern(
      context, PatternKind::kRegex, pattern, [&] { return GoPattern(pattern); }, problem);
  return Value::Bool(regex != nullptr);
}

// Go's Regexp.FindAll: matches from left to right; an empty one right behind another is skipped.
// Calls `found` with each and the first of its groups, `match` long; stops after `limit` (negative:
// none). False when the steps are used up.
template <typename Found>
bool FindAll(BuiltinContext& context, Expression& regex, std::string_view text, int64_t limit,
             std::span<re2::StringPiece> match, Found found) {
  size_t position = 0, last_end = SIZE_MAX;
  while (limit != 0 && position <= text.size()) {
    if (!regex.Find(context, text, position, match)) break;
    const auto start = static_cast<size_t>(match[0].data() - text.data());
    const size_t end = start + match[0].size();
    bool accept = true;
    if (end == start) {
      if (start == last_end) accept = false;
      size_t size = 1;
      if (end < text.size()) DecodeRune(text.substr(end), size);
      position = end + size;
    } else {
      position = end;
    }
    last_end = end;
    if (!accept) continue;
    found();
    if (limit > 0) --limit;
  }
  return context.steps_left() >= 0;
}

std::vector<re2::StringPiece> RoomForGroups(const Expression& regex) {
  return std::vector<re2::StringPiece>(static_cast<size_t>(regex.re2().NumberOfCapturingGroups()) +
                                       1);
}

Value View(const re2::StringPiece& piece) {
  return MakeStringView(piece.data() == nullptr ? std::string_view()
                                                : std::string_view(piece.data(), piece.size()));
}

Value FindN(BuiltinContext& context, const Value* args) {
  AEGIS_STRING_ARG(pattern, 0);
  AEGIS_STRING_ARG(text, 1);
  AEGIS_INT_ARG(limit, 2);
  Expression* const regex = Regex(context, pattern);
  if (regex == nullptr) return Value();
  ArrayBuilder out(context.arena());
  re2::StringPiece match;
  const bool done =
      FindAll(context, *regex, text, limit, {&match, 1}, [&] { out.Add(View(match)); });
  return done ? out.Build() : Value();
}

Value FindAllSubmatchN(BuiltinContext& context, const Value* args) {
  AEGIS_STRING_ARG(pattern, 0);
  AEGIS_STRING_ARG(text, 1);
  AEGIS_INT_ARG(limit, 2);
  Expression* const regex = Regex(context, pattern);
  if (regex == nullptr) return Value();
  ArrayBuilder out(context.arena());
  std::vector<re2::StringPiece> match = RoomForGroups(*regex);
  const bool done = FindAll(context, *regex, text, limit, match, [&] {
    ArrayBuilder groups(context.arena(), match.size());
    for (const re2::StringPiece& group : match) groups.Add(View(group));
    out.Add(groups.Build());
  });
  return done ? out.Build() : Value();
}

Value Split(BuiltinContext& context, const Value* args) {
  AEGIS_STRING_ARG(pattern, 0);
  AEGIS_STRING_ARG(text, 1);
  Expression* const regex = Regex(context, pattern);
  if (regex == nullptr) return Value();
  ArrayBuilder out(context.arena());
  if (!pattern.empty() && text.empty()) {
    out.Add(MakeStringView(""));
    return out.Build();
  }
  size_t begin = 0, end = 0;
  re2::StringPiece match;
  const bool done = FindAll(context, *regex, text, -1, {&match, 1}, [&] {
    const auto start = static_cast<size_t>(match.data() - text.data());
    end = start;
    if (start + match.size() != 0) out.Add(MakeStringView(text.substr(begin, end - begin)));
    begin = start + match.size();
  });
  if (!done) return Value();
  if (end != text.size()) out.Add(MakeStringView(text.substr(begin)));
  return out.Build();
}

bool IsWordByte(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

// Go's Regexp.Expand: $1, ${1}, $name, ${name}, $$.
void Expand(std::string& out, std::string_view format, const RE2& regex,
            const std::vector<re2::StringPiece>& match) {
  while (true) {
    const size_t dollar = format.find('$');
    out += format.substr(0, dollar);
    if (dollar == format.npos) return;
    format.remove_prefix(dollar + 1);
    if (format.starts_with('$')) {
      out += '$';
      format.remove_prefix(1);
      continue;
    }
    const bool braces = format.starts_with('{');
    size_t size = 0;
    const std::string_view rest = format.substr(braces ? 1 : 0);
    while (size < rest.size() && IsWordByte(rest[size])) ++size;
    if (size == 0 || (braces && (size >= rest.size() || rest[size] != '}'))) {
      out += '$';
      continue;
    }
    const std::string name(rest.substr(0, size));
    format.remove_prefix(size + (braces ? 2 : 0));
    size_t group = match.size();
    if (name.find_first_not_of("0123456789") == name.npos) {
      if (name.size() < 9) group = std::stoul(name);
    } else {
      const auto& names = regex.NamedCapturingGroups();
      const auto found = names.find(name);
      if (found != names.end()) group = static_cast<size_t>(found->second);
    }
    if (group < match.size() && match[group].data() != nullptr) {
      out.append(match[group].data(), match[group].size());
    }
  }
}

Value Replace(BuiltinContext& context, const Value* args) {
  AEGIS_STRING_ARG(text, 0);
  AEGIS_STRING_ARG(pattern, 1);
  AEGIS_STRING_ARG(format, 2);
  Expression* const regex = Regex(context, pattern);
  if (regex == nullptr) return Value();
  constexpr size_t kMaxText = size_t{64} << 20;
  Scratch scratch(context);
  std::string& out = scratch.text();
  size_t copied = 0;
  const auto replace = [&](std::span<re2::StringPiece> match, auto append) {
    return FindAll(context, *regex, text, -1, match, [&] {
      if (out.size() > kMaxText) return;
      const auto start = static_cast<size_t>(match[0].data() - text.data());
      out += text.substr(copied, start - copied);
      append();
      copied = start + match[0].size();
    });
  };
  bool done;
  if (format.find('$') == format.npos) {
    re2::StringPiece match;
    done = replace({&match, 1}, [&] { out += format; });
  } else {
    std::vector<re2::StringPiece> match = RoomForGroups(*regex);
    done = replace(match, [&] { Expand(out, format, regex->re2(), match); });
  }
  if (!done) return Value();
  if (out.size() > kMaxText) return context.Error("the text becomes too long");
  if (copied == 0 && out.empty()) return args[0];
  out += text.substr(copied);
  return String(context, out);
}

void AppendQuoted(std::string& out, std::string_view text) {
  for (const char c : text) {
    if (!IsWordByte(c) && static_cast<unsigned char>(c) < 0x80) out += '\\';
    out += c;
  }
}

// "urn:<[0-9]+>:x" with the delimiters < and >: what is between them is a pattern, all else stands
// for itself. Not a valid pattern when a part is none.
std::string FromTemplate(BuiltinContext& context, std::string_view text, char open, char close) {
  constexpr std::string_view kInvalid = "(";
  int instructions = 0;  // of all parts, which the whole has too
  std::string problem;
  std::string out = "^";
  int level = 0;
  size_t begin = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == open) {
      if (++level > 1) continue;
      AppendQuoted(out, text.substr(begin, i - begin));
      begin = i + 1;
    } else if (text[i] == close) {
      if (--level < 0) break;
      if (level > 0) continue;
      const std::string part = GoPattern(text.substr(begin, i - begin));
      const std::unique_ptr<RE2> compiled = BuiltinCaches::Compile(context, part, problem);
      if (compiled == nullptr) return std::string(kInvalid);
      instructions += compiled->ProgramSize();
      if (instructions > BuiltinCaches::kMaxInstructions) return std::string(kInvalid);
      out += "(" + part + ")";
      begin = i + 1;
    }
  }
  if (level != 0) return std::string(kInvalid);
  AppendQuoted(out, text.substr(begin));
  return out + "$";
}

Value TemplateMatch(BuiltinContext& context, const Value* args) {
  AEGIS_STRING_ARG(text_template, 0);
  AEGIS_STRING_ARG(text, 1);
  AEGIS_STRING_ARG(open, 2);
  AEGIS_STRING_ARG(close, 3);
  if (open.size() != 1 || close.size() != 1) {
    return context.Error("a delimiter has to be exactly one character long");
  }
  Scratch scratch(context);
  std::string& key = scratch.text();
  key.append(open).append(close).append(text_template);
  std::string problem;
  Expression* const regex = context.caches().Pattern(
      context, PatternKind::kTemplate, key,
      [&] { return FromTemplate(context, text_template, open[0], close[0]); }, problem);
  if (regex == nullptr) {
    return context.Error("unbalanced delimiters or an invalid pattern in the template");
  }
  return Found(context, *regex, text);
}

// A glob of github.com/gobwas/glob as a pattern of RE2: * and ? do not pass a separator, ** does;
// [abc], [!a-z], {x,y}, and \ before a character that stands for itself.
class GlobTranslator {
 public:
  GlobTranslator(std::string_view glob, const std::vector<uint32_t>& separators)
      : glob_(glob), any_("(?s:.)") {
    if (separators.empty()) return;
    any_ = "[^";
    for (const uint32_t separator : separators) {
      any_ += "\\x{";
      char buffer[16];
      std::snprintf(buffer, sizeof(buffer), "%x", separator);
      any_ += buffer;
      any_ += '}';
    }
    any_ += ']';
  }

  std::string Run() {
    out_ = "\\A(?:";
    // Each * can be as long as all separators.
    while (at_ < glob_.size() && out_.size() <= BuiltinCaches::kMaxPatternText) One();
    // An open list never matches; an unclosed group is no valid pattern.
    return out_ + ")\\z";
  }

 private:
  void One() {
    const char c = glob_[at_++];
    switch (c) {
      case '*':
        if (at_ < glob_.size() && glob_[at_] == '*') {
          while (at_ < glob_.size() && glob_[at_] == '*') ++at_;
          out_ += "(?s:.*)";
        } else {
          out_ += any_ + "*";
        }
        return;
      case '?':
        out_ += any_;
        return;
      case '[':
        Class();
        return;
      case '{':
        ++depth_;
        out_ += "(?:";
        return;
      case '}':
        if (depth_ == 0) break;
        --depth_;
        out_ += ')';
        return;
      case ',':
        if (depth_ == 0) break;
        out_ += '|';
        return;
      case '\\': {
        size_t size = 0;
        if (at_ < glob_.size()) DecodeRune(glob_.substr(at_), size);
        AppendQuoted(out_, glob_.substr(at_, size));
        at_ += size;
        return;
      }
      default:
        break;
    }
    AppendQuoted(out_, std::string_view(&c, 1));
  }

  void Class() {
    out_ += '[';
    if (at_ < glob_.size() && glob_[at_] == '!') {
      out_ += '^';
      ++at_;
    }
    while (at_ < glob_.size() && glob_[at_] != ']') {
      if (glob_[at_] == '\\' && at_ + 1 < glob_.size()) ++at_;
      const char c = glob_[at_++];
      if (c == '-') {
        out_ += '-';
      } else {
        AppendQuoted(out_, std::string_view(&c, 1));
      }
    }
    if (at_ < glob_.size()) out_ += ']';
    ++at_;
  }

  std::string_view glob_;
  std::string any_;  // one character that is no separator
  std::string out_;
  size_t at_ = 0;
  int depth_ = 0;
};

// The only character of a separator.
std::optional<uint32_t> ReadSeparator(Value value) {
  const std::string_view text = value.string_value();
  if (text.empty()) return std::nullopt;
  size_t size;
  const uint32_t rune = DecodeRune(text, size);
  return size == text.size() ? std::optional(rune) : std::nullopt;
}

Value GlobMatch(BuiltinContext& context, const Value* args) {
  AEGIS_STRING_ARG(glob, 0);
  if (!args[1].is_null() && !args[1].is_array()) {
    return context.WrongType(2, "one of {array, null}", args[1]);
  }
  AEGIS_STRING_ARG(text, 2);
  const std::span<const Value> given = args[1].elements();
  const bool is_default = args[1].is_array() && given.empty();
  // How many separators there are tells where the glob begins.
  Scratch scratch(context);
  std::string& key = scratch.text();
  key += std::to_string(is_default ? 1 : given.size());
  key += is_default ? ":." : ":";
  for (const Value separator : given) {
    const std::optional<uint32_t> rune = ReadSeparator(separator);
    if (!rune) return context.TypeError("operand 2 must be array of single characters");
    AppendRune(key, *rune);
  }
  key += glob;
  const auto translate = [&] {
    std::vector<uint32_t> separators;
    if (is_default) separators.push_back('.');
    for (const Value separator : given) separators.push_back(*ReadSeparator(separator));
    return GlobTranslator(glob, separators).Run();
  };
  std::string problem;
  Expression* const pattern =
      context.caches().Pattern(context, PatternKind::kGlob, key, translate, problem);
  if (pattern == nullptr) return context.Error("the glob is not valid: " + problem);
  return Found(context, *pattern, text);
}

Value GlobQuoteMeta(BuiltinContext& context, const Value* args) {
  AEGIS_STRING_ARG(text, 0);
  std::string out;
  for (const char c : text) {
    if (std::string_view("*?\\[]{}").find(c) != std::string_view::npos) out += '\\';
    out += c;
  }
  return String(context, out);
}

constexpr Builtin kBuiltins[] = {
    {"regex.match", 2, Match},
    {"re_match", 2, Match},
    {"regex.is_valid", 1, IsValid},
    {"regex.find_n", 3, FindN},
    {"regex.find_all_string_submatch_n", 3, FindAllSubmatchN},
    {"regex.split", 2, Split},
    {"regex.replace", 3, Replace},
    {"regex.template_match", 4, TemplateMatch},
    {"glob.match", 3, GlobMatch},
    {"glob.quote_meta", 1, GlobQuoteMeta},
};

}  // namespace

std::span<const Builtin> PatternBuiltins() { return kBuiltins; }

}  // namespace aegis::rego
