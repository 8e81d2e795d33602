#include "aegis/grpc/wire.h"

#include <gtest/gtest.h>

namespace aegis::grpc {
namespace {

TEST(WireTest, PrefixIsWrittenAndReadBack) {
  for (const uint32_t size : {0U, 1U, 255U, 256U, 0x01020304U, 0xFFFFFFFFU}) {
    const auto prefix = ReadPrefix(WritePrefix(size).data());
    ASSERT_TRUE(prefix.has_value());
    EXPECT_FALSE(prefix->compressed);
    EXPECT_EQ(prefix->size, size);
  }
  EXPECT_TRUE(ReadPrefix("\x01\x00\x00\x00\x05")->compressed);
  EXPECT_FALSE(ReadPrefix("\x02\x00\x00\x00\x05").has_value());
  EXPECT_FALSE(ReadPrefix("\x80\x00\x00\x00\x05").has_value());
}

TEST(WireTest, TimeoutHasEachUnit) {
  EXPECT_EQ(ParseTimeout("1H"), 3'600'000'000'000);
  EXPECT_EQ(ParseTimeout("2M"), 120'000'000'000);
  EXPECT_EQ(ParseTimeout("3S"), 3'000'000'000);
  EXPECT_EQ(ParseTimeout("100m"), 100'000'000);
  EXPECT_EQ(ParseTimeout("99999999u"), 99'999'999'000);
  EXPECT_EQ(ParseTimeout("0n"), 0);
}

TEST(WireTest, TimeoutBeyondReasonIsCut) {
  EXPECT_EQ(ParseTimeout("99999999H"), int64_t{100} * 365 * 86'400 * 1'000'000'000);
}

TEST(WireTest, MalformedTimeoutIsRefused) {
  for (const std::string_view text :
       {"", "m", "1", "1x", "-1m", "+1m", " 1m", "1 m", "1.5S", "123456789m", "1mm", "0x1m"}) {
    EXPECT_FALSE(ParseTimeout(text).has_value()) << text;
  }
}

TEST(WireTest, MessageIsPercentEncoded) {
  std::string out = "x";
  AppendPercentEncoded("50% of \xC3\xBC\n~", out);
  EXPECT_EQ(out, "x50%25 of %C3%BC%0A~");
}

TEST(WireTest, LongMessageIsCutBetweenCharacters) {
  std::string message(1020, 'a');
  message += "\xC3\xBC and more";
  std::string out;
  AppendPercentEncoded(message, out);
  EXPECT_EQ(out, std::string(1020, 'a'));
  out.clear();
  AppendPercentEncoded(std::string(5000, 'b'), out);
  EXPECT_EQ(out, std::string(1024, 'b'));
}

}  // namespace
}  // namespace aegis::grpc
