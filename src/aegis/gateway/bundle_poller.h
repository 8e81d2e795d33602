// Polls one bundle source as an OPA would (v1/download/download.go of OPA 1.22): If-None-Match and
// 304, `Prefer: modes=snapshot,delta;wait=N`, periodically or by long polling.
//
// What is refused is not put in force and not asked for again until the server has something else;
// the error is logged, counted and told in status().
//
// Threading: a thread of its own, on which `on_policy` is called; status() from any thread.
#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "aegis/base/result.h"
#include "aegis/gateway/bundle_source.h"
#include "aegis/gateway/policy_loader.h"
#include "aegis/net/http_client.h"
#include "aegis/telemetry/log.h"
#include "aegis/telemetry/metrics.h"

namespace aegis::gateway {

class BundlePoller {
 public:
  using OnPolicy = std::function<void(std::shared_ptr<const decision::Snapshot>)>;
  struct Options {
    std::string tenant;
    std::string cache_folder;  // must exist; empty: nothing is kept
    telemetry::Logger* logger = nullptr;
    telemetry::Metrics* metrics = nullptr;  // nullptr: not counted
  };
  struct Status {
    bool loaded = false;      // something good is in force
    bool from_cache = false;  // and it has not been confirmed since the start
    std::string revision;     // of what is in force
    std::string error;        // of the last attempt; empty: it went well
    std::string source;       // URL of the resource
    bool long_polling = false;
  };

  BundlePoller(BundleSource source, Options options, OnPolicy on_policy);
  ~BundlePoller();  // stops and joins

  // Puts the kept bundle in force, if there is a good one, and begins to poll.
  void Start();
  Status status() const;

 private:
  enum class Polled : uint8_t { kChanged, kUnchanged, kFailed };

  void Run();
  Polled Poll();
  Polled TakeAnswer(net::HttpResponse response);
  void Confirm();
  void PutInForce(std::shared_ptr<const decision::Snapshot> snapshot, bool from_cache);
  void SetError(const Error& error);
  bool Pause(std::chrono::milliseconds time);  // false: stopped
  std::chrono::milliseconds Between(std::chrono::milliseconds low, std::chrono::milliseconds high);

  BundleSource source_;
  Options options_;
  OnPolicy on_policy_;
  PolicyLoader loader_;
  net::HttpClient client_;
  std::string etag_;            // of what is in force
  std::string refused_etag_;    // of what was refused last
  std::string refused_sha256_;  // and its content
  Error refusal_;
  bool long_polling_;
  uint64_t random_;

  mutable std::mutex mutex_;
  std::condition_variable stop_;
  bool stopping_ = false;
  Status status_;  // guarded by mutex_
  std::thread thread_;
};

}  // namespace aegis::gateway
