#include "aegis/gateway/worker.h"

#include "aegis/net/http1_grammar.h"

namespace aegis::gateway {
namespace {

std::vector<std::string> SecretsOf(const Tool& tool) {
  std::vector<std::string> secrets;
  for (const ToolCredential& credential : tool.credentials) secrets.push_back(credential.secret);
  return secrets;
}

}  // namespace

class Worker::Lease {
 public:
  Lease(Worker& worker, const AddressLimit::Source& source) : worker_(worker), source_(source) {
    worker_.connection_count_.fetch_add(1, std::memory_order_relaxed);
    worker_.metrics_.connections.Add(1);
  }
  ~Lease() {
    worker_.connection_count_.fetch_sub(1, std::memory_order_relaxed);
    worker_.metrics_.connections.Add(-1);
    worker_.addresses_.Leave(source_);
  }
  Lease(const Lease&) = delete;
  Lease& operator=(const Lease&) = delete;

 private:
  Worker& worker_;
  const AddressLimit::Source source_;
};

Worker::Worker(const Options& options, audit::Journal& journal, telemetry::WorkerMetrics& metrics,
               IssuedDecisions& issued, AddressLimit& addresses, telemetry::Logger& logger)
    : options_(options),
      metrics_(metrics),
      logger_(logger),
      issued_(issued),
      addresses_(addresses),
      graveyard_(loop_),
      recorder_(loop_, journal),
      pipeline_(options.pipeline, recorder_, metrics),
      envoy_timer_([](void* self) { static_cast<Worker*>(self)->CountEnvoyConnections(); }, this) {
  recorder_.set_on_idle([](void* self) { static_cast<Worker*>(self)->StopWhenQuiet(); }, this);
}

Worker::~Worker() { Stop(); }

void Worker::Listen(FileDescriptor listening, std::shared_ptr<const net::TlsServerContext> tls) {
  AgentListener& listener = listeners_.emplace_back();
  listener.tls = std::move(tls);
  listener.acceptor =
      std::make_unique<net::Acceptor>(loop_, std::move(listening),
                                      [this, number = listeners_.size() - 1](
                                          FileDescriptor socket, const net::SocketAddress& peer) {
                                        Accept(std::move(socket), peer, number);
                                      });
}

void Worker::ListenEnvoy(FileDescriptor listening,
                         std::shared_ptr<const net::TlsServerContext> tls) {
  if (!envoy_) envoy_ = MakeEnvoyDoor(nullptr);
  envoy_->Listen(std::move(listening), std::move(tls));
}

void Worker::ListenOpaEnvoy(FileDescriptor listening,
                            std::shared_ptr<const net::TlsServerContext> tls) {
  if (!opa_envoy_) opa_envoy_ = MakeEnvoyDoor(&options_.opa_envoy);
  opa_envoy_->Listen(std::move(listening), std::move(tls));
}

void Worker::ListenEgress(FileDescriptor listening, EgressHub& hub) {
  if (!egress_) {
    egress_ = std::make_unique<EgressDoor>(EgressDoor::Parts{hub, options_.limits, addresses_,
                                                             loop_, buffers_, graveyard_, pipeline_,
                                                             metrics_, logger_});
  }
  egress_->Listen(std::move(listening));
}

std::unique_ptr<EnvoyDoor> Worker::MakeEnvoyDoor(const OpaEnvoyOptions* opa_envoy) {
  EnvoyDoor::Options options;
  options.limits = options_.limits;
  options.redaction = options_.redaction;
  options.max_connections = options_.max_connections;
  options.serving = options_.serving;
  options.opa_envoy = opa_envoy;
  options.issued = &issued_;
  return std::make_unique<EnvoyDoor>(options, loop_, pipeline_, metrics_, logger_);
}

void Worker::Start() {
  thread_ = std::thread([this] { loop_.Run(); });
}

void Worker::Accept(FileDescriptor socket, const net::SocketAddress& peer, size_t listener) {
  // Beyond the limit the connection is closed at once: that is clearer to the agent than silence.
  if (connection_count_.load(std::memory_order_relaxed) >= options_.max_connections || draining_) {
    return;
  }
  const AddressLimit::Source source = AddressLimit::SourceOf(peer);
  if (!addresses_.Enter(source)) return;
  auto connection = std::make_unique<Connection>(*this);
  Connection* raw = connection.get();
  raw->index = connections_.size();
  connections_.push_back(std::move(connection));
  raw->Start(std::move(socket), {peer.ToString(), {}, std::make_shared<Lease>(*this, source)},
             listeners_[listener].tls);
}

void Worker::Remove(Connection* connection) {
  const size_t index = connection->index;
  std::unique_ptr<Connection> dead = std::move(connections_[index]);
  if (index + 1 < connections_.size()) {
    connections_[index] = std::move(connections_.back());
    connections_[index]->index = index;
  }
  connections_.pop_back();
  graveyard_.Bury(std::move(dead));
}

void Worker::ServeHttp2(FileDescriptor socket, net::ServerStream stream, net::Peer peer,
                        std::string_view received) {
  if (!http2_) http2_ = std::make_unique<Http2Door>(*this);
  http2_->Serve(std::move(socket), std::move(stream), std::move(peer), received);
}

bool Worker::BeginRequest() {
  if (requests_ >= options_.max_requests) return false;
  ++requests_;
  metrics_.requests_in_flight.Add(1);
  return true;
}

void Worker::EndRequest() {
  --requests_;
  metrics_.requests_in_flight.Add(-1);
}

void Worker::SetState(std::shared_ptr<const State> state) {
  loop_.Post([this, state = std::move(state)]() mutable {
    pipeline_.SetState(std::move(state));
    UpdatePools();
    // Cutting one takes it out of the list and another into its place.
    for (size_t i = connections_.size(); i-- > 0;) connections_[i]->OnNewState();
    if (egress_) egress_->OnState();
    if (http2_) http2_->OnNewState();
  });
}

void Worker::SetCertificates(Certificates certificates) {
  loop_.Post([this, certificates = std::move(certificates)]() mutable {
    for (size_t i = 0; i < listeners_.size() && i < certificates.listeners.size(); ++i) {
      if (listeners_[i].tls) listeners_[i].tls = std::move(certificates.listeners[i]);
    }
    if (envoy_ && certificates.envoy) envoy_->SetTls(std::move(certificates.envoy));
  });
}

UpstreamOptions Worker::UpstreamOptionsOf(const Tool& tool) const {
  UpstreamOptions out = tool.upstream;
  const Limits& limits = options_.limits;
  if (out.connect_timeout_ms == 0) out.connect_timeout_ms = limits.connect_timeout_ms;
  if (out.first_byte_timeout_ms == 0) out.first_byte_timeout_ms = limits.first_byte_timeout_ms;
  if (out.idle_timeout_ms == 0) out.idle_timeout_ms = limits.idle_timeout_ms;
  return out;
}

UpstreamPool* Worker::PoolFor(std::string_view name, const Tool& tool) {
  auto found = pools_.find(tool.pool_key);
  if (found == pools_.end()) {
    UpstreamPool::Options options;
    options.name = name;
    options.max_idle = options_.limits.max_idle_upstream;
    options.idle_timeout_ms = options_.limits.upstream_keep_alive_ms;
    options.limits = options_.limits.http;
    options.upstream = UpstreamOptionsOf(tool);
    options.metrics = &metrics_;
    options.logger = &logger_;
    found = pools_
                .emplace(tool.pool_key, std::make_unique<UpstreamPool>(loop_, buffers_, graveyard_,
                                                                       tool.target, options))
                .first;
    found->second->SetSecrets(SecretsOf(tool));
  }
  return found->second.get();
}

void Worker::UpdatePools() {
  StringMap<const Tool*> wanted_pools;
  for (const auto& [name, tool] : pipeline_.state()->tools) wanted_pools[tool.pool_key] = &tool;
  for (auto it = pools_.begin(); it != pools_.end();) {
    const auto found = wanted_pools.find(it->first);
    const bool wanted = found != wanted_pools.end();
    if (wanted) {
      const Tool& tool = *found->second;
      it->second->Update(tool.target.addresses, UpstreamOptionsOf(tool));
      it->second->SetSecrets(SecretsOf(tool));
    } else {
      it->second->Retire();
    }
    // A pool in use goes with a later state.
    it = !wanted && !it->second->in_use() ? pools_.erase(it) : std::next(it);
  }
}

std::string_view Worker::HttpDate() {
  const int64_t now = pipeline_.clock().UnixSeconds();
  if (now != date_second_) {
    date_second_ = now;
    date_ = net::FormatHttpDate(now);
  }
  return date_;
}

bool Worker::AddBuffered(size_t bytes) {
  if (buffered_bytes_ + bytes > options_.limits.max_buffered_bytes) return false;
  buffered_bytes_ += bytes;
  return true;
}

void Worker::BeginDrain() {
  loop_.Post([this] {
    draining_ = true;
    for (AgentListener& listener : listeners_) listener.acceptor->Close();
    // Closing takes a connection out of the list and another into its place.
    for (size_t i = connections_.size(); i-- > 0;) connections_[i]->Drain();
    if (http2_) http2_->BeginDrain();
    if (envoy_) envoy_->BeginDrain();
    if (opa_envoy_) opa_envoy_->BeginDrain();
    if (egress_) egress_->BeginDrain();
    CountEnvoyConnections();
  });
}

void Worker::CountEnvoyConnections() {
  size_t count = 0;
  if (envoy_) count += envoy_->connection_count();
  if (opa_envoy_) count += opa_envoy_->connection_count();
  if (egress_) count += egress_->connection_count();
  envoy_connections_.store(count, std::memory_order_relaxed);
  constexpr int kAgainMs = 50;
  if (count > 0 && !stopping_) envoy_timer_.Arm(loop_, kAgainMs);
}

void Worker::Stop() {
  if (!thread_.joinable()) return;
  loop_.Post([this] { StopOnLoop(); });
  thread_.join();
  // What was closed last is still in the graveyard; its objects refer to the members below it.
  graveyard_.Clear();
}

void Worker::StopOnLoop() {
  stopping_ = true;
  draining_ = true;
  for (AgentListener& listener : listeners_) listener.acceptor->Close();
  while (!connections_.empty()) connections_.back()->Close();
  if (http2_) http2_->Close();
  if (envoy_) envoy_->Close();
  if (opa_envoy_) opa_envoy_->Close();
  if (egress_) egress_->Close();
  for (auto& [key, pool] : pools_) pool->Retire();
  StopWhenQuiet();
}

void Worker::StopWhenQuiet() {
  if (stopping_ && recorder_.outstanding() == 0) loop_.Stop();
}

}  // namespace aegis::gateway
