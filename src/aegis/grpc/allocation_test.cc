// A warm unary call takes no memory from the heap, but what libnghttp2 takes for itself with
// malloc.
#include <gtest/gtest.h>

#include "aegis/base/allocation_testing.h"
#include "aegis/grpc/server_testing.h"

namespace aegis::grpc {
namespace {

TEST(AllocationTest, WarmUnaryCallsAllocateNothing) {
  ServerFixture fixture;
  TestClient client(fixture.Connect());
  client.Credit(0, 1 << 20);
  const std::string message(1'700, 'm');
  const auto calls = [&](int count) {
    for (int i = 0; i < count; ++i) {
      const uint32_t call = client.Start("Echo", {{"grpc-timeout", "10S"}, {"x-test", "y"}});
      client.Message(call, message, true);
      ASSERT_EQ(client.Status(call), "0");
    }
  };
  const auto allocated = [&] {
    size_t count = 0;
    fixture.OnLoop([&] { count = CountedAllocations(); });
    return count;
  };
  calls(50);
  const size_t before = allocated();
  EXPECT_GT(before, 0U);  // it does count
  calls(200);
  EXPECT_EQ(allocated(), before);
}

}  // namespace
}  // namespace aegis::grpc
