#include "aegis/telemetry/log.h"

#include <fcntl.h>
#include <spdlog/async_logger.h>
#include <spdlog/details/thread_pool.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/base_sink.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <charconv>
#include <chrono>
#include <cmath>
#include <condition_variable>
#include <mutex>
#include <vector>

#include "aegis/base/file.h"
#include "aegis/base/json_text.h"
#include "aegis/base/text.h"

namespace aegis::telemetry {
namespace {

constexpr size_t kMaxTextBytes = 4096;
constexpr std::string_view kRedacted = "[redacted]";
constexpr std::array<std::string_view, 4> kLevelNames = {"debug", "info", "warn", "error"};

bool EndsWith(std::string_view text, std::string_view end) { return text.ends_with(end); }

// Whether a field of that name holds a secret. Ids and hashes of secrets are not secret.
bool NamesASecret(std::string_view key) {
  if (EndsWith(key, "_id") || EndsWith(key, "_hash") || EndsWith(key, "_sha256")) return false;
  static constexpr std::string_view kWords[] = {
      "authorization", "token",      "secret",      "password", "passwd",
      "cookie",        "credential", "private_key", "api_key",  "apikey"};
  std::string lower(key);
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return std::any_of(std::begin(kWords), std::end(kWords),
                     [&](std::string_view word) { return lower.find(word) != std::string::npos; });
}

// Whether `text` holds something of the form of a JWT or of a Bearer credential.
bool HoldsAToken(std::string_view text) {
  const auto in_token = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_' || c == '.';
  };
  for (size_t at = text.find("eyJ"); at != std::string_view::npos; at = text.find("eyJ", at + 3)) {
    size_t end = at;
    while (end < text.size() && in_token(text[end])) ++end;
    const std::string_view run = text.substr(at, end - at);
    if (run.size() >= 20 && run.find('.') != std::string_view::npos) return true;
  }
  for (std::string_view scheme : {"Bearer ", "bearer ", "Basic ", "basic "}) {
    const size_t at = text.find(scheme);
    if (at == std::string_view::npos) continue;
    size_t end = at + scheme.size();
    while (end < text.size() && in_token(text[end])) ++end;
    if (end - at - scheme.size() >= 16) return true;
  }
  return false;
}

template <typename T>
void AppendNumber(std::string& out, T value) {
  char text[40];
  const auto end = std::to_chars(text, text + sizeof text, value).ptr;
  out.append(text, static_cast<size_t>(end - text));
}

void AppendValue(std::string& out, const LogField& field) {
  if (const auto* text = std::get_if<std::string_view>(&field.value)) {
    const bool secret = NamesASecret(field.key) || HoldsAToken(*text);
    AppendJsonText(out, secret ? kRedacted : *text, kMaxTextBytes);
  } else if (const auto* flag = std::get_if<bool>(&field.value)) {
    out.append(*flag ? "true" : "false");
  } else if (const auto* real = std::get_if<double>(&field.value)) {
    if (std::isfinite(*real))
      AppendNumber(out, *real);
    else
      out.append("null");
  } else if (const auto* number = std::get_if<int64_t>(&field.value)) {
    AppendNumber(out, *number);
  } else {
    AppendNumber(out, std::get<uint64_t>(field.value));
  }
}

// Counts lines of one kind within a second. A table of fixed size: two kinds that fall into the
// same slot evict each other, which only writes more than it must.
class RepeatLimit {
 public:
  explicit RepeatLimit(uint32_t burst) : burst_(burst) {}

  // Whether the line is to be written; if so `repeated` is the number of those left out before it.
  bool Admit(LogLevel level, std::string_view message, int64_t now, uint64_t& repeated) {
    const uint64_t kind = std::hash<std::string_view>()(message) * 4 + static_cast<uint64_t>(level);
    const std::lock_guard lock(mutex_);
    Slot& slot = slots_[kind % slots_.size()];
    if (slot.kind != kind) slot = Slot{kind, now, 0, 0};
    if (now - slot.window_start >= 1'000'000'000 || now < slot.window_start) {
      slot.window_start = now;
      slot.written = 0;
    }
    if (slot.written >= burst_) {
      ++slot.left_out;
      return false;
    }
    ++slot.written;
    repeated = std::exchange(slot.left_out, 0);
    return true;
  }

 private:
  struct Slot {
    uint64_t kind = 0;
    int64_t window_start = 0;
    uint32_t written = 0;
    uint64_t left_out = 0;
  };
  const uint32_t burst_;
  std::mutex mutex_;
  std::array<Slot, 512> slots_;
};

// Writes each line with one write call, so that processes that share the file do not mix lines.
class DescriptorSink final : public spdlog::sinks::base_sink<std::mutex> {
 public:
  DescriptorSink(FileDescriptor owned, int fd, const Clock& clock)
      : owned_(std::move(owned)), fd_(fd), clock_(clock) {}

  void WatchOverruns(std::weak_ptr<spdlog::details::thread_pool> pool) { pool_ = std::move(pool); }
  // Waits until the writing thread has met `count` flushes.
  void AwaitFlushes(uint64_t count) {
    std::unique_lock lock(flush_mutex_);
    // Bounded: a full queue may have dropped the request itself.
    flushed_.wait_for(lock, std::chrono::seconds(2), [&] { return flushes_ >= count; });
  }

