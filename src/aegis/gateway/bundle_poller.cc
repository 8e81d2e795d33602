#include "aegis/gateway/bundle_poller.h"

#include <algorithm>
#include <random>

#include "aegis/base/text.h"
#include "aegis/crypto/digest.h"

namespace aegis::gateway {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr std::string_view kLongPollType = "application/vnd.openpolicyagent.bundles";
constexpr milliseconds kFirstPause{100};
// A server that says that it holds polls and does not must not be asked without end.
constexpr milliseconds kUnheldPause{1'000};
constexpr size_t kMaxEtagBytes = 4096;

net::HttpClient::Options ClientOptions(const BundleSource& source) {
  net::HttpClient::Options options;
  options.max_body_bytes = source.limits.max_archive_bytes;
  options.ca_file = source.ca_file;
  return options;
}

bool IsLongPollType(std::string_view content_type) {
  return EqualsIgnoreCase(Trim(content_type.substr(0, content_type.find(';'))), kLongPollType);
}

std::string_view WithoutWeakness(std::string_view etag) {
  if (etag.starts_with("W/")) etag.remove_prefix(2);
  return etag;
}

}  // namespace

BundlePoller::BundlePoller(BundleSource source, Options options, OnPolicy on_policy)
    : source_(std::move(source)),
      options_(std::move(options)),
      on_policy_(std::move(on_policy)),
      loader_(source_, {options_.tenant, options_.cache_folder, options_.logger}),
      client_(ClientOptions(source_)),
      long_polling_(source_.long_polling_timeout > 0),
      random_(std::random_device()()) {
  if (!options_.logger) options_.logger = &telemetry::NullLogger();
  while (source_.url.ends_with('/')) source_.url.pop_back();
  if (!source_.resource.starts_with('/')) source_.resource.insert(0, "/");
  // A query may hold a secret (a signed URL), and is nobody's business.
  status_.source = source_.url + source_.resource.substr(0, source_.resource.find('?'));
}

BundlePoller::~BundlePoller() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  stop_.notify_all();
  client_.Interrupt();
  if (thread_.joinable()) thread_.join();
}

void BundlePoller::Start() {
  auto kept = loader_.LoadKept();
  if (kept) {
    PutInForce(*std::move(kept), true);
  } else if (kept.error().code != Code::kNotFound) {
    options_.logger->Error("a cached copy cannot be used", kept.error(), {{"what", "bundle"}});
  }
  thread_ = std::thread([this] { Run(); });
}

BundlePoller::Status BundlePoller::status() const {
  const std::lock_guard lock(mutex_);
  return status_;
}

bool BundlePoller::Pause(milliseconds time) {
  std::unique_lock lock(mutex_);
  return !stop_.wait_for(lock, time, [this] { return stopping_; });
}

milliseconds BundlePoller::Between(milliseconds low, milliseconds high) {
  random_ = random_ * 6364136223846793005u + 1442695040888963407u;  // Knuth's MMIX
  const auto span = static_cast<uint64_t>(std::max<int64_t>(0, (high - low).count())) + 1;
  return low + milliseconds((random_ >> 33) % span);
}

void BundlePoller::Run() {
  milliseconds pause = kFirstPause;
  while (Pause(milliseconds(0))) {
    const auto began = steady_clock::now();
    const Polled polled = Poll();
    const auto took = steady_clock::now() - began;
    if (polled == Polled::kFailed) {
      // A poll that was held and then refused (nothing there yet) has waited already.
      if (took > std::chrono::seconds(1)) pause = kFirstPause;
      if (!Pause(Between(pause * 4 / 5, pause))) return;
      pause = std::min(pause * 2, std::max(source_.max_delay, kFirstPause));
      continue;
    }
    pause = kFirstPause;
    if (!long_polling_) {
      if (!Pause(Between(source_.min_delay, source_.max_delay))) return;
    } else if (took < kFirstPause) {
      if (!Pause(polled == Polled::kChanged ? kFirstPause : kUnheldPause)) return;
    }
  }
}

