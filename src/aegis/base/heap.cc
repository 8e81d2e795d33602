#include "aegis/base/heap.h"

#include <malloc.h>
#include <unistd.h>

#include <cstdio>

namespace aegis {
namespace {

constexpr int kArenas = 2;
constexpr int64_t kPauseMs = 10'000;

// Of the process, without what is mapped from files; 0: not known.
size_t ResidentAnonymousBytes() {
  std::FILE* file = std::fopen("/proc/self/statm", "re");
  if (file == nullptr) return 0;
  unsigned long size = 0, resident = 0, shared = 0;
  const int read = std::fscanf(file, "%lu %lu %lu", &size, &resident, &shared);
  std::fclose(file);
  if (read != 3 || resident < shared) return 0;
  return (resident - shared) * static_cast<size_t>(::sysconf(_SC_PAGESIZE));
}

}  // namespace

void UseFewHeapArenas() { ::mallopt(M_ARENA_MAX, kArenas); }

bool HeapTrimmer::Check(int64_t now_ms) {
  if (now_ms < next_ms_) return false;
  // What was given back counts as free in glibc's figures still; that more is resident than after
  // the last time tells that there is something to give.
  if (::mallinfo2().fordblks < kSurplus) return false;
  if (ResidentAnonymousBytes() < resident_after_ + kSurplus / 2) return false;
  next_ms_ = now_ms + kPauseMs;
  ::malloc_trim(0);
  resident_after_ = ResidentAnonymousBytes();
  return true;
}

}  // namespace aegis
