#include "aegis/rego/builtins/x509_certificate.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <set>

#include "aegis/rego/builtins/cidr.h"
#include "aegis/rego/builtins/x509_parts.h"

namespace aegis::rego {
namespace {

using namespace crypto;  // NOLINT: tags
using namespace x509;    // NOLINT

Value Text(Arena& arena, std::string_view text) { return MakeString(arena, text); }

int DaysIn(int year, int month) {
  constexpr int kDays[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  const bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
  return month == 2 && leap ? 29 : kDays[month - 1];
}

// UTCTime or GeneralizedTime as RFC 3339 text. Go takes zones and leaves out seconds, too.
bool ReadTime(DerReader& reader, std::string& out) {
  std::string_view text;
  const bool utc = reader.Peek(kDerUtcTime);
  if (!reader.Read(utc ? kDerUtcTime : kDerGeneralizedTime, text)) return false;
  const auto two = [&](int& number) {
    if (text.size() < 2 || text[0] < '0' || text[0] > '9' || text[1] < '0' || text[1] > '9') {
      return false;
    }
    number = (text[0] - '0') * 10 + text[1] - '0';
    text.remove_prefix(2);
    return true;
  };
  int century = 0, year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0;
  if ((!utc && !two(century)) || !two(year) || !two(month) || !two(day) || !two(hour) ||
      !two(minute)) {
    return false;
  }
  year += utc ? (year >= 69 ? 1900 : 2000) : century * 100;
  const bool has_seconds = two(second);
  if ((!has_seconds && !utc) || month < 1 || month > 12 || day < 1 || day > DaysIn(year, month) ||
      hour > 23 || minute > 59 || second > 59) {
    return false;
  }
  if (utc && year >= 2050) year -= 100;  // RFC 5280 §4.1.2.5.1
  char zone[32] = "Z";
  if (text != "Z") {
    int zone_hour = 0, zone_minute = 0;
    if (text.size() != 5 || (text[0] != '+' && text[0] != '-')) return false;
    const char sign = text[0];
    text.remove_prefix(1);
    if (!two(zone_hour) || !two(zone_minute) || zone_hour > 23 || zone_minute > 59 ||
        zone_hour + zone_minute == 0) {
      return false;
    }
    std::snprintf(zone, sizeof zone, "%c%02d:%02d", sign, zone_hour, zone_minute);
  }
  char buffer[64];
  std::snprintf(buffer, sizeof buffer, "%04d-%02d-%02dT%02d:%02d:%02d%s", year, month, day, hour,
                minute, second, zone);
  out = buffer;
  return true;
}

// Go's numbers of extended key usages (RFC 5280 §4.2.1.12); -1: unknown.
int64_t UsageNumber(const Oid& oid) {
  static const std::pair<Oid, int64_t> kOthers[] = {
      {{2, 5, 29, 37, 0}, 0},
      {{1, 3, 6, 1, 4, 1, 311, 10, 3, 3}, 10},
      {{2, 16, 840, 1, 113730, 4, 1}, 11},
      {{1, 3, 6, 1, 4, 1, 311, 2, 1, 22}, 12},
      {{1, 3, 6, 1, 4, 1, 311, 61, 1, 1}, 13},
  };
  static const Oid kPrefix = {1, 3, 6, 1, 5, 5, 7, 3};
  if (oid.size() == 9 && std::equal(kPrefix.begin(), kPrefix.end(), oid.begin()) && oid[8] >= 1 &&
      oid[8] <= 9) {
    return oid[8];
  }
  for (const auto& [known, number] : kOthers) {
    if (known == oid) return number;
  }
  return -1;
}

// The members that come from extensions, with Go's defaults.
class Extensions {
 public:
  explicit Extensions(Arena& arena) : arena_(arena), names_(arena), all_(arena) {}

  // Parses one; false with `problem` set when it is wrong.
  bool Add(const Extension& extension, std::string& problem);
  void AddMembers(ObjectBuilder& object) const;
  void Describe(Certificate& certificate) const;

 private:
  bool AddStandard(const Extension& extension, bool& unhandled, std::string& problem);
  bool KeyUsage(std::string_view value);
  bool BasicConstraints(std::string_view value);
  bool NameConstraints(const Extension& extension, bool& unhandled);
  bool Subtrees(std::string_view trees, std::array<List, 4>& lists, bool& unhandled);
  bool DistributionPoints(std::string_view value);
  bool AuthorityKeyId(std::string_view value);
  bool PolicyConstraints(std::string_view value);
  bool ExtendedKeyUsage(std::string_view value);
  bool Policies(std::string_view value);
  bool PolicyMappings(std::string_view value);
  bool InhibitAnyPolicy(std::string_view value);
  bool AuthorityInfo(std::string_view value);

  std::array<List, 4> Lists() const {
    return {List(arena_), List(arena_), List(arena_), List(arena_)};
  }

  Arena& arena_;
  AlternativeNames names_;
  List all_;
  std::set<Oid> seen_;
  bool has_names_ = false;
  bool has_unknown_usage_ = false;
  std::vector<int64_t> usages_;
  int64_t key_usage_ = 0, max_path_ = 0, inhibit_any_ = 0, inhibit_mapping_ = 0, explicit_ = 0;
  bool basic_ = false, is_ca_ = false, max_path_zero_ = false, inhibit_any_zero_ = false,
       inhibit_mapping_zero_ = false, explicit_zero_ = false, permitted_critical_ = false;
  List usage_list_{arena_}, unknown_usages_{arena_}, unhandled_{arena_}, points_{arena_},
      ocsp_{arena_}, issuers_{arena_}, policies_{arena_}, mappings_{arena_};
  Value subject_key_ = Value::Null(), authority_key_ = Value::Null(), policy_ids_ = Value::Null();
  std::array<List, 4> permitted_ = Lists(), excluded_ = Lists();  // DNS, IP, email, URI
};

bool Extensions::Add(const Extension& extension, std::string& problem) {
  if (!seen_.insert(extension.oid).second) {
    problem = "x509: certificate contains duplicate extension";
    return false;
  }
  all_.Add(ExtensionValue(arena_, extension));
  static const Oid kAuthorityInfo = {1, 3, 6, 1, 5, 5, 7, 1, 1};
  const Oid& oid = extension.oid;
  bool unhandled = false;
  problem = "x509: invalid extension";
  if (oid.size() == 4 && oid[0] == 2 && oid[1] == 5 && oid[2] == 29) {
    if (!AddStandard(extension, unhandled, problem)) return false;
  } else if (oid == kAuthorityInfo) {
    if (extension.critical || !AuthorityInfo(extension.value)) return false;
  } else {
    unhandled = true;
  }
  if (extension.critical && unhandled) unhandled_.Add(OidValue(arena_, oid));
  problem.clear();
  return true;
}

bool Extensions::AddStandard(const Extension& extension, bool& unhandled, std::string& problem) {
  const std::string_view value = extension.value;
  std::string_view contents;
  switch (extension.oid[3]) {
    case 14:
      if (extension.critical || !DerReader(value).Read(kDerOctetString, contents)) return false;
      subject_key_ = Base64(arena_, contents);
      return true;
    case 15:
      return KeyUsage(value);
    case 17:
      has_names_ = true;
      if (!ReadAlternativeNames(arena_, value, names_, problem)) return false;
      unhandled = names_.empty();
      return true;
    case 19:
      return BasicConstraints(value);
    case 30:
      return NameConstraints(extension, unhandled);
    case 31:
      return DistributionPoints(value);
    case 32:
      return Policies(value);
    case 33:
      return PolicyMappings(value);
    case 35:
      return !extension.critical && AuthorityKeyId(value);
    case 36:
      return PolicyConstraints(value);
    case 37:
      return ExtendedKeyUsage(value);
    case 54:
      return InhibitAnyPolicy(value);
    default:
      unhandled = true;
      return true;
  }
}

bool Extensions::KeyUsage(std::string_view value) {
  std::string_view bits;
  int unused = 0;
  DerReader reader(value);
  if (!reader.ReadBits(bits, unused)) return false;
  const size_t count = bits.size() * 8 - static_cast<size_t>(unused);
  for (size_t i = 0; i < std::min<size_t>(count, 9); ++i) {
    if ((static_cast<uint8_t>(bits[i / 8]) >> (7 - i % 8) & 1) != 0) key_usage_ |= 1 << i;
  }
  return true;
}

bool Extensions::BasicConstraints(std::string_view value) {
  DerReader reader(value), inside("");
  if (!reader.Enter(kDerSequence, inside)) return false;
  if (inside.Peek(kDerBoolean) && !inside.ReadBoolean(is_ca_)) return false;
  max_path_ = -1;
  if (inside.Peek(kDerInteger) && (!inside.ReadInt(max_path_) || max_path_ < 0)) return false;
  basic_ = true;
  max_path_zero_ = max_path_ == 0;
  return true;
}

bool Extensions::NameConstraints(const Extension& extension, bool& unhandled) {
  DerReader reader(extension.value), inside("");
  std::optional<std::string_view> permitted, excluded;
  if (!reader.Enter(kDerSequence, inside) || !reader.empty() ||
      !inside.ReadOptional(DerContextConstructed(0), permitted) ||
      !inside.ReadOptional(DerContextConstructed(1), excluded) || !inside.empty() ||
      permitted.value_or("").size() + excluded.value_or("").size() == 0) {
    return false;
  }
  permitted_critical_ = extension.critical;
  return Subtrees(permitted.value_or(""), permitted_, unhandled) &&
         Subtrees(excluded.value_or(""), excluded_, unhandled);
}

bool Extensions::Subtrees(std::string_view trees, std::array<List, 4>& lists, bool& unhandled) {
  for (DerReader reader(trees); !reader.empty();) {
    DerReader tree("");
    uint8_t tag = 0;
    std::string_view value;
    if (!reader.Enter(kDerSequence, tree) || !tree.ReadAny(tag, value)) return false;
    if (tag == DerContext(7)) {
      if (value.size() != 8 && value.size() != 32) return false;
      const std::string_view mask = value.substr(value.size() / 2);
      // Ones, then zeros.
      bool zeros = false;
      for (size_t bit = 0; bit < mask.size() * 8; ++bit) {
        const bool one = (static_cast<uint8_t>(mask[bit / 8]) >> (7 - bit % 8) & 1) != 0;
        if (one && zeros) return false;
        zeros = !one;
      }
      ObjectBuilder net(arena_, 2);
      net.Add("IP", Text(arena_, AddressText(value.substr(0, value.size() / 2))));
      net.Add("Mask", Base64(arena_, mask));
      lists[1].Add(net.Build());
      continue;
    }
    if (tag != DerContext(1) && tag != DerContext(2) && tag != DerContext(6)) {
      unhandled = true;
      continue;
    }
    if (!IsIa5(value)) return false;
    const size_t at = value.rfind('@');
    const bool mailbox = tag == DerContext(1) && at != value.npos;
    if (mailbox ? at == 0 || at + 1 == value.size() : !IsDomain(value, true)) return false;
    if (tag == DerContext(6)) {
      const std::string text(value);
      in6_addr address;
      if (text.find('\0') == text.npos && (inet_pton(AF_INET, text.c_str(), &address) == 1 ||
                                           inet_pton(AF_INET6, text.c_str(), &address) == 1)) {
        return false;
      }
    }
    lists[tag == DerContext(2) ? 0 : tag == DerContext(1) ? 2 : 3].Add(Text(arena_, value));
  }
  return true;
}

bool Extensions::DistributionPoints(std::string_view value) {
  DerReader reader(value), points("");
  if (!reader.Enter(kDerSequence, points)) return false;
  while (!points.empty()) {
    DerReader point("");
    std::optional<std::string_view> name;
    if (!points.Enter(kDerSequence, point) || !point.ReadOptional(DerContextConstructed(0), name)) {
      return false;
    }
    if (!name) continue;
    DerReader choice(*name), full("");
    if (!choice.Enter(DerContextConstructed(0), full)) return false;
    while (full.Peek(DerContext(6))) {
      std::string_view uri;
      if (!full.Read(DerContext(6), uri)) return false;
      points_.Add(Text(arena_, uri));
    }
  }
  return true;
}

bool Extensions::AuthorityKeyId(std::string_view value) {
  DerReader reader(value), inside("");
  std::optional<std::string_view> id;
  if (!reader.Enter(kDerSequence, inside) || !inside.ReadOptional(DerContext(0), id)) return false;
  if (id) authority_key_ = Base64(arena_, *id);
  return true;
}

bool Extensions::PolicyConstraints(std::string_view value) {
  DerReader reader(value), inside("");
  if (!reader.Enter(kDerSequence, inside)) return false;
  const auto number = [&](uint8_t tag, int64_t& out, bool& zero) {
    std::optional<std::string_view> bytes;
    if (!inside.ReadOptional(tag, bytes)) return false;
    if (!bytes) return true;
    if (bytes->empty() || bytes->size() > 8) return false;
    // Tagged implicitly: the integer's own tag back in front.
    const std::string element =
        std::string{static_cast<char>(kDerInteger), static_cast<char>(bytes->size())} +
        std::string(*bytes);
    if (!DerReader(element).ReadInt(out)) return false;
    zero = out == 0;
    return true;
  };
  return number(DerContext(0), explicit_, explicit_zero_) &&
         number(DerContext(1), inhibit_mapping_, inhibit_mapping_zero_);
}

bool Extensions::ExtendedKeyUsage(std::string_view value) {
  DerReader reader(value), inside("");
  if (!reader.Enter(kDerSequence, inside)) return false;
  while (!inside.empty()) {
    Oid oid;
    if (!inside.ReadOid(oid)) return false;
    const int64_t number = UsageNumber(oid);
    if (number < 0) {
      unknown_usages_.Add(OidValue(arena_, oid));
      has_unknown_usage_ = true;
    } else {
      usage_list_.Add(Value::Int(number));
      usages_.push_back(number);
    }
  }
  return true;
}

bool Extensions::Policies(std::string_view value) {
  DerReader reader(value), inside("");
  if (!reader.Enter(kDerSequence, inside)) return false;
  std::set<std::string_view> seen;
  ArrayBuilder ids(arena_);
  while (!inside.empty()) {
    DerReader policy("");
    std::string_view id;
    if (!inside.Enter(kDerSequence, policy)) return false;
    DerReader again = policy;
    if (!policy.Read(kDerObjectIdentifier, id) || !seen.insert(id).second) return false;
    const std::optional<std::string> text = OidText(id);
    if (!text) return false;
    policies_.Add(Text(arena_, *text));
    if (Oid oid; again.ReadOid(oid)) ids.Add(OidValue(arena_, oid));
  }
  policy_ids_ = ids.Build();
  return true;
}

bool Extensions::PolicyMappings(std::string_view value) {
  DerReader reader(value), inside("");
  if (!reader.Enter(kDerSequence, inside)) return false;
  while (!inside.empty()) {
    DerReader pair("");
    std::string_view issuer, subject;
    if (!inside.Enter(kDerSequence, pair) || !pair.Read(kDerObjectIdentifier, issuer) ||
        !pair.Read(kDerObjectIdentifier, subject)) {
      return false;
    }
    const std::optional<std::string> from = OidText(issuer, true), to = OidText(subject, true);
    if (!from || !to) return false;
    ObjectBuilder mapping(arena_, 2);
    mapping.Add("IssuerDomainPolicy", Text(arena_, *from));
    mapping.Add("SubjectDomainPolicy", Text(arena_, *to));
    mappings_.Add(mapping.Build());
  }
  return true;
}

bool Extensions::InhibitAnyPolicy(std::string_view value) {
  DerReader reader(value);
  if (!reader.ReadInt(inhibit_any_)) return false;
  inhibit_any_zero_ = inhibit_any_ == 0;
  return true;
}

bool Extensions::AuthorityInfo(std::string_view value) {
  static const Oid kOcsp = {1, 3, 6, 1, 5, 5, 7, 48, 1}, kIssuers = {1, 3, 6, 1, 5, 5, 7, 48, 2};
  DerReader reader(value), inside("");
  if (!reader.Enter(kDerSequence, inside)) return false;
  while (!inside.empty()) {
    DerReader access("");
    Oid method;
    std::optional<std::string_view> uri;
    if (!inside.Enter(kDerSequence, access) || !access.ReadOid(method) ||
        !access.ReadOptional(DerContext(6), uri)) {
      return false;
    }
    if (uri && method == kOcsp) ocsp_.Add(Text(arena_, *uri));
    if (uri && method == kIssuers) issuers_.Add(Text(arena_, *uri));
  }
  return true;
}

void Extensions::AddMembers(ObjectBuilder& object) const {
  object.Add("Extensions", all_.Build());
  object.Add("ExtraExtensions", Value::Null());
  object.Add("UnhandledCriticalExtensions", unhandled_.Build());
  object.Add("KeyUsage", Value::Int(key_usage_));
  object.Add("ExtKeyUsage", usage_list_.Build());
  object.Add("UnknownExtKeyUsage", unknown_usages_.Build());
  object.Add("BasicConstraintsValid", Value::Bool(basic_));
  object.Add("IsCA", Value::Bool(is_ca_));
  object.Add("MaxPathLen", Value::Int(max_path_));
  object.Add("MaxPathLenZero", Value::Bool(max_path_zero_));
  object.Add("SubjectKeyId", subject_key_);
  object.Add("AuthorityKeyId", authority_key_);
  object.Add("OCSPServer", ocsp_.Build());
  object.Add("IssuingCertificateURL", issuers_.Build());
  object.Add("DNSNames", names_.dns.Build());
  object.Add("EmailAddresses", names_.emails.Build());
  object.Add("IPAddresses", names_.addresses.Build());
  object.Add("URIs", names_.uris.Build());
  object.Add("PermittedDNSDomainsCritical", Value::Bool(permitted_critical_));
  constexpr std::string_view kKinds[] = {"DNSDomains", "IPRanges", "EmailAddresses", "URIDomains"};
  for (size_t i = 0; i < std::size(kKinds); ++i) {
    object.Add(Text(arena_, "Permitted" + std::string(kKinds[i])), permitted_[i].Build());
    object.Add(Text(arena_, "Excluded" + std::string(kKinds[i])), excluded_[i].Build());
  }
  object.Add("CRLDistributionPoints", points_.Build());
  object.Add("PolicyIdentifiers", policy_ids_);
  object.Add("Policies", policies_.Build());
  object.Add("InhibitAnyPolicy", Value::Int(inhibit_any_));
  object.Add("InhibitAnyPolicyZero", Value::Bool(inhibit_any_zero_));
  object.Add("InhibitPolicyMapping", Value::Int(inhibit_mapping_));
  object.Add("InhibitPolicyMappingZero", Value::Bool(inhibit_mapping_zero_));
  object.Add("RequireExplicitPolicy", Value::Int(explicit_));
  object.Add("RequireExplicitPolicyZero", Value::Bool(explicit_zero_));
  object.Add("PolicyMappings", mappings_.Build());
}

void Extensions::Describe(Certificate& certificate) const {
  certificate.uri_strings = names_.uri_strings.Build();
  certificate.dns_names = names_.dns_texts;
  certificate.addresses = names_.address_bytes;
  certificate.has_alternative_names = has_names_;
  certificate.usages = usages_;
  certificate.has_unknown_usage = has_unknown_usage_;
  certificate.has_unhandled_critical_extension = !unhandled_.empty();
}

// The next certificate of `der`, taken off it.
std::optional<Certificate> ParseOne(std::string_view& der, Arena& arena, std::string& problem) {
  const auto wrong = [&](std::string_view what) {
    if (problem.empty()) problem = what;
    return std::nullopt;
  };
  Certificate out;
  DerReader input(der), outer(""), tbs("");
  std::string_view tbs_element;
  if (!input.ReadElement(kDerSequence, out.der)) return wrong("x509: malformed certificate");
  der = input.rest();
  if (!DerReader(out.der).Enter(kDerSequence, outer) ||
      !outer.ReadElement(kDerSequence, tbs_element) ||
      !DerReader(tbs_element).Enter(kDerSequence, tbs)) {
    return wrong("x509: malformed tbs certificate");
  }
  ObjectBuilder object(arena, 56);
  object.Add("Raw", Base64(arena, out.der));
  object.Add("RawTBSCertificate", Base64(arena, tbs_element));

  int64_t version = 0;
  std::optional<std::string_view> tagged;
  if (!tbs.ReadOptional(DerContextConstructed(0), tagged)) return wrong("x509: malformed version");
  if (tagged) {
    DerReader number(*tagged);
    if (!number.ReadInt(version) || !number.empty()) return wrong("x509: malformed version");
  }
  if (version < 0 || version > 2) return wrong("x509: invalid version");
  object.Add("Version", Value::Int(++version));

  std::string_view serial, inner_id, outer_id;
  if (!tbs.ReadIntegerBytes(serial)) return wrong("x509: malformed serial number");
  if (IsNegative(serial)) return wrong("x509: negative serial number");
  const Value number = IntegerValue(arena, serial);
  if (number.is_undefined()) return wrong("x509: serial number is too large");
  object.Add("SerialNumber", number);
  if (!tbs.Read(kDerSequence, inner_id) || !outer.Read(kDerSequence, outer_id) ||
      inner_id != outer_id) {
    return wrong("x509: inner and outer signature algorithm identifiers don't match");
  }
  AlgorithmId algorithm;
  if (!ReadAlgorithm(DerReader(inner_id), algorithm)) return wrong("x509: malformed parameters");
  out.signature_algorithm = SignatureAlgorithmNumber(algorithm);
  object.Add("SignatureAlgorithm", Value::Int(out.signature_algorithm));

  const auto name = [&](std::string_view member, std::string_view raw_member) {
    std::string_view element;
    DerReader inside("");
    if (!tbs.ReadElement(kDerSequence, element) ||
        !DerReader(element).Enter(kDerSequence, inside)) {
      return false;
    }
    const Value value = NameValue(arena, inside, true);
    if (value.is_undefined()) return false;
    object.Add(raw_member, Base64(arena, element));
    object.Add(member, value);
    return true;
  };
  if (!name("Issuer", "RawIssuer")) return wrong("x509: invalid RDNSequence");
  DerReader validity("");
  std::string not_before, not_after;
  if (!tbs.Enter(kDerSequence, validity) || !ReadTime(validity, not_before) ||
      !ReadTime(validity, not_after)) {
    return wrong("x509: malformed validity");
  }
  object.Add("NotBefore", Text(arena, not_before));
  object.Add("NotAfter", Text(arena, not_after));
  if (!name("Subject", "RawSubject")) return wrong("x509: invalid RDNSequence");

  std::string_view key_element;
  DerReader key_info("");
  Value key;
  int64_t key_number = 0;
  if (!tbs.ReadElement(kDerSequence, key_element) ||
      !DerReader(key_element).Enter(kDerSequence, key_info)) {
    return wrong("x509: malformed spki");
  }
  if (!ReadPublicKey(arena, key_info, key, key_number, problem)) return wrong("");
  object.Add("RawSubjectPublicKeyInfo", Base64(arena, key_element));
  object.Add("PublicKey", key);
  object.Add("PublicKeyAlgorithm", Value::Int(key_number));

  Extensions extensions(arena);
  if (version > 1) {
    if (!tbs.ReadOptional(DerContext(1), tagged) || !tbs.ReadOptional(DerContext(2), tagged)) {
      return wrong("x509: malformed unique ID");
    }
  }
  tagged.reset();
  if (version == 3 && !tbs.ReadOptional(DerContextConstructed(3), tagged)) {
    return wrong("x509: malformed extensions");
  }
  if (tagged) {
    DerReader list("");
    if (!DerReader(*tagged).Enter(kDerSequence, list)) return wrong("x509: malformed extensions");
    while (!list.empty()) {
      DerReader one("");
      Extension extension;
      if (!list.Enter(kDerSequence, one) || !ReadExtension(one, extension)) {
        return wrong("x509: malformed extension");
      }
      if (!extensions.Add(extension, problem)) return wrong("");
    }
  }
  extensions.AddMembers(object);
  extensions.Describe(out);
  std::string signature;
  if (!outer.ReadBitString(signature)) return wrong("x509: malformed signature");
  object.Add("Signature", Base64(arena, signature));
  out.value = object.Build();
  if (out.value.is_undefined()) return wrong("out of memory");
  return out;
}

// One attribute of a request as Go reads it: a type, and a set of sequences of types and values.
// Undefined when it is something else.
Value AttributeValue(Arena& arena, DerReader attribute) {
  Oid oid;
  DerReader set("");
  if (!attribute.ReadOid(oid) || !attribute.Enter(kDerSet, set)) return Value();
  ArrayBuilder values(arena);
  while (!set.empty()) {
    DerReader sequence("");
    if (!set.Enter(kDerSequence, sequence)) return Value();
    ArrayBuilder pairs(arena);
    while (!sequence.empty()) {
      DerReader pair("");
      Oid type;
      uint8_t tag = 0;
      std::string_view contents;
      if (!sequence.Enter(kDerSequence, pair) || !pair.ReadOid(type) ||
          !pair.ReadAny(tag, contents)) {
        return Value();
      }
      const Value value = AnyValue(arena, tag, contents);
      if (value.is_undefined()) return Value();
      ObjectBuilder entry(arena, 2);
      entry.Add("Type", OidValue(arena, type));
      entry.Add("Value", value);
      pairs.Add(entry.Build());
    }
    values.Add(pairs.Build());
  }
  ObjectBuilder out(arena, 2);
  out.Add("Type", OidValue(arena, oid));
  out.Add("Value", values.Build());
  return out.Build();
}

// The extensions that an attribute extensionRequest asks for (RFC 2985 §5.4.2).
bool ReadRequested(DerReader attribute, std::vector<Extension>& out) {
  static const Oid kRequest = {1, 2, 840, 113549, 1, 9, 14};
  Oid oid;
  DerReader set(""), list("");
  if (!attribute.ReadOid(oid) || !attribute.Enter(kDerSet, set) || set.empty() || oid != kRequest) {
    return true;
  }
  // An attribute that is not well formed is none.
  for (DerReader values = set; !values.empty();) {
    uint8_t tag = 0;
    std::string_view contents;
    if (!values.ReadAny(tag, contents)) return true;
  }
  if (!set.Enter(kDerSequence, list)) return false;
  while (!list.empty()) {
    DerReader one("");
    Extension extension;
    if (!list.Enter(kDerSequence, one) || !ReadExtension(one, extension)) return false;
    for (const Extension& other : out) {
      if (other.oid == extension.oid) return false;
    }
    out.push_back(extension);
  }
  return true;
}

}  // namespace

std::optional<std::vector<Certificate>> ParseCertificates(std::string_view der, Arena& arena,
                                                          std::string& problem) {
  std::vector<Certificate> out;
  while (!der.empty()) {
    std::optional<Certificate> one = ParseOne(der, arena, problem);
    if (!one) return std::nullopt;
    out.push_back(*std::move(one));
  }
  return out;
}

Value ParseCertificateRequest(std::string_view der, Arena& arena, std::string& problem) {
  problem = "asn1: structure error";
  DerReader input(der), outer(""), tbs(""), id(""), subject(""), key_info("");
  std::string_view raw, tbs_element, subject_element, key_element, attributes_contents;
  int64_t version = 0, key_number = 0;
  AlgorithmId algorithm;
  std::string signature;
  Value key;
  if (!input.ReadElement(kDerSequence, raw) || !DerReader(raw).Enter(kDerSequence, outer) ||
      !outer.ReadElement(kDerSequence, tbs_element) ||
      !DerReader(tbs_element).Enter(kDerSequence, tbs) || !tbs.ReadInt(version) ||
      !tbs.ReadElement(kDerSequence, subject_element) ||
      !DerReader(subject_element).Enter(kDerSequence, subject) ||
      !tbs.ReadElement(kDerSequence, key_element) ||
      !DerReader(key_element).Enter(kDerSequence, key_info) ||
      !tbs.Read(DerContextConstructed(0), attributes_contents) || !outer.Enter(kDerSequence, id) ||
      !ReadAlgorithm(id, algorithm) || !outer.ReadBitString(signature)) {
    return Value();
  }
  if (!input.empty()) {
    problem = "asn1: syntax error: trailing data";
    return Value();
  }
  if (!ReadPublicKey(arena, key_info, key, key_number, problem)) return Value();
  const Value name = NameValue(arena, subject, false);
  if (name.is_undefined()) return Value();
  List attributes(arena), extensions(arena);
  std::vector<Extension> requested;
  AlternativeNames names(arena);
  for (DerReader list(attributes_contents); !list.empty();) {
    // What is no attribute is passed over.
    uint8_t tag = 0;
    std::string_view contents;
    if (!list.ReadAny(tag, contents)) return Value();
    if (tag != kDerSequence) continue;
    const DerReader attribute(contents);
    const Value value = AttributeValue(arena, attribute);
    if (!value.is_undefined()) attributes.Add(value);
    if (!ReadRequested(attribute, requested)) return Value();
  }
  static const Oid kAlternativeNames = {2, 5, 29, 17};
  for (const Extension& extension : requested) {
    extensions.Add(ExtensionValue(arena, extension));
    if (extension.oid == kAlternativeNames &&
        !ReadAlternativeNames(arena, extension.value, names, problem)) {
      return Value();
    }
  }
  ObjectBuilder object(arena, 18);
  object.Add("Raw", Base64(arena, raw));
  object.Add("RawTBSCertificateRequest", Base64(arena, tbs_element));
  object.Add("RawSubjectPublicKeyInfo", Base64(arena, key_element));
  object.Add("RawSubject", Base64(arena, subject_element));
  object.Add("Version", Value::Int(version));
  object.Add("Signature", Base64(arena, signature));
  object.Add("SignatureAlgorithm", Value::Int(SignatureAlgorithmNumber(algorithm)));
  object.Add("PublicKeyAlgorithm", Value::Int(key_number));
  object.Add("PublicKey", key);
  object.Add("Subject", name);
  object.Add("Attributes", attributes.Build());
  object.Add("Extensions", extensions.Build());
  object.Add("ExtraExtensions", Value::Null());
  object.Add("DNSNames", names.dns.Build());
  object.Add("EmailAddresses", names.emails.Build());
  object.Add("IPAddresses", names.addresses.Build());
  object.Add("URIs", names.uris.Build());
  return object.Build();
}

}  // namespace aegis::rego
