// The dialect aegis/v1 as data: which keys there are, where, of which type, with which meaning. The
// structural check of sources (check.h), the diagnostics and the JSON Schema (json_schema.cc) all
// read this one table.
//
// Threading: immutable after start-up.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace aegis::policy {

inline constexpr std::string_view kDialect = "aegis/v1";

// Limits on parts of a document.
inline constexpr size_t kMaxNameBytes = 256;
inline constexpr size_t kMaxEntries = 10'000;  // allowed_tools, denied_tools of one document
inline constexpr size_t kMaxActions = 1'000;   // of one entry
inline constexpr size_t kMaxAgents = 100'000;  // of one document
inline constexpr size_t kMaxConditions = 256;  // paths of one entry or caller
inline constexpr size_t kMaxCallers = 256;
inline constexpr size_t kMaxListedValues = 10'000;  // in, not_in, allowed_X
inline constexpr size_t kMaxPatternBytes = 1'024;   // RE2 text
inline constexpr size_t kMaxPathSegments = 16;
inline constexpr size_t kMaxRegoFiles = 32;                 // of one document
inline constexpr size_t kMaxModules = 256;                  // of all documents
inline constexpr size_t kMaxModuleBytes = size_t{1} << 20;  // of one file of custom Rego
inline constexpr size_t kMaxStars = 4;                      // [*] in one path
inline constexpr int kMaxCount = 999'999'999;               // length_lte, length_gte

struct Type;

// One key of a map.
struct Key {
  std::string_view name;
  const Type* type;  // nullptr: a later capability, recognised and refused as "not supported yet"
  std::string_view doc;
  bool required = false;
};

// Keys of a map that share a prefix: max_X, min_X, allowed_X.
struct KeyFamily {
  std::string_view prefix;
  const Type* type;
  std::string_view doc;
};

enum class Shape : uint8_t {
  kText,  // a string
  kBool,
  kNumber,
  kCount,   // an integer >= 0
  kScalar,  // text, number or boolean
  kValue,   // any value, null included
  kList,
  kMap,
  kChoice,  // one of `options`, told apart by the kind of the node
};

// What is wrong with a text, as the end of a sentence ("must not be empty"); empty: nothing.
using TextCheck = std::string (*)(std::string_view text);

struct Type {
  Shape shape = Shape::kValue;
  // For "must be ...": "a list of tools".
  std::string_view expected = {};
  std::string_view doc = {};
  std::string_view id = {};  // name among the schema's definitions; empty: written in place
  // kText
  std::span<const std::string_view> allowed = {};  // closed list of values; empty: free
  TextCheck check = nullptr;
  std::string_view schema_pattern = {};  // ECMA-262: accepts what `check` accepts, or more
  size_t max_bytes = 0;
  // kList: items; kMap: values of keys that are not in `keys`
  const Type* element = nullptr;
  size_t min_size = 0;
  size_t max_size = 0;  // 0: the limits of the source only
  bool unique = false;  // items of a list of texts differ
  // kMap
  std::span<const Key> keys = {};
  std::span<const KeyFamily> families = {};
  std::span<const std::string_view> exactly_one = {};  // of these keys
  TextCheck check_key = nullptr;                       // for keys that are not in `keys`
  std::string_view key_schema_pattern = {};
  std::string_view key_word = "key";  // what messages call a key: "operator"
  // kChoice
  std::span<const Type* const> options = {};
};

// A policy document.
const Type& DocumentType();
// A file of policy unit tests (*_test.yaml).
const Type& TestFileType();

// The operators of conditions, as the keys of their map.
std::span<const Key> OperatorKeys();

// ---- Texts with a form of their own; each gives what is wrong, empty if nothing.
std::string CheckName(std::string_view text);     // no '*'
std::string CheckPattern(std::string_view text);  // '*' stands for any characters
std::string CheckDocumentName(std::string_view text);
std::string CheckCaller(std::string_view text);    // user:PATTERN or agent:PATTERN
std::string CheckLink(std::string_view text);      // user:NAME or agent:NAME
std::string CheckPath(std::string_view text);      // a.b[*].c
std::string CheckRegex(std::string_view text);     // RE2
std::string CheckTimezone(std::string_view text);  // IANA
std::string CheckDays(std::string_view text);      // mon-fri,sun
std::string CheckHours(std::string_view text);     // 08:00-18:00
std::string CheckCidr(std::string_view text);
std::string CheckDomain(std::string_view text);    // host or *.host
std::string CheckEgressHost(std::string_view text);  // as egress_target.h
std::string CheckTime(std::string_view text);      // RFC 3339
std::string CheckRegoFile(std::string_view text);  // folder/payments_extra.rego

// "'a', 'b' or 'c'"
std::string ListOf(std::span<const std::string_view> words);

}  // namespace aegis::policy
