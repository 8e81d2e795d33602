// Clocks of the benchmarks that run in process.
#pragma once

#include <chrono>
#include <ctime>

namespace aegis {

using Clock = std::chrono::steady_clock;

inline double NanosSince(Clock::time_point start) {
  return std::chrono::duration<double, std::nano>(Clock::now() - start).count();
}

// CPU time of the calling thread.
inline double ThreadCpuNanos() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e9 + static_cast<double>(now.tv_nsec);
}

}  // namespace aegis
