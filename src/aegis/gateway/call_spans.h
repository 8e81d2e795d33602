// What is traced of calls: a server span of each at its door, with the decision as attributes, and
// a client span of what the gateway asked a tool. Names and attributes are those of OpenTelemetry's
// semantic conventions for HTTP and RPC, and "aegis.…"; docs/telemetry.md lists them. A span holds
// no path, query, params, bodies or credentials.
//
// Threading: belongs to one worker. A call costs neither allocation nor lock.
#pragma once

#include <cstdint>
#include <string_view>

#include "aegis/base/clock.h"
#include "aegis/telemetry/metrics.h"
#include "aegis/telemetry/sampler.h"
#include "aegis/telemetry/span.h"

namespace aegis::gateway {

struct Ticket;

// An HTTP method as spans name it: one of RFC 9110's or PATCH, else "_OTHER". Static.
std::string_view SpanMethod(std::string_view method);

class CallSpans {
 public:
  struct Options {
    telemetry::Sampler sampler;
    telemetry::SpanQueue* queue = nullptr;  // nullptr: nothing is traced
  };
  CallSpans(const Options& options, telemetry::WorkerMetrics& metrics, const Clock& clock)
      : options_(options), metrics_(metrics), clock_(clock) {}

  // The call that began with this ticket has a span from now on, if it is sampled.
  void Begin(Ticket* ticket, bool has_parent) const;
  // How a call ended at its door.
  struct End {
    std::string_view method = {};  // SpanMethod's; empty: no HTTP
    std::string_view route = {};   // template of the path, without values: "/v1/data/{path}"
    bool is_proxied = false;       // the route is that of a tool
    std::string_view rpc = {};     // "/package.Service/Method"; empty: no gRPC
    int status = 0;                // of HTTP; 0: none was sent
    std::string_view error = {};   // a reason id; empty: none
    bool failed = false;           // the error is Aegis's or the tool's
  };
  // Once for each Begin; later ones do nothing.
  void Finish(Ticket* ticket, const End& end);

  struct ToolCall {
    telemetry::TraceContext context;  // its span is what the tool got as parent
    std::string_view method;          // SpanMethod's
    std::string_view host;            // host[:port]
    int64_t started_ns = 0;           // monotonic
    int status = 0;                   // of the tool's answer; 0: none
    std::string_view error = {};      // a reason id
  };
  // Only of a call that has a span.
  void FinishToolCall(const Ticket& ticket, const ToolCall& call);

 private:
  telemetry::SpanRecord* Open(bool minor);
  void SetTimes(int64_t started_ns, telemetry::SpanRecord* span) const;

  Options options_;
  telemetry::WorkerMetrics& metrics_;
  const Clock& clock_;
};

}  // namespace aegis::gateway
