// net.cidr_*: addresses in the textual forms that Go's net package takes (no zones, no leading
// zeros in IPv4).
#include "aegis/rego/builtins/cidr.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <string>
#include <vector>

#include "aegis/rego/builtins/operands.h"

namespace aegis::rego {
namespace {

using Bits = unsigned __int128;  // of an address, the most significant first

constexpr Bits kMappedPrefix = Bits{0xffff} << 32;

// IPv4 addresses take the low 32 bits. IPv4-mapped IPv6 addresses are IPv4, as Go's To4 makes them.
struct Address {
  Bits bits = 0;
  bool v4 = false;
  int width() const { return v4 ? 32 : 128; }
};

struct Block {
  Address first;  // with the bits behind the prefix cleared
  int prefix = 0;

  Bits HostMask() const {
    const int host = first.width() - prefix;
    return host == 128 ? ~Bits{0} : (Bits{1} << host) - 1;
  }
  Bits last() const { return first.bits | HostMask(); }
  bool Contains(const Address& address) const {
    if (first.v4 != address.v4) return false;
    const Bits different = first.bits ^ address.bits;
    if (first.v4) return static_cast<uint64_t>(different) >> (32 - prefix) == 0;
    return (different & ~HostMask()) == 0;
  }
  bool Contains(const Block& other) const {
    return prefix <= other.prefix && Contains(other.first);
  }
};

Address Normalized(Address address) {
  if (!address.v4 && address.bits >> 32 == 0xffff) return {address.bits & 0xffffffff, true};
  return address;
}

// How many bytes from the start of `text` are a dotted IPv4 address; 0: none are. Go takes no
// leading zeros.
size_t ReadV4(std::string_view text, uint32_t& bits) {
  const char* at = text.data();
  const char* const end = at + text.size();
  const auto digit = [&] {
    return at == end ? 10U : static_cast<unsigned>(static_cast<unsigned char>(*at)) - '0';
  };
  bits = 0;
  for (int octet = 0; octet < 4; ++octet) {
    if (octet > 0 && (at == end || *at++ != '.')) return 0;
    uint32_t value = digit();
    if (value > 9) return 0;
    ++at;
    for (int more = 0; more < 2; ++more) {
      const unsigned next = digit();
      if (next > 9) break;
      if (value == 0) return 0;
      value = value * 10 + next;
      ++at;
    }
    if (value > 255) return 0;
    bits = bits << 8 | value;
  }
  return static_cast<size_t>(at - text.data());
}

// Without Normalized.
std::optional<Address> ParseLiteral(std::string_view text) {
  if (uint32_t bits; ReadV4(text, bits) == text.size() && !text.empty()) return Address{bits, true};
  char buffer[INET6_ADDRSTRLEN + 1];
  if (text.size() >= sizeof(buffer) || text.find('\0') != text.npos) return std::nullopt;
  std::memcpy(buffer, text.data(), text.size());
  buffer[text.size()] = '\0';
  Address out;
  std::array<uint8_t, 16> bytes;
  if (inet_pton(AF_INET6, buffer, bytes.data()) != 1) return std::nullopt;
  for (const uint8_t byte : bytes) out.bits = out.bits << 8 | byte;
  return out;
}

std::optional<Address> ParseAddress(std::string_view text) {
  const std::optional<Address> address = ParseLiteral(text);
  return address ? std::optional(Normalized(*address)) : std::nullopt;
}

std::optional<Block> ParseBlock(std::string_view text) {
  uint32_t v4_bits;
  const size_t v4_size = ReadV4(text, v4_bits);
  const size_t slash = v4_size > 0 ? v4_size : text.find('/');
  if (slash >= text.size() || text[slash] != '/') return std::nullopt;
  const std::optional<Address> address =
      v4_size > 0 ? Address{v4_bits, true} : ParseLiteral(text.substr(0, slash));
  const std::string_view digits = text.substr(slash + 1);
  if (!address || digits.empty()) return std::nullopt;
  int prefix = 0;
  for (const char c : digits) {
    if (c < '0' || c > '9') return std::nullopt;
    prefix = prefix * 10 + (c - '0');
    if (prefix > address->width()) return std::nullopt;
  }
  Block block{*address, prefix};
  block.first.bits &= ~block.HostMask();
  block.first = Normalized(block.first);
  // Only with 96 bits or more of prefix is the first address still a mapped one.
  if (block.first.v4 && !address->v4) block.prefix -= 96;
  return block;
}

// RFC 5952: lower case, the first of the longest runs of zeros shortened.
std::string ToText(const Address& address) {
  const auto group = [&](int i) {
    return static_cast<unsigned>(address.bits >> (112 - 16 * i) & 0xffff);
  };
  std::string out;
  if (address.v4) {
    for (int shift = 24; shift >= 0; shift -= 8) {
      if (!out.empty()) out += '.';
      out += std::to_string(static_cast<unsigned>(address.bits >> shift & 0xff));
    }
    return out;
  }
  int best = -1, best_size = 1;
  for (int i = 0; i < 8; ++i) {
    int size = 0;
    while (i + size < 8 && group(i + size) == 0) ++size;
    if (size > best_size) {
      best = i;
      best_size = size;
    }
  }
  for (int i = 0; i < 8; ++i) {
    if (i == best) {
      out += "::";
      i += best_size - 1;
      continue;
    }
    if (!out.empty() && out.back() != ':') out += ':';
    char buffer[8];
    std::snprintf(buffer, sizeof(buffer), "%x", group(i));
    out += buffer;
  }
  return out;
}

std::string ToText(const Address& address, int prefix) {
  return ToText(address) + "/" + std::to_string(prefix);
}

Value Invalid(BuiltinContext& context, std::string_view text) {
  return context.Error("invalid CIDR address: " + std::string(text));
}

// Whether `outer` contains `inner`, an address or a block; undefined after an error.
Value CidrContains(BuiltinContext& context, const Value* args) {
  AEGIS_STRING_ARG(outer_text, 0);
  const std::optional<Block> outer = ParseBlock(outer_text);
  if (!outer) return Invalid(context, outer_text);
  AEGIS_STRING_ARG(inner_text, 1);
  if (const std::optional<Address> address = ParseAddress(inner_text)) {
    return Value::Bool(outer->Contains(*address));
  }
  const std::optional<Block> inner = ParseBlock(inner_text);
  if (!inner) {
    return context.Error("not a valid textual representation of an IP address or CIDR: " +
                         std::string(inner_text));
  }
  return Value::Bool(outer->Contains(*inner));
}

Value CidrIntersects(BuiltinContext& context, const Value* args) {
  AEGIS_STRING_ARG(a_text, 0);
  AEGIS_STRING_ARG(b_text, 1);
  const std::optional<Block> a = ParseBlock(a_text), b = ParseBlock(b_text);
  if (!a || !b) return Invalid(context, a ? b_text : a_text);
  return Value::Bool(a->Contains(b->first) || b->Contains(a->first));
}

Value CidrIsValid(BuiltinContext&, const Value* args) {
  return Value::Bool(args[0].is_string() && ParseBlock(args[0].string_value()).has_value());
}

// An address or block of a collection, and what the result names it by.
struct Named {
  Value text;
  Value name;
};

// From a string, or the elements of an array, set or object, which are strings or arrays that start
// with one. False after an error.
bool ReadNamed(BuiltinContext& context, int operand, Value value, std::vector<Named>& out) {
  const auto add = [&](Value element, Value name) {
    const Value text = element.is_array() ? element.At(0) : element;
    if (text.is_undefined() || !(element.is_string() || element.is_array())) {
      context.Error("operand " + std::to_string(operand) +
                    ": element must be string or non-empty array");
      return false;
    }
    out.push_back({text, name});
    return true;
  };
  if (value.is_string()) return add(value, value);
  if (value.is_object()) {
    for (const Member& member : value.members()) {
      if (!add(member.value, member.key)) return false;
    }
    return true;
  }
  for (size_t i = 0; i < value.elements().size(); ++i) {
    const Value element = value.elements()[i];
    const Value name = value.is_array() ? Value::Int(static_cast<int64_t>(i)) : element;
    if (!add(element, name)) return false;
  }
  return true;
}

Value CidrContainsMatches(BuiltinContext& context, const Value* args) {
  std::vector<Named> outers, inners;
  if (!ReadNamed(context, 1, args[0], outers)) return Value();
  if (outers.empty()) return Value::EmptySet();
  if (!ReadNamed(context, 2, args[1], inners)) return Value();
  SetBuilder out(context.arena());
  for (const Named& outer : outers) {
    if (!context.Charge(1 + inners.size())) return Value();
    for (const Named& inner : inners) {
      const Value pair[] = {outer.text, inner.text};
      const Value contains = CidrContains(context, pair);
      if (contains.is_undefined()) return Value();
      if (!contains.is_true()) continue;
      ArrayBuilder names(context.arena(), 2);
      names.Add(outer.name);
      names.Add(inner.name);
      out.Add(names.Build());
    }
  }
  return out.Build();
}

Value CidrExpand(BuiltinContext& context, const Value* args) {
  AEGIS_STRING_ARG(text, 0);
  const std::optional<Block> block = ParseBlock(text);
  if (!block) return Invalid(context, text);
  const int host = block->first.width() - block->prefix;
  // What an address takes: its text and its place in the set.
  constexpr uint64_t kStepsPerAddress = 4;
  if (!context.Charge(host > 40 ? UINT64_MAX : kStepsPerAddress << host)) return Value();
  SetBuilder out(context.arena());
  for (Address address = block->first;; ++address.bits) {
    out.Add(String(context, ToText(address)));
    if (address.bits == block->last() || context.arena().exhausted()) break;
  }
  return out.Build();
}

bool IsMapped(Bits address) { return address >> 32 == 0xffff; }

// Addresses from first to last, for merging: IPv4 in its mapped form, so that all can be compared,
// and so that a large IPv6 block swallows what IPv4 blocks there are, as in OPA.
struct Range {
  Bits first = 0;
  Bits last = 0;
  std::string text;  // of the block as it was given; empty once it is merged

