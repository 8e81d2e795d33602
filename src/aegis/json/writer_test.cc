#include "aegis/json/writer.h"

#include <gtest/gtest.h>

namespace aegis::json {
namespace {

std::string Plain(std::string_view text) {
  std::string out;
  AppendString(out, text);
  return out;
}
std::string Go(std::string_view text) {
  std::string out;
  AppendGoString(out, text);
  return out;
}

TEST(Writer, Strings) {
  EXPECT_EQ(Plain(""), R"("")");
  EXPECT_EQ(Plain("a\"b\\c/\b\f\n\r\t"), R"("a\"b\\c/\b\f\n\r\t")");
  EXPECT_EQ(Plain(std::string_view("\0\x1f\x7f<>&", 6)), "\"\\u0000\\u001f\x7f<>&\"");
  EXPECT_EQ(Plain("\u20ac\u2028\U0001f600"), "\"\u20ac\u2028\U0001f600\"");
  EXPECT_EQ(Plain("a\xff\xc3"), "\"a\ufffd\ufffd\"");
}

TEST(Writer, StringsAsGoWritesThem) {
  EXPECT_EQ(Go("a<b>&\x7f\n"), "\"a\\u003cb\\u003e\\u0026\x7f\\n\"");
  EXPECT_EQ(Go("\u20ac\u2028\u2029\U0001f600\u00e9"), "\"\u20ac\\u2028\\u2029\U0001f600\u00e9\"");
  EXPECT_EQ(Go("\xff\xc3x\xed\xa0\x80"), "\"\\ufffd\\ufffdx\\ufffd\\ufffd\\ufffd\"");
}

}  // namespace
}  // namespace aegis::json
