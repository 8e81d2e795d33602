// envoy.service.ext_proc.v3.ExternalProcessor: Envoy shows a call and its answer as they pass. The
// call is judged as at the proxy door, when it is whole and before any of it goes on; what an
// operator has named is redacted in params and answers (docs/envoy.md).
//
// Policy judges the params as the agent sent them; the tool gets them redacted, and the decision's
// record says that it does. Whatever goes wrong, also in the answer, is an immediate response or an
// error status, never a clean end, after which Envoy would pass the call on.
//
// The order of messages is ProcessingOrder's.
//
// Threading: belongs to one worker.
#pragma once

#include <cstddef>

#include "aegis/gateway/envoy/content_filter.h"
#include "aegis/gateway/options.h"
#include "aegis/gateway/pipeline.h"
#include "aegis/grpc/handler_pool.h"
#include "aegis/grpc/service.h"
#include "aegis/net/event_loop.h"
#include "aegis/telemetry/log.h"
#include "aegis/telemetry/metrics.h"

namespace aegis::gateway {

class ExtProcService final : public grpc::Service {
 public:
  static constexpr std::string_view kName = "envoy.service.ext_proc.v3.ExternalProcessor";

  // All must outlive the service. `filter`: nullptr for none.
  ExtProcService(net::EventLoop& loop, Pipeline& pipeline, const Limits& limits,
                 ContentFilter* filter, telemetry::WorkerMetrics& metrics,
                 telemetry::Logger& logger);
  ~ExtProcService() override;

  grpc::Handler* Start(grpc::Call& call) override;
  // Bytes of bodies that are held, of all streams.
  size_t held_bytes() const { return held_bytes_; }

 private:
  class Stream;

  bool Covers(Direction direction) const {
    return filter_ != nullptr && filter_->Covers(direction);
  }

  net::EventLoop& loop_;
  Pipeline& pipeline_;
  const Limits& limits_;
  ContentFilter* const filter_;
  telemetry::WorkerMetrics& metrics_;
  telemetry::Logger& logger_;
  size_t held_bytes_ = 0;
  grpc::HandlerPool<Stream> streams_;
};

}  // namespace aegis::gateway
