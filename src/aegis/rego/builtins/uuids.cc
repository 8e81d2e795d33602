// uuid.*: RFC 4122.
#include <array>
#include <string>

#include "aegis/base/text.h"
#include "aegis/crypto/digest.h"
#include "aegis/rego/builtins/operands.h"
#include "aegis/rego/builtins/text.h"
#include "aegis/rego/table.h"

namespace aegis::rego {
namespace {

using Bytes = std::array<uint8_t, 16>;

// With hyphens, alone, between any two characters, or behind "urn:uuid:"; or 32 digits.
std::optional<Bytes> ParseUuid(std::string_view text) {
  constexpr std::string_view kUrn = "urn:uuid:";
  std::string digits;
  if (text.size() == 32) {
    digits = text;
  } else {
    if (text.size() == 36 + kUrn.size()) {
      if (!EqualsIgnoreCase(text.substr(0, kUrn.size()), kUrn)) return std::nullopt;
      text.remove_prefix(kUrn.size());
    } else if (text.size() == 38) {
      text = text.substr(1, 36);
    } else if (text.size() != 36) {
      return std::nullopt;
    }
    for (size_t i = 0; i < text.size(); ++i) {
      if (i == 8 || i == 13 || i == 18 || i == 23) {
        if (text[i] != '-') return std::nullopt;
      } else {
        digits += text[i];
      }
    }
  }
  const std::optional<std::string> bytes = HexDecode(digits);
  if (!bytes || bytes->size() != 16) return std::nullopt;
  Bytes out;
  for (size_t i = 0; i < out.size(); ++i) out[i] = static_cast<uint8_t>((*bytes)[i]);
  return out;
}

std::string_view VariantName(uint8_t byte) {
  if ((byte & 0xc0) == 0x80) return "RFC4122";
  if ((byte & 0xe0) == 0xc0) return "Microsoft";
  return (byte & 0xe0) == 0xe0 ? "Future" : "Reserved";
}

std::string_view AddressKind(uint8_t byte) {
  constexpr std::string_view kKinds[] = {"global:unicast", "global:multicast", "local:unicast",
                                         "local:multicast"};
  return kKinds[byte & 3];
}

std::string DomainName(uint8_t domain) {
  constexpr std::string_view kDomains[] = {"Person", "Group", "Org"};
  return domain < 3 ? std::string(kDomains[domain]) : "Domain" + std::to_string(domain);
}

// Big-endian.
uint64_t Integer(const Bytes& bytes, size_t from, size_t size) {
  uint64_t out = 0;
  for (size_t i = from; i < from + size; ++i) out = out << 8 | bytes[i];
  return out;
}

// Undefined, but no error, when the text is not a UUID.
Value Parse(BuiltinContext& context, const Value* args) {
  AEGIS_STRING_ARG(text, 0);
  const std::optional<Bytes> parsed = ParseUuid(text);
  if (!parsed) return Value();
  const Bytes& bytes = *parsed;
  const int version = bytes[6] >> 4;
  ObjectBuilder object(context.arena());
  object.Add("version", Value::Int(version));
  object.Add("variant", MakeStringView(VariantName(bytes[8])));
  if (version == 1 || version == 2) {
    // Units of 100 ns since 1582-10-15; OPA's nanoseconds wrap around as int64.
    constexpr uint64_t kUnixEpoch = 122192928000000000;
    const uint64_t time =
        Integer(bytes, 0, 4) | Integer(bytes, 4, 2) << 32 | (Integer(bytes, 6, 2) & 0xfff) << 48;
    object.Add("time", Value::Int(static_cast<int64_t>((time - kUnixEpoch) * 100)));
    std::string node;
    for (size_t i = 10; i < 16; ++i) {
      if (!node.empty()) node += '-';
      const char byte = static_cast<char>(bytes[i]);
      node += HexEncode({&byte, 1});
    }
    object.Add("nodeid", String(context, node));
    object.Add("macvariables", MakeStringView(AddressKind(bytes[10])));
    object.Add("clocksequence", Value::Int(static_cast<int64_t>(Integer(bytes, 8, 2) & 0x3fff)));
    if (version == 2) {
      object.Add("id", Value::Int(static_cast<int64_t>(Integer(bytes, 0, 4))));
      object.Add("domain", String(context, DomainName(bytes[9])));
    }
  }
  return object.Build();
}

// A version 4 UUID for the key, the same for the same key in one evaluation, as in OPA. Where OPA
// draws it at random, it is the digest of the evaluation's time and the key here, so that a
// decision that is replayed gives the same answer. It is unique as far as times are, and no secret.
Value Rfc4122(BuiltinContext& context, const Value* args) {
  if (!context.Charge(internal::Weight(args[0]))) return Value();
  std::string seed = "uuid.rfc4122 " + std::to_string(context.time_unix_ns()) + " ";
  AppendRegoText(seed, args[0]);
  std::string text = crypto::Sha256Hex(seed).substr(0, 32);
  text[12] = '4';
  text[16] = "89ab"[text[16] <= '9' ? (text[16] - '0') & 3 : (text[16] - 'a' + 10) & 3];
  for (const size_t at : {8, 13, 18, 23}) text.insert(at, 1, '-');
  return String(context, text);
}

constexpr Builtin kBuiltins[] = {
    {"uuid.parse", 1, Parse},
    {"uuid.rfc4122", 1, Rfc4122},
};

}  // namespace

std::span<const Builtin> UuidBuiltins() { return kBuiltins; }

}  // namespace aegis::rego
