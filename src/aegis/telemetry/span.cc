#include "aegis/telemetry/span.h"

#include <sys/types.h>
#include <unistd.h>

#include <algorithm>
#include <limits>
#include <new>
#include <type_traits>

#include "aegis/base/result.h"

namespace aegis::telemetry {
namespace {

constexpr std::array<std::string_view, kSpanKeyCount> kNames = {
    "aegis.decision_id",   "aegis.outcome",  "aegis.reason",
    "aegis.rule",          "aegis.mode",     "aegis.door",
    "aegis.org",           "aegis.tenant",   "aegis.agent",
    "aegis.tool",          "aegis.action",   "aegis.policy_version",
    "http.request.method", "http.route",     "http.response.status_code",
    "error.type",          "server.address", "server.port",
    "rpc.system",          "rpc.service",    "rpc.method",
};

static_assert(std::is_trivially_destructible_v<SpanRecord>);
static_assert(alignof(SpanRecord) <= alignof(std::max_align_t));

}  // namespace

std::string_view SpanKeyName(SpanKey key) { return kNames[static_cast<size_t>(key)]; }

std::string_view SpanRecord::Keep(std::string_view text) {
  size_t size = std::min({text.size(), kMaxTextBytes, text_.size() - used_});
  if (size < text.size()) {
    // Not in the middle of a character.
    while (size > 0 && (static_cast<unsigned char>(text[size]) & 0xc0) == 0x80) --size;
    if (cut_ < std::numeric_limits<uint8_t>::max()) ++cut_;
  }
  char* const begin = text_.data() + used_;
  std::copy_n(text.data(), size, begin);
  used_ = static_cast<uint16_t>(used_ + size);
  return {begin, size};
}

void SpanRecord::SetName(std::initializer_list<std::string_view> pieces) {
  for (const std::string_view piece : pieces) Keep(piece);
  name_size_ = used_;
}

void SpanRecord::Add(SpanKey key, std::string_view text) {
  if (text.empty() || count_ == slots_.size()) return;
  const std::string_view kept = Keep(text);
  if (kept.empty()) return;
  slots_[count_++] = {key, false, static_cast<uint16_t>(kept.size()), kept.data() - text_.data()};
}

void SpanRecord::Add(SpanKey key, int64_t number) {
  if (count_ < slots_.size()) slots_[count_++] = {key, true, 0, number};
}

SpanAttribute SpanRecord::attribute(size_t i) const {
  const Slot& slot = slots_[i];
  if (slot.is_number) return {slot.key, true, slot.value, {}};
  return {slot.key, false, 0, {text_.data() + slot.value, slot.size}};
}

SpanQueue::SpanQueue(size_t capacity, int wake_fd)
    : capacity_(capacity),
      wake_fd_(wake_fd),
      records_(std::make_unique_for_overwrite<std::byte[]>(capacity * sizeof(SpanRecord))) {
  AEGIS_CHECK(capacity > 0 && (capacity & (capacity - 1)) == 0);
}

void* SpanQueue::Place(size_t position) const {
  return records_.get() + (position & (capacity_ - 1)) * sizeof(SpanRecord);
}

SpanRecord* SpanQueue::Begin(bool minor) {
  const size_t head = head_.load(std::memory_order_relaxed);
  const size_t used = head - tail_.load(std::memory_order_acquire);
  if (used >= (minor ? capacity_ / 2 : capacity_)) return nullptr;
  // Its texts are left as they are.
  return ::new (Place(head)) SpanRecord;
}

void SpanQueue::Commit() {
  const size_t head = head_.load(std::memory_order_relaxed) + 1;
  head_.store(head, std::memory_order_release);
  if (wake_fd_ >= 0 && head - tail_.load(std::memory_order_relaxed) == capacity_ / 2) {
    const uint64_t one = 1;
    [[maybe_unused]] const ssize_t written = ::write(wake_fd_, &one, sizeof one);
  }
}

const SpanRecord& SpanQueue::at(size_t i) const {
  return *std::launder(
      static_cast<const SpanRecord*>(Place(tail_.load(std::memory_order_relaxed) + i)));
}

void SpanQueue::Pop(size_t count) {
  tail_.store(tail_.load(std::memory_order_relaxed) + count, std::memory_order_release);
}

}  // namespace aegis::telemetry
