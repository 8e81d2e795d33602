// A fast hash with a seed drawn at start, so that keys from outside cannot be chosen to collide.
//
// Internal to the rego library.
#pragma once

#include <cstdint>
#include <cstring>
#include <string_view>

namespace aegis::rego::internal {

extern const uint64_t kHashSeed;

inline uint64_t Mix(uint64_t a, uint64_t b) {
  const auto product = static_cast<unsigned __int128>(a) * b;
  return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
}

inline uint64_t Load64(const char* at) {
  uint64_t word;
  std::memcpy(&word, at, 8);
  return word;
}
inline uint64_t Load32(const char* at) {
  uint32_t word;
  std::memcpy(&word, at, 4);
  return word;
}

// The first and the last eight bytes of up to 16 bytes, overlapping when there are fewer.
inline void LoadShort(const char* at, size_t size, uint64_t& a, uint64_t& b) {
  if (size >= 8) {
    a = Load64(at);
    b = Load64(at + size - 8);
  } else if (size >= 4) {
    a = Load32(at);
    b = Load32(at + size - 4);
  } else if (size > 0) {
    const auto byte = [at](size_t i) { return uint64_t{static_cast<unsigned char>(at[i])}; };
    a = byte(0) << 16 | byte(size / 2) << 8 | byte(size - 1);
    b = 0;
  } else {
    a = b = 0;
  }
}

inline constexpr uint64_t kOdd0 = 0xa0761d6478bd642f;
inline constexpr uint64_t kOdd1 = 0xe7037ed1a0b428db;

inline uint64_t HashShort(const char* at, size_t size) {
  uint64_t a, b;
  LoadShort(at, size, a, b);
  return Mix(kOdd1 ^ size, Mix(a ^ kHashSeed, b ^ kOdd0 ^ kHashSeed));
}

uint64_t HashLong(const char* at, size_t size);

inline uint64_t HashString(std::string_view text) {
  return text.size() <= 16 ? HashShort(text.data(), text.size())
                           : HashLong(text.data(), text.size());
}

// Sixteen bits that tell most different strings of one length apart without reading all of them.
inline uint16_t MarkOf(const char* at, size_t size) {
  uint64_t a, b;
  if (size > 16) {
    a = Load64(at);
    b = Load64(at + size - 8);
  } else {
    LoadShort(at, size, a, b);
  }
  return static_cast<uint16_t>(((a ^ (b << 1 | b >> 63)) * kOdd1) >> 48);
}

}  // namespace aegis::rego::internal
