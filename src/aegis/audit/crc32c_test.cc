#include "aegis/audit/crc32c.h"

#include <gtest/gtest.h>

#include <random>
#include <string>

namespace aegis::audit {
namespace {

TEST(Crc32cTest, KnownValues) {  // RFC 3720 §B.4
  EXPECT_EQ(Crc32c(std::string(32, '\0')), 0x8a9136aau);
  EXPECT_EQ(Crc32c(std::string(32, '\xff')), 0x62a8ab43u);
  EXPECT_EQ(Crc32c("123456789"), 0xe3069283u);
  EXPECT_EQ(Crc32c(""), 0u);
}

TEST(Crc32cTest, FastEqualsPortableInAnyPieces) {
  std::mt19937 random(1);
  for (int i = 0; i < 500; ++i) {
    std::string data(random() % 100, '\0');
    for (char& c : data) c = static_cast<char>(random());
    const size_t cut = random() % (data.size() + 1);
    const std::string_view view = data;
    EXPECT_EQ(Crc32c(view), Crc32cPortable(view));
    EXPECT_EQ(Crc32c(view.substr(cut), Crc32c(view.substr(0, cut))), Crc32c(view));
  }
}

}  // namespace
}  // namespace aegis::audit
