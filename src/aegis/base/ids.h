// Identifiers: UUIDv7 (RFC 9562 §5.7) for decisions and records, and random bytes.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace aegis {

// Fills `out` from the kernel's random source; aborts if the kernel has none (nothing that needs an
// unguessable value may go on without it).
void RandomBytes(std::span<uint8_t> out);

// A UUID in its 36-character lower-case text form, e.g. "0197c0c2-7d3a-7b2c-9c3e-8d1f2a3b4c5d".
class Uuid {
 public:
  static constexpr size_t kTextSize = 36;

  Uuid() { text_.fill('0'); }
  std::string_view text() const { return {text_.data(), kTextSize}; }
  std::string str() const { return std::string(text()); }
  friend bool operator==(const Uuid&, const Uuid&) = default;

  // True for 8-4-4-4-12 lower-case hexadecimal digits.
  static bool IsValid(std::string_view text);

 private:
  friend class UuidGenerator;
  std::array<char, kTextSize> text_;
};

// Makes UUIDv7s that rise strictly within one generator. Not thread-safe: one per worker.
// Random bits come from the kernel in blocks, so that most calls make no system call.
class UuidGenerator {
 public:
  Uuid Next(int64_t unix_millis);

 private:
  std::array<uint8_t, 512> pool_;
  size_t pool_left_ = 0;
  int64_t last_millis_ = 0;
  uint32_t sequence_ = 0;  // 12 bits: rand_a as a counter (RFC 9562 §6.2, method 1)
};

}  // namespace aegis
