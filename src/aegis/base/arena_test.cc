#include "aegis/base/arena.h"

#include <gtest/gtest.h>

namespace aegis {
namespace {

TEST(Arena, AlignsAndKeepsWhatWasWritten) {
  Arena arena(64);
  std::string_view a = arena.Copy("hello");
  auto* n = arena.New<uint64_t>(7u);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(n) % alignof(uint64_t), 0u);
  for (int i = 0; i < 100; ++i) ASSERT_NE(arena.Allocate(40), nullptr);
  EXPECT_EQ(a, "hello");
  EXPECT_EQ(*n, 7u);
}

TEST(Arena, AWarmArenaReservesNothingMore) {
  Arena arena(256);
  for (int i = 0; i < 50; ++i) arena.Allocate(100);
  const size_t reserved = arena.reserved_bytes();
  for (int round = 0; round < 10; ++round) {
    arena.Reset();
    for (int i = 0; i < 50; ++i) arena.Allocate(100);
  }
  EXPECT_EQ(arena.reserved_bytes(), reserved);
}

TEST(Arena, OversizedBlocksAreFreedByReset) {
  Arena arena(256);
  ASSERT_NE(arena.Allocate(10'000), nullptr);
  EXPECT_GE(arena.reserved_bytes(), 10'000u);
  arena.Reset();
  EXPECT_LT(arena.reserved_bytes(), 10'000u);
}

TEST(Arena, RefusesBeyondTheLimitAndOnOverflow) {
  Arena arena(256, 1024);
  EXPECT_EQ(arena.Allocate(2000), nullptr);
  int got = 0;
  while (arena.Allocate(100)) ++got;
  EXPECT_GT(got, 3);
  EXPECT_LE(got, 10);
  EXPECT_EQ(arena.AllocateArray<uint64_t>(SIZE_MAX / 4), nullptr);
  arena.Reset();
  EXPECT_NE(arena.Allocate(100), nullptr);
}

}  // namespace
}  // namespace aegis
