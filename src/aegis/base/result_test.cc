#include "aegis/base/result.h"

#include <gtest/gtest.h>

namespace aegis {
namespace {

Result<int> Half(int n) {
  if (n % 2 != 0) return Fail(Code::kInvalidArgument, "odd", "n is odd");
  return n / 2;
}

Result<int> Quarter(int n) {
  AEGIS_TRY(int half, Half(n));
  AEGIS_TRY(int quarter, Half(half));
  return quarter;
}

TEST(Result, TryPassesTheValueOrTheError) {
  EXPECT_EQ(*Quarter(8), 2);
  auto failed = Quarter(6);
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().reason, "odd");
  EXPECT_EQ(failed.error().ToString(), "INVALID_ARGUMENT/odd: n is odd");
}

TEST(Result, AnnotatePutsTheContextFirst) {
  EXPECT_EQ(Annotate({Code::kNotFound, "missing", "no such file"}, "policy.yaml").message,
            "policy.yaml: no such file");
}

TEST(Result, BugCountsAndGoesOn) {
  const uint64_t before = BugCount();
  EXPECT_TRUE(AEGIS_BUG(1 + 1 == 2));
  EXPECT_FALSE(AEGIS_BUG(1 + 1 == 3));
  EXPECT_EQ(BugCount(), before + 1);
}

}  // namespace
}  // namespace aegis
