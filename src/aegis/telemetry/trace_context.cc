#include "aegis/telemetry/trace_context.h"

#include <algorithm>
#include <span>

#include "aegis/base/ids.h"

namespace aegis::telemetry {
namespace {

constexpr char kHex[] = "0123456789abcdef";

bool IsLowerHex(std::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

bool IsAllZero(std::string_view text) {
  return text.find_first_not_of('0') == std::string_view::npos;
}

unsigned HexValue(char c) { return static_cast<unsigned>(c <= '9' ? c - '0' : c - 'a' + 10); }

void PutHex(uint64_t value, char* out) {
  for (int shift = 60; shift >= 0; shift -= 4) *out++ = kHex[(value >> shift) & 15];
}

}  // namespace

std::optional<TraceContext> ParseTraceparent(std::string_view header) {
  constexpr size_t kSize = Traceparent::kSize;
  if (header.size() < kSize) return std::nullopt;
  if (header[2] != '-' || header[35] != '-' || header[52] != '-') return std::nullopt;
  const std::string_view version = header.substr(0, 2);
  const std::string_view trace_id = header.substr(3, 32);
  const std::string_view span_id = header.substr(36, 16);
  const std::string_view flags = header.substr(53, 2);
  if (!IsLowerHex(version) || version == "ff" || !IsLowerHex(trace_id) || IsAllZero(trace_id) ||
      !IsLowerHex(span_id) || IsAllZero(span_id) || !IsLowerHex(flags))
    return std::nullopt;
  if (header.size() > kSize && (version == "00" || header[kSize] != '-')) return std::nullopt;

  TraceContext context;
  std::copy(trace_id.begin(), trace_id.end(), context.trace_id.begin());
  std::copy(span_id.begin(), span_id.end(), context.span_id.begin());
  context.flags = static_cast<uint8_t>(HexValue(flags[0]) << 4 | HexValue(flags[1]));
  // Of a later version only the sampled bit is known to mean what it means to us (§4.3).
  if (version != "00") context.flags &= TraceContext::kSampled;
  return context;
}

Traceparent::Traceparent(const TraceContext& context) {
  char* out = text_.data();
  for (char c : std::string_view("00-")) *out++ = c;
  out = std::copy(context.trace_id.begin(), context.trace_id.end(), out);
  *out++ = '-';
  out = std::copy(context.span_id.begin(), context.span_id.end(), out);
  *out++ = '-';
  *out++ = kHex[context.flags >> 4];
  *out++ = kHex[context.flags & 15];
}

uint64_t TraceIdSource::NextNonZero() {
  for (;;) {
    if (left_ == 0) {
      RandomBytes({reinterpret_cast<uint8_t*>(pool_.data()), sizeof pool_});
      left_ = pool_.size();
    }
    if (const uint64_t value = pool_[--left_]; value != 0) return value;
  }
}

TraceContext TraceIdSource::NewTrace(bool sampled) {
  TraceContext context;
  PutHex(NextNonZero(), context.trace_id.data());
  PutHex(NextNonZero(), context.trace_id.data() + 16);
  PutHex(NextNonZero(), context.span_id.data());
  context.flags = sampled ? TraceContext::kSampled : 0;
  return context;
}

TraceContext TraceIdSource::NewSpan(const TraceContext& parent) {
  TraceContext context = parent;
  PutHex(NextNonZero(), context.span_id.data());
  return context;
}

TraceIdSource::Continued TraceIdSource::Continue(std::string_view traceparent) {
  if (const auto parent = ParseTraceparent(traceparent)) {
    return {NewSpan(*parent), parent->span_id, false};
  }
  return {NewTrace(), {}, true};
}

}  // namespace aegis::telemetry
