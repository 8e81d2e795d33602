// envoy.service.ext_proc.v3: what Envoy says of a call as it passes, and what it is told to do.
//
// Source: envoy/service/ext_proc/v3/external_processor.proto and
// envoy/extensions/filters/http/ext_proc/v3/processing_mode.proto. Stricter than protobuf, as
// CheckRequest is: a field that stands twice is refused. Unknown fields are skipped.
//
// Threading: values and free functions. Lifetime: what is read are views into the message.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "aegis/gateway/envoy/header_changes.h"
#include "aegis/gateway/own_answer.h"
#include "aegis/gateway/pipeline.h"

namespace aegis::gateway {

// ProcessingMode.BodySendMode; numbers unknown here are read as kUnknown.
enum class BodyMode : uint8_t {
  kNone = 0,
  kStreamed = 1,
  kBuffered = 2,
  kBufferedPartial = 3,
  kFullDuplex = 4,  // FULL_DUPLEX_STREAMED
  kGrpc = 5,
  kUnknown = 6,
};

// What a message is about; the numbers of ProcessingRequest's fields.
enum class ProcessingKind : uint8_t {
  kNone = 0,
  kRequestHeaders = 2,
  kResponseHeaders = 3,
  kRequestBody = 4,
  kResponseBody = 5,
  kRequestTrailers = 6,
  kResponseTrailers = 7,
};

struct ProcessingRequest {
  ProcessingKind kind = ProcessingKind::kNone;
  std::string_view headers;  // config.core.v3.HeaderMap, of headers and trailers
  std::string_view body;
  bool end_of_stream = false;
  std::string_view metadata;  // config.core.v3.Metadata
  // Attributes, if request_attributes lists them: source.address, and
  // connection.uri_san_peer_certificate of a client certificate that Envoy has verified.
  std::string_view address;
  std::string_view principal;
  bool observability = false;
  bool has_config = false;  // protocol_config: in the first message of an Envoy from 1.34 on
  BodyMode request_mode = BodyMode::kNone;
  BodyMode response_mode = BodyMode::kNone;

  // False: not what Envoy's interface describes.
  bool Read(std::string_view message);
};

// Reads the fields of a HeaderMap, in order. False: not one, or it has more than `max_fields`.
bool ReadHeaderMap(std::string_view header_map, size_t max_fields, std::vector<OwnHeader>* fields);

enum class Direction : uint8_t { kRequest, kResponse };

// Each appends one ProcessingResponse to `out`.
void AppendHeadersResponse(Direction direction, const HeaderChanges& changes, std::string& out);
// To the one body message of mode BUFFERED. `body`: nullptr to leave it as it is.
void AppendBufferedResponse(Direction direction, const HeaderChanges& changes,
                            const std::string_view* body, std::string& out);
// One chunk of a body in mode FULL_DUPLEX_STREAMED.
void AppendStreamedResponse(Direction direction, std::string_view chunk, bool last,
                            std::string& out);
void AppendTrailersResponse(Direction direction, const HeaderChanges& changes, std::string& out);
// The client gets this answer, and nothing else of the call.
void AppendImmediateResponse(const OwnAnswer& answer, std::string& out);
// Appended to one of the above: dynamic metadata for the access log, in the namespace
// envoy.filters.http.ext_proc.
void AppendDecisionMetadata(const Ticket& ticket, std::string& out);

}  // namespace aegis::gateway
