// Functions of strings. Positions and lengths count code points, as in OPA.
#include <algorithm>
#include <string>
#include <vector>

#include "aegis/rego/builtins/operands.h"
#include "aegis/rego/builtins/unicode.h"
#include "aegis/rego/table.h"

namespace aegis::rego {
namespace {

Value Concat(BuiltinContext& context, const Value* args) {
  AEGIS_STRING_ARG(separator, 0);
  if (!args[1].is_array() && !args[1].is_set()) {
    return context.WrongType(2, "one of {set, array}", args[1]);
  }
  const std::span<const Value> parts = args[1].elements();
  size_t size = 0;
  for (const Value part : parts) {
    if (!part.is_string()) return context.WrongType(2, "set or array of strings", part);
    size += part.string_value().size() + separator.size();
  }
  if (parts.empty()) return MakeStringView("");
  if (parts.size() == 1) return parts[0];
  size -= separator.size();
  char* const text = static_cast<char*>(context.arena().Allocate(size, 1));
  if (text == nullptr) return Value();
  char* at = text;
  for (size_t i = 0; i < parts.size(); ++i) {
    if (i > 0) at = std::copy(separator.begin(), separator.end(), at);
    const std::string_view part = parts[i].string_value();
    at = std::copy(part.begin(), part.end(), at);
  }
  return MakeStringView(std::string_view(text, size));
}

Value Contains(BuiltinContext& context, const Value* args) {
  AEGIS_STRING_ARG(text, 0);
  AEGIS_STRING_ARG(wanted, 1);
  return Value::Bool(text.find(wanted) != text.npos);
}

Value StartsWith(BuiltinContext& context, const Value* args) {
  AEGIS_STRING_ARG(text, 0);
  AEGIS_STRING_ARG(prefix, 1);
  return Value::Bool(text.starts_with(prefix));
}

Value EndsWith(BuiltinContext& context, const Value* args) {
  AEGIS_STRING_ARG(text, 0);
  AEGIS_STRING_ARG(suffix, 1);
  return Value::Bool(text.ends_with(suffix));
}

template <bool upper>
Value MapCase(BuiltinContext& context, const Value* args) {
  AEGIS_STRING_ARG(text, 0);
  const auto changes = [](char c) { return c >= (upper ? 'a' : 'A') && c <= (upper ? 'z' : 'Z'); };
  if (IsAscii(text)) {
    if (std::none_of(text.begin(), text.end(), changes)) return args[0];
    char* const mapped = context.arena().AllocateArray<char>(text.size());
    if (mapped == nullptr) return Value();
    std::transform(text.begin(), text.end(), mapped,
                   [&](char c) { return static_cast<char>(changes(c) ? c ^ ' ' : c); });
    return MakeStringView({mapped, text.size()});
  }
  std::string mapped;
  mapped.reserve(text.size());
  std::string_view left = text;
  for (size_t size; !left.empty(); left.remove_prefix(size)) {
    const uint32_t rune = DecodeRune(left, size);
    AppendRune(mapped, upper ? UpperRune(rune) : LowerRune(rune));
  }
  return mapped == text ? args[0] : String(context, mapped);
}

// Pieces between separators; characters when the separator is empty. At most `limit` pieces.
std::vector<std::string_view> Pieces(std::string_view text, std::string_view separator,
                                     size_t limit = SIZE_MAX) {
  std::vector<std::string_view> pieces;
  if (separator.empty()) {
    for (size_t size; !text.empty(); text.remove_prefix(size)) {
      if (pieces.size() + 1 == limit) {
        pieces.push_back(text);
        break;
      }
      DecodeRune(text, size);
      pieces.push_back(text.substr(0, size));
    }
    return pieces;
  }
  while (pieces.size() + 1 < limit) {
    const size_t at = text.find(separator);
    if (at == text.npos) break;
    pieces.push_back(text.substr(0, at));
    text.remove_prefix(at + separator.size());
  }
  if (limit > 0) pieces.push_back(text);
  return pieces;
}

Value ArrayOf(BuiltinContext& context, std::span<const std::string_view> pieces) {
  ArrayBuilder array(context.arena(), pieces.size());
  // The pieces are parts of an argument, which lives as long as the result.
  for (const std::string_view piece : pieces) array.Add(MakeStringView(piece));
  return array.Build();
}

Value Split(BuiltinContext& context, const Value* args) {
  AEGIS_STRING_ARG(text, 0);
  AEGIS_STRING_ARG(separator, 1);
  if (separator.size() != 1) return ArrayOf(context, Pieces(text, separator));
  Value few[16];
  size_t count = 0;
  std::string_view left = text;
  while (count < std::size(few)) {
    const size_t at = left.find(separator[0]);
    few[count++] = MakeStringView(left.substr(0, at));
    if (at == left.npos) return internal::ArrayOf(context.arena(), {few, count});
    left.remove_prefix(at + 1);
  }
  return ArrayOf(context, Pieces(text, separator));
}

// The first n pieces, or with a negative n the last -n.
Value SplitN(BuiltinContext& context, const Value* args) {
  AEGIS_STRING_ARG(text, 0);
  AEGIS_STRING_ARG(separator, 1);
  AEGIS_INT_ARG(n, 2);
  if (n < 0) {
    const std::vector<std::string_view> pieces = Pieces(text, separator);
    const std::span<const std::string_view> all = pieces;
    const size_t wanted = std::min<size_t>(all.size(), ~static_cast<uint64_t>(n) + 1);
    return ArrayOf(context, all.last(wanted));
  }
  const size_t limit = n == INT64_MAX ? SIZE_MAX : static_cast<size_t>(n) + 1;
  const std::vector<std::string_view> pieces = Pieces(text, separator, limit);
  const std::span<const std::string_view> all = pieces;
  return ArrayOf(context, all.first(std::min(all.size(), static_cast<size_t>(n))));
}

constexpr size_t kMaxText = size_t{64} << 20;

// Go's strings.Replacer: from left to right without overlaps, of several keys that fit the first.
Value ReplaceAll(BuiltinContext& context, Value original,
                 std::span<const std::pair<std::string_view, std::string_view>> pairs) {
  const std::string_view text = original.string_value();
  if (!context.Charge(text.size() / 16 * (1 + pairs.size()))) return Value();
  std::string out;
  size_t copied = 0;
  bool last_was_empty = false;
  for (size_t at = 0; at <= text.size();) {
    const auto found = std::find_if(pairs.begin(), pairs.end(), [&](const auto& pair) {
      return text.substr(at).starts_with(pair.first) && !(pair.first.empty() && last_was_empty);
    });
    if (found == pairs.end()) {
      last_was_empty = false;
      ++at;
      continue;
    }
    last_was_empty = found->first.empty();
    out.append(text, copied, at - copied);
    out += found->second;
    at += found->first.size();
    copied = at;
    if (out.size() > kMaxText) return context.Error("the text becomes too long");
  }
  if (copied == 0 && out.empty()) return original;
  if (copied < text.size()) out.append(text, copied);
  return String(context, out);
}

Value Replace(BuiltinContext& context, const Value* args) {
  AEGIS_TYPED_ARG(0, is_string, "string");
  AEGIS_STRING_ARG(old, 1);
  AEGIS_STRING_ARG(replacement, 2);
  const std::pair<std::string_view, std::string_view> pair(old, replacement);
  return ReplaceAll(context, args[0], {&pair, 1});
}

Value ReplaceN(BuiltinContext& context, const Value* args) {
  AEGIS_TYPED_ARG(0, is_object, "object");
  AEGIS_TYPED_ARG(1, is_string, "string");
  std::vector<std::pair<std::string_view, std::string_view>> pairs;
  for (const Member& member : args[0].members()) {
    if (!member.key.is_string()) {
      return context.TypeError("operand 1 non-string key found in pattern object");
    }
    if (!member.value.is_string()) {
      return context.TypeError("operand 1 non-string value found in pattern object");
    }
    pairs.emplace_back(member.key.string_value(), member.value.string_value());
  }
  return ReplaceAll(context, args[1], pairs);
}

int64_t CountBetween(std::string_view text, size_t from, size_t to) {
  return static_cast<int64_t>(CountRunes(text.substr(from, to - from)));
}

Value IndexOf(BuiltinContext& context, const Value* args) {
  AEGIS_STRING_ARG(text, 0);
  AEGIS_STRING_ARG(wanted, 1);
  if (wanted.empty()) return context.Error("empty search character");
  const size_t at = text.find(wanted);
  return Value::Int(at == text.npos ? -1 : CountBetween(text, 0, at));
}

Value IndexOfN(BuiltinContext& context, const Value* args) {
  AEGIS_STRING_ARG(text, 0);
  AEGIS_STRING_ARG(wanted, 1);
  if (wanted.empty()) return context.Error("empty search character");
  ArrayBuilder found(context.arena());
  int64_t position = 0;
  size_t from = 0;
  for (size_t at = text.find(wanted); at != text.npos; at = text.find(wanted, at + 1)) {
    position += CountBetween(text, from, at);
    from = at;
    found.Add(Value::Int(position));
  }
  return found.Build();
}

// The byte where code point `count` of `text` starts, or its end.
size_t Skip(std::string_view text, int64_t count) {
  size_t at = 0;
  for (size_t size; count > 0 && at < text.size(); --count, at += size) {
    DecodeRune(text.substr(at), size);
  }
  return at;
}

Value Substring(BuiltinContext& context, const Value* args) {
  AEGIS_STRING_ARG(text, 0);
  AEGIS_INT_ARG(start, 1);
  AEGIS_INT_ARG(length, 2);
  if (start < 0) return context.Error("negative offset");
  const std::string_view rest = text.substr(Skip(text, start));
  return MakeStringView(length < 0 ? rest : rest.substr(0, Skip(rest, length)));
}

Value StringsCount(BuiltinContext& context, const Value* args) {
  AEGIS_STRING_ARG(text, 0);
  AEGIS_STRING_ARG(wanted, 1);
  if (wanted.empty()) return Value::Int(static_cast<int64_t>(CountRunes(text)) + 1);
  int64_t count = 0;
  for (size_t at = text.find(wanted); at != text.npos; at = text.find(wanted, at + wanted.size())) {
    ++count;
  }
  return Value::Int(count);
}

Value StringsReverse(BuiltinContext& context, const Value* args) {
  AEGIS_STRING_ARG(text, 0);
  std::string reversed(text.size(), '\0');
  size_t at = 0;
  for (size_t size; at < text.size(); at += size) {
    DecodeRune(text.substr(at), size);
    std::copy_n(text.begin() + static_cast<ptrdiff_t>(at), size,
                reversed.end() - static_cast<ptrdiff_t>(at + size));
  }
  return String(context, reversed);
}

template <typename Drop>
std::string_view TrimLeft(std::string_view text, Drop drop) {
  for (size_t size; !text.empty(); text.remove_prefix(size)) {
    if (!drop(DecodeRune(text, size))) break;
  }
  return text;
}

template <typename Drop>
std::string_view TrimRight(std::string_view text, Drop drop) {
  while (!text.empty()) {
    size_t start = text.size() - 1;
    while (start > 0 && text.size() - start < 4 && (text[start] & 0xc0) == 0x80) --start;
    size_t size;
    uint32_t rune = DecodeRune(text.substr(start), size);
    if (start + size != text.size()) {
      start = text.size() - 1;
      rune = kReplacementRune;
    }
    if (!drop(rune)) break;
    text.remove_suffix(text.size() - start);
  }
  return text;
}

template <bool left, bool right>
Value Trim(BuiltinContext& context, const Value* args) {
  AEGIS_STRING_ARG(text, 0);
  AEGIS_STRING_ARG(cutset, 1);
  if (IsAscii(cutset)) {
    // Such a byte is no part of a longer character.
    size_t begin = 0, end = text.size();
    const auto is_dropped = [&](size_t at) { return cutset.find(text[at]) != cutset.npos; };
    while (left && begin < end && is_dropped(begin)) ++begin;
    while (right && end > begin && is_dropped(end - 1)) --end;
    return MakeStringView(text.substr(begin, end - begin));
  }
  const std::vector<uint32_t> dropped = Runes(cutset);
  const auto drop = [&](uint32_t rune) {
    return std::find(dropped.begin(), dropped.end(), rune) != dropped.end();
  };
  std::string_view kept = text;
  if (left) kept = TrimLeft(kept, drop);
  if (right) kept = TrimRight(kept, drop);
  return MakeStringView(kept);
}

Value TrimPrefix(BuiltinContext& context, const Value* args) {
  AEGIS_STRING_ARG(text, 0);
  AEGIS_STRING_ARG(prefix, 1);
  return text.starts_with(prefix) ? MakeStringView(text.substr(prefix.size())) : args[0];
}

Value TrimSuffix(BuiltinContext& context, const Value* args) {
  AEGIS_STRING_ARG(text, 0);
  AEGIS_STRING_ARG(suffix, 1);
  return text.ends_with(suffix) ? MakeStringView(text.substr(0, text.size() - suffix.size()))
                                : args[0];
}

Value TrimSpace(BuiltinContext& context, const Value* args) {
  AEGIS_STRING_ARG(text, 0);
  return MakeStringView(TrimRight(TrimLeft(text, IsSpaceRune), IsSpaceRune));
}

template <bool suffix>
Value AnyAffix(BuiltinContext& context, const Value* args) {
  for (int i = 0; i < 2; ++i) {
    if (args[i].is_string()) continue;
    if (!args[i].is_array() && !args[i].is_set()) {
      return context.WrongType(i + 1, "one of {string, set, array}", args[i]);
    }
    for (const Value element : args[i].elements()) {
      if (!element.is_string()) return context.WrongType(i + 1, "collection of strings", element);
    }
  }
  const auto list = [](const Value& value) {
    return value.is_string() ? std::span<const Value>(&value, 1) : value.elements();
  };
  const std::span<const Value> texts = list(args[0]), affixes = list(args[1]);
  if (!context.Charge(texts.size() * affixes.size() / 4)) return Value();
  for (const Value text : texts) {
    for (const Value affix : affixes) {
      const bool fits = suffix ? text.string_value().ends_with(affix.string_value())
                               : text.string_value().starts_with(affix.string_value());
      if (fits) return Value::Bool(true);
    }
  }
  return Value::Bool(false);
}

constexpr Builtin kBuiltins[] = {
    {"concat", 2, Concat},
    {"contains", 2, Contains},
    {"startswith", 2, StartsWith},
    {"endswith", 2, EndsWith},
    {"lower", 1, MapCase<false>},
    {"upper", 1, MapCase<true>},
    {"split", 2, Split},
    {"strings.split_n", 3, SplitN},
    {"replace", 3, Replace},
    {"strings.replace_n", 2, ReplaceN},
    {"indexof", 2, IndexOf},
    {"indexof_n", 2, IndexOfN},
    {"substring", 3, Substring},
    {"strings.count", 2, StringsCount},
    {"strings.reverse", 1, StringsReverse},
    {"trim", 2, Trim<true, true>},
    {"trim_left", 2, Trim<true, false>},
    {"trim_right", 2, Trim<false, true>},
    {"trim_prefix", 2, TrimPrefix},
    {"trim_suffix", 2, TrimSuffix},
    {"trim_space", 1, TrimSpace},
    {"strings.any_prefix_match", 2, AnyAffix<false>},
    {"strings.any_suffix_match", 2, AnyAffix<true>},
};

}  // namespace

std::span<const Builtin> StringBuiltins() { return kBuiltins; }

}  // namespace aegis::rego
