// Structured logs: one line of JSON per event, {"time":…,"level":…,"msg":…, fields…}.
//
// What is logged is for operators and may be shipped anywhere, so secrets never go in. As a second
// net, a field whose name says that it is a secret, and a text that looks like a token, are
// replaced by "[redacted]". Audit records do not pass through here.
//
// Threading: a Logger may be used from any thread. Writing does not block on the disk or the
// terminal: lines go through a bounded queue to a thread of the logger's own; when the queue is
// full the oldest lines are dropped and the number of those is logged.
#pragma once

#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <variant>

#include "aegis/base/clock.h"
#include "aegis/base/result.h"

namespace aegis::telemetry {

enum class LogLevel : uint8_t { kDebug, kInfo, kWarn, kError };
std::string_view LogLevelName(LogLevel level);  // "debug", "info", "warn", "error"
// Errors: log_level_unknown.
Result<LogLevel> ParseLogLevel(std::string_view name);

// One member of a line. `key`: lower_snake_case, never "time", "level", "msg" or "repeated". A
// view: valid only during the call it is passed to.
struct LogField {
  std::string_view key = {};
  std::variant<std::string_view, int64_t, uint64_t, double, bool> value;

  LogField(std::string_view name, std::string_view text) : key(name), value(text) {}
  LogField(std::string_view name, const std::string& text)
      : key(name), value(std::string_view(text)) {}
  LogField(std::string_view name, const char* text) : key(name), value(std::string_view(text)) {}
  LogField(std::string_view name, bool flag) : key(name), value(flag) {}
  LogField(std::string_view name, double number) : key(name), value(number) {}
  template <std::signed_integral T>
  LogField(std::string_view name, T number) : key(name), value(static_cast<int64_t>(number)) {}
  template <std::unsigned_integral T>
    requires(!std::same_as<T, bool>)
  LogField(std::string_view name, T number) : key(name), value(static_cast<uint64_t>(number)) {}
};

class Logger {
 public:
  virtual ~Logger() = default;

  // Whether lines of that level are written at all; to skip costly fields.
  virtual bool Enabled(LogLevel level) const = 0;
  // `message` is a fixed sentence; what varies goes into the fields. Lines with the same level and
  // message are one kind of event: beyond a burst per second they are counted, not written, and the
  // next one that is written carries the count as "repeated".
  virtual void Log(LogLevel level, std::string_view message, std::span<const LogField> fields) = 0;
  // Returns when all that was logged before has been handed to the system.
  virtual void Flush() = 0;

  void Debug(std::string_view message, std::initializer_list<LogField> fields = {}) {
    Log(LogLevel::kDebug, message, {fields.begin(), fields.size()});
  }
  void Info(std::string_view message, std::initializer_list<LogField> fields = {}) {
    Log(LogLevel::kInfo, message, {fields.begin(), fields.size()});
  }
  void Warn(std::string_view message, std::initializer_list<LogField> fields = {}) {
    Log(LogLevel::kWarn, message, {fields.begin(), fields.size()});
  }
  void Error(std::string_view message, std::initializer_list<LogField> fields = {}) {
    Log(LogLevel::kError, message, {fields.begin(), fields.size()});
  }
  // The error's code, reason and message as fields.
  void Error(std::string_view message, const aegis::Error& error,
             std::initializer_list<LogField> fields = {});
};

struct JsonLoggerOptions {
  LogLevel level = LogLevel::kInfo;
  std::string path = {};         // appended to, mode 0640; empty: standard error
  uint32_t burst = 20;           // lines of one kind per second
  size_t queue_lines = 1024;     // bounded queue to the writing thread; takes about 400 bytes each
  const Clock* clock = nullptr;  // must outlive the logger; nullptr: Clock::System()
};
// Errors: log_open_failed.
Result<std::unique_ptr<Logger>> MakeJsonLogger(const JsonLoggerOptions& options);

// Writes nothing; for tests and commands. Lives for the whole process.
Logger& NullLogger();

// Appends the line's JSON without the line break; what MakeJsonLogger writes. Text is made valid
// UTF-8, and texts beyond 4 KiB are cut. `repeated` is left out when 0.
void AppendLogLine(std::string& out, int64_t unix_nanos, LogLevel level, std::string_view message,
                   std::span<const LogField> fields, uint64_t repeated = 0);

}  // namespace aegis::telemetry
