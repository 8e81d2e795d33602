// agentgateway.dev.ext_mcp.ExtMcp: agentgateway asks whether a call of MCP may go on, and shows
// what came back (docs/agentgateway.md).
//
//   method                                         what is decided
//   tools/call                                     tool = service, action = params.name,
//                                                  params = params.arguments
//   initialize, ping, notifications/*, */list      known agents pass; nothing is recorded
//   anything else                                  tool = service, action = the method,
//                                                  params = its params: it needs a grant
//
// Whatever goes wrong is an error by which agentgateway refuses the call, so that it does not
// depend on its failure mode.
//
// Threading: belongs to one worker.
#pragma once

#include <string_view>

#include "aegis/gateway/envoy/content_filter.h"
#include "aegis/gateway/envoy/recorded_call.h"
#include "aegis/gateway/issued_decisions.h"
#include "aegis/gateway/options.h"
#include "aegis/gateway/pipeline.h"
#include "aegis/grpc/handler_pool.h"
#include "aegis/grpc/service.h"
#include "aegis/telemetry/log.h"
#include "aegis/telemetry/metrics.h"

namespace aegis::gateway {

class ExtMcpService final : public grpc::Service {
 public:
  static constexpr std::string_view kName = "agentgateway.dev.ext_mcp.ExtMcp";

  // All must outlive the service. `issued`: for outcomes; nullptr: none are recorded.
  ExtMcpService(Pipeline& pipeline, const Limits& limits, ContentFilter& filter,
                IssuedDecisions* issued, telemetry::WorkerMetrics& metrics,
                telemetry::Logger& logger);
  ~ExtMcpService() override;

  grpc::Handler* Start(grpc::Call& call) override;

 private:
  class Asked;
  class RequestCheck;
  class ResponseCheck;

  Pipeline& pipeline_;
  const Limits& limits_;
  ContentFilter& filter_;
  IssuedDecisions* issued_;
  telemetry::WorkerMetrics& metrics_;
  telemetry::Logger& logger_;
  grpc::HandlerPool<RequestCheck> requests_;
  grpc::HandlerPool<ResponseCheck> responses_;
};

}  // namespace aegis::gateway
