#include "aegis/gateway/gateway.h"

#include <algorithm>
#include <chrono>
#include <iterator>
#include <thread>

#include "aegis/gateway/worker.h"
#include "aegis/net/tls_server.h"
#include "aegis/net/unix_socket.h"
#include "aegis/telemetry/span_exporter.h"

namespace aegis::gateway {
namespace {

constexpr size_t kIssuedDecisions = 20'000;
constexpr int64_t kIssuedLifetimeNanos = 15ll * 60 * 1'000'000'000;
constexpr std::string_view kUnix = "unix:";

// Whether only this machine reaches the address. In clear, whoever is on the way reads agents'
// tokens. Errors: plaintext; bad_address.
Status CheckPrivate(const Listener& listener, const std::string& advice) {
  if (!listener.certificate_file.empty() || listener.allow_plaintext) return Ok();
  if (listener.address.starts_with(kUnix)) return Ok();
  AEGIS_TRY(const net::SocketAddress address, net::ResolveAddress(listener.address));
  if (address.is_loopback()) return Ok();
  return Fail(Code::kInvalidArgument, "plaintext", advice);
}

constexpr const char* kAgentsAdvice =
    "' in clear, where others can read their tokens: give http.listeners in aegis.yaml a tls, "
    "listen at a loopback address, or, if the network is protected otherwise, say so with "
    "--gateway-plaintext or allow_plaintext: true";
constexpr const char* kEnvoysAdvice =
    "' in clear, where others can read tokens and allow calls: set envoy.tls in aegis.yaml, listen "
    "at a loopback address or unix:PATH, or, if the network is protected otherwise, say so with "
    "--ext-authz-plaintext or envoy.allow_plaintext: true";

// Nothing without a certificate.
Result<std::shared_ptr<const net::TlsServerContext>> MakeTls(const Listener& listener,
                                                             std::vector<std::string> protocols,
                                                             bool requires_protocol) {
  if (listener.certificate_file.empty()) return std::shared_ptr<const net::TlsServerContext>();
  return net::TlsServerContext::Make({.certificate_file = listener.certificate_file,
                                      .key_file = listener.key_file,
                                      .client_ca_file = listener.client_ca_file,
                                      .protocols = std::move(protocols),
                                      .requires_protocol = requires_protocol});
}

Result<std::shared_ptr<const net::TlsServerContext>> MakeAgentsTls(const Listener& listener) {
  return MakeTls(listener, {"h2", "http/1.1"}, false);
}
Result<std::shared_ptr<const net::TlsServerContext>> MakeEnvoyTls(const Listener& listener) {
  return MakeTls(listener, {"h2"}, true);
}

}  // namespace

telemetry::Metrics::Options MetricsOptions(size_t workers, std::string version,
                                           std::string revision) {
  telemetry::Metrics::Options options;
  options.workers = workers;
  constexpr int kOutcomeCount = static_cast<int>(decision::Outcome::kDefer) + 1;
  for (int i = 0; i < kOutcomeCount; ++i) {
    options.outcomes.emplace_back(decision::OutcomeName(static_cast<decision::Outcome>(i)));
  }
  for (int i = 0; i < decision::kReasonCount; ++i) {
    options.reasons.emplace_back(decision::ReasonName(static_cast<decision::Reason>(i)));
  }
  options.unknown_reasons.assign(std::begin(kUnknownReasons), std::end(kUnknownReasons));
  options.version = std::move(version);
  options.revision = std::move(revision);
  return options;
}

Gateway::Gateway(Options options)
    : options_(std::move(options)),
      issued_(kIssuedDecisions, kIssuedLifetimeNanos),
      connections_by_address_(options_.limits.max_connections_per_address) {
  if (options_.workers == 0) options_.workers = 1;
  if (!options_.logger) options_.logger = &telemetry::NullLogger();
}

Gateway::~Gateway() { Stop(); }

Result<std::unique_ptr<Gateway>> Gateway::Start(Options options) {
  std::unique_ptr<Gateway> gateway(new Gateway(std::move(options)));
  AEGIS_RETURN_IF_ERROR(gateway->Bind());
  for (auto& worker : gateway->workers_) worker->Start();
  return gateway;
}

Status Gateway::Bind() {
  Worker::Options options;
  options.limits = options_.limits;
  options.redaction = options_.redaction;
  options.max_connections = std::max<size_t>(1, options_.limits.max_connections / options_.workers);
  options.max_requests = std::max<size_t>(1, options_.limits.max_requests / options_.workers);
  options.pipeline.shadow = options_.shadow;
  options.pipeline.producer = options_.producer;
  options.pipeline.clock = options_.clock;
  options.opa_envoy = options_.opa_envoy;
  options.serving = [this] { return NotReadyBecause().empty(); };
  options.pipeline.spans.sampler = options_.sampler;
  for (size_t i = 0; i < options_.workers; ++i) {
    if (options_.spans) options.pipeline.spans.queue = &options_.spans->queue(i);
    workers_.push_back(std::make_unique<Worker>(options, *options_.journal,
                                                options_.metrics->worker(i), issued_,
                                                connections_by_address_, *options_.logger));
  }
  for (const Listener& listener : options_.listeners) AEGIS_RETURN_IF_ERROR(BindAgents(listener));
  AEGIS_RETURN_IF_ERROR(BindEnvoy());
  return BindEgress();
}

Status Gateway::BindEgress() {
  if (options_.egress.address.empty()) return Ok();
  egress_ = std::make_unique<EgressHub>(options_.egress);
  AEGIS_TRY(net::SocketAddress address, net::ResolveAddress(options_.egress.address));
  if (workers_.size() > 1) AEGIS_RETURN_IF_ERROR(net::CheckAddressFree(address));
  for (size_t i = 0; i < workers_.size(); ++i) {
    AEGIS_TRY(FileDescriptor fd, net::ListenTcp(address, workers_.size() > 1));
    if (i == 0) address = net::LocalAddress(fd.get());
    workers_[i]->ListenEgress(std::move(fd), *egress_);
  }
  egress_address_ = address.ToString();
  // What an agent cannot reach by itself it must not reach through here either.
  for (const std::string& own : addresses_) AEGIS_RETURN_IF_ERROR(Guard(own));
  for (const std::string* own : {&egress_address_, &envoy_address_, &opa_envoy_address_}) {
    if (own->empty() || own->starts_with(kUnix)) continue;
    AEGIS_RETURN_IF_ERROR(Guard(*own));
  }
  return Ok();
}

Status Gateway::Guard(const std::string& own) {
  if (!egress_) return Ok();
  AEGIS_TRY(const net::SocketAddress address, net::ResolveAddress(own));
  egress_->Guard(address);
  return Ok();
}

Status Gateway::BindAgents(const Listener& listener) {
  AEGIS_RETURN_IF_ERROR(
      CheckPrivate(listener, "agents would call at '" + listener.address + kAgentsAdvice));
  AEGIS_TRY(const std::shared_ptr<const net::TlsServerContext> tls, MakeAgentsTls(listener));
  AEGIS_TRY(net::SocketAddress address, net::ResolveAddress(listener.address));
  // Sockets that share a port would join those of another process that runs as the same user.
  if (workers_.size() > 1) AEGIS_RETURN_IF_ERROR(net::CheckAddressFree(address));
  for (size_t i = 0; i < workers_.size(); ++i) {
    AEGIS_TRY(FileDescriptor fd, net::ListenTcp(address, workers_.size() > 1));
    if (i == 0)
      address = net::LocalAddress(fd.get());  // the others share the port that 0 stood for
    workers_[i]->Listen(std::move(fd), tls);
  }
  addresses_.push_back(address.ToString());
  if (port_ == 0) port_ = address.port();
  return Ok();
}

std::string Gateway::url() const {
  if (addresses_.empty()) return {};
  const bool tls = !options_.listeners[0].certificate_file.empty();
  return (tls ? "https://" : "http://") + addresses_[0];
}

Status Gateway::BindEnvoy() {
  const Listener& envoy = options_.envoy;
  if (!envoy.address.empty()) {
    AEGIS_RETURN_IF_ERROR(
        CheckPrivate(envoy, "Envoys would ask at '" + envoy.address + kEnvoysAdvice));
    AEGIS_TRY(const std::shared_ptr<const net::TlsServerContext> tls, MakeEnvoyTls(envoy));
    AEGIS_TRY(envoy_address_, BindGrpc(envoy.address, tls, &Worker::ListenEnvoy));
  }
  if (!options_.opa_envoy.address.empty()) {
    AEGIS_TRY(opa_envoy_address_,
              BindGrpc(options_.opa_envoy.address, nullptr, &Worker::ListenOpaEnvoy));
  }
  return Ok();
}

Result<std::string> Gateway::BindGrpc(const std::string& where,
                                      const std::shared_ptr<const net::TlsServerContext>& tls,
                                      Listen listen) {
  if (where.starts_with(kUnix)) {
    AEGIS_TRY(FileDescriptor first, net::ListenUnix(where.substr(kUnix.size())));
    for (size_t i = 1; i < workers_.size(); ++i) {
      AEGIS_TRY(FileDescriptor fd, net::Duplicate(first));
      (*workers_[i].*listen)(std::move(fd), tls);
    }
    (*workers_[0].*listen)(std::move(first), tls);
    return where;
  }
  AEGIS_TRY(net::SocketAddress address, net::ResolveAddress(where));
  if (workers_.size() > 1) AEGIS_RETURN_IF_ERROR(net::CheckAddressFree(address));
  for (size_t i = 0; i < workers_.size(); ++i) {
    AEGIS_TRY(FileDescriptor fd, net::ListenTcp(address, workers_.size() > 1));
    if (i == 0) address = net::LocalAddress(fd.get());
    (*workers_[i].*listen)(std::move(fd), tls);
  }
  return address.ToString();
}

void Gateway::UpdateState(std::shared_ptr<const State> state) {
  {
    std::lock_guard lock(mutex_);
    state_ = state;
  }
  for (auto& worker : workers_) worker->SetState(state);
}

Status Gateway::ReloadCertificates(const std::vector<Listener>& listeners, const Listener& envoy) {
  const auto same_kind = [](const Listener& a, const Listener& b) {
    return a.certificate_file.empty() == b.certificate_file.empty();
  };
  bool same = listeners.size() == options_.listeners.size() && same_kind(envoy, options_.envoy);
  for (size_t i = 0; same && i < listeners.size(); ++i) {
    same = same_kind(listeners[i], options_.listeners[i]);
  }
  if (!same) {
    return Fail(Code::kInvalidArgument, "invalid_reload",
                "listeners cannot come, go, begin or end to have TLS without a restart");
  }
  Worker::Certificates made;
  for (const Listener& listener : listeners) {
    AEGIS_TRY(auto tls, MakeAgentsTls(listener));
    made.listeners.push_back(std::move(tls));
  }
  AEGIS_TRY(made.envoy, MakeEnvoyTls(envoy));
  for (auto& worker : workers_) worker->SetCertificates(made);
  return Ok();
}

std::shared_ptr<const State> Gateway::state() const {
  std::lock_guard lock(mutex_);
  return state_;
}

std::vector<UnknownCaller> Gateway::TakeUnknownCallers() {
  std::vector<UnknownCaller> all;
  for (auto& worker : workers_) {
    auto taken = worker->pipeline().unknown_callers().Take();
    std::move(taken.begin(), taken.end(), std::back_inserter(all));
  }
  return all;
}

std::string Gateway::NotReadyBecause() const {
  std::lock_guard lock(mutex_);
  if (draining_) return "the gateway is shutting down";
  if (!state_) return "no settings yet: who may call is not known";
  if (!state_->snapshot) return "no policy yet: every call is denied";
  if (options_.journal->failed()) {
    return "the audit journal has failed, every call is refused: " + options_.journal->last_error();
  }
  return {};
}

size_t Gateway::connection_count() const {
  size_t count = 0;
  for (const auto& worker : workers_) count += worker->connection_count();
  return count;
}

bool Gateway::Drain(int timeout_ms) {
  {
    std::lock_guard lock(mutex_);
    draining_ = true;
  }
  for (auto& worker : workers_) worker->BeginDrain();
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(timeout_ms);
  while (connection_count() > 0) {
    if (std::chrono::steady_clock::now() >= deadline) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return true;
}

void Gateway::Stop() {
  for (auto& worker : workers_) worker->Stop();
}

}  // namespace aegis::gateway
