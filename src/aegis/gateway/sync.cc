#include "aegis/gateway/sync.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <thread>

#include "aegis/base/file.h"
#include "aegis/gateway/bundle_poller.h"
#include "aegis/gateway/settings.h"
#include "aegis/gateway/tool_directory.h"
#include "aegis/gateway/unknown_reporter.h"
#include "aegis/net/http_client.h"

namespace aegis::gateway {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr size_t kMaxCacheBytes = size_t{256} << 20;
constexpr milliseconds kFirstPause{100};
constexpr milliseconds kLongestPause{5'000};
constexpr milliseconds kUnheldPause{1'000};

// Differs for every RevocationSet of the process, as its caches need.
uint64_t NextEpoch() {
  static std::atomic<uint64_t> epoch{1};
  return epoch.fetch_add(1);
}

// One polled resource: its ETag, its cache file and how it went.
struct Feed {
  std::string name;
  std::string path;
  std::string file;  // empty: not kept
  std::string etag;
  bool refused = false;  // the content of that ETag was bad
  Sync::Part part;       // guarded by SyncImpl::mutex_
};

class SyncImpl final : public Sync {
 public:
  SyncImpl(Options options, Gateway& gateway) : options_(std::move(options)), gateway_(gateway) {
    if (!options_.logger) options_.logger = &telemetry::NullLogger();
    const auto file = [&](const char* name) {
      return options_.cache_folder.empty() ? std::string() : options_.cache_folder + "/" + name;
    };
    settings_feed_ = {"settings", "/v1/gateway/settings", file("settings.json"), {}, false, {}};
    keys_feed_ = {"keys", "/.well-known/jwks.json", file("jwks.json"), {}, false, {}};
    if (!options_.bundle_source) options_.bundle_source = ControlPlaneSource();
    tools_ = std::make_unique<ToolDirectory>(
        ToolDirectory::Options{.resources = std::move(options_.tool_resources),
                               .logger = options_.logger},
        [this] {
          const std::lock_guard lock(mutex_);
          Publish();
        });
    bundle_poller_ =
        std::make_unique<BundlePoller>(*options_.bundle_source,
                                       BundlePoller::Options{options_.tenant, options_.cache_folder,
                                                             options_.logger, options_.metrics},
                                       [this](std::shared_ptr<const decision::Snapshot> snapshot) {
                                         const std::lock_guard lock(mutex_);
                                         snapshot_ = std::move(snapshot);
                                         Publish();
                                       });
  }

  ~SyncImpl() override {
    {
      std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    stop_.notify_all();
    settings_client_.Interrupt();
    unknown_reporter_.reset();
    if (settings_thread_.joinable()) settings_thread_.join();
    bundle_poller_.reset();
    tools_.reset();
  }

  Status Begin() {
    if (!options_.cache_folder.empty()) {
      AEGIS_RETURN_IF_ERROR(MakeDirectories(options_.cache_folder, 0700));
    }
    // The kept bundle first: with settings alone calls would be refused for want of a policy.
    bundle_poller_->Start();
    if (!options_.cache_folder.empty()) {
      LoadCache(keys_feed_, &SyncImpl::TakeKeys);
      LoadCache(settings_feed_, &SyncImpl::TakeSettings);
    }
    settings_thread_ = std::thread([this] { PollSettings(); });
    unknown_reporter_ = std::make_unique<UnknownReporter>(
        UnknownReporter::Options{.control_url = options_.control_url,
                                 .gateway_key = options_.gateway_key,
                                 .logger = options_.logger},
        gateway_);
    return Ok();
  }

  void ReloadTools() override { tools_->Reload(); }

  Report status() const override {
    const BundlePoller::Status bundle = bundle_poller_->status();
    std::lock_guard lock(mutex_);
    return {settings_feed_.part,
            {bundle.loaded, bundle.from_cache, bundle.revision, bundle.error},
            keys_feed_.part,
            bundle.source,
            bundle.long_polling};
  }

 private:
  // The control plane speaks OPA's protocol and holds polls.
  BundleSource ControlPlaneSource() const {
    BundleSource source;
    source.url = options_.control_url;
    source.resource = "/v1/bundles/" + options_.tenant;
    source.bearer_token = [key = options_.gateway_key]() -> Result<std::string> { return key; };
    source.verifier = rego::BundleVerifier{options_.bundle_keys, options_.tenant};
    source.min_delay = kUnheldPause;
    source.max_delay = kLongestPause;
    source.long_polling_timeout = options_.wait_seconds;
    return source;
  }

  using Take = Status (SyncImpl::*)(const std::string& content);
  enum class Polled : uint8_t { kChanged, kUnchanged, kFailed };

  void LoadCache(Feed& feed, Take take) {
    auto content = ReadFile(feed.file, kMaxCacheBytes);
    if (!content) return;
    const Status taken = (this->*take)(*content);
    if (!taken) {
      options_.logger->Error("a cached copy cannot be used", taken.error(), {{"what", feed.name}});
      return;
    }
    std::lock_guard lock(mutex_);
    feed.part.loaded = true;
    feed.part.from_cache = true;
  }

  // True while not stopped.
  bool Pause(milliseconds time) {
    std::unique_lock lock(mutex_);
    return !stop_.wait_for(lock, time, [this] { return stopping_; });
  }

  Polled Poll(net::HttpClient& client, Feed& feed, bool wait, Take take) {
    net::HttpRequest request;
    request.path = feed.path;
    if (wait) request.query = "wait=" + std::to_string(options_.wait_seconds);
    request.headers.Set("Authorization", "Bearer " + options_.gateway_key);
    if (!feed.etag.empty()) request.headers.Set("If-None-Match", feed.etag);
    auto response = client.Send(options_.control_url, request, (options_.wait_seconds + 10) * 1000);
    if (!response) {
      if (response.error().reason != "interrupted") SetError(feed, response.error());
      return Polled::kFailed;
    }
    if (response->status == 304) {
      Confirm(feed);
      return Polled::kUnchanged;
    }
    if (response->status != 200) {
      SetError(feed, Error{Code::kUnavailable, "control_answer",
                           "GET " + feed.path + ": HTTP " + std::to_string(response->status)});
      return Polled::kFailed;
    }
    // Also of a content that turns out to be bad: it is not fetched again until it has changed.
    feed.etag = response->headers.Get("ETag");
    const Status taken = (this->*take)(response->body);
    feed.refused = !taken.has_value();
    if (!taken) {
      SetError(feed, taken.error());
      return Polled::kChanged;
    }
    Confirm(feed);
    if (!feed.file.empty()) {
      if (auto kept = WriteFileAtomic(feed.file, response->body, 0600); !kept) {
        options_.logger->Error("the last good copy cannot be kept", kept.error(),
                               {{"what", feed.name}});
      }
    }
    return Polled::kChanged;
  }

  void Confirm(Feed& feed) {
    std::lock_guard lock(mutex_);
    // A refused content stays an error until another one comes.
    if (feed.refused) return;
    feed.part.loaded = true;
    feed.part.from_cache = false;
    feed.part.error.clear();
  }

  void SetError(Feed& feed, const Error& error) {
    {
      std::lock_guard lock(mutex_);
      feed.part.error = error.ToString();
    }
    options_.logger->Error("not in step with the control plane", error, {{"what", feed.name}});
  }

  // Runs one feed's polls until the end, with growing pauses while they fail.
  template <typename Once>
  void Loop(Once once) {
    milliseconds pause = kFirstPause;
    while (Pause(milliseconds(0))) {
      const auto began = steady_clock::now();
      const Polled polled = once();
      if (polled != Polled::kFailed) {
        pause = kFirstPause;
        // A server that does not hold polls must not be asked without end.
        const bool held = steady_clock::now() - began > kFirstPause;
        if (polled == Polled::kUnchanged && !held && !Pause(kUnheldPause)) return;
        continue;
      }
      // A poll that was held and then refused (nothing there yet) has waited already.
      if (steady_clock::now() - began > std::chrono::seconds(1)) pause = kFirstPause;
      if (!Pause(pause)) return;
      pause = std::min(pause * 2, kLongestPause);
    }
  }

  void PollSettings() {
    Loop([this] {
      const Polled keys = Poll(settings_client_, keys_feed_, false, &SyncImpl::TakeKeys);
      // Without keys nobody can call; then the rest can wait for them.
      const bool wait = keys != Polled::kFailed && !settings_feed_.etag.empty();
      const Polled settings = Poll(settings_client_, settings_feed_, wait, &SyncImpl::TakeSettings);
      return keys == Polled::kFailed ? keys : settings;
    });
  }

  Status TakeKeys(const std::string& content) {
    AEGIS_TRY(crypto::KeySet keys, crypto::KeySet::FromJwks(content));
    if (keys.empty()) {
      return Fail(Code::kInvalidArgument, "keys_missing", "the JWKS holds no key that can be used");
    }
    std::lock_guard lock(mutex_);
    keys_feed_.part.version = std::to_string(keys.keys().size()) + " keys";
    keys_ = std::move(keys);
    verifier_changed_ = true;
    Publish();
    return Ok();
  }

  Status TakeSettings(const std::string& content) {
    AEGIS_TRY(Settings settings, ParseSettings(content));
    if (settings.tenant != options_.tenant) {
      return Fail(Code::kPermissionDenied, "settings_tenant",
                  "the control plane sent settings of another tenant");
    }
    tools_->Set(settings.tools);
    auto revocations = std::make_shared<identity::RevocationSet>(NextEpoch());
    for (std::string& jti : settings.revoked_tokens) revocations->RevokeToken(std::move(jti));
    std::lock_guard lock(mutex_);
    settings_feed_.part.version = settings.revision;
    verifier_changed_ = verifier_changed_ || !settings_ || settings_->org != settings.org;
    settings_ = std::move(settings);
    revocations_ = std::move(revocations);
    Publish();
    return Ok();
  }

  // With mutex_ held: what is there goes into force together.
  void Publish() {
    if (stopping_ || !settings_ || keys_.empty()) return;
    if (verifier_changed_) {
      identity::TokenVerifier::Options tokens;
      tokens.keys = keys_;
      tokens.issuer = options_.token_issuer;
      tokens.audience = options_.token_audience;
      tokens.org = settings_->org;
      tokens.tenant = options_.tenant;
      token_verifier_ = std::make_shared<identity::TokenVerifier>(std::move(tokens));
      verifier_changed_ = false;
    }
    auto state = std::make_shared<State>();
    state->org = settings_->org;
    state->tenant = options_.tenant;
    state->revision = settings_->revision;
    state->snapshot = snapshot_;
    state->verifier = token_verifier_;
    state->revocations = revocations_;
    state->tools = tools_->tools();
    for (const Settings::ToolEntry& entry : settings_->tools) {
      for (const std::string& host : entry.spec.hosts) state->tool_hosts[host] = entry.spec.name;
    }
    state->agents = settings_->agents;
    state->blocked_sources = settings_->blocked_sources;
    state->blocked_names = settings_->blocked_names;
    gateway_.UpdateState(std::move(state));
  }

  Options options_;
  Gateway& gateway_;
  net::HttpClient settings_client_;
  std::thread settings_thread_;

  mutable std::mutex mutex_;
  std::condition_variable stop_;
  bool stopping_ = false;
  Feed settings_feed_, keys_feed_;
  std::optional<Settings> settings_;
  std::unique_ptr<ToolDirectory> tools_;
  std::shared_ptr<const identity::RevocationSet> revocations_;
  crypto::KeySet keys_;
  bool verifier_changed_ = false;
  std::shared_ptr<const identity::TokenVerifier> token_verifier_;
  std::shared_ptr<const decision::Snapshot> snapshot_;
  std::unique_ptr<BundlePoller> bundle_poller_;
  std::unique_ptr<UnknownReporter> unknown_reporter_;
};

}  // namespace

Result<std::unique_ptr<Sync>> Sync::Start(Options options, Gateway& gateway) {
  auto sync = std::make_unique<SyncImpl>(std::move(options), gateway);
  AEGIS_RETURN_IF_ERROR(sync->Begin());
  return sync;
}

}  // namespace aegis::gateway
