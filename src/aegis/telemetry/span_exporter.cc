#include "aegis/telemetry/span_exporter.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <ctime>
#include <random>

#include "aegis/base/clock.h"
#include "aegis/base/text.h"

namespace aegis::telemetry {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr milliseconds kLastTimeout{1'000};
constexpr milliseconds kLongestRetryAfter{300'000};
constexpr size_t kMaxAnswerBytes = size_t{64} << 10;

net::HttpClient::Options ClientOptions(const OtlpOptions& options) {
  net::HttpClient::Options out;
  out.ca_file = options.ca_file;
  out.max_body_bytes = kMaxAnswerBytes;
  return out;
}

// As `Content-Encoding: gzip`. Empty: zlib has no memory.
std::string Gzip(std::string_view text) {
  constexpr int kGzipWindow = 15 + 16;
  constexpr int kDefaultMemory = 8;
  z_stream stream{};
  if (::deflateInit2(&stream, Z_BEST_SPEED, Z_DEFLATED, kGzipWindow, kDefaultMemory,
                     Z_DEFAULT_STRATEGY) != Z_OK) {
    return {};
  }
  std::string out(::deflateBound(&stream, text.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  const int result = ::deflate(&stream, Z_FINISH);
  out.resize(result == Z_STREAM_END ? stream.total_out : 0);
  ::deflateEnd(&stream);
  return out;
}

// OTLP specification, "Failures" and "OTLP/HTTP Throttling".
bool IsRetryable(int status) {
  return status == 429 || status == 502 || status == 503 || status == 504;
}

// Between half of `delay` and all of it, so that gateways do not come back together.
milliseconds WithJitter(milliseconds delay) {
  static thread_local std::minstd_rand random{std::random_device{}()};
  return delay / 2 + milliseconds(random() % static_cast<unsigned>(delay.count() / 2 + 1));
}

}  // namespace

milliseconds ParseRetryAfter(std::string_view value, int64_t unix_now) {
  value = Trim(value);
  int64_t seconds = -1;
  if (!value.empty() && value.front() >= '0' && value.front() <= '9') {
    const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), seconds);
    if (error == std::errc::result_out_of_range) return kLongestRetryAfter;
    if (error != std::errc() || end != value.data() + value.size()) return milliseconds(-1);
  } else {
    const std::string text(value);
    std::tm parts{};
    const char* const end = ::strptime(text.c_str(), "%a, %d %b %Y %H:%M:%S GMT", &parts);
    if (end == nullptr || *end != '\0') return milliseconds(-1);
    seconds = std::max<int64_t>(0, ::timegm(&parts) - unix_now);
  }
  return milliseconds(std::min<int64_t>(seconds, kLongestRetryAfter.count() / 1000) * 1000);
}

SpanExporter::SpanExporter(OtlpOptions options, size_t workers, std::string_view version,
                           Metrics& metrics, Logger& logger)
    : options_(std::move(options)),
      metrics_(metrics),
      logger_(logger),
      wake_(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)),
      client_(ClientOptions(options_)),
      batch_(options_.resource, version) {
  for (size_t i = 0; i < workers; ++i) {
    queues_.push_back(std::make_unique<SpanQueue>(options_.queue_spans, wake_.get()));
  }
  thread_ = std::thread([this] { Run(); });
}

SpanExporter::~SpanExporter() {
  stopping_ = true;
  const uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = ::write(wake_.get(), &one, sizeof one);
  client_.Interrupt();
  thread_.join();
}

bool SpanExporter::Wait(TimePoint until, bool early) {
  while (!stopping_) {
    const auto left = std::chrono::ceil<milliseconds>(until - steady_clock::now()).count();
    if (left <= 0) return true;
    pollfd item{wake_.get(), POLLIN, 0};
    if (::poll(&item, 1, static_cast<int>(std::min<int64_t>(left, 60'000))) <= 0) continue;
    uint64_t count = 0;
    [[maybe_unused]] const ssize_t got = ::read(wake_.get(), &count, sizeof count);
    if (early && !stopping_) return true;
  }
  return false;
}

void SpanExporter::Run() {
  bool running = true;
  while (running) {
    running = Wait(steady_clock::now() + options_.batch_delay, true);
    while (running && Collect()) running = Deliver();
  }
  SendRest();
}

bool SpanExporter::Collect() {
  batch_.Clear();
  for (size_t i = 0; i < queues_.size() && batch_.count() < options_.batch_spans; ++i) {
    SpanQueue& queue = *queues_[(first_ + i) % queues_.size()];
    const size_t count = std::min(queue.size(), options_.batch_spans - batch_.count());
    for (size_t at = 0; at < count; ++at) batch_.Add(queue.at(at));
    queue.Pop(count);
  }
  first_ = (first_ + 1) % queues_.size();
  if (batch_.count() == 0) return false;
  MakeBody();
  return true;
}

void SpanExporter::MakeBody() {
  body_.clear();
  batch_.AppendTo(body_);
  if (options_.gzip) body_ = Gzip(body_);
}

bool SpanExporter::Deliver() {
  const TimePoint give_up = steady_clock::now() + options_.give_up_after;
  milliseconds delay = options_.retry_delay;
  for (;;) {
    milliseconds retry_after{-1};
    if (Send(client_, options_.timeout, &retry_after) != Sent::kLater) {
      batch_.Clear();
      return true;
    }
    const milliseconds pause = std::max(retry_after, WithJitter(delay));
    delay = std::min(delay * 2, options_.max_retry_delay);
    if (steady_clock::now() + pause > give_up) {
      metrics_.spans_unsent.Add(batch_.count());
      batch_.Clear();
      return true;
    }
    if (!Wait(steady_clock::now() + pause, false)) return false;
  }
}

SpanExporter::Sent SpanExporter::Send(net::HttpClient& client, milliseconds timeout,
                                      milliseconds* retry_after) {
  net::HttpRequest request;
  request.method = "POST";
  request.path = "/v1/traces";
  for (const auto& [name, value_of] : options_.headers) {
    Result<std::string> value = value_of();
    if (!value) {
      NoteFailure(value.error().reason, 0);
      return Sent::kLater;
    }
    request.headers.Set(name, *std::move(value));
  }
  request.headers.Set("Content-Type", "application/x-protobuf");
  request.headers.Set("User-Agent", "aegis-otlp-exporter");
  if (options_.gzip) request.headers.Set("Content-Encoding", "gzip");
  request.body = body_;
  const auto response = client.Send(options_.endpoint, request, static_cast<int>(timeout.count()));
  if (response) return TakeAnswer(*response, retry_after);
  // Not the message: it may quote what the collector sent.
  if (response.error().reason != "interrupted") NoteFailure(response.error().reason, 0);
  return Sent::kLater;
}

SpanExporter::Sent SpanExporter::TakeAnswer(const net::HttpResponse& response,
                                            milliseconds* retry_after) {
  const size_t count = batch_.count();
  if (response.status == 200) {
    if (failing_) logger_.Info("the collector takes spans again");
    failing_ = false;
    const auto answer = ReadOtlpTraceResponse(response.body);
    const size_t rejected = answer ? std::min<uint64_t>(answer->rejected_spans, count) : 0;
    if (rejected > 0) {
      logger_.Warn("the collector rejected some spans",
                   {{"spans", rejected}, {"message", answer->message}});
    }
    metrics_.spans_rejected.Add(rejected);
    metrics_.spans_exported.Add(count - rejected);
    return Sent::kTaken;
  }
  NoteFailure("status", response.status);
  if (!IsRetryable(response.status)) {
    metrics_.spans_rejected.Add(count);
    return Sent::kRefused;
  }
  const std::string_view value = response.headers.Get("Retry-After");
  if (!value.empty()) *retry_after = ParseRetryAfter(value, Clock::System().UnixSeconds());
  return Sent::kLater;
}

void SpanExporter::NoteFailure(std::string_view reason, int status) {
  metrics_.span_export_failures.Add();
  if (!failing_) {
    logger_.Warn("spans cannot be exported; calls go on without",
                 {{"endpoint", options_.endpoint}, {"why", reason}, {"status", status}});
  }
  failing_ = true;
}

void SpanExporter::SendRest() {
  const TimePoint end = steady_clock::now() + kLastTimeout;
  net::HttpClient last(ClientOptions(options_));  // the other one is interrupted
  while (batch_.count() > 0 || Collect()) {
    const auto left = std::chrono::duration_cast<milliseconds>(end - steady_clock::now());
    milliseconds unused{};
    if (left.count() <= 0 || Send(last, left, &unused) == Sent::kLater) break;
    batch_.Clear();
  }
  size_t left = batch_.count();
  for (const auto& queue : queues_) left += queue->size();
  metrics_.spans_unsent.Add(left);
}

}  // namespace aegis::telemetry
