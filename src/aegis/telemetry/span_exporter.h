// Sends spans to an OpenTelemetry collector: OTLP/HTTP with protobuf (OTLP specification 1.x).
//
// Workers fill bounded queues; one thread takes spans out of them in batches and posts each to
// ENDPOINT/v1/traces. While the collector cannot take a batch (no connection, a time-out, 429, 502,
// 503, 504) it is sent again, with exponential back-off or when Retry-After says; the queues fill
// meanwhile, and what does not fit any more is dropped by the workers, which count it. So the
// exporter costs a call nothing, whatever the collector does, and its memory is bounded.
//
// Threading: Queue and the destructor belong to whoever made it; the rest is the thread's own.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "aegis/base/file.h"
#include "aegis/base/result.h"
#include "aegis/net/http_client.h"
#include "aegis/telemetry/log.h"
#include "aegis/telemetry/metrics.h"
#include "aegis/telemetry/otlp.h"
#include "aegis/telemetry/span.h"

namespace aegis::telemetry {

struct OtlpOptions {
  std::string endpoint;  // "http(s)://host:port[/path]"; spans go to /v1/traces below it
  // Names with what gives the value, which is asked for each request; values are never logged.
  std::vector<std::pair<std::string, std::function<Result<std::string>()>>> headers;
  std::string ca_file;  // PEM certificates to trust; empty: the system's
  bool gzip = false;
  std::chrono::milliseconds timeout{10'000};     // of one request
  std::chrono::milliseconds batch_delay{1'000};  // longest that a span waits while all is well
  std::chrono::milliseconds retry_delay{1'000};  // the first; doubled each time
  std::chrono::milliseconds max_retry_delay{30'000};
  std::chrono::milliseconds give_up_after{300'000};           // a batch is sent again for that long
  size_t batch_spans = 512;                                   // most in one request
  size_t queue_spans = 2'048;                                 // of each worker; a power of two
  std::vector<std::pair<std::string, std::string>> resource;  // attributes
};

class SpanExporter {
 public:
  // `version`: of the build. Begins to export. The metrics and the logger must outlive it.
  SpanExporter(OtlpOptions options, size_t workers, std::string_view version, Metrics& metrics,
               Logger& logger);
  // Sends what is left, if the collector takes it within a second.
  ~SpanExporter();
  SpanExporter(const SpanExporter&) = delete;
  SpanExporter& operator=(const SpanExporter&) = delete;

  // Of worker `index`; lives as long as the exporter.
  SpanQueue& queue(size_t index) { return *queues_[index]; }

 private:
  using TimePoint = std::chrono::steady_clock::time_point;
  enum class Sent : uint8_t { kTaken, kRefused, kLater };

  void Run();
  // Until then, or until the exporter stops (false). `early`: or until a queue is half full.
  bool Wait(TimePoint until, bool early);
  // Moves up to a batch from the queues to batch_; false: there is nothing.
  bool Collect();
  // Until batch_ was taken or given up; false: the exporter stops, and batch_ is still there.
  bool Deliver();
  // One attempt. kLater: `*retry_after` is what the collector asked for, if it did.
  Sent Send(net::HttpClient& client, std::chrono::milliseconds timeout,
            std::chrono::milliseconds* retry_after);
  Sent TakeAnswer(const net::HttpResponse& response, std::chrono::milliseconds* retry_after);
  void SendRest();
  void MakeBody();
  void NoteFailure(std::string_view reason, int status);

  OtlpOptions options_;
  Metrics& metrics_;
  Logger& logger_;
  FileDescriptor wake_;
  std::vector<std::unique_ptr<SpanQueue>> queues_;
  net::HttpClient client_;
  OtlpTraceRequest batch_;
  std::string body_;  // of batch_, as sent
  size_t first_ = 0;  // the queue that is looked at first, so that each has its turn
  bool failing_ = false;
  std::atomic<bool> stopping_{false};
  std::thread thread_;
};

// How long "Retry-After: VALUE" (RFC 9110 §10.2.3) asks to wait: at most five minutes. `unix_now`:
// seconds. Negative: it is neither seconds nor a date.
std::chrono::milliseconds ParseRetryAfter(std::string_view value, int64_t unix_now);

}  // namespace aegis::telemetry