BundlePoller::Polled BundlePoller::Poll() {
  net::HttpRequest request;
  const size_t query = source_.resource.find('?');
  request.path = source_.resource.substr(0, query);
  if (query != std::string::npos) request.query = source_.resource.substr(query + 1);
  request.headers.Set("Accept", std::string(kLongPollType) + ", application/gzip, */*;q=0.1");
  if (source_.bearer_token) {
    const auto token = source_.bearer_token();
    if (!token) {
      SetError(token.error());
      return Polled::kFailed;
    }
    request.headers.Set("Authorization", "Bearer " + *token);
  }
  // A delta is made against the ETag, so then only what is in force may be named.
  const bool deltas = loader_.accepts_deltas();
  std::string known = etag_;
  if (!deltas && !refused_etag_.empty()) known += (known.empty() ? "" : ", ") + refused_etag_;
  if (!known.empty()) request.headers.Set("If-None-Match", known);
  std::string prefer = deltas ? "modes=snapshot,delta" : "modes=snapshot";
  const int wait = long_polling_ ? source_.long_polling_timeout : 0;
  if (wait > 0) prefer += ";wait=" + std::to_string(wait);
  request.headers.Set("Prefer", prefer);

  auto response = client_.Send(source_.url, request, (wait + source_.request_timeout) * 1000);
  if (!response) {
    if (response.error().reason != "interrupted") SetError(response.error());
    return Polled::kFailed;
  }
  return TakeAnswer(*std::move(response));
}

BundlePoller::Polled BundlePoller::TakeAnswer(net::HttpResponse response) {
  const std::string etag(response.headers.Get("ETag"));
  if (response.status != 200 && response.status != 304) {
    SetError(Error{Code::kUnavailable, "bundle_answer",
                   "the bundle server answered HTTP " + std::to_string(response.status)});
    return Polled::kFailed;
  }
  long_polling_ =
      source_.long_polling_timeout > 0 && IsLongPollType(response.headers.Get("Content-Type"));
  if (response.status == 304) {
    const bool refused = !refused_etag_.empty() &&
                         (etag.empty() || WithoutWeakness(etag) == WithoutWeakness(refused_etag_));
    if (!refused) Confirm();  // else it stays an error until something else comes
    return Polled::kUnchanged;
  }
  const std::string sha256 = crypto::Sha256Hex(response.body);
  // A server without ETags, or one that knows the one in force only, sends the same again.
  if (sha256 == refused_sha256_) {
    SetError(refusal_);
    return Polled::kFailed;
  }
  const auto before = loader_.current();
  auto taken = loader_.Take(std::move(response.body), !etag_.empty());
  if (options_.metrics && (!taken || *taken != before)) {
    (taken ? options_.metrics->policy_reloads_ok : options_.metrics->policy_reloads_failed).Add();
  }
  if (!taken) {
    refused_sha256_ = sha256;
    refused_etag_ = etag.size() <= kMaxEtagBytes ? etag : std::string();
    refusal_ = taken.error();
    // What a delta could not change is asked for as a whole.
    if (taken.error().reason == "bundle_delta") etag_.clear();
    SetError(taken.error());
    // Not at once: it is asked for again at the pace of failures if the server cannot be told.
    return loader_.accepts_deltas() || refused_etag_.empty() ? Polled::kFailed : Polled::kChanged;
  }
  etag_ = etag.size() <= kMaxEtagBytes ? etag : std::string();
  refused_etag_.clear();
  refused_sha256_.clear();
  if (*taken == before) {
    Confirm();
    return Polled::kUnchanged;
  }
  PutInForce(*taken, false);
  return Polled::kChanged;
}

void BundlePoller::Confirm() {
  const std::lock_guard lock(mutex_);
  status_.from_cache = false;
  status_.error.clear();
  status_.long_polling = long_polling_;
}

void BundlePoller::PutInForce(std::shared_ptr<const decision::Snapshot> snapshot, bool from_cache) {
  {
    const std::lock_guard lock(mutex_);
    status_.loaded = true;
    status_.from_cache = from_cache;
    status_.revision = snapshot->policy_version();
    status_.error.clear();
    if (!from_cache) status_.long_polling = long_polling_;
  }
  options_.logger->Info("policy in force", {{"policy_version", snapshot->policy_version()},
                                            {"bundle_sha256", snapshot->bundle_sha256()},
                                            {"source", status_.source}});
  on_policy_(std::move(snapshot));
}

void BundlePoller::SetError(const Error& error) {
  {
    const std::lock_guard lock(mutex_);
    status_.error = error.ToString();
  }
  if (options_.metrics) options_.metrics->policy_fetch_failures.Add();
  options_.logger->Error("the policy is not in step with its source", error,
                         {{"source", status_.source}});
}

}  // namespace aegis::gateway
