// One worker thread of the gateway: its event loop, listeners, connections and all that they share.
//
// Threading: everything here belongs to the worker's thread, but the methods that say otherwise.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "aegis/audit/journal.h"
#include "aegis/gateway/address_limit.h"
#include "aegis/gateway/buffer.h"
#include "aegis/gateway/connection.h"
#include "aegis/gateway/egress/egress_door.h"
#include "aegis/gateway/envoy/envoy_door.h"
#include "aegis/gateway/graveyard.h"
#include "aegis/gateway/http2_door.h"
#include "aegis/gateway/issued_decisions.h"
#include "aegis/gateway/options.h"
#include "aegis/gateway/pipeline.h"
#include "aegis/gateway/recorder.h"
#include "aegis/gateway/upstream.h"
#include "aegis/net/event_loop.h"
#include "aegis/net/tcp.h"
#include "aegis/telemetry/log.h"
#include "aegis/telemetry/metrics.h"

namespace aegis::gateway {

class Worker {
 public:
  struct Options {
    Limits limits;
    Redaction redaction;
    size_t max_connections = 4096;  // of this worker, as the next
    size_t max_requests = 4096;
    Pipeline::Options pipeline;
    std::function<bool()> serving;  // what the health service says; any thread
    OpaEnvoyOptions opa_envoy;
  };
  // The rest must outlive the worker.
  Worker(const Options& options, audit::Journal& journal, telemetry::WorkerMetrics& metrics,
         IssuedDecisions& issued, AddressLimit& addresses, telemetry::Logger& logger);
  ~Worker();

  // Before Start. For agents; `tls`: nullptr for a listener in clear.
  void Listen(FileDescriptor listening, std::shared_ptr<const net::TlsServerContext> tls);
  // For Envoys, by gRPC. `tls`: nullptr for HTTP/2 in clear.
  void ListenEnvoy(FileDescriptor listening, std::shared_ptr<const net::TlsServerContext> tls);
  // The same, as opa-envoy-plugin.
  void ListenOpaEnvoy(FileDescriptor listening, std::shared_ptr<const net::TlsServerContext> tls);
  // For agents, as a forward proxy. `hub`: of all workers.
  void ListenEgress(FileDescriptor listening, EgressHub& hub);
  void Start();
  // Any thread.
  void SetState(std::shared_ptr<const State> state);
  // Certificates of new connections: of each listener in the order of Listen (nullptr: it has no
  // TLS), and of Envoys'. Any thread.
  struct Certificates {
    std::vector<std::shared_ptr<const net::TlsServerContext>> listeners;
    std::shared_ptr<const net::TlsServerContext> envoy;
  };
  void SetCertificates(Certificates certificates);
  void BeginDrain();  // no new connections; the others are closed after their current answer
  // Those of Envoys are counted while draining only.
  size_t connection_count() const {
    return connection_count_.load(std::memory_order_relaxed) +
           envoy_connections_.load(std::memory_order_relaxed);
  }
  uint64_t record_failures() const { return recorder_.failures(); }
  // Closes all connections, waits until the journal has reported every record, and joins the
  // thread.
  void Stop();

  // --- For connections ---
  net::EventLoop& loop() { return loop_; }
  const Limits& limits() const { return options_.limits; }
  BufferPool& buffers() { return buffers_; }
  Pipeline& pipeline() { return pipeline_; }
  telemetry::WorkerMetrics& metrics() { return metrics_; }
  telemetry::Logger& logger() { return logger_; }
  IssuedDecisions& issued() { return issued_; }
  // `name`: the tool's.
  UpstreamPool* PoolFor(std::string_view name, const Tool& tool);
  bool draining() const { return draining_; }
  // The Date field's value, renewed every second.
  std::string_view HttpDate();
  // Bytes of bodies held for judging. False: no more fit.
  bool AddBuffered(size_t bytes);
  void SubtractBuffered(size_t bytes) { buffered_bytes_ -= bytes; }
  void Remove(Connection* connection);
  // A connection that turned out to speak HTTP/2 (Http2Door::Serve).
  void ServeHttp2(FileDescriptor socket, net::ServerStream stream, net::Peer peer,
                  std::string_view received);
  Graveyard& graveyard() { return graveyard_; }
  // A request is at work until EndRequest. False: there are as many as may be.
  bool BeginRequest();
  void EndRequest();

 private:
  // What a connection of an agent counts as while it is open, whatever it speaks.
  class Lease;
  void Accept(FileDescriptor socket, const net::SocketAddress& peer, size_t listener);
  UpstreamOptions UpstreamOptionsOf(const Tool& tool) const;
  // Drops those of tools that are no more; the others follow their tools.
  void UpdatePools();
  std::unique_ptr<EnvoyDoor> MakeEnvoyDoor(const OpaEnvoyOptions* opa_envoy);
  void CountEnvoyConnections();
  void StopOnLoop();
  void StopWhenQuiet();

  Options options_;
  telemetry::WorkerMetrics& metrics_;
  telemetry::Logger& logger_;
  IssuedDecisions& issued_;
  AddressLimit& addresses_;
  net::EventLoop loop_;
  BufferPool buffers_;
  Graveyard graveyard_;
  Recorder recorder_;
  Pipeline pipeline_;
  StringMap<std::unique_ptr<UpstreamPool>> pools_;
  struct AgentListener {
    std::unique_ptr<net::Acceptor> acceptor;
    std::shared_ptr<const net::TlsServerContext> tls;
  };
  std::vector<AgentListener> listeners_;
  std::vector<std::unique_ptr<Connection>> connections_;  // that do not speak HTTP/2
  std::unique_ptr<Http2Door> http2_;                      // nullptr: none has spoken it yet
  std::atomic<size_t> connection_count_{0};               // of agents
  std::unique_ptr<EnvoyDoor> envoy_, opa_envoy_;          // nullptr: not served
  std::unique_ptr<EgressDoor> egress_;                    // likewise
  std::atomic<size_t> envoy_connections_{0};              // and those of the egress door
  net::Timer envoy_timer_;                                // while draining
  bool draining_ = false;
  bool stopping_ = false;
  size_t buffered_bytes_ = 0;
  size_t requests_ = 0;  // at work
  std::string date_;
  int64_t date_second_ = 0;
  std::thread thread_;
};

}  // namespace aegis::gateway
