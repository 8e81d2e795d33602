// W3C Trace Context (https://www.w3.org/TR/trace-context/, level 1 §3.2): the traceparent header.
//
// Threading: value types and free functions; a TraceIdSource belongs to one thread.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

namespace aegis::telemetry {

// Where in which trace we are. `trace_id` and `span_id` are lower-case hexadecimal, never all zero.
struct TraceContext {
  static constexpr uint8_t kSampled = 0x01;

  std::array<char, 32> trace_id{};
  std::array<char, 16> span_id{};  // in a header: the sender's span, our parent
  uint8_t flags = 0;

  std::string_view trace_id_text() const { return {trace_id.data(), trace_id.size()}; }
  std::string_view span_id_text() const { return {span_id.data(), span_id.size()}; }
  bool sampled() const { return (flags & kSampled) != 0; }
  friend bool operator==(const TraceContext&, const TraceContext&) = default;
};

// The header's value, or nothing when it is not one (§3.2.2): lower-case hexadecimal only, version
// ff and all-zero ids refused, version 00 exactly 55 characters long, later versions longer only by
// "-…". Nothing: start a new trace and forward no tracestate.
std::optional<TraceContext> ParseTraceparent(std::string_view header);

// "00-<trace id>-<span id>-<flags>".
class Traceparent {
 public:
  static constexpr size_t kSize = 55;
  explicit Traceparent(const TraceContext& context);
  std::string_view text() const { return {text_.data(), kSize}; }

 private:
  std::array<char, kSize> text_;
};

// Makes ids that are unique and not guessable from earlier ones. One per worker.
class TraceIdSource {
 public:
  // A new trace with its first span.
  TraceContext NewTrace(bool sampled = false);
  // The same trace and flags, with a new span: what is put into the request that is forwarded.
  TraceContext NewSpan(const TraceContext& parent);

  struct Continued {
    TraceContext context;              // ours: trace of the caller or a new one, span new
    std::array<char, 16> parent_id{};  // the caller's span; begins with NUL: none
    bool is_new = false;  // no usable header: the caller's tracestate must not be forwarded
  };
  // What a door does with an incoming header (empty: none).
  Continued Continue(std::string_view traceparent);

 private:
  uint64_t NextNonZero();

  std::array<uint64_t, 64> pool_{};
  size_t left_ = 0;
};

}  // namespace aegis::telemetry