 private:
  void sink_it_(const spdlog::details::log_msg& message) override {
    if (const auto pool = pool_.lock()) {
      const size_t overruns = pool->overrun_counter();
      if (overruns != seen_overruns_) {
        const LogField fields[] = {{"lines", overruns - seen_overruns_}};
        seen_overruns_ = overruns;
        std::string line;
        AppendLogLine(line, clock_.UnixNanos(), LogLevel::kWarn, "log lines were dropped", fields);
        Put(line);
      }
    }
    Put({message.payload.data(), message.payload.size()});
  }
  void flush_() override {
    const std::lock_guard lock(flush_mutex_);
    ++flushes_;
    flushed_.notify_all();
  }
  void Put(std::string_view text) {
    line_.assign(text).push_back('\n');
    std::string_view rest = line_;
    while (!rest.empty()) {
      const ssize_t put = ::write(fd_, rest.data(), rest.size());
      if (put < 0 && errno == EINTR) continue;
      if (put <= 0) return;  // nowhere to report it
      rest.remove_prefix(static_cast<size_t>(put));
    }
  }

  FileDescriptor owned_;
  int fd_;
  const Clock& clock_;
  std::string line_;
  std::weak_ptr<spdlog::details::thread_pool> pool_;
  size_t seen_overruns_ = 0;
  std::mutex flush_mutex_;
  std::condition_variable flushed_;
  uint64_t flushes_ = 0;
};

class JsonLogger final : public Logger {
 public:
  JsonLogger(const JsonLoggerOptions& options, FileDescriptor file)
      : level_(options.level),
        clock_(options.clock ? *options.clock : Clock::System()),
        limit_(options.burst) {
    const int fd = file ? file.get() : STDERR_FILENO;
    sink_ = std::make_shared<DescriptorSink>(std::move(file), fd, clock_);
    pool_ = std::make_shared<spdlog::details::thread_pool>(options.queue_lines, 1);
    sink_->WatchOverruns(pool_);
    logger_ = std::make_shared<spdlog::async_logger>("aegis", sink_, pool_,
                                                     spdlog::async_overflow_policy::overrun_oldest);
    logger_->set_level(spdlog::level::trace);
    logger_->set_error_handler([](const std::string&) {});
  }
  ~JsonLogger() override { Flush(); }

  bool Enabled(LogLevel level) const override { return level >= level_; }

  void Log(LogLevel level, std::string_view message, std::span<const LogField> fields) override {
    if (!Enabled(level)) return;
    const int64_t now = clock_.UnixNanos();
    uint64_t repeated = 0;
    if (!limit_.Admit(level, message, now, repeated)) return;
    thread_local std::string line;
    line.clear();
    AppendLogLine(line, now, level, message, fields, repeated);
    logger_->log(spdlog::level::info, spdlog::string_view_t(line.data(), line.size()));
  }

  void Flush() override {
    const std::lock_guard lock(flush_mutex_);
    logger_->flush();
    sink_->AwaitFlushes(++flushes_);
  }

 private:
  const LogLevel level_;
  const Clock& clock_;
  RepeatLimit limit_;
  std::shared_ptr<DescriptorSink> sink_;
  std::shared_ptr<spdlog::details::thread_pool> pool_;
  std::shared_ptr<spdlog::async_logger> logger_;
  std::mutex flush_mutex_;
  uint64_t flushes_ = 0;
};

class SilentLogger final : public Logger {
 public:
  bool Enabled(LogLevel) const override { return false; }
  void Log(LogLevel, std::string_view, std::span<const LogField>) override {}
  void Flush() override {}
};

}  // namespace

std::string_view LogLevelName(LogLevel level) { return kLevelNames[static_cast<size_t>(level)]; }

Result<LogLevel> ParseLogLevel(std::string_view name) {
  for (size_t i = 0; i < kLevelNames.size(); ++i)
    if (name == kLevelNames[i]) return static_cast<LogLevel>(i);
  return Fail(Code::kInvalidArgument, "log_level_unknown",
              "log level \"" + std::string(name.substr(0, 32)) +
                  "\" is unknown; use debug, info, warn or error");
}

void Logger::Error(std::string_view message, const aegis::Error& error,
                   std::initializer_list<LogField> fields) {
  std::vector<LogField> all = {{"code", CodeName(error.code)},
                               {"reason", error.reason},
                               {"detail", std::string_view(error.message)}};
  all.insert(all.end(), fields.begin(), fields.end());
  Log(LogLevel::kError, message, all);
}

void AppendLogLine(std::string& out, int64_t unix_nanos, LogLevel level, std::string_view message,
                   std::span<const LogField> fields, uint64_t repeated) {
  out.append("{\"time\":\"").append(FormatRfc3339Millis(unix_nanos));
  out.append("\",\"level\":\"").append(LogLevelName(level)).append("\",\"msg\":");
  AppendJsonText(out, HoldsAToken(message) ? kRedacted : message, kMaxTextBytes);
  for (const LogField& field : fields) {
    out.push_back(',');
    AppendJsonText(out, field.key, 128);
    out.push_back(':');
    AppendValue(out, field);
  }
  if (repeated != 0) {
    out.append(",\"repeated\":");
    AppendNumber(out, repeated);
  }
  out.push_back('}');
}

Result<std::unique_ptr<Logger>> MakeJsonLogger(const JsonLoggerOptions& options) {
  FileDescriptor file;
  if (!options.path.empty()) {
    file = FileDescriptor(
        ::open(options.path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0640));
    if (!file) {
      Error error = SystemError("cannot open the log file", options.path, errno);
      error.reason = "log_open_failed";
      return Fail(std::move(error));
    }
  }
  try {
    return std::make_unique<JsonLogger>(options, std::move(file));
  } catch (const std::exception& failure) {
    return Fail(Code::kInternal, "log_open_failed",
                std::string("cannot start the logger: ") + failure.what());
  }
}

Logger& NullLogger() {
  static SilentLogger logger;
  return logger;
}

}  // namespace aegis::telemetry
