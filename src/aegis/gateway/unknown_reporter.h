// Tells the control plane of the unknown callers that a gateway sees: every second, if there are
// any.
//
// HTTP: POST /v1/gateway/unknown-agents with `Authorization: Bearer <gateway key>` and
// {"seen":[{"source","name","target","reason","count","first_seen_ms","last_seen_ms"}]}. While the
// control plane is away, what was seen stays in the workers' bounded tables. A report whose answer
// got lost is sent again, so that counts may be too high, never too low.
//
// Threading: a thread of its own.
#pragma once

#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "aegis/gateway/gateway.h"
#include "aegis/net/http_client.h"
#include "aegis/telemetry/log.h"

namespace aegis::gateway {

class UnknownReporter {
 public:
  struct Options {
    std::string control_url;
    std::string gateway_key;  // never logged
    telemetry::Logger* logger = nullptr;
    std::chrono::milliseconds every{1'000};
  };
  // Begins to report. `gateway` and the logger must outlive it.
  UnknownReporter(Options options, Gateway& gateway);
  // Sends what is left, if the control plane takes it within a second.
  ~UnknownReporter();
  UnknownReporter(const UnknownReporter&) = delete;
  UnknownReporter& operator=(const UnknownReporter&) = delete;

 private:
  void Run();
  // Until nothing is left; false: the control plane does not take it now.
  bool Send(net::HttpClient& client, int timeout_ms);
  bool SendOne(net::HttpClient& client, int timeout_ms);

  Options options_;
  Gateway& gateway_;
  net::HttpClient client_;
  std::vector<UnknownCaller> waiting_;  // taken and not sent; the next one at the end
  bool failing_ = false;
  std::mutex mutex_;
  std::condition_variable stop_;
  bool stopping_ = false;  // guarded by mutex_
  std::thread thread_;
};

}  // namespace aegis::gateway
