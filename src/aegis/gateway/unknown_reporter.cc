#include "aegis/gateway/unknown_reporter.h"

#include <algorithm>

#include "aegis/json/writer.h"

namespace aegis::gateway {
namespace {

using std::chrono::milliseconds;

constexpr size_t kMaxInOne = 250;  // of the 500 that the control plane takes
constexpr milliseconds kLongestPause{30'000};
constexpr int kTimeoutMs = 10'000;
constexpr int kLastTimeoutMs = 1'000;

void AppendCaller(const UnknownCaller& caller, std::string& out) {
  const auto text = [&out](std::string_view name, std::string_view value) {
    out.append(name);
    json::AppendString(out, value);
  };
  text("{\"source\":", caller.source);
  text(",\"name\":", caller.name);
  text(",\"target\":", caller.target);
  text(",\"reason\":", caller.reason);
  out.append(",\"count\":").append(std::to_string(caller.count));
  out.append(",\"first_seen_ms\":").append(std::to_string(caller.first_seen_ms));
  out.append(",\"last_seen_ms\":").append(std::to_string(caller.last_seen_ms)).append("}");
}

}  // namespace

UnknownReporter::UnknownReporter(Options options, Gateway& gateway)
    : options_(std::move(options)), gateway_(gateway) {
  if (!options_.logger) options_.logger = &telemetry::NullLogger();
  thread_ = std::thread([this] { Run(); });
}

UnknownReporter::~UnknownReporter() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  stop_.notify_all();
  client_.Interrupt();
  thread_.join();
}

void UnknownReporter::Run() {
  milliseconds pause = options_.every;
  for (;;) {
    {
      std::unique_lock lock(mutex_);
      if (stop_.wait_for(lock, pause, [this] { return stopping_; })) break;
    }
    pause = Send(client_, kTimeoutMs) ? options_.every : std::min(pause * 2, kLongestPause);
  }
  net::HttpClient last;  // the other one is interrupted
  // What was under way, then what came since.
  if (Send(last, kLastTimeoutMs)) Send(last, kLastTimeoutMs);
}

bool UnknownReporter::Send(net::HttpClient& client, int timeout_ms) {
  if (waiting_.empty()) waiting_ = gateway_.TakeUnknownCallers();
  while (!waiting_.empty()) {
    if (!SendOne(client, timeout_ms)) return false;
  }
  return true;
}

bool UnknownReporter::SendOne(net::HttpClient& client, int timeout_ms) {
  const size_t count = std::min(waiting_.size(), kMaxInOne);
  net::HttpRequest request;
  request.method = "POST";
  request.path = "/v1/gateway/unknown-agents";
  request.headers.Set("Authorization", "Bearer " + options_.gateway_key);
  request.headers.Set("Content-Type", "application/json");
  request.body = "{\"seen\":[";
  for (size_t i = waiting_.size() - count; i < waiting_.size(); ++i) {
    if (request.body.back() != '[') request.body.push_back(',');
    AppendCaller(waiting_[i], request.body);
  }
  request.body.append("]}");
  const auto response = client.Send(options_.control_url, request, timeout_ms);
  // What the control plane will never take must not stand in the way of the rest.
  const bool refused =
      response && (response->status == 400 || response->status == 413 || response->status == 422);
  if (refused || (response && response->status == 200)) waiting_.resize(waiting_.size() - count);
  if (response && response->status == 200) {
    failing_ = false;
    return true;
  }
  const Error error = response ? Error{Code::kUnavailable, "control_answer",
                                       "HTTP " + std::to_string(response->status)}
                               : response.error();
  if (!failing_ && error.reason != "interrupted") {
    options_.logger->Warn("unknown callers cannot be reported; they are counted here meanwhile",
                          {{"error", error.ToString()}});
  }
  failing_ = true;
  return refused;
}

}  // namespace aegis::gateway
