#include "aegis/base/heap.h"

#include <gtest/gtest.h>

#include <cstring>
#include <memory>
#include <vector>

namespace aegis {
namespace {

// Small blocks of which a few stay, so that the heap's end cannot move back over what was freed.
std::vector<std::unique_ptr<char[]>> Scatter() {
  constexpr size_t kBytes = 8 * 1024;
  std::vector<std::unique_ptr<char[]>> blocks;
  for (size_t i = 0; i < 4'000; ++i) {
    blocks.push_back(std::make_unique<char[]>(kBytes));
    std::memset(blocks.back().get(), 1, kBytes);
  }
  for (size_t i = 0; i < blocks.size(); ++i) {
    if (i % 64 != 0) blocks[i].reset();
  }
  return blocks;
}

TEST(HeapTrimmerTest, GivesBackWhatWasFreedAndThenPauses) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "sanitizers have a heap of their own";
#endif
  HeapTrimmer trimmer;
  const auto kept = Scatter();
  EXPECT_TRUE(trimmer.Check(1'000));
  EXPECT_FALSE(trimmer.Check(100'000)) << "nothing is left to give back";
  const auto more = Scatter();
  EXPECT_TRUE(trimmer.Check(200'000));
  const auto too_soon = Scatter();
  EXPECT_FALSE(trimmer.Check(209'999));
  EXPECT_TRUE(trimmer.Check(210'000));
}

}  // namespace
}  // namespace aegis
