#include "aegis/gateway/params.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>

namespace aegis::gateway {
namespace {

// The more of a body is there the more is known; nothing is taken back.
TEST(LookAtBodyTest, DoesNotDependOnHowTheBodyArrives) {
  const std::string_view bodies[] = {
      "{}",
      " \t[1]",
      "\xef\xbb\xbf{}",
      {"\xff\xfe{\0}\0", 6},
      {"\xfe\xff\0{\0}", 6},
      {"\0\0\xfe\xff\0\0\0{", 8},
      {"\0\0\0{", 4},
      "text",
      "\xef\xbb text",
      "\xff text",
  };
  for (const std::string_view body : bodies) {
    const Looks whole = LookAtBody(body);
    EXPECT_NE(whole, Looks::kUnknown) << body;
    for (size_t size = 0; size < body.size(); ++size) {
      const Looks part = LookAtBody(body.substr(0, size));
      EXPECT_TRUE(part == Looks::kUnknown || part == whole) << body << " " << size;
    }
  }
  EXPECT_EQ(LookAtBody("\xef\xbb\xbf{}"), Looks::kLikeJson);
  EXPECT_EQ(LookAtBody("\xef\xbb text"), Looks::kOpaque);
}

}  // namespace
}  // namespace aegis::gateway
