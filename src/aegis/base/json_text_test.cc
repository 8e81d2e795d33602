#include "aegis/base/json_text.h"

#include <gtest/gtest.h>

#include "aegis/base/text.h"

namespace aegis {
namespace {

std::string Quoted(std::string_view text, size_t max_bytes = SIZE_MAX) {
  std::string out;
  AppendJsonText(out, text, max_bytes);
  return out;
}

TEST(JsonTextTest, EscapesAsCanonicalJsonWants) {
  EXPECT_EQ(Quoted(""), "\"\"");
  EXPECT_EQ(Quoted("plain / text"), "\"plain / text\"");
  EXPECT_EQ(Quoted("\"\\\b\t\n\f\r"), R"("\"\\\b\t\n\f\r")");
  EXPECT_EQ(Quoted(std::string_view("\0\x1f\x7f", 3)), "\"\\u0000\\u001f\x7f\"");
  EXPECT_EQ(Quoted("Zürich €5 😀"), "\"Zürich €5 😀\"");
}

TEST(JsonTextTest, ReplacesWhatIsNotUtf8) {
  const std::string_view bad[] = {"\x80",         "\xff",         "\xc0\xaf",         "\xc3",
                                  "\xed\xa0\x80", "\xe0\x80\x80", "\xf4\x90\x80\x80", "\xe2\x82"};
  for (std::string_view text : bad) {
    std::string expected = "\"a";
    for (size_t i = 0; i < text.size(); ++i) expected += "\xef\xbf\xbd";
    expected += "b\"";
    EXPECT_EQ(Quoted("a" + std::string(text) + "b"), expected);
  }
}

TEST(JsonTextTest, CutsAtACharacter) {
  EXPECT_EQ(Quoted("abcd", 4), "\"abcd\"");
  EXPECT_EQ(Quoted("abcde", 4), "\"abcd…\"");
  EXPECT_EQ(Quoted("ab€d", 4), "\"ab…\"");
  EXPECT_EQ(Quoted("ab€d", 5), "\"ab€…\"");
  EXPECT_EQ(Quoted("a😀b", 2), "\"a…\"");
  const std::string mixed = "aé€😀\"\x01";
  for (size_t limit = 0; limit <= mixed.size(); ++limit) {
    const std::string out = Quoted(mixed, limit);
    EXPECT_TRUE(IsValidUtf8(out)) << limit;
    EXPECT_EQ(out.find("\xef\xbf\xbd"), std::string::npos) << limit;
  }
}

}  // namespace
}  // namespace aegis
