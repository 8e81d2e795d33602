#include "aegis/rego/builtins/x509_parts.h"

#include <algorithm>

#include "aegis/base/text.h"
#include "aegis/crypto/base64.h"
#include "aegis/crypto/openssl.h"
#include "aegis/rego/builtins/cidr.h"
#include "aegis/rego/builtins/unicode.h"
#include "aegis/rego/builtins/uri.h"

namespace aegis::rego::x509 {

using namespace crypto;  // NOLINT: tags

namespace {

constexpr size_t kMaxIntegerBytes = 4096;
constexpr std::string_view kNull{"\x05\x00", 2};

Value Text(Arena& arena, std::string_view text) { return MakeString(arena, text); }

void AppendUtf8(std::string& out, uint32_t rune) {
  if (rune < 0x80) {
    out += static_cast<char>(rune);
  } else if (rune < 0x800) {
    out += static_cast<char>(0xc0 | rune >> 6);
    out += static_cast<char>(0x80 | (rune & 0x3f));
  } else {
    out += static_cast<char>(0xe0 | rune >> 12);
    out += static_cast<char>(0x80 | (rune >> 6 & 0x3f));
    out += static_cast<char>(0x80 | (rune & 0x3f));
  }
}

bool IsPrintable(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         std::string_view(" '()+,-./:=?*&").find(c) != std::string_view::npos;
}

bool BmpText(std::string_view value, std::string& out) {
  if (value.size() % 2 != 0) return false;
  if (value.ends_with(std::string_view("\0\0", 2))) value.remove_suffix(2);
  for (size_t i = 0; i < value.size(); i += 2) {
    const uint32_t point = static_cast<uint32_t>(static_cast<uint8_t>(value[i])) << 8 |
                           static_cast<uint8_t>(value[i + 1]);
    if (point >= 0xfffe || (point >= 0xfdd0 && point <= 0xfdef) ||
        (point >= 0xd800 && point <= 0xdfff)) {
      return false;
    }
    AppendUtf8(out, point);
  }
  return true;
}

// The text of a string type; false when it is malformed. `is_string`: whether the tag is of one.
bool ReadText(uint8_t tag, std::string_view value, std::string& out, bool& is_string) {
  is_string = true;
  switch (tag) {
    case kDerT61String:  // taken for Latin-1
      for (const char c : value) AppendUtf8(out, static_cast<uint8_t>(c));
      return true;
    case kDerPrintableString:
      out = value;
      return std::all_of(value.begin(), value.end(), IsPrintable);
    case kDerUtf8String:
      out = value;
      return IsValidUtf8(value);
    case kDerBmpString:
      return BmpText(value, out);
    case kDerIa5String:
      out = value;
      return IsIa5(value);
    case kDerNumericString:
      out = value;
      return value.find_first_not_of("0123456789 ") == value.npos;
    default:
      is_string = false;
      return true;
  }
}

bool IsOid(const Oid& oid, std::initializer_list<int64_t> arcs) {
  return std::equal(oid.begin(), oid.end(), arcs.begin(), arcs.end());
}

// The name's member for an attribute 2.5.4.x; empty when it has none. The first two are texts, the
// others lists.
std::string_view AttributeMember(const Oid& oid) {
  if (oid.size() != 4 || !IsOid({oid[0], oid[1], oid[2]}, {2, 5, 4})) return {};
  switch (oid[3]) {
    case 3:
      return "CommonName";
    case 5:
      return "SerialNumber";
    case 6:
      return "Country";
    case 7:
      return "Locality";
    case 8:
      return "Province";
    case 9:
      return "StreetAddress";
    case 10:
      return "Organization";
    case 11:
      return "OrganizationalUnit";
    case 17:
      return "PostalCode";
    default:
      return {};
  }
}

// RSASSA-PSS names its hash in the parameters (RFC 4055 §3.1).
int64_t PssNumber(std::string_view parameters) {
  DerReader reader(parameters), inside(""), hash_reader(""), mask_reader(""), id("");
  AlgorithmId hash, mask, mask_hash;
  if (!reader.Enter(kDerSequence, inside) || !inside.Enter(DerContextConstructed(0), hash_reader) ||
      !hash_reader.Enter(kDerSequence, id) || !ReadAlgorithm(id, hash) ||
      !inside.Enter(DerContextConstructed(1), mask_reader) ||
      !mask_reader.Enter(kDerSequence, id) || !ReadAlgorithm(id, mask)) {
    return 0;
  }
  DerReader mask_parameters(mask.parameters), number("");
  int64_t salt = 0, trailer = 1;
  if (!mask_parameters.Enter(kDerSequence, id) || !ReadAlgorithm(id, mask_hash) ||
      !inside.Enter(DerContextConstructed(2), number) || !number.ReadInt(salt)) {
    return 0;
  }
  if (inside.Enter(DerContextConstructed(3), number) && !number.ReadInt(trailer)) return 0;
  const auto plain = [](const AlgorithmId& one) {
    return one.parameters.empty() || one.parameters == kNull;
  };
  if (!plain(hash) || !plain(mask_hash) || hash.oid != mask_hash.oid || trailer != 1 ||
      !IsOid(mask.oid, {1, 2, 840, 113549, 1, 1, 8})) {
    return 0;
  }
  if (IsOid(hash.oid, {2, 16, 840, 1, 101, 3, 4, 2, 1}) && salt == 32) return 13;
  if (IsOid(hash.oid, {2, 16, 840, 1, 101, 3, 4, 2, 2}) && salt == 48) return 14;
  if (IsOid(hash.oid, {2, 16, 840, 1, 101, 3, 4, 2, 3}) && salt == 64) return 15;
  return 0;
}

bool ReadPositive(Arena& arena, DerReader& reader, Value& out) {
  std::string_view bytes;
  if (!reader.ReadIntegerBytes(bytes) || IsNegative(bytes) || bytes == std::string_view("\0", 1)) {
    return false;
  }
  out = IntegerValue(arena, bytes);
  return !out.is_undefined();
}

bool ReadRsa(Arena& arena, DerReader key, ObjectBuilder& out) {
  DerReader inside("");
  Value modulus;
  int64_t exponent = 0;
  if (!key.Enter(kDerSequence, inside) || !ReadPositive(arena, inside, modulus) ||
      !inside.ReadInt(exponent) || exponent <= 0) {
    return false;
  }
  out.Add("N", modulus);
  out.Add("E", Value::Int(exponent));
  return true;
}

bool ReadDsa(Arena& arena, DerReader key, DerReader parameters, ObjectBuilder& out) {
  DerReader inside("");
  Value y, p, q, g;
  if (!ReadPositive(arena, key, y) || !parameters.Enter(kDerSequence, inside) ||
      !ReadPositive(arena, inside, p) || !ReadPositive(arena, inside, q) ||
      !ReadPositive(arena, inside, g)) {
    return false;
  }
  out.Add("Y", y);
  out.Add("P", p);
  out.Add("Q", q);
  out.Add("G", g);
  return true;
}

bool ReadEc(Arena& arena, std::string_view point, DerReader parameters, ObjectBuilder& out) {
  Oid oid;
  if (!parameters.ReadOid(oid)) return false;
  const Curve* curve = FindCurve(oid);
  if (curve == nullptr || point.size() != 1 + 2 * curve->bytes || point[0] != 4) return false;
  const std::string_view x = point.substr(1, curve->bytes), y = point.substr(1 + curve->bytes);
  if (!EcPublicKey(curve->group, x, y)) return false;
  out.Add("Curve", Value::EmptyObject());
  out.Add("X", IntegerValue(arena, std::string(1, '\0') + std::string(x)));
  out.Add("Y", IntegerValue(arena, std::string(1, '\0') + std::string(y)));
  return true;
}

Value UriValue(Arena& arena, const Uri& uri) {
  ObjectBuilder out(arena, 11);
  out.Add("Scheme", Text(arena, uri.scheme));
  out.Add("Opaque", Text(arena, uri.opaque));
  out.Add("User", uri.user_info ? Value::EmptyObject() : Value::Null());
  out.Add("Host", Text(arena, uri.host));
  out.Add("OmitHost", Value::Bool(uri.omit_host));
  out.Add("Path", Text(arena, uri.path));
  out.Add("RawPath", Text(arena, EncodesPath(uri) ? "" : uri.encoded_path));
  out.Add("ForceQuery", Value::Bool(uri.force_query));
  out.Add("RawQuery", Text(arena, uri.raw_query));
  out.Add("Fragment", Text(arena, uri.fragment));
  out.Add("RawFragment", Text(arena, EncodesFragment(uri) ? "" : uri.encoded_fragment));
  return out.Build();
}

}  // namespace

const Curve* FindCurve(const Oid& oid) {
  static const Curve kCurves[] = {{{1, 3, 132, 0, 33}, "secp224r1", 28},
                                  {{1, 2, 840, 10045, 3, 1, 7}, "prime256v1", 32},
                                  {{1, 3, 132, 0, 34}, "secp384r1", 48},
                                  {{1, 3, 132, 0, 35}, "secp521r1", 66}};
  const auto found = std::find_if(std::begin(kCurves), std::end(kCurves),
                                  [&](const Curve& curve) { return curve.oid == oid; });
  return found == std::end(kCurves) ? nullptr : found;
}

Value Base64(Arena& arena, std::string_view bytes) {
  return MakeString(arena, Base64Encode(bytes));
}

Value OidValue(Arena& arena, const Oid& oid) {
  ArrayBuilder out(arena, oid.size());
  for (const int64_t arc : oid) out.Add(Value::Int(arc));
  return out.Build();
}

bool IsNegative(std::string_view bytes) { return (static_cast<uint8_t>(bytes[0]) & 0x80) != 0; }

Value IntegerValue(Arena& arena, std::string_view bytes) {
  if (bytes.size() > kMaxIntegerBytes) return Value();
  std::string magnitude(bytes);
  const bool negative = IsNegative(bytes);
  if (negative) {
    bool carry = true;
    for (size_t i = magnitude.size(); i-- > 0;) {
      magnitude[i] = static_cast<char>(~magnitude[i] + (carry ? 1 : 0));
      carry = carry && magnitude[i] == 0;
    }
  }
  const BignumPtr number = ToBignum(magnitude);
  char* digits = number ? BN_bn2dec(number.get()) : nullptr;
  if (digits == nullptr) return Value();
  const Value out = MakeNumber(arena, (negative ? "-" : "") + std::string(digits));
  OPENSSL_free(digits);
  return out;
}

Value NameValue(Arena& arena, DerReader name, bool strict) {
  constexpr std::string_view kLists[] = {"Country",   "Organization", "OrganizationalUnit",
                                         "Locality",  "Province",     "StreetAddress",
                                         "PostalCode"};
  std::vector<List> lists(std::size(kLists), List(arena));
  Value common_name = Value(MakeStringView("")), serial_number = common_name;
  List names(arena);
  while (!name.empty()) {
    DerReader set("");
    if (!name.Enter(kDerSet, set)) return Value();
    while (!set.empty()) {
      DerReader attribute("");
      Oid oid;
      uint8_t tag = 0;
      std::string_view contents;
      if (!set.Enter(kDerSequence, attribute) || !attribute.ReadOid(oid) ||
          !attribute.ReadAny(tag, contents)) {
        return Value();
      }
      std::string text;
      bool is_string = false;
      if (!ReadText(tag, contents, text, is_string) || (strict && !is_string)) return Value();
      const Value value = is_string ? Text(arena, text) : AnyValue(arena, tag, contents);
      if (value.is_undefined()) return Value();
      ObjectBuilder entry(arena, 2);
      entry.Add("Type", OidValue(arena, oid));
      entry.Add("Value", value);
      names.Add(entry.Build());
      if (!is_string) continue;
      const std::string_view member = AttributeMember(oid);
      if (member == "CommonName") common_name = value;
      if (member == "SerialNumber") serial_number = value;
      for (size_t i = 0; i < std::size(kLists); ++i) {
        if (member == kLists[i]) lists[i].Add(value);
      }
    }
  }
  ObjectBuilder out(arena, 11);
  for (size_t i = 0; i < std::size(kLists); ++i) out.Add(kLists[i], lists[i].Build());
  out.Add("SerialNumber", serial_number);
  out.Add("CommonName", common_name);
  out.Add("Names", names.Build());
  out.Add("ExtraNames", Value::Null());
  return out.Build();
}

Value AnyValue(Arena& arena, uint8_t tag, std::string_view contents) {
  std::string text;
  bool is_string = false;
  if (!ReadText(tag, contents, text, is_string)) return Value();
  if (is_string) return Text(arena, text);
  std::string element;  // with a length that DerReader takes, to read the contents again
  switch (tag) {
    case kDerOctetString:
      return Base64(arena, contents);
    case kDerInteger: {
      if (contents.size() > 8) return Value();
      element = std::string(1, static_cast<char>(tag)) + static_cast<char>(contents.size());
      element += contents;
      int64_t number = 0;
      return DerReader(element).ReadInt(number) ? Value::Int(number) : Value();
    }
    case kDerBoolean:
      if (contents.size() != 1) return Value();
      if (contents[0] != '\0' && contents[0] != '\xff') return Value();
      return Value::Bool(contents[0] != '\0');
    case kDerBitString:
    case kDerObjectIdentifier:
    case kDerUtcTime:
    case kDerGeneralizedTime:
      return Value();
    default:
      return Value::Null();
  }
}

bool ReadAlgorithm(DerReader reader, AlgorithmId& out) {
  if (!reader.ReadOid(out.oid)) return false;
  out.parameters = {};
  if (reader.empty()) return true;
  return reader.ReadElement(static_cast<uint8_t>(reader.rest()[0]), out.parameters);
}

int64_t SignatureAlgorithmNumber(const AlgorithmId& algorithm) {
  static const std::pair<Oid, int64_t> kNumbers[] = {
      {{1, 2, 840, 113549, 1, 1, 4}, 2},
      {{1, 2, 840, 113549, 1, 1, 5}, 3},
      {{1, 3, 14, 3, 2, 29}, 3},
      {{1, 2, 840, 113549, 1, 1, 11}, 4},
      {{1, 2, 840, 113549, 1, 1, 12}, 5},
      {{1, 2, 840, 113549, 1, 1, 13}, 6},
      {{1, 2, 840, 10040, 4, 3}, 7},
      {{2, 16, 840, 1, 101, 3, 4, 3, 2}, 8},
      {{1, 2, 840, 10045, 4, 1}, 9},
      {{1, 2, 840, 10045, 4, 3, 2}, 10},
      {{1, 2, 840, 10045, 4, 3, 3}, 11},
      {{1, 2, 840, 10045, 4, 3, 4}, 12},
      {{1, 3, 101, 112}, 16},
  };
  if (IsOid(algorithm.oid, {1, 2, 840, 113549, 1, 1, 10})) return PssNumber(algorithm.parameters);
  if (IsOid(algorithm.oid, {1, 3, 101, 112}) && !algorithm.parameters.empty()) return 0;
  for (const auto& [oid, number] : kNumbers) {
    if (oid == algorithm.oid) return number;
  }
  return 0;
}

bool ReadPublicKey(Arena& arena, DerReader info, Value& key, int64_t& number,
                   std::string& problem) {
  DerReader id("");
  AlgorithmId algorithm;
  std::string bits;
  if (!info.Enter(kDerSequence, id) || !ReadAlgorithm(id, algorithm) || !info.ReadBitString(bits)) {
    problem = "x509: malformed spki";
    return false;
  }
  ObjectBuilder object(arena, 4);
  bool good = true;
  number = 0;
  if (IsOid(algorithm.oid, {1, 2, 840, 113549, 1, 1, 1})) {
    number = 1;
    good = algorithm.parameters == kNull && ReadRsa(arena, DerReader(bits), object);
  } else if (IsOid(algorithm.oid, {1, 2, 840, 10040, 4, 1})) {
    number = 2;
    good = ReadDsa(arena, DerReader(bits), DerReader(algorithm.parameters), object);
  } else if (IsOid(algorithm.oid, {1, 2, 840, 10045, 2, 1})) {
    number = 3;
    good = ReadEc(arena, bits, DerReader(algorithm.parameters), object);
  } else if (IsOid(algorithm.oid, {1, 3, 101, 112})) {
    number = 4;
    good = algorithm.parameters.empty() && bits.size() == 32;
    key = Base64(arena, bits);
  } else {
    key = Value::Null();
  }
  if (!good) problem = "x509: invalid public key";
  if (number >= 1 && number <= 3) key = object.Build();
  return good;
}

bool ReadExtension(DerReader reader, Extension& out) {
  if (!reader.ReadOid(out.oid)) return false;
  out.critical = false;
  if (reader.Peek(kDerBoolean) && !reader.ReadBoolean(out.critical)) return false;
  return reader.Read(kDerOctetString, out.value);
}

Value ExtensionValue(Arena& arena, const Extension& extension) {
  ObjectBuilder out(arena, 3);
  out.Add("Id", OidValue(arena, extension.oid));
  out.Add("Critical", Value::Bool(extension.critical));
  out.Add("Value", Base64(arena, extension.value));
  return out.Build();
}

bool ReadAlternativeNames(Arena& arena, std::string_view extension, AlternativeNames& out,
                          std::string& problem) {
  problem = "x509: invalid subject alternative names";
  DerReader reader(extension), names("");
  if (!reader.Enter(kDerSequence, names)) return false;
  // A second extension of the kind would replace the first; there is none.
  while (!names.empty()) {
    uint8_t tag = 0;
    std::string_view name;
    if (!names.ReadAny(tag, name)) return false;
    if (tag == DerContext(1) || tag == DerContext(2) || tag == DerContext(6)) {
      if (!IsIa5(name)) return false;
    }
    if (tag == DerContext(1)) {
      out.emails.Add(Text(arena, name));
    } else if (tag == DerContext(2)) {
      out.dns.Add(Text(arena, name));
      out.dns_texts.push_back(name);
    } else if (tag == DerContext(6)) {
      Uri uri;
      if (!ParseUri(name, uri) || (!uri.host.empty() && !IsDomain(uri.host, false))) return false;
      out.uris.Add(UriValue(arena, uri));
      out.uri_strings.Add(Text(arena, UriText(uri)));
    } else if (tag == DerContext(7)) {
      if (name.size() != 4 && name.size() != 16) return false;
      out.addresses.Add(Text(arena, AddressText(name)));
      out.address_bytes.push_back(name);
    }
  }
  problem.clear();
  return true;
}

bool IsIa5(std::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return static_cast<uint8_t>(c) < 0x80; });
}

bool IsDomain(std::string_view text, bool constraint) {
  if (text.empty()) return true;
  if (text.ends_with('.')) return false;
  if (constraint && text.starts_with('.')) text.remove_prefix(1);
  size_t label = 0;
  for (const char c : text) {
    if (c < 33 || c > 126) return false;
    if (c == '.' && label == 0) return false;
    label = c == '.' ? 0 : label + 1;
  }
  return label > 0;
}

}  // namespace aegis::rego::x509
