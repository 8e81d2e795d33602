// Gives memory that the process has freed back to the system. Publishing a policy takes many times
// what the policy keeps, and glibc holds on to what was freed.
#pragma once

#include <cstddef>
#include <cstdint>

namespace aegis {

// Few arenas for many threads: calls allocate nothing when warm, so that threads do not wait for
// each other, and each arena keeps free memory of its own. To be called before threads are made.
void UseFewHeapArenas();

// Threading: one thread.
class HeapTrimmer {
 public:
  // Free memory that is worth giving back, in bytes.
  static constexpr size_t kSurplus = size_t{2} << 20;

  // To be called about once a second. Gives memory back when kSurplus is free, but no more often
  // than every ten seconds: it stops threads that allocate for some milliseconds. True: it did.
  bool Check(int64_t now_ms);

 private:
  int64_t next_ms_ = 0;
  size_t resident_after_ = 0;  // the last time, in bytes
};

}  // namespace aegis
