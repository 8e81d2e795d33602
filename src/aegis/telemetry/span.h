// Spans as workers hand them over: records of a fixed size in a bounded queue of each worker, so
// that a call neither allocates nor waits for whoever takes the spans away.
//
// Threading: a SpanQueue has one writer, its worker, and one reader, the exporter.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "aegis/telemetry/trace_context.h"

namespace aegis::telemetry {

// As in opentelemetry/proto/trace/v1/trace.proto.
enum class SpanKind : uint8_t { kServer = 2, kClient = 3 };

// All attributes that spans have; their names are those of OpenTelemetry's semantic conventions, or
// begin with "aegis.". None holds params, queries, bodies or credentials.
enum class SpanKey : uint8_t {
  kDecisionId,
  kOutcome,
  kReason,
  kRule,
  kMode,
  kDoor,
  kOrg,
  kTenant,
  kAgent,
  kTool,
  kAction,
  kPolicyVersion,
  kMethod,      // http.request.method
  kRoute,       // http.route
  kStatus,      // http.response.status_code
  kErrorType,   // error.type
  kServerName,  // server.address
  kServerPort,  // server.port
  kRpcSystem,   // rpc.system
  kRpcService,  // rpc.service
  kRpcMethod,   // rpc.method
};
inline constexpr size_t kSpanKeyCount = 21;
std::string_view SpanKeyName(SpanKey key);

struct SpanAttribute {
  SpanKey key{};
  bool is_number = false;
  int64_t number = 0;
  std::string_view text;  // any bytes
};

// One span. Filled by its worker in the queue's own memory.
class SpanRecord {
 public:
  static constexpr size_t kMaxTextBytes = 256;  // of one text; what is longer is cut

  TraceContext context;
  std::array<char, 16> parent_id{};  // hexadecimal; begins with NUL: there is none
  SpanKind kind = SpanKind::kServer;
  bool parent_is_remote = false;
  bool failed = false;  // its status is an error
  int64_t start_unix_ns = 0;
  int64_t end_unix_ns = 0;

  bool has_parent() const { return parent_id[0] != '\0'; }
  // The name, of pieces with nothing between.
  void SetName(std::initializer_list<std::string_view> pieces);
  std::string_view name() const { return {text_.data(), name_size_}; }
  // Empty texts are left out. Each key once; the name before them all.
  void Add(SpanKey key, std::string_view text);
  void Add(SpanKey key, int64_t number);

  size_t attribute_count() const { return count_; }
  SpanAttribute attribute(size_t i) const;
  // Texts that were cut or left out.
  uint32_t cut() const { return cut_; }

 private:
  struct Slot {
    SpanKey key;
    bool is_number;
    uint16_t size;
    int64_t value;  // the number, or where the text begins
  };
  std::string_view Keep(std::string_view text);

  uint16_t name_size_ = 0;
  uint16_t used_ = 0;
  uint8_t count_ = 0;
  uint8_t cut_ = 0;
  std::array<Slot, kSpanKeyCount> slots_;  // the first count_ of them
  std::array<char, 1024> text_;            // the first used_ bytes
};

class SpanQueue {
 public:
  // `capacity`: spans, a power of two. `wake_fd`: an eventfd that is told when the queue is half
  // full; it must outlive the queue; -1: none.
  SpanQueue(size_t capacity, int wake_fd);
  SpanQueue(const SpanQueue&) = delete;
  SpanQueue& operator=(const SpanQueue&) = delete;

  // --- The writer ---
  // An empty record to fill; nullptr: the queue is full, or half full and the span is only `minor`.
  SpanRecord* Begin(bool minor = false);
  // What Begin gave is whole. Without it the record is as if it had not been.
  void Commit();

  // --- The reader ---
  size_t size() const {
    return head_.load(std::memory_order_acquire) - tail_.load(std::memory_order_relaxed);
  }
  // 0 <= i < size(); the oldest is 0. Valid until it is popped.
  const SpanRecord& at(size_t i) const;
  void Pop(size_t count);

 private:
  void* Place(size_t position) const;

  const size_t capacity_;
  const int wake_fd_;
  // Not touched before they are used, so that a queue costs the memory of what was in it at once.
  std::unique_ptr<std::byte[]> records_;
  alignas(64) std::atomic<size_t> head_{0};  // written so far
  alignas(64) std::atomic<size_t> tail_{0};  // taken so far
};

}  // namespace aegis::telemetry
