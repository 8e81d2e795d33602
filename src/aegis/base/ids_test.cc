#include "aegis/base/ids.h"

#include <gtest/gtest.h>

#include <set>

#include "aegis/base/clock.h"

namespace aegis {
namespace {

TEST(Uuid, VersionVariantAndTimeAreWhereRfc9562PutsThem) {
  UuidGenerator generator;
  const Uuid id = generator.Next(0x0123456789ab);
  EXPECT_TRUE(Uuid::IsValid(id.text()));
  EXPECT_EQ(id.text().substr(0, 13), "01234567-89ab");
  EXPECT_EQ(id.text()[14], '7');
  EXPECT_NE(std::string_view("89ab").find(id.text()[19]), std::string_view::npos);
}

TEST(Uuid, RisesStrictlyEvenWhenTheClockStandsStillOrGoesBack) {
  UuidGenerator generator;
  std::string last;
  for (int i = 0; i < 20'000; ++i) {
    const std::string id = generator.Next(1'000'000 - i % 3).str();
    ASSERT_LT(last, id);
    last = id;
  }
}

TEST(Uuid, RefusesOtherText) {
  for (const char* text :
       {"", "0197c0c2-7d3a-7b2c-9c3e-8d1f2a3b4c5", "0197C0C2-7d3a-7b2c-9c3e-8d1f2a3b4c5d",
        "0197c0c2x7d3a-7b2c-9c3e-8d1f2a3b4c5d"})
    EXPECT_FALSE(Uuid::IsValid(text)) << text;
}

TEST(Clock, FormatsRfc3339) {
  EXPECT_EQ(FormatRfc3339Millis(0), "1970-01-01T00:00:00.000Z");
  EXPECT_EQ(FormatRfc3339Millis(1'795'532'645'123'999'999), "2026-11-24T15:04:05.123Z");
  EXPECT_EQ(FormatRfc3339Millis(-1), "1969-12-31T23:59:59.999Z");
}

}  // namespace
}  // namespace aegis
