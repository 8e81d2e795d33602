#include "aegis/base/text.h"

#include <gtest/gtest.h>

#include <array>

namespace aegis {
namespace {

using namespace std::string_view_literals;

TEST(Text, HexRoundTrips) {
  EXPECT_EQ(HexEncode("\x00\xff\x10"sv), "00ff10");
  EXPECT_EQ(HexDecode("00fF10"), "\x00\xff\x10"sv);
  EXPECT_FALSE(HexDecode("0"));
  EXPECT_FALSE(HexDecode("0g"));
}

TEST(Text, Utf8FollowsRfc3629) {
  for (std::string_view good : {""sv, "a"sv, "é"sv, "€"sv, "😀"sv, "\x00"sv, "\xf4\x8f\xbf\xbf"sv})
    EXPECT_TRUE(IsValidUtf8(good)) << HexEncode(good);
  for (std::string_view bad : {"\x80"sv, "\xc0\x80"sv, "\xe0\x80\x80"sv, "\xed\xa0\x80"sv,
                               "\xf4\x90\x80\x80"sv, "\xf8\x88\x80\x80\x80"sv, "\xc3"sv, "\xff"sv})
    EXPECT_FALSE(IsValidUtf8(bad)) << HexEncode(bad);
}

TEST(Text, NearestSpellingFindsTyposAndNothingFarOff) {
  constexpr std::array<std::string_view, 3> keys = {"allowed_tools", "denied_tools", "agent"};
  EXPECT_EQ(NearestSpelling("alowed_tools", keys), "allowed_tools");
  EXPECT_EQ(NearestSpelling("agnet", keys), "agent");
  EXPECT_EQ(NearestSpelling("zzz", keys), std::nullopt);
}

TEST(Text, WildcardStarsOnly) {
  struct Case {
    std::string_view pattern, text;
    bool matches;
  };
  for (const Case& c : std::initializer_list<Case>{{"*", "", true},
                                                   {"*", "a.b/c", true},
                                                   {"", "", true},
                                                   {"", "a", false},
                                                   {"refund_*", "refund_", true},
                                                   {"refund_*", "refund", false},
                                                   {"*_x", "a_x", true},
                                                   {"a*b*c", "a1b2c", true},
                                                   {"a*b*c", "a1c2b", false},
                                                   {"a?c", "abc", false},
                                                   {"[ab]", "a", false},
                                                   {"**a**", "a", true}})
    EXPECT_EQ(MatchesWildcard(c.pattern, c.text), c.matches) << c.pattern << " ~ " << c.text;
}

TEST(Text, BadUtf8IsReplacedByteByByte) {
  EXPECT_EQ(ReplaceBadUtf8("a\xc3\xa9\xf0\x9f\x98\x80"), "a\xc3\xa9\xf0\x9f\x98\x80");
  EXPECT_EQ(ReplaceBadUtf8("\xff\xc3("), "\xef\xbf\xbd\xef\xbf\xbd(");
  EXPECT_EQ(ReplaceBadUtf8("\xe2\x82"), "\xef\xbf\xbd\xef\xbf\xbd");
  EXPECT_EQ(ReplaceBadUtf8(""), "");
}

TEST(Text, SplitAndTrim) {
  EXPECT_EQ(Split("a,,b", ',').size(), 3u);
  EXPECT_EQ(Split("", ',').size(), 1u);
  EXPECT_EQ(Trim(" \ta b\t "), "a b");
  EXPECT_EQ(Trim(" \t"), "");
  EXPECT_TRUE(EqualsIgnoreCase("Content-Length", "content-length"));
  EXPECT_FALSE(EqualsIgnoreCase("a", "ab"));
}

}  // namespace
}  // namespace aegis
