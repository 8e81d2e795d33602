// OTLP 1.x as far as traces go: opentelemetry/proto/collector/trace/v1/trace_service.proto and what
// it includes, in protobuf. Written by base/protobuf_wire.h: opentelemetry-cpp is not in Debian 12,
// and these are five messages.
//
// Threading: free functions.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "aegis/telemetry/span.h"

namespace aegis::telemetry {

// An ExportTraceServiceRequest of one resource, whose spans are appended one by one.
class OtlpTraceRequest {
 public:
  // Attributes of the resource, and the version of the instrumentation scope "aegis".
  OtlpTraceRequest(const std::vector<std::pair<std::string, std::string>>& resource,
                   std::string_view version);

  void Clear();
  void Add(const SpanRecord& span);
  size_t count() const { return count_; }
  // The message. Texts are valid UTF-8.
  void AppendTo(std::string& out) const;

 private:
  std::string resource_, scope_, spans_;
  size_t count_ = 0;
};

// What an ExportTraceServiceResponse says.
struct OtlpTraceResponse {
  uint64_t rejected_spans = 0;
  std::string_view message;  // into the bytes; not necessarily UTF-8
};
// Nothing: the bytes, which are another's, are not such a message.
std::optional<OtlpTraceResponse> ReadOtlpTraceResponse(std::string_view bytes);

}  // namespace aegis::telemetry
