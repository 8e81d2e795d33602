// Runs another program on bytes: input to its standard input, its output collected, within limits.
// The child gets nothing of this process: an empty environment, no open files, "/" as its folder,
// no way to gain privileges; it ends when this process does.
//
// Threading: thread-safe. The calling thread waits for the end of the child.
#pragma once

#include <chrono>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "aegis/base/result.h"

namespace aegis {

struct ChildLimits {
  std::chrono::milliseconds time{20'000};              // after that it is killed
  size_t max_address_space = size_t{3} << 30;          // bytes
  size_t max_output_bytes = size_t{64} << 20;          // of standard output; then it is killed
  static constexpr size_t kMaxErrorBytes = 64 * 1024;  // of standard error; the rest is dropped
};

struct ChildOutput {
  int exit_code = 0;  // 128 + the signal's number when a signal ended it
  std::string out;
  std::string err;
};

// `path`: an executable file; `arguments`: without the program's own name.
// Errors: child_not_started (no such file, not executable, no memory), child_timeout,
// child_output_too_large.
Result<ChildOutput> RunChild(const std::string& path, const std::vector<std::string>& arguments,
                             std::string_view input, const ChildLimits& limits = {});

}  // namespace aegis
