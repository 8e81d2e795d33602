// The data plane: listens for agents, decides and records their calls, forwards what is allowed.
//
// Worker threads share nothing but immutable states and the journal. A new State reaches each
// worker between two of its events, so that a running call never sees half of a change.
//
// Threading: all methods may be called from any thread, but Drain, Stop and the destructor from one
// only.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "aegis/audit/journal.h"
#include "aegis/base/result.h"
#include "aegis/gateway/address_limit.h"
#include "aegis/gateway/issued_decisions.h"
#include "aegis/gateway/options.h"
#include "aegis/gateway/state.h"
#include "aegis/gateway/unknown_callers.h"
#include "aegis/telemetry/log.h"
#include "aegis/telemetry/metrics.h"
#include "aegis/telemetry/sampler.h"

namespace aegis::net {
class TlsServerContext;
}  // namespace aegis::net

namespace aegis::telemetry {
class SpanExporter;
}  // namespace aegis::telemetry

namespace aegis::gateway {

class EgressHub;
class Worker;

// For the Metrics of a gateway with that many workers: names of outcomes and reasons.
telemetry::Metrics::Options MetricsOptions(size_t workers, std::string version,
                                           std::string revision);

class Gateway {
 public:
  struct Options {
    // For agents; port 0 takes a free one.
    std::vector<Listener> listeners = {{.address = "127.0.0.1:8080"}};
    size_t workers = 1;
    Listener envoy;
    Redaction redaction;  // by external processing
    OpaEnvoyOptions opa_envoy;
    EgressOptions egress;
    Limits limits;
    bool shadow = false;   // verdicts are recorded and not enforced; bad tokens are refused still
    std::string producer;  // of the records, as the journal's
    audit::Journal* journal = nullptr;         // these three must outlive the gateway
    telemetry::Metrics* metrics = nullptr;     // made with MetricsOptions(workers, …)
    telemetry::Logger* logger = nullptr;       // nullptr: no logs
    const Clock* clock = nullptr;              // nullptr: the system's
    telemetry::SpanExporter* spans = nullptr;  // nullptr: nothing is traced; must outlive it, too
    telemetry::Sampler sampler;                // of calls that are traced
  };
  // Binds and begins to serve; without a State every call is refused (503).
  // Errors: bad_address, address_in_use, io_error, tls_setup, plaintext.
  static Result<std::unique_ptr<Gateway>> Start(Options options);
  ~Gateway();

  // Takes effect within a moment on every worker.
  void UpdateState(std::shared_ptr<const State> state);
  std::shared_ptr<const State> state() const;

  // Reads the certificates of all listeners anew, from the files of `listeners` and `envoy`, which
  // must have TLS where those of Options have it; new connections get them. Errors: tls_setup;
  // invalid_reload; then nothing has changed.
  Status ReloadCertificates(const std::vector<Listener>& listeners, const Listener& envoy);

  // What was seen of callers that nobody knows since the last time, by worker.
  std::vector<UnknownCaller> TakeUnknownCallers();

  // As bound, e.g. "127.0.0.1:41234"; in the order of Options::listeners.
  const std::vector<std::string>& addresses() const { return addresses_; }
  // Of the first listener, "http://127.0.0.1:8080".
  std::string url() const;
  // Where Envoys are served, as bound, or "unix:PATH"; empty: nowhere.
  const std::string& envoy_address() const { return envoy_address_; }
  // The same for those that ask as they would ask opa-envoy-plugin.
  const std::string& opa_envoy_address() const { return opa_envoy_address_; }
  // The forward proxy, as bound; empty: there is none.
  const std::string& egress_address() const { return egress_address_; }
  // Nobody reaches that address (host:port) through the forward proxy, whatever policies say; the
  // gateway's own are so already. Errors: bad_address.
  Status Guard(const std::string& own);
  uint16_t port() const { return port_; }  // of the first address

  // Why calls are not decided as they should be; empty: ready.
  std::string NotReadyBecause() const;
  size_t connection_count() const;
  const Options& options() const { return options_; }

  // Stops accepting, lets running calls end, and returns when all have, or after `timeout_ms`.
  // False: some were still running.
  bool Drain(int timeout_ms);
  // Cuts what is left; every record that was handed over is reported before this returns.
  void Stop();

 private:
  explicit Gateway(Options options);
  Status Bind();
  Status BindAgents(const Listener& listener);
  Status BindEnvoy();
  Status BindEgress();
  using Listen = void (Worker::*)(FileDescriptor, std::shared_ptr<const net::TlsServerContext>);
  // Has every worker listen there; the address as bound.
  Result<std::string> BindGrpc(const std::string& address,
                               const std::shared_ptr<const net::TlsServerContext>& tls,
                               Listen listen);

  Options options_;
  IssuedDecisions issued_;
  AddressLimit connections_by_address_;
  std::unique_ptr<EgressHub> egress_;  // outlives the workers
  std::vector<std::unique_ptr<Worker>> workers_;
  std::vector<std::string> addresses_;
  std::string envoy_address_, opa_envoy_address_, egress_address_;
  uint16_t port_ = 0;
  bool draining_ = false;  // guarded by mutex_
  mutable std::mutex mutex_;
  std::shared_ptr<const State> state_;  // guarded by mutex_
};

}  // namespace aegis::gateway
