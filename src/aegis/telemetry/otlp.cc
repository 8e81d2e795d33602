#include "aegis/telemetry/otlp.h"

#include "aegis/base/protobuf_wire.h"
#include "aegis/base/text.h"

namespace aegis::telemetry {
namespace {

// trace.proto, SpanFlags.
constexpr uint32_t kHasIsRemote = 0x100;
constexpr uint32_t kIsRemote = 0x200;
constexpr uint64_t kStatusCodeError = 2;

// Names and texts are usually valid, and then copied once.
void AppendText(WireWriter& writer, uint32_t field, std::string_view text) {
  if (IsValidUtf8(text)) return writer.Bytes(field, text);
  writer.Bytes(field, ReplaceBadUtf8(text));
}

// KeyValue{key, AnyValue}
void AppendAttribute(WireWriter& writer, uint32_t field, std::string_view key,
                     std::string_view text) {
  const size_t pair = writer.Begin(field);
  writer.Bytes(1, key);
  const size_t value = writer.Begin(2);
  AppendText(writer, 1, text);
  writer.End(value);
  writer.End(pair);
}
void AppendAttribute(WireWriter& writer, uint32_t field, std::string_view key, int64_t number) {
  const size_t pair = writer.Begin(field);
  writer.Bytes(1, key);
  const size_t value = writer.Begin(2);
  writer.Number(3, static_cast<uint64_t>(number));
  writer.End(value);
  writer.End(pair);
}

uint8_t DigitOf(char c) { return static_cast<uint8_t>(c <= '9' ? c - '0' : c - 'a' + 10); }

template <size_t kDigits>
void AppendId(WireWriter& writer, uint32_t field, const std::array<char, kDigits>& hex) {
  std::array<char, kDigits / 2> bytes;
  for (size_t i = 0; i < bytes.size(); ++i) {
    bytes[i] = static_cast<char>(DigitOf(hex[2 * i]) << 4 | DigitOf(hex[2 * i + 1]));
  }
  writer.Bytes(field, {bytes.data(), bytes.size()});
}

}  // namespace

OtlpTraceRequest::OtlpTraceRequest(const std::vector<std::pair<std::string, std::string>>& resource,
                                   std::string_view version) {
  WireWriter writer(resource_);
  for (const auto& [key, value] : resource) AppendAttribute(writer, 1, key, value);
  WireWriter scope(scope_);
  scope.Bytes(1, "aegis");
  scope.Bytes(2, version);
}

void OtlpTraceRequest::Clear() {
  spans_.clear();
  count_ = 0;
}

void OtlpTraceRequest::Add(const SpanRecord& span) {
  ++count_;
  WireWriter writer(spans_);
  const size_t mark = writer.Begin(2);  // of ScopeSpans
  AppendId(writer, 1, span.context.trace_id);
  AppendId(writer, 2, span.context.span_id);
  if (span.has_parent()) AppendId(writer, 4, span.parent_id);
  AppendText(writer, 5, span.name());
  writer.Number(6, static_cast<uint64_t>(span.kind));
  writer.Fixed64(7, static_cast<uint64_t>(span.start_unix_ns));
  writer.Fixed64(8, static_cast<uint64_t>(span.end_unix_ns));
  for (size_t i = 0; i < span.attribute_count(); ++i) {
    const SpanAttribute attribute = span.attribute(i);
    const std::string_view key = SpanKeyName(attribute.key);
    if (attribute.is_number) {
      AppendAttribute(writer, 9, key, attribute.number);
    } else {
      AppendAttribute(writer, 9, key, attribute.text);
    }
  }
  if (span.failed) {
    const size_t status = writer.Begin(15);
    writer.Number(3, kStatusCodeError);
    writer.End(status);
  }
  uint32_t flags = span.context.flags | kHasIsRemote;
  if (span.has_parent() && span.parent_is_remote) flags |= kIsRemote;
  writer.Fixed32(16, flags);
  writer.End(mark);
}

void OtlpTraceRequest::AppendTo(std::string& out) const {
  out.reserve(out.size() + resource_.size() + scope_.size() + spans_.size() + 64);
  WireWriter writer(out);
  const size_t resource_spans = writer.Begin(1);
  writer.Bytes(1, resource_);
  const size_t scope_spans = writer.Begin(2);
  writer.Bytes(1, scope_);
  out.append(spans_);
  writer.End(scope_spans);
  writer.End(resource_spans);
}

std::optional<OtlpTraceResponse> ReadOtlpTraceResponse(std::string_view bytes) {
  OtlpTraceResponse out;
  WireReader reader(bytes);
  WireField field;
  while (!reader.done()) {
    if (!reader.Next(field)) return std::nullopt;
    if (field.number != 1) continue;
    if (field.wire != Wire::kBytes) return std::nullopt;
    WireReader partial(field.bytes);  // ExportTracePartialSuccess
    WireField part;
    while (!partial.done()) {
      if (!partial.Next(part)) return std::nullopt;
      if (part.number == 1 && part.wire == Wire::kVarint) {
        // An int64; a negative number says nothing.
        out.rejected_spans = part.value >> 63 != 0 ? 0 : part.value;
      } else if (part.number == 2 && part.wire == Wire::kBytes) {
        out.message = part.bytes;
      }
    }
  }
  return out;
}

}  // namespace aegis::telemetry
