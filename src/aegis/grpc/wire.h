// The small formats of gRPC over HTTP/2 (grpc/doc/PROTOCOL-HTTP2.md): the prefix of messages,
// grpc-timeout, grpc-message.
//
// Threading: pure functions.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace aegis::grpc {

// A message on the wire: one byte of flags (1: compressed), four of length, then the message.
constexpr size_t kPrefixBytes = 5;

struct Prefix {
  bool compressed = false;
  uint32_t size = 0;
};
// Of the first kPrefixBytes at `bytes`; nothing when a reserved flag is set.
std::optional<Prefix> ReadPrefix(const char* bytes);
std::array<char, kPrefixBytes> WritePrefix(uint32_t size);

// "100m" is 100 milliseconds: at most eight digits and one of H, M, S, m, u, n. Nanoseconds, at
// most 100 years; nothing when it is malformed.
std::optional<int64_t> ParseTimeout(std::string_view text);

// Printable ASCII but '%' stays; every other byte becomes %XX. The result is at most 1 KiB long: a
// longer message is cut between two characters.
void AppendPercentEncoded(std::string_view message, std::string& out);

}  // namespace aegis::grpc