  // The address before the first one; there is none before 0.0.0.0 and "::".
  Bits before() const { return first == kMappedPrefix || first == 0 ? first : first - 1; }
};

// Whether `range` overlaps or touches the one in front of it, so that both are one.
bool Touches(const Range& earlier, const Range& range) {
  const bool starts_v4 = IsMapped(std::min(earlier.first, range.first));
  return range.before() <= earlier.last && (!starts_v4 || IsMapped(range.last));
}

// An IPv4 address alone stands for the network of its class, as Go's DefaultMask has it.
std::optional<Range> ReadRange(BuiltinContext& context, Value value) {
  if (!value.is_string()) {
    context.Error("element must be string");
    return std::nullopt;
  }
  const std::optional<Address> address = ParseAddress(value.string_value());
  std::optional<Block> block;
  std::string text;
  if (address) {
    if (!address->v4) {
      context.Error("IPv6 invalid: needs prefix length");
      return std::nullopt;
    }
    const auto top = static_cast<unsigned>(address->bits >> 24);
    block = Block{*address, top < 0x80 ? 8 : top < 0xc0 ? 16 : 24};
    block->first.bits &= ~block->HostMask();
    text = ToText(*address, block->prefix);
  } else {
    block = ParseBlock(value.string_value());
    if (!block) {
      Invalid(context, value.string_value());
      return std::nullopt;
    }
    text = ToText(block->first, block->prefix);
  }
  const Bits mapped = block->first.v4 ? kMappedPrefix : 0;
  return Range{mapped | block->first.bits, mapped | block->last(), std::move(text)};
}

// The fewest blocks that make up a range.
void AddBlocks(BuiltinContext& context, const Range& range, SetBuilder& out) {
  const bool v4 = IsMapped(range.first);
  const int width = v4 ? 32 : 128;
  const Bits mask = v4 ? 0xffffffff : ~Bits{0};
  Bits first = range.first & mask;
  const Bits last = range.last & mask;
  while (true) {
    // As large as its first address and the range's end allow.
    int host = 0;
    while (host < width) {
      const Bits wider = host + 1 == 128 ? ~Bits{0} : (Bits{1} << (host + 1)) - 1;
      if ((first & wider) != 0 || (first | wider) > last) break;
      ++host;
    }
    out.Add(String(context, ToText(Address{first, v4}, width - host)));
    const Bits end = host == 128 ? ~Bits{0} : first | ((Bits{1} << host) - 1);
    if (end == last) return;
    first = end + 1;
  }
}

Value CidrMerge(BuiltinContext& context, const Value* args) {
  if (!args[0].is_array() && !args[0].is_set()) return context.Error("operand must be an array");
  std::vector<Range> ranges;
  if (!context.Charge(args[0].size() * 8)) return Value();
  for (const Value element : args[0].elements()) {
    std::optional<Range> range = ReadRange(context, element);
    if (!range) return Value();
    ranges.push_back(*std::move(range));
  }
  std::sort(ranges.begin(), ranges.end(), [](const Range& a, const Range& b) {
    return a.last != b.last ? a.last < b.last : a.first < b.first;
  });
  // From the end: one that touches the range before it is taken into that.
  SetBuilder out(context.arena());
  while (!ranges.empty()) {
    Range range = std::move(ranges.back());
    ranges.pop_back();
    if (!ranges.empty() && Touches(ranges.back(), range)) {
      ranges.back() = {std::min(range.first, ranges.back().first), range.last, ""};
    } else if (!range.text.empty()) {
      out.Add(String(context, range.text));
    } else {
      AddBlocks(context, range, out);
    }
  }
  return out.Build();
}

constexpr Builtin kBuiltins[] = {
    {"net.cidr_contains", 2, CidrContains}, {"net.cidr_contains_matches", 2, CidrContainsMatches},
    {"net.cidr_expand", 1, CidrExpand},     {"net.cidr_intersects", 2, CidrIntersects},
    {"net.cidr_is_valid", 1, CidrIsValid},  {"net.cidr_merge", 1, CidrMerge},
    {"net.cidr_overlap", 2, CidrContains},
};

}  // namespace

std::string AddressText(std::string_view bytes) {
  Address address;
  address.v4 = bytes.size() == 4;
  for (const char c : bytes) address.bits = address.bits << 8 | static_cast<uint8_t>(c);
  return ToText(Normalized(address));
}

std::span<const Builtin> CidrBuiltins() { return kBuiltins; }

}  // namespace aegis::rego
