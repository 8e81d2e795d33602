// A strict, fast parser of untrusted JSON (RFC 8259) that tells a handler what it meets, so that
// callers build their own values without a tree in between.
//
// simdjson's first stage checks UTF-8 and finds where tokens start, with the widest vectors the
// machine has; the grammar is then checked here, token by token, nothing is left unchecked. Refused
// beyond the grammar: escapes that leave a lone surrogate, anything after the value. Numbers reach
// the handler as they were written. Names that occur twice in an object are the handler's to
// refuse.
//
// Threading: a Parser is scratch memory for one thread at a time; it grows to the largest text seen
// and is reused.
#pragma once

#include <concepts>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "aegis/base/result.h"
#include "aegis/json/limits.h"

namespace aegis::json {

// What a handler must have. Each call returns whether to go on; after false, Parse returns
// handler.error() with the offset. `in_text`: the string had no escapes and is a view into the
// parsed text; otherwise it is valid only during the call.
template <typename T>
concept ParseHandler = requires(T& handler, std::string_view text, bool flag, size_t count) {
  { handler.OnNull() } -> std::same_as<bool>;
  { handler.OnBool(flag) } -> std::same_as<bool>;
  { handler.OnNumber(text) } -> std::same_as<bool>;
  { handler.OnString(text, flag) } -> std::same_as<bool>;
  { handler.OnKey(text, flag) } -> std::same_as<bool>;
  { handler.OnStartObject() } -> std::same_as<bool>;
  { handler.OnEndObject(count) } -> std::same_as<bool>;
  { handler.OnStartArray() } -> std::same_as<bool>;
  { handler.OnEndArray(count) } -> std::same_as<bool>;
  { handler.error() } -> std::same_as<Error>;
};

class Parser {
 public:
  Parser();
  ~Parser();
  Parser(const Parser&) = delete;
  Parser& operator=(const Parser&) = delete;

  // Errors: json_too_large, json_too_deep, json_too_many, json_malformed, each with the offset in
  // bytes; and the handler's.
  template <ParseHandler Handler>
  Status Parse(std::string_view text, const Limits& limits, Handler& handler);

 private:
  struct Indexer;
  struct Open {
    size_t count;  // values or members so far
    bool is_object;
  };

  // Checks size and UTF-8 and fills starts_.
  Status Index(std::string_view text, const Limits& limits);
  // The string whose opening quote is at `at`; moves `at` behind the closing one.
  bool ScanString(size_t& at, std::string_view& out, bool& in_text);
  bool Unescape(size_t& at, size_t plain_from, std::string_view& out);
  // The number at `at`; moves `at` behind it.
  bool ScanNumber(size_t& at, std::string_view& out);
  bool ScanWord(size_t& at, std::string_view word);
  // Whether a number or word that ended at `at` is not glued to something.
  bool EndsToken(size_t at) const;
  tl::unexpected<Error> Refuse(size_t at, std::string_view what) const;
  tl::unexpected<Error> TooMuch(size_t at, std::string_view reason, std::string_view what) const;
  tl::unexpected<Error> At(size_t at, Error error) const;

  template <typename Handler>
  Status ParseScalar(size_t start, Handler& handler);

  std::unique_ptr<Indexer> indexer_;
  std::string_view text_;
  const uint32_t* starts_ = nullptr;  // offsets of tokens, then text_.size()
  size_t start_count_ = 0;
  std::string_view problem_;
  std::string unescaped_;
  std::vector<Open> open_;
};

template <typename Handler>
Status Parser::ParseScalar(size_t start, Handler& handler) {
  size_t at = start;
  bool went_on = false;
  switch (text_[start]) {
    case '"': {
      std::string_view value;
      bool in_text;
      if (!ScanString(at, value, in_text)) return Refuse(at, problem_);
      went_on = handler.OnString(value, in_text);
      break;
    }
    case 't':
      if (!ScanWord(at, "true")) return Refuse(at, problem_);
      went_on = handler.OnBool(true);
      break;
    case 'f':
      if (!ScanWord(at, "false")) return Refuse(at, problem_);
      went_on = handler.OnBool(false);
      break;
    case 'n':
      if (!ScanWord(at, "null")) return Refuse(at, problem_);
      went_on = handler.OnNull();
      break;
    default: {
      std::string_view number;
      if (!ScanNumber(at, number)) return Refuse(at, problem_);
      went_on = handler.OnNumber(number);
    }
  }
  if (!went_on) return At(start, handler.error());
  return Ok();
}

template <ParseHandler Handler>
Status Parser::Parse(std::string_view text, const Limits& limits, Handler& handler) {
  AEGIS_RETURN_IF_ERROR(Index(text, limits));
  open_.clear();
  size_t values = 0;
  const uint32_t* next = starts_;  // the sentinel text_.size() is never consumed
  const auto peek = [&]() -> char { return *next < text_.size() ? text_[*next] : '\0'; };

  // One turn reads one value and then all that may follow it up to the next value.
  while (true) {
    if (*next >= text_.size()) return Refuse(*next, "the text ends where a value must follow");
    const size_t start = *next++;
    if (++values > limits.max_values) return TooMuch(start, "json_too_many", "too many values");
    const char c = text_[start];
    if (c == '{' || c == '[') {
      if (open_.size() >= static_cast<size_t>(limits.max_depth)) {
        return TooMuch(start, "json_too_deep", "too many nested arrays and objects");
      }
      const bool is_object = c == '{';
      if (!(is_object ? handler.OnStartObject() : handler.OnStartArray())) {
        return At(start, handler.error());
      }
      const char first = peek();
      if (first == (is_object ? '}' : ']')) {
        const size_t end = *next++;
        if (!(is_object ? handler.OnEndObject(0) : handler.OnEndArray(0))) {
          return At(end, handler.error());
        }
      } else {
        open_.push_back({0, is_object});
        if (!is_object) continue;
        goto key;
      }
    } else if (Status scalar = ParseScalar(start, handler); !scalar) [[unlikely]] {
      return scalar;
    }
    // A value has ended.
    while (true) {
      if (open_.empty()) {
        if (*next < text_.size()) return Refuse(*next, "something follows the end of the value");
        return Ok();
      }
      Open& top = open_.back();
      ++top.count;
      const char after = peek();
      const size_t at = *next;
      if (after == ',') {
        ++next;
        if (top.is_object) goto key;
        break;
      }
      if (after != (top.is_object ? '}' : ']')) {
        return Refuse(at, top.is_object ? "expected ',' or '}'" : "expected ',' or ']'");
      }
      ++next;
      const Open closed = top;
      open_.pop_back();
      if (!(closed.is_object ? handler.OnEndObject(closed.count)
                             : handler.OnEndArray(closed.count))) {
        return At(at, handler.error());
      }
    }
    continue;

  key:
    if (peek() != '"') return Refuse(*next, "expected a name in quotes");
    const size_t key_at = *next++;
    size_t at = key_at;
    std::string_view name;
    bool in_text;
    if (!ScanString(at, name, in_text)) return Refuse(at, problem_);
    if (!handler.OnKey(name, in_text)) return At(key_at, handler.error());
    if (peek() != ':') return Refuse(*next, "expected ':'");
    ++next;
  }
}

}  // namespace aegis::json
