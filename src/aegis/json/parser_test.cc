#include "aegis/json/parser.h"

#include <gtest/gtest.h>

#include "aegis/base/arena.h"
#include "aegis/json/tree.h"
#include "aegis/json/writer.h"

namespace aegis::json {
namespace {

// Writes down what the parser tells.
struct Recorder {
  bool OnNull() { return Put("null"); }
  bool OnBool(bool value) { return Put(value ? "true" : "false"); }
  bool OnNumber(std::string_view text) { return Put(text); }
  bool OnString(std::string_view text, bool in_text) {
    AppendString(out, text);
    out += in_text ? "" : "*";
    out += ' ';
    return true;
  }
  bool OnKey(std::string_view text, bool in_text) {
    OnString(text, in_text);
    return Put(":");
  }
  bool OnStartObject() { return Put("{"); }
  bool OnEndObject(size_t count) { return Put(std::to_string(count) + "}"); }
  bool OnStartArray() { return Put("["); }
  bool OnEndArray(size_t count) { return Put(std::to_string(count) + "]"); }
  Error error() { return {Code::kAborted, "stopped", "stopped"}; }
  bool Put(std::string_view text) {
    out += text;
    out += ' ';
    return out.size() < stop_after;
  }
  std::string out;
  size_t stop_after = SIZE_MAX;
};

std::string Told(std::string_view text, const Limits& limits = {}) {
  Parser parser;
  Recorder recorder;
  const Status status = parser.Parse(text, limits, recorder);
  if (!status) return std::string(status.error().reason);
  if (!recorder.out.empty()) recorder.out.pop_back();
  return recorder.out;
}

TEST(Parser, TellsWhatIsThere) {
  EXPECT_EQ(Told(R"({"a":[1,-2.50,1e400,true,false,null],"b":{},"c":[]})"),
            R"({ "a" : [ 1 -2.50 1e400 true false null 6] "b" : { 0} "c" : [ 0] 3})");
  EXPECT_EQ(Told(" \n\t\r 12345678901234567890123 "), "12345678901234567890123");
  EXPECT_EQ(Told("\"\""), "\"\"");
  EXPECT_EQ(Told("true"), "true");
  EXPECT_EQ(Told(R"(["a\"\\\/\b\f\n\r\t\u00e9\u20ac\ud83d\ude00"])"),
            "[ \"a\\\"\\\\/\\b\\f\\n\\r\\t\u00e9\u20ac\U0001f600\"* 1]");
  EXPECT_EQ(Told(R"({"a":1,"a":2})"), R"({ "a" : 1 "a" : 2 2})");
}

TEST(Parser, RefusesWhatIsNotJson) {
  for (const std::string_view text : {"",
                                      " ",
                                      "[",
                                      "]",
                                      "{",
                                      "}",
                                      "[1",
                                      "[1,",
                                      "[1,]",
                                      "[,1]",
                                      "[1 2]",
                                      "[1]]",
                                      "[]]",
                                      "1 2",
                                      "1,",
                                      "{\"a\"}",
                                      "{\"a\":}",
                                      "{\"a\":1,}",
                                      "{,}",
                                      "{a:1}",
                                      "{1:1}",
                                      "{\"a\" 1}",
                                      "{\"a\":1 \"b\":2}",
                                      "{\"a\":1]",
                                      "[1}",
                                      "tru",
                                      "truex",
                                      "true1",
                                      "nul",
                                      "nullnull",
                                      "falsey",
                                      "TRUE",
                                      "NaN",
                                      "Infinity",
                                      "-",
                                      "-a",
                                      "+1",
                                      "01",
                                      "-01",
                                      "1.",
                                      ".5",
                                      "1.e5",
                                      "1e",
                                      "1e+",
                                      "0x10",
                                      "1a",
                                      "1\x0b",
                                      "1_000",
                                      "--1",
                                      "\"",
                                      "\"a",
                                      "\"\\\"",
                                      "\"\\x\"",
                                      "\"\\u12\"",
                                      "\"\\u12g4\"",
                                      "\"\\ud800\"",
                                      "\"\\udc00\"",
                                      "\"\\ud800\\u0041\"",
                                      "\"\\ud800\\ud800\"",
                                      "\"\\uD83D\\\"",
                                      "\"a\nb\"",
                                      "\"a\x01\"",
                                      "\"\xff\"",
                                      "\"\xc0\x80\"",
                                      "\"\xed\xa0\x80\"",
                                      "\xef\xbb\xbf{}",
                                      "'a'",
                                      "[1]//c",
                                      "/**/1",
                                      "\"a\"\"b\"",
                                      "\"a\"b",
                                      "[\"a\"b]",
                                      "{\"a\":1}x",
                                      "[1]\x0c",
                                      "[\x0c"
                                      "1]",
                                      "::",
                                      "[:]",
                                      "{\"a\"::1}",
                                      "[1:2]"}) {
    EXPECT_EQ(Told(text), "json_malformed") << text;
  }
  EXPECT_EQ(Told(std::string_view("[1]\0", 4)), "json_malformed");
  EXPECT_EQ(Told(std::string_view("\0", 1)), "json_malformed");
}

TEST(Parser, Limits) {
  EXPECT_EQ(Told("[1,2]", {.max_bytes = 5}), "[ 1 2 2]");
  EXPECT_EQ(Told("[1,2]", {.max_bytes = 4}), "json_too_large");
  EXPECT_EQ(Told("[[1]]", {.max_depth = 2}), "[ [ 1 1] 1]");
  EXPECT_EQ(Told("[[1]]", {.max_depth = 1}), "json_too_deep");
  EXPECT_EQ(Told("[[]]", {.max_depth = 1}), "json_too_deep");
  EXPECT_EQ(Told("1", {.max_depth = 0}), "1");
  EXPECT_EQ(Told("[1,2]", {.max_values = 3}), "[ 1 2 2]");
  EXPECT_EQ(Told("[1,2]", {.max_values = 2}), "json_too_many");
  EXPECT_EQ(Told(std::string(100000, '[')), "json_too_deep");
}

TEST(Parser, HandlersMayStop) {
  Parser parser;
  Recorder recorder;
  recorder.stop_after = 5;
  const Status status = parser.Parse("[1,2,3,4]", {}, recorder);
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().message, "stopped (at byte 3 of the JSON text)");
}

