// envoy.service.auth.v3.Authorization as opa-envoy-plugin serves it: the policy is asked with that
// plugin's input document and its answer is taken under that plugin's contract, so that a bundle
// written for it runs unchanged (docs/from-opa-envoy.md).
//
// Nobody is authenticated: who calls is for the policy to find out. The record names the source of
// the call as Envoy gives it. What goes wrong is an answer by which Envoy refuses the call.
//
// Threading: belongs to one worker.
#pragma once

#include <string>

#include "aegis/gateway/envoy/recorded_call.h"
#include "aegis/gateway/options.h"
#include "aegis/gateway/pipeline.h"
#include "aegis/grpc/handler_pool.h"
#include "aegis/grpc/service.h"
#include "aegis/telemetry/log.h"
#include "aegis/telemetry/metrics.h"

namespace aegis::gateway {

class OpaEnvoyService final : public grpc::Service {
 public:
  static constexpr std::string_view kName = "envoy.service.auth.v3.Authorization";

  // All must outlive the service.
  OpaEnvoyService(const OpaEnvoyOptions& options, Pipeline& pipeline,
                  telemetry::WorkerMetrics& metrics, telemetry::Logger& logger);
  ~OpaEnvoyService() override;

  grpc::Handler* Start(grpc::Call& call) override;

 private:
  class Check;

  const OpaEnvoyOptions& options_;
  Pipeline& pipeline_;
  telemetry::WorkerMetrics& metrics_;
  telemetry::Logger& logger_;
  grpc::HandlerPool<Check> checks_;
};

}  // namespace aegis::gateway
