#include "aegis/base/result.h"

#include <atomic>
#include <cstdio>
#include <cstdlib>

namespace aegis {
namespace {
std::atomic<uint64_t> g_bug_count{0};
}  // namespace

std::string_view CodeName(Code code) {
  switch (code) {
    case Code::kCancelled:
      return "CANCELLED";
    case Code::kUnknown:
      return "UNKNOWN";
    case Code::kInvalidArgument:
      return "INVALID_ARGUMENT";
    case Code::kDeadlineExceeded:
      return "DEADLINE_EXCEEDED";
    case Code::kNotFound:
      return "NOT_FOUND";
    case Code::kAlreadyExists:
      return "ALREADY_EXISTS";
    case Code::kPermissionDenied:
      return "PERMISSION_DENIED";
    case Code::kResourceExhausted:
      return "RESOURCE_EXHAUSTED";
    case Code::kFailedPrecondition:
      return "FAILED_PRECONDITION";
    case Code::kAborted:
      return "ABORTED";
    case Code::kOutOfRange:
      return "OUT_OF_RANGE";
    case Code::kUnimplemented:
      return "UNIMPLEMENTED";
    case Code::kInternal:
      return "INTERNAL";
    case Code::kUnavailable:
      return "UNAVAILABLE";
    case Code::kDataLoss:
      return "DATA_LOSS";
    case Code::kUnauthenticated:
      return "UNAUTHENTICATED";
  }
  return "UNKNOWN";
}

std::string Error::ToString() const {
  std::string text(CodeName(code));
  if (!reason.empty()) text.append("/").append(reason);
  return text.append(": ").append(message);
}

Error Annotate(Error error, std::string_view context) {
  error.message.insert(0, std::string(context) + ": ");
  return error;
}

uint64_t BugCount() { return g_bug_count.load(std::memory_order_relaxed); }

namespace internal {

void CheckFailed(const char* file, int line, const char* condition) {
  std::fprintf(stderr, "aegis: fatal: %s:%d: check failed: %s\n", file, line, condition);
  std::abort();
}

void Bug(const char* file, int line, const char* condition) {
  // Only the first few are printed: a bug on the hot path must not become a disk full of logs.
  if (g_bug_count.fetch_add(1, std::memory_order_relaxed) < 100)
    std::fprintf(stderr, "aegis: bug: %s:%d: %s\n", file, line, condition);
}

}  // namespace internal
}  // namespace aegis