TEST(Parser, OffsetsAreOfTheFault) {
  Parser parser;
  Recorder recorder;
  EXPECT_NE(parser.Parse("[1, 2 3]", {}, recorder).error().message.find("(at byte 6 "),
            std::string::npos);
  EXPECT_NE(parser.Parse(R"(["ab\qc"])", {}, recorder).error().message.find("(at byte 4 "),
            std::string::npos);
}

// Every cut and every changed byte of a text is judged as the tree parser judges it.
TEST(Parser, AgreesWithTheTreeParser) {
  const std::string text =
      R"({"a":[1,-2.5e+3,0,true,false,null,"x\u00e9\ud83d\ude00\n"],"b":{"c":{}},"d":[[],"long enough"]})";
  const std::string bytes = std::string("\"\\{}[],:0-e.tn \n\x01\x80\xc3\0", 20);
  Parser parser;
  const auto same = [&](std::string_view changed) {
    Recorder recorder;
    Arena arena;
    const Status mine = parser.Parse(changed, {}, recorder);
    const Result<Tree> theirs = ParseTree(changed, arena);
    if (!theirs && theirs.error().reason == "json_duplicate_key") return;
    EXPECT_EQ(mine.has_value(), theirs.has_value())
        << changed << (mine ? "" : mine.error().message) << (theirs ? "" : theirs.error().message);
  };
  for (size_t i = 0; i <= text.size(); ++i) same(std::string_view(text).substr(0, i));
  for (size_t i = 0; i < text.size(); ++i) {
    for (const char byte : bytes) {
      std::string changed = text;
      changed[i] = byte;
      same(changed);
      changed = text;
      changed.insert(i, 1, byte);
      same(changed);
    }
    std::string changed = text;
    changed.erase(i, 1);
    same(changed);
  }
}

}  // namespace
}  // namespace aegis::json
