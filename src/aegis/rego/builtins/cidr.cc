// net.cidr_contains, net.cidr_intersects, net.cidr_is_valid: addresses in the textual forms that
// Go's net package takes (no zones, no leading zeros in IPv4).
#include <arpa/inet.h>

#include <array>
#include <cstring>
#include <string>

#include "aegis/rego/builtins/operands.h"

namespace aegis::rego {
namespace {

// 4 or 16 bytes. IPv4-mapped IPv6 addresses are IPv4, as Go's To4 makes them.
struct Address {
  std::array<uint8_t, 16> bytes{};
  int size = 0;
};

struct Block {
  Address first;  // with the bits behind the prefix cleared
  int prefix = 0;
};

constexpr std::array<uint8_t, 12> kMapped = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

// `mapped_is_v4`: whether ::ffff:1.2.3.4 counts as IPv4.
std::optional<Address> ParseAddress(std::string_view text, bool mapped_is_v4 = true) {
  char buffer[INET6_ADDRSTRLEN + 1];
  if (text.size() >= sizeof(buffer) || text.find('\0') != text.npos) return std::nullopt;
  std::memcpy(buffer, text.data(), text.size());
  buffer[text.size()] = '\0';
  Address out;
  if (text.find(':') == text.npos) {
    // inet_pton refuses leading zeros and short forms, as Go does.
    if (inet_pton(AF_INET, buffer, out.bytes.data()) != 1) return std::nullopt;
    out.size = 4;
    return out;
  }
  if (inet_pton(AF_INET6, buffer, out.bytes.data()) != 1) return std::nullopt;
  out.size = 16;
  if (mapped_is_v4 && std::memcmp(out.bytes.data(), kMapped.data(), kMapped.size()) == 0) {
    std::memmove(out.bytes.data(), out.bytes.data() + 12, 4);
    out.size = 4;
  }
  return out;
}

std::optional<Block> ParseBlock(std::string_view text) {
  const size_t slash = text.find('/');
  if (slash == text.npos) return std::nullopt;
  std::optional<Address> address = ParseAddress(text.substr(0, slash), false);
  const std::string_view digits = text.substr(slash + 1);
  if (!address || digits.empty() || digits.size() > 3) return std::nullopt;
  int prefix = 0;
  for (const char c : digits) {
    if (c < '0' || c > '9') return std::nullopt;
    prefix = prefix * 10 + (c - '0');
  }
  if (prefix > address->size * 8) return std::nullopt;
  Block block{*address, prefix};
  for (int i = 0; i < address->size; ++i) {
    const int kept = std::min(8, std::max(0, prefix - 8 * i));
    block.first.bytes[static_cast<size_t>(i)] &= static_cast<uint8_t>(0xff00 >> kept);
  }
  return block;
}

bool Contains(const Block& block, const Address& address) {
  if (block.first.size != address.size) return false;
  const int whole = block.prefix / 8, bits = block.prefix % 8;
  if (std::memcmp(block.first.bytes.data(), address.bytes.data(), static_cast<size_t>(whole)) !=
      0) {
    return false;
  }
  if (bits == 0) return true;
  const auto mask = static_cast<uint8_t>(0xff00 >> bits);
  const auto at = static_cast<size_t>(whole);
  return (block.first.bytes[at] & mask) == (address.bytes[at] & mask);
}

Value CidrContains(BuiltinContext& context, const Value* args) {
  AEGIS_STRING_ARG(outer_text, 0);
  AEGIS_STRING_ARG(inner_text, 1);
  const std::optional<Block> outer = ParseBlock(outer_text);
  if (!outer) return context.Error("invalid CIDR address");
  if (const std::optional<Address> address = ParseAddress(inner_text)) {
    return Value::Bool(Contains(*outer, *address));
  }
  const std::optional<Block> inner = ParseBlock(inner_text);
  if (!inner) {
    return context.Error("not a valid textual representation of an IP address or CIDR");
  }
  return Value::Bool(outer->prefix <= inner->prefix && Contains(*outer, inner->first));
}

Value CidrIntersects(BuiltinContext& context, const Value* args) {
  AEGIS_STRING_ARG(a_text, 0);
  AEGIS_STRING_ARG(b_text, 1);
  const std::optional<Block> a = ParseBlock(a_text), b = ParseBlock(b_text);
  if (!a || !b) return context.Error("invalid CIDR address");
  return Value::Bool(Contains(*a, b->first) || Contains(*b, a->first));
}

Value CidrIsValid(BuiltinContext&, const Value* args) {
  return Value::Bool(args[0].is_string() && ParseBlock(args[0].string_value()).has_value());
}

constexpr Builtin kBuiltins[] = {
    {"net.cidr_contains", 2, CidrContains},
    {"net.cidr_overlap", 2, CidrContains},
    {"net.cidr_intersects", 2, CidrIntersects},
    {"net.cidr_is_valid", 1, CidrIsValid},
};

}  // namespace

std::span<const Builtin> CidrBuiltins() { return kBuiltins; }

}  // namespace aegis::rego
