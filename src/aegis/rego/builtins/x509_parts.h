// What certificates and certificate requests have in common.
//
// Internal to the rego library.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "aegis/crypto/der.h"
#include "aegis/rego/value.h"

namespace aegis::rego::x509 {

using crypto::DerReader;
using Oid = std::vector<int64_t>;

Value Base64(Arena& arena, std::string_view bytes);
Value OidValue(Arena& arena, const Oid& oid);
// An integer's bytes as a number; undefined when it is too large.
Value IntegerValue(Arena& arena, std::string_view bytes);
bool IsNegative(std::string_view integer_bytes);

// A list that is null while it is empty, as Go's slices are.
class List {
 public:
  explicit List(Arena& arena) : arena_(arena) {}
  void Add(Value value) {
    if (!array_) array_.emplace(arena_);
    array_->Add(value);
  }
  bool empty() const { return !array_; }
  Value Build() const { return array_ ? array_->Build() : Value::Null(); }

 private:
  Arena& arena_;
  std::optional<ArrayBuilder> array_;
};

// pkix.Name of the contents of a name. Without `strict`, values that are no strings are taken too.
// Undefined when it is wrong.
Value NameValue(Arena& arena, DerReader name, bool strict);

// Go's value of any element, as encoding/asn1 makes it: null for kinds that it does not know.
// Undefined when it is wrong, and for bit strings, object identifiers and times, which names do not
// have.
Value AnyValue(Arena& arena, uint8_t tag, std::string_view contents);

// The contents of an AlgorithmIdentifier.
struct AlgorithmId {
  Oid oid;
  std::string_view parameters;  // an element; empty when absent
};
bool ReadAlgorithm(DerReader reader, AlgorithmId& out);
int64_t SignatureAlgorithmNumber(const AlgorithmId& algorithm);

// PublicKey and PublicKeyAlgorithm of the contents of a SubjectPublicKeyInfo; false with `problem`
// set when it is wrong.
bool ReadPublicKey(Arena& arena, DerReader info, Value& key, int64_t& number, std::string& problem);

// The elliptic curves that certificates may have.
struct Curve {
  Oid oid;
  const char* group;  // OpenSSL's name
  size_t bytes;       // of a coordinate
};
const Curve* FindCurve(const Oid& oid);  // nullptr: another one

struct Extension {
  Oid oid;
  bool critical = false;
  std::string_view value;
};
bool ReadExtension(DerReader reader, Extension& out);
Value ExtensionValue(Arena& arena, const Extension& extension);

// The names of a subjectAltName extension.
struct AlternativeNames {
  explicit AlternativeNames(Arena& arena)
      : dns(arena), emails(arena), addresses(arena), uris(arena), uri_strings(arena) {}
  List dns, emails, addresses, uris, uri_strings;
  std::vector<std::string_view> dns_texts, address_bytes;
  bool empty() const { return dns.empty() && emails.empty() && addresses.empty() && uris.empty(); }
};
bool ReadAlternativeNames(Arena& arena, std::string_view extension, AlternativeNames& out,
                          std::string& problem);

bool IsIa5(std::string_view text);
// `constraint`: may start with a dot.
bool IsDomain(std::string_view text, bool constraint);

}  // namespace aegis::rego::x509
