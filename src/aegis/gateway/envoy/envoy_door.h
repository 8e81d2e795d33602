// What a worker serves to Envoys and agentgateways by gRPC: authorization, external processing,
// health and reflection.
//
// Threading: belongs to the worker's loop, as grpc::Server.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>

#include "aegis/gateway/envoy/ext_authz_service.h"
#include "aegis/gateway/envoy/ext_proc_service.h"
#include "aegis/gateway/envoy/json_redactor.h"
#include "aegis/gateway/envoy/opa_envoy_service.h"
#include "aegis/gateway/ext_mcp_service.h"
#include "aegis/gateway/options.h"
#include "aegis/gateway/pipeline.h"
#include "aegis/grpc/health.h"
#include "aegis/grpc/reflection.h"
#include "aegis/grpc/server.h"
#include "aegis/net/event_loop.h"
#include "aegis/telemetry/log.h"
#include "aegis/telemetry/metrics.h"

namespace aegis::gateway {

class EnvoyDoor {
 public:
  struct Options {
    Limits limits;
    Redaction redaction;
    size_t max_connections = 1024;
    std::function<bool()> serving;      // what health says; may be called often
    IssuedDecisions* issued = nullptr;  // for outcomes that agentgateway tells; nullptr: none
    // nullptr: the authorization service of Aegis; else that of opa-envoy-plugin.
    const OpaEnvoyOptions* opa_envoy = nullptr;
  };
  // The rest must outlive the door.
  EnvoyDoor(const Options& options, net::EventLoop& loop, Pipeline& pipeline,
            telemetry::WorkerMetrics& metrics, telemetry::Logger& logger);

  // `tls`: nullptr for HTTP/2 in clear.
  void Listen(FileDescriptor listening, std::shared_ptr<const net::TlsServerContext> tls) {
    server_.Listen(std::move(listening), std::move(tls));
  }
  // For new connections of listeners that have TLS.
  void SetTls(std::shared_ptr<const net::TlsServerContext> tls) { server_.SetTls(std::move(tls)); }
  // No new connections and calls; what runs ends, and health says that nothing is served here.
  void BeginDrain();
  void Close() { server_.Close(); }
  size_t connection_count() const { return server_.connection_count(); }

 private:
  void AddService(std::string_view name, grpc::Service* service);

  Options options_;
  JsonRedactor redactor_;
  ExtAuthzService ext_authz_;
  ExtProcService ext_proc_;
  ExtMcpService ext_mcp_;
  std::unique_ptr<OpaEnvoyService> opa_envoy_;
  grpc::HealthService health_;
  grpc::ReflectionService reflection_;
  grpc::Server server_;  // last: its end hands the calls back to the services
};

}  // namespace aegis::gateway
