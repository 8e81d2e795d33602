#include "aegis/base/ids.h"

#include <sys/random.h>

#include <cerrno>
#include <cstring>

#include "aegis/base/result.h"

namespace aegis {

void RandomBytes(std::span<uint8_t> out) {
  size_t done = 0;
  while (done < out.size()) {
    const ssize_t got = getrandom(out.data() + done, out.size() - done, 0);
    if (got < 0 && errno == EINTR) continue;
    AEGIS_CHECK(got > 0);
    done += static_cast<size_t>(got);
  }
}

bool Uuid::IsValid(std::string_view text) {
  if (text.size() != kTextSize) return false;
  for (size_t i = 0; i < kTextSize; ++i) {
    const char c = text[i];
    const bool dash = i == 8 || i == 13 || i == 18 || i == 23;
    if (dash ? c != '-' : !((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'))) return false;
  }
  return true;
}

Uuid UuidGenerator::Next(int64_t unix_millis) {
  std::array<uint8_t, 16> bytes;
  if (pool_left_ < 10) {
    RandomBytes(pool_);
    pool_left_ = pool_.size();
  }
  std::memcpy(bytes.data() + 6, pool_.data() + (pool_.size() - pool_left_), 10);
  pool_left_ -= 10;

  // A clock that stands still or goes back must not break the order: the counter goes on, and when
  // it is used up the millisecond is moved ahead.
  if (unix_millis > last_millis_) {
    last_millis_ = unix_millis;
    sequence_ = (uint32_t{bytes[6]} << 8 | bytes[7]) & 0x7ff;  // top bit clear: room to count
  } else if (++sequence_ > 0xfff) {
    ++last_millis_;
    sequence_ = 0;
  }
  for (int i = 0; i < 6; ++i)
    bytes[static_cast<size_t>(i)] = static_cast<uint8_t>(last_millis_ >> (40 - 8 * i));
  bytes[6] = static_cast<uint8_t>(0x70 | sequence_ >> 8);
  bytes[7] = static_cast<uint8_t>(sequence_);
  bytes[8] = static_cast<uint8_t>(0x80 | (bytes[8] & 0x3f));

  static constexpr char kHex[] = "0123456789abcdef";
  Uuid uuid;
  size_t at = 0;
  for (size_t i = 0; i < bytes.size(); ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) uuid.text_[at++] = '-';
    uuid.text_[at++] = kHex[bytes[i] >> 4];
    uuid.text_[at++] = kHex[bytes[i] & 15];
  }
  return uuid;
}

}  // namespace aegis
