// envoy.service.auth.v3.Authorization: Envoy asks whether a call may go on, and Aegis judges it as
// if it had come to the proxy door (docs/envoy.md).
//
// Whatever goes wrong is an answer by which Envoy refuses the call, so that it does not depend on
// how Envoy is told to take errors.
//
// Threading: belongs to one worker. Once warm no allocation but the pipeline's.
#pragma once

#include "aegis/gateway/options.h"
#include "aegis/gateway/pipeline.h"
#include "aegis/grpc/handler_pool.h"
#include "aegis/grpc/service.h"
#include "aegis/telemetry/log.h"
#include "aegis/telemetry/metrics.h"

namespace aegis::gateway {

class ExtAuthzService final : public grpc::Service {
 public:
  static constexpr std::string_view kName = "envoy.service.auth.v3.Authorization";

  // All must outlive the service.
  ExtAuthzService(Pipeline& pipeline, const Limits& limits, telemetry::WorkerMetrics& metrics,
                  telemetry::Logger& logger);
  ~ExtAuthzService() override;

  grpc::Handler* Start(grpc::Call& call) override;

 private:
  class Check;

  Pipeline& pipeline_;
  const Limits& limits_;
  telemetry::WorkerMetrics& metrics_;
  telemetry::Logger& logger_;
  grpc::HandlerPool<Check> checks_;
};

}  // namespace aegis::gateway
