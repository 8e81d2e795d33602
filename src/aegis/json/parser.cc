#include "aegis/json/parser.h"

#include <simdjson.h>

#include <bit>
#include <cstring>
#include <new>

namespace aegis::json {

// Only simdjson's first stage is used; its later stages need padding behind the text and lose the
// text of numbers.
struct Parser::Indexer {
  std::unique_ptr<simdjson::internal::dom_parser_implementation> stage;
  size_t capacity = 0;
};

Parser::Parser() : indexer_(std::make_unique<Indexer>()) {}
Parser::~Parser() = default;

tl::unexpected<Error> Parser::At(size_t at, Error error) const {
  error.message += " (at byte " + std::to_string(at) + " of the JSON text)";
  return Fail(std::move(error));
}

tl::unexpected<Error> Parser::Refuse(size_t at, std::string_view what) const {
  return At(at, Error{Code::kInvalidArgument, "json_malformed", std::string(what)});
}

tl::unexpected<Error> Parser::TooMuch(size_t at, std::string_view reason,
                                      std::string_view what) const {
  return At(at, Error{Code::kResourceExhausted, reason, std::string(what)});
}

Status Parser::Index(std::string_view text, const Limits& limits) {
  if (text.size() > limits.max_bytes || text.size() >= simdjson::SIMDJSON_MAXSIZE_BYTES) {
    return Fail(Code::kResourceExhausted, "json_too_large",
                "the JSON text has " + std::to_string(text.size()) + " bytes; at most " +
                    std::to_string(limits.max_bytes) + " are accepted");
  }
  text_ = text;
  if (text.empty()) return Refuse(0, "the JSON text is empty");
  if (text.size() > indexer_->capacity) {
    const size_t wanted = std::max<size_t>(std::bit_ceil(text.size()), 4096);
    const size_t capacity = std::min<size_t>(wanted, simdjson::SIMDJSON_MAXSIZE_BYTES);
    const simdjson::error_code made =
        indexer_->stage == nullptr
            ? simdjson::get_active_implementation()->create_dom_parser_implementation(
                  capacity, 1, indexer_->stage)
            : indexer_->stage->set_capacity(capacity);
    if (made != simdjson::SUCCESS) {
      indexer_->stage.reset();
      indexer_->capacity = 0;
      return Fail(Code::kResourceExhausted, "json_memory",
                  "no memory to parse a JSON text of " + std::to_string(text.size()) + " bytes");
    }
    indexer_->capacity = capacity;
  }
  simdjson::internal::dom_parser_implementation& stage = *indexer_->stage;
  const simdjson::error_code found = stage.stage1(reinterpret_cast<const uint8_t*>(text.data()),
                                                  text.size(), simdjson::stage1_mode::regular);
  switch (found) {
    case simdjson::SUCCESS:
      break;
    case simdjson::UTF8_ERROR:
      return Fail(Code::kInvalidArgument, "json_malformed", "the JSON text is not valid UTF-8");
    case simdjson::UNCLOSED_STRING:
      return Refuse(text.size(), "a string without its closing quote");
    case simdjson::UNESCAPED_CHARS:
      return Fail(Code::kInvalidArgument, "json_malformed",
                  "the JSON text has a control character in a string");
    case simdjson::EMPTY:
      return Refuse(0, "the JSON text has no value");
    default:
      return Fail(Code::kInvalidArgument, "json_malformed", simdjson::error_message(found));
  }
  starts_ = stage.structural_indexes.get();
  start_count_ = stage.n_structural_indexes;
  // simdjson puts the text's length behind the last index; the walk ends there.
  if (AEGIS_BUG(starts_[start_count_] != text.size())) {
    stage.structural_indexes[start_count_] = static_cast<uint32_t>(text.size());
  }
  return Ok();
}

bool Parser::EndsToken(size_t at) const {
  if (at >= text_.size()) return true;
  switch (text_[at]) {
    case ' ':
    case '\t':
    case '\n':
    case '\r':
    case ',':
    case ']':
    case '}':
      return true;
    default:
      return false;
  }
}

bool Parser::ScanWord(size_t& at, std::string_view word) {
  if (text_.substr(at, word.size()) != word || !EndsToken(at + word.size())) {
    problem_ = "expected a JSON value";
    return false;
  }
  at += word.size();
  return true;
}

bool Parser::ScanNumber(size_t& at, std::string_view& out) {
  const char* const begin = text_.data() + at;
  const char* const end = text_.data() + text_.size();
  const char* cursor = begin;
  const auto digit = [&] { return cursor < end && *cursor >= '0' && *cursor <= '9'; };
  const auto fail = [&](std::string_view problem) {
    problem_ = problem;
    at = static_cast<size_t>(cursor - text_.data());
    return false;
  };
  if (*cursor == '-') ++cursor;
  if (!digit()) {
    cursor = begin;
    return fail("expected a JSON value");
  }
  if (*cursor == '0') {
    ++cursor;
  } else {
    while (digit()) ++cursor;
  }
  if (cursor < end && *cursor == '.') {
    ++cursor;
    if (!digit()) return fail("expected a digit");
    while (digit()) ++cursor;
  }
  if (cursor < end && (*cursor == 'e' || *cursor == 'E')) {
    ++cursor;
    if (cursor < end && (*cursor == '+' || *cursor == '-')) ++cursor;
    if (!digit()) return fail("expected a digit");
    while (digit()) ++cursor;
  }
  if (!EndsToken(static_cast<size_t>(cursor - text_.data()))) {
    return fail("a number is followed by something that does not belong to it");
  }
  out = {begin, static_cast<size_t>(cursor - begin)};
  at += out.size();
  return true;
}

namespace {

constexpr uint64_t kOnes = 0x0101010101010101;
constexpr uint64_t kHighs = 0x8080808080808080;

// High bits of bytes that are zero; exact up to and with the first such byte.
uint64_t ZeroBytes(uint64_t word) { return (word - kOnes) & ~word & kHighs; }

// The first '"' or '\\' at or after `at`. There is one: stage one has seen the closing quote.
const char* FindQuoteOrEscape(const char* at, const char* end) {
  while (end - at >= 8) {
    uint64_t word;
    std::memcpy(&word, at, 8);
    const uint64_t found = ZeroBytes(word ^ kOnes * '"') | ZeroBytes(word ^ kOnes * '\\');
    if (found != 0) return at + (std::countr_zero(found) >> 3);
    at += 8;
  }
  while (at < end && *at != '"' && *at != '\\') ++at;
  return at;
}

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

bool ReadHex4(std::string_view text, size_t at, uint32_t& out) {
  if (at + 4 > text.size()) return false;
  out = 0;
  for (size_t i = 0; i < 4; ++i) {
    const int digit = HexDigit(text[at + i]);
    if (digit < 0) return false;
    out = out << 4 | static_cast<uint32_t>(digit);
  }
  return true;
}

void PutUtf8(std::string& out, uint32_t point) {
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
}

}  // namespace

bool Parser::ScanString(size_t& at, std::string_view& out, bool& in_text) {
  const char* const begin = text_.data() + at + 1;
  const char* const end = text_.data() + text_.size();
  const char* const stop = FindQuoteOrEscape(begin, end);
  if (stop < end && *stop == '"') [[likely]] {
    out = {begin, static_cast<size_t>(stop - begin)};
    at += out.size() + 2;
    in_text = true;
    return true;
  }
  in_text = false;
  const size_t plain_from = at + 1;
  at = static_cast<size_t>(stop - text_.data());
  return Unescape(at, plain_from, out);
}

// `at` is the first escape of the string.
bool Parser::Unescape(size_t& at, size_t plain_from, std::string_view& out) {
  const auto fail = [&](std::string_view problem) {
    problem_ = problem;
    return false;
  };
  unescaped_.clear();
  while (true) {
    unescaped_.append(text_, plain_from, at - plain_from);
    if (at >= text_.size()) return fail("a string without its closing quote");
    if (text_[at] == '"') break;
    if (at + 1 >= text_.size()) return fail("a string without its closing quote");
    const char escaped = text_[at + 1];
    size_t length = 2;
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
      case 'u': {
        uint32_t point;
        if (!ReadHex4(text_, at + 2, point)) {
          return fail("expected four hexadecimal digits after \\u");
        }
        length = 6;
        if (point >= 0xd800 && point <= 0xdfff) {
          uint32_t low = 0;
          if (point >= 0xdc00 || text_.substr(at + 6, 2) != "\\u" ||
              !ReadHex4(text_, at + 8, low) || low < 0xdc00 || low > 0xdfff) {
            return fail("a lone surrogate in a string");
          }
          point = 0x10000 + ((point - 0xd800) << 10) + (low - 0xdc00);
          length = 12;
        }
        PutUtf8(unescaped_, point);
        break;
      }
      default:
        return fail("an unknown escape in a string");
    }
    plain_from = at + length;
    const char* const stop =
        FindQuoteOrEscape(text_.data() + plain_from, text_.data() + text_.size());
    at = static_cast<size_t>(stop - text_.data());
  }
  ++at;
  out = unescaped_;
  return true;
}

}  // namespace aegis::json
