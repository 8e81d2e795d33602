#include "aegis/grpc/wire.h"

namespace aegis::grpc {
namespace {

constexpr size_t kMaxMessageBytes = 1024;
constexpr int64_t kMaxTimeoutNanos = int64_t{100} * 365 * 86'400 * 1'000'000'000;

int64_t NanosOf(char unit) {
  switch (unit) {
    case 'H':
      return 3'600'000'000'000;
    case 'M':
      return 60'000'000'000;
    case 'S':
      return 1'000'000'000;
    case 'm':
      return 1'000'000;
    case 'u':
      return 1'000;
    case 'n':
      return 1;
    default:
      return 0;
  }
}

}  // namespace

std::optional<Prefix> ReadPrefix(const char* bytes) {
  const auto byte = [bytes](size_t i) {
    return static_cast<uint32_t>(static_cast<unsigned char>(bytes[i]));
  };
  if (byte(0) > 1) return std::nullopt;
  return Prefix{byte(0) == 1, byte(1) << 24 | byte(2) << 16 | byte(3) << 8 | byte(4)};
}

std::array<char, kPrefixBytes> WritePrefix(uint32_t size) {
  return {0, static_cast<char>(size >> 24), static_cast<char>(size >> 16),
          static_cast<char>(size >> 8), static_cast<char>(size)};
}

std::optional<int64_t> ParseTimeout(std::string_view text) {
  if (text.size() < 2 || text.size() > 9) return std::nullopt;
  const int64_t unit = NanosOf(text.back());
  if (unit == 0) return std::nullopt;
  int64_t value = 0;
  for (const char digit : text.substr(0, text.size() - 1)) {
    if (digit < '0' || digit > '9') return std::nullopt;
    value = value * 10 + (digit - '0');
  }
  return value > kMaxTimeoutNanos / unit ? kMaxTimeoutNanos : value * unit;
}

void AppendPercentEncoded(std::string_view message, std::string& out) {
  static constexpr char kHex[] = "0123456789ABCDEF";
  const size_t start = out.size();
  size_t whole = start;  // behind the last character that is there to its end
  for (const char c : message) {
    const auto byte = static_cast<unsigned char>(c);
    // A byte that continues a UTF-8 character belongs to what is before it.
    if ((byte & 0xC0) != 0x80) whole = out.size();
    if (byte >= 0x20 && byte <= 0x7E && byte != '%') {
      out.push_back(c);
    } else {
      out.push_back('%');
      out.push_back(kHex[byte >> 4]);
      out.push_back(kHex[byte & 15]);
    }
    if (out.size() - start > kMaxMessageBytes) {
      out.resize(whole);
      return;
    }
  }
}

}  // namespace aegis::grpc
