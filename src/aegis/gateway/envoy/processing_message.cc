#include "aegis/gateway/envoy/processing_message.h"

#include "aegis/base/protobuf_wire.h"
#include "aegis/gateway/envoy/check_response.h"

namespace aegis::gateway {
namespace {

constexpr uint64_t kOverwriteOrAdd = 2;  // HeaderValueOption.HeaderAppendAction
constexpr std::string_view kMetadataNamespace = "envoy.filters.http.ext_proc";

constexpr std::string_view kAddressAttribute = "source.address";
constexpr std::string_view kPrincipalAttribute = "connection.uri_san_peer_certificate";

BodyMode ModeOf(uint64_t number) {
  return number < static_cast<uint64_t>(BodyMode::kUnknown) ? static_cast<BodyMode>(number)
                                                            : BodyMode::kUnknown;
}

// ProtocolConfiguration{request_body_mode=1, response_body_mode=2}
bool ReadConfig(std::string_view bytes, ProcessingRequest* out) {
  WireReader reader(bytes);
  WireField field;
  while (!reader.done()) {
    if (!reader.Next(field)) return false;
    if (field.number > 2) continue;
    if (field.wire != Wire::kVarint) return false;
    (field.number == 1 ? out->request_mode : out->response_mode) = ModeOf(field.value);
  }
  return true;
}

// HttpHeaders{headers=1, end_of_stream=3}, HttpBody{body=1, end_of_stream=2}, HttpTrailers{
// trailers=1}
bool ReadPart(std::string_view bytes, uint32_t end_field, std::string_view* content,
              bool* end_of_stream) {
  WireReader reader(bytes);
  WireField field;
  bool seen = false;
  while (!reader.done()) {
    if (!reader.Next(field)) return false;
    if (field.number == 1) {
      if (seen || field.wire != Wire::kBytes) return false;
      seen = true;
      *content = field.bytes;
    } else if (field.number == end_field) {
      if (field.wire != Wire::kVarint) return false;
      *end_of_stream = field.value != 0;
    }
  }
  return true;
}

// An entry of a map whose keys are texts.
bool ReadEntry(std::string_view bytes, std::string_view* key, std::string_view* value) {
  WireReader reader(bytes);
  WireField field;
  while (!reader.done()) {
    if (!reader.Next(field)) return false;
    if (field.number > 2) continue;
    if (field.wire != Wire::kBytes) return false;
    *(field.number == 1 ? key : value) = field.bytes;
  }
  return true;
}

// An entry of attributes: {namespace: Struct{fields=1: {name: Value{string_value=3}}}}
bool ReadAttributes(std::string_view bytes, ProcessingRequest* out) {
  std::string_view name, members;
  if (!ReadEntry(bytes, &name, &members)) return false;
  WireReader reader(members);
  WireField field;
  while (!reader.done()) {
    if (!reader.Next(field)) return false;
    if (field.number != 1 || field.wire != Wire::kBytes) continue;
    std::string_view value;
    if (!ReadEntry(field.bytes, &name, &value)) return false;
    std::string_view* known = nullptr;
    if (name == kAddressAttribute) known = &out->address;
    if (name == kPrincipalAttribute) known = &out->principal;
    if (known == nullptr) continue;
    WireReader kind(value);
    WireField text;
    if (!kind.done() && !kind.Next(text)) return false;
    if (text.number == 3 && text.wire == Wire::kBytes) *known = text.bytes;
  }
  return true;
}

bool IsOf(ProcessingKind kind, ProcessingKind request, ProcessingKind response) {
  return kind == request || kind == response;
}

// HeaderMutation{set_headers=1, remove_headers=2}. Values go into raw_value, the only one that an
// Envoy of today looks at.
void WriteMutation(WireWriter& writer, uint32_t field, const HeaderChanges& changes) {
  if (changes.set.empty() && changes.remove.empty()) return;
  const size_t mutation = writer.Begin(field);
  for (const OwnHeader& header : changes.set) {
    const size_t option = writer.Begin(1);
    const size_t value = writer.Begin(1);
    writer.Bytes(1, header.name);
    writer.Bytes(3, header.value);
    writer.End(value);
    writer.Number(3, kOverwriteOrAdd);
    writer.End(option);
  }
  for (const std::string_view name : changes.remove) writer.Bytes(2, name);
  writer.End(mutation);
}

uint32_t FieldOf(Direction direction, uint32_t request_field) {
  return direction == Direction::kRequest ? request_field : request_field + 1;
}

}  // namespace

bool ProcessingRequest::Read(std::string_view message) {
  *this = ProcessingRequest();
  WireReader reader(message);
  WireField field;
  std::string_view part;
  bool has_metadata = false;
  while (!reader.done()) {
    if (!reader.Next(field)) return false;
    switch (field.number) {
      case 2:
      case 3:
      case 4:
      case 5:
      case 6:
      case 7:
        if (kind != ProcessingKind::kNone || field.wire != Wire::kBytes) return false;
        kind = static_cast<ProcessingKind>(field.number);
        part = field.bytes;
        break;
      case 8:
        if (has_metadata || field.wire != Wire::kBytes) return false;
        has_metadata = true;
        metadata = field.bytes;
        break;
      case 9:
        if (field.wire != Wire::kBytes || !ReadAttributes(field.bytes, this)) return false;
        break;
      case 10:
        if (field.wire != Wire::kVarint) return false;
        observability = field.value != 0;
        break;
      case 11:
        if (has_config || field.wire != Wire::kBytes || !ReadConfig(field.bytes, this)) {
          return false;
        }
        has_config = true;
        break;
      default:
        break;
    }
  }
  if (kind == ProcessingKind::kNone) return false;
  if (IsOf(kind, ProcessingKind::kRequestBody, ProcessingKind::kResponseBody)) {
    return ReadPart(part, 2, &body, &end_of_stream);
  }
  const bool trailers =
      IsOf(kind, ProcessingKind::kRequestTrailers, ProcessingKind::kResponseTrailers);
  if (!ReadPart(part, trailers ? 0 : 3, &headers, &end_of_stream)) return false;
  end_of_stream = end_of_stream || trailers;
  return true;
}

bool ReadHeaderMap(std::string_view header_map, size_t max_fields, std::vector<OwnHeader>* fields) {
  fields->clear();
  WireReader reader(header_map);
  WireField field;
  while (!reader.done()) {
    if (!reader.Next(field)) return false;
    if (field.number != 1) continue;
    if (field.wire != Wire::kBytes || fields->size() == max_fields) return false;
    // HeaderValue{key=1, value=2, raw_value=3}
    std::string_view parts[4];
    WireReader header(field.bytes);
    WireField part;
    while (!header.done()) {
      if (!header.Next(part)) return false;
      if (part.number > 3) continue;
      if (part.wire != Wire::kBytes || !parts[part.number].empty()) return false;
      parts[part.number] = part.bytes;
    }
    if (!parts[2].empty() && !parts[3].empty()) return false;
    fields->push_back({parts[1], parts[2].empty() ? parts[3] : parts[2]});
  }
  return true;
}

void AppendHeadersResponse(Direction direction, const HeaderChanges& changes, std::string& out) {
  WireWriter writer(out);
  const size_t headers = writer.Begin(FieldOf(direction, 1));
  const size_t common = writer.Begin(1);
  WriteMutation(writer, 2, changes);
  writer.End(common);
  writer.End(headers);
}

void AppendBufferedResponse(Direction direction, const HeaderChanges& changes,
                            const std::string_view* body, std::string& out) {
  WireWriter writer(out);
  const size_t response = writer.Begin(FieldOf(direction, 3));
  const size_t common = writer.Begin(1);
  WriteMutation(writer, 2, changes);
  if (body != nullptr) {
    const size_t mutation = writer.Begin(3);
    writer.Bytes(1, *body);
    writer.End(mutation);
  }
  writer.End(common);
  writer.End(response);
}

void AppendStreamedResponse(Direction direction, std::string_view chunk, bool last,
                            std::string& out) {
  WireWriter writer(out);
  const size_t response = writer.Begin(FieldOf(direction, 3));
  const size_t common = writer.Begin(1);
  const size_t mutation = writer.Begin(3);
  // StreamedBodyResponse{body=1, end_of_stream=2}
  const size_t streamed = writer.Begin(3);
  if (!chunk.empty()) writer.Bytes(1, chunk);
  if (last) writer.Number(2, 1);
  writer.End(streamed);
  writer.End(mutation);
  writer.End(common);
  writer.End(response);
}

void AppendTrailersResponse(Direction direction, const HeaderChanges& changes, std::string& out) {
  WireWriter writer(out);
  const size_t trailers = writer.Begin(FieldOf(direction, 5));
  WriteMutation(writer, 1, changes);
  writer.End(trailers);
}

void AppendImmediateResponse(const OwnAnswer& answer, std::string& out) {
  const Problem& problem = answer.problem;
  HeaderChanges changes;
  changes.set.push_back({"content-type", "application/problem+json"});
  for (const OwnHeader& header : answer.headers.items()) changes.set.push_back(header);
  WireWriter writer(out);
  // ImmediateResponse{status=1 HttpStatus{code=1}, headers=2, body=3, details=5}
  const size_t immediate = writer.Begin(7);
  const size_t status = writer.Begin(1);
  writer.Number(1, static_cast<uint64_t>(problem.status));
  writer.End(status);
  WriteMutation(writer, 2, changes);
  const size_t body = writer.Begin(3);
  AppendProblem(problem, out);
  writer.End(body);
  const size_t details = writer.Begin(5);
  out.append("aegis_").append(problem.reason);
  writer.End(details);
  writer.End(immediate);
}

void AppendDecisionMetadata(const Ticket& ticket, std::string& out) {
  WireWriter writer(out);
  // Struct{fields=1: map of Value{struct_value=5}}
  const size_t metadata = writer.Begin(8);
  const size_t entry = writer.Begin(1);
  writer.Bytes(1, kMetadataNamespace);
  const size_t value = writer.Begin(2);
  const size_t members = writer.Begin(5);
  AppendDecisionMembers(ticket, out);
  writer.End(members);
  writer.End(value);
  writer.End(entry);
  writer.End(metadata);
}

}  // namespace aegis::gateway
