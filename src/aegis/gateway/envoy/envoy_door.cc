#include "aegis/gateway/envoy/envoy_door.h"

#include <algorithm>
#include <string>

#include "aegis/gateway/envoy/served_descriptors.h"

namespace aegis::gateway {
namespace {

constexpr size_t kMostConnections = 1024;  // of this door
// Beside the body that is judged, a message has the head, certificates and metadata; and bodies
// that pass unread may be larger.
constexpr size_t kLeastMessageBytes = size_t{4} << 20;
constexpr size_t kBesideBody = size_t{1} << 20;

grpc::Server::Options ServerOptions(const EnvoyDoor::Options& options) {
  grpc::Server::Options out;
  out.connections.max_connections = std::min(options.max_connections, kMostConnections);
  const size_t body_bytes =
      std::max(options.limits.max_body_bytes, options.limits.max_request_bytes);
  out.max_message_bytes = std::max(kLeastMessageBytes, body_bytes + kBesideBody);
  out.max_buffered_bytes = options.limits.max_buffered_bytes;
  return out;
}

}  // namespace

EnvoyDoor::EnvoyDoor(const Options& options, net::EventLoop& loop, Pipeline& pipeline,
                     telemetry::WorkerMetrics& metrics, telemetry::Logger& logger)
    : options_(options),
      redactor_(options_.redaction, options_.limits.max_body_bytes),
      ext_authz_(pipeline, options_.limits, metrics, logger),
      ext_proc_(loop, pipeline, options_.limits, &redactor_, metrics, logger),
      ext_mcp_(pipeline, options_.limits, redactor_, options_.issued, metrics, logger),
      health_(loop, options_.serving),
      reflection_(server_, ServedDescriptors),
      server_(loop, ServerOptions(options_)) {
  if (options_.opa_envoy != nullptr) {
    opa_envoy_ = std::make_unique<OpaEnvoyService>(*options_.opa_envoy, pipeline, metrics, logger);
    AddService(OpaEnvoyService::kName, opa_envoy_.get());
  } else {
    AddService(ExtAuthzService::kName, &ext_authz_);
    AddService(ExtProcService::kName, &ext_proc_);
    AddService(ExtMcpService::kName, &ext_mcp_);
  }
  server_.AddService(std::string(grpc::HealthService::kName), &health_);
  if (options_.opa_envoy != nullptr && !options_.opa_envoy->enable_reflection) return;
  for (const std::string_view name : grpc::ReflectionService::kNames) {
    server_.AddService(std::string(name), &reflection_);
  }
}

void EnvoyDoor::AddService(std::string_view name, grpc::Service* service) {
  server_.AddService(std::string(name), service);
  health_.AddName(std::string(name));
}

void EnvoyDoor::BeginDrain() {
  health_.Shutdown();
  server_.BeginDrain();
}

}  // namespace aegis::gateway
