// Time as a dependency: code that needs the time takes a Clock, so that tests and replay set it.
//
// Threading: all methods may be called from any thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>

namespace aegis {

class Clock {
 public:
  virtual ~Clock() = default;
  // Nanoseconds since 1970-01-01T00:00:00Z, leap seconds ignored.
  virtual int64_t UnixNanos() const = 0;
  // Nanoseconds of a clock that never goes back; only differences mean something.
  virtual int64_t MonotonicNanos() const = 0;

  int64_t UnixSeconds() const { return UnixNanos() / 1'000'000'000; }
  int64_t UnixMillis() const { return UnixNanos() / 1'000'000; }

  // The machine's clock; lives for the whole process.
  static const Clock& System();
};

// A clock that stands still until told to move.
class ManualClock final : public Clock {
 public:
  explicit ManualClock(int64_t unix_nanos) : unix_nanos_(unix_nanos) {}
  int64_t UnixNanos() const override { return unix_nanos_.load(); }
  int64_t MonotonicNanos() const override { return unix_nanos_.load(); }
  void Advance(int64_t nanos) { unix_nanos_ += nanos; }
  void Set(int64_t unix_nanos) { unix_nanos_ = unix_nanos; }

 private:
  std::atomic<int64_t> unix_nanos_;
};

// RFC 3339 in UTC with milliseconds: "2026-11-24T15:04:05.123Z". Years 0001 to 9999.
std::string FormatRfc3339Millis(int64_t unix_nanos);

}  // namespace aegis
