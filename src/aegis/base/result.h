// Errors as values: Result<T> is either a T or an Error; nothing throws across a library boundary.
//
// Threading: value types, no shared state.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <utility>

namespace aegis {

// The codes of google.rpc.Code (google/rpc/code.proto), same numbers.
enum class Code : uint8_t {
  kCancelled = 1,
  kUnknown = 2,
  kInvalidArgument = 3,
  kDeadlineExceeded = 4,
  kNotFound = 5,
  kAlreadyExists = 6,
  kPermissionDenied = 7,
  kResourceExhausted = 8,
  kFailedPrecondition = 9,
  kAborted = 10,
  kOutOfRange = 11,
  kUnimplemented = 12,
  kInternal = 13,
  kUnavailable = 14,
  kDataLoss = 15,
  kUnauthenticated = 16,
};

std::string_view CodeName(Code code);

// Why something failed: `code` for programs, `reason` a stable lower_snake_case id with static
// storage (e.g. "token_expired"), `message` for a person: what, where, and the next step.
struct [[nodiscard]] Error {
  Code code = Code::kUnknown;
  std::string_view reason;
  std::string message;

  // "INVALID_ARGUMENT/bad_signature: the token's signature does not match key k1"
  std::string ToString() const;
};

template <typename T>
using Result = tl::expected<T, Error>;
using Status = Result<void>;

inline Status Ok() { return {}; }

// `reason` must be a string literal (static storage).
inline tl::unexpected<Error> Fail(Code code, std::string_view reason, std::string message) {
  return tl::unexpected<Error>(Error{code, reason, std::move(message)});
}
inline tl::unexpected<Error> Fail(Error error) { return tl::unexpected<Error>(std::move(error)); }

// Returns `error` with "context: " put before its message.
Error Annotate(Error error, std::string_view context);

namespace internal {
[[noreturn]] void CheckFailed(const char* file, int line, const char* condition);
void Bug(const char* file, int line, const char* condition);
}  // namespace internal

// Number of AEGIS_BUG that fired in this process; exported as a metric, zero in a healthy one.
uint64_t BugCount();

}  // namespace aegis

// Three levels of assertion (see ARCHITECTURE.md, "Errors"):
//   AEGIS_DCHECK  debug builds only: an invariant that is too hot to check in release
//   AEGIS_BUG     counts and logs; the caller then fails closed. Evaluates to true if the bug is
//   there. AEGIS_CHECK   aborts: going on would corrupt data
#define AEGIS_CHECK(condition) \
  ((condition) ? (void)0 : ::aegis::internal::CheckFailed(__FILE__, __LINE__, #condition))
#ifdef NDEBUG
#define AEGIS_DCHECK(condition) ((void)0)
#else
#define AEGIS_DCHECK(condition) AEGIS_CHECK(condition)
#endif
#define AEGIS_BUG(condition) \
  ((condition) ? (::aegis::internal::Bug(__FILE__, __LINE__, #condition), true) : false)

// AEGIS_TRY(auto x, F()): x is F()'s value, or the enclosing function returns F()'s error.
#define AEGIS_TRY_NAME2(line) aegis_try_##line
#define AEGIS_TRY_NAME(line) AEGIS_TRY_NAME2(line)
#define AEGIS_TRY(decl, expr) AEGIS_TRY_IMPL(AEGIS_TRY_NAME(__LINE__), decl, expr)
#define AEGIS_TRY_IMPL(tmp, decl, expr)                              \
  auto tmp = (expr);                                                 \
  if (!tmp) [[unlikely]]                                             \
    return ::tl::unexpected<::aegis::Error>(std::move(tmp).error()); \
  decl = *std::move(tmp)
// AEGIS_RETURN_IF_ERROR(F()): for Status.
#define AEGIS_RETURN_IF_ERROR(expr)                                             \
  do {                                                                          \
    if (auto aegis_status = (expr); !aegis_status) [[unlikely]]                 \
      return ::tl::unexpected<::aegis::Error>(std::move(aegis_status).error()); \
  } while (false)
