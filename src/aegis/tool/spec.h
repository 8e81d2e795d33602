// The document that says what a tool is: where it is, by which names agents reach it, and which
// requests are which of its actions. docs/tools.md is its description for users.
//
//   {"name": "payments", "base_url": "http://127.0.0.1:9400/api", "hosts": ["payments.internal"],
//    "unmapped": "refuse",
//    "actions": [{"name": "create_charge", "method": "POST", "path": "/v1/customers/{id}/charges",
//                 "params": {"id": {"type": "integer"}}, "body": ["json", "form"]}]}
//
// It is read strictly: what is not known is a mistake, and all mistakes come at once. To add a
// member, add a field to Spec and a row to the table in spec.cc.
//
// Threading: values and free functions.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "aegis/base/result.h"
#include "aegis/tool/upstream_spec.h"

namespace aegis::tool {

inline constexpr size_t kMaxDocumentBytes = size_t{1} << 20;
inline constexpr size_t kMaxNameBytes = 128;
inline constexpr size_t kMaxHosts = 64;
inline constexpr size_t kMaxActions = 2000;
inline constexpr size_t kMaxParams = 100;  // that an action declares
inline constexpr size_t kMaxParamNameBytes = 256;

enum class Place : uint8_t {
  kAnywhere /* path, query or body */,
  kPath,
  kQuery,
  kHeader,
  kCookie,
  kBody
};
enum class Type : uint8_t { kAny, kString, kInteger, kNumber, kBoolean };

// A param that the map says more of than its name.
struct Param {
  std::string name;     // by which policy knows it
  std::string sent_as;  // by which the request has it; for kHeader in lower case
  Place place = Place::kAnywhere;
  Type type = Type::kAny;  // kAny: any JSON value in a JSON body, else text
  bool list = false;       // of values of the type; sent as a JSON array or as the name repeated
  bool operator==(const Param&) const = default;
};

// Kinds of body, as bits.
using Bodies = uint8_t;
inline constexpr Bodies kJsonBody = 1;
inline constexpr Bodies kFormBody = 2;
inline constexpr Bodies kMultipartBody = 4;
inline constexpr Bodies kOpaqueBody = 8;   // files and texts, which no tool takes for params
inline constexpr Bodies kUnreadBody = 16;  // of any type; passes without being judged
inline constexpr Bodies kJudgedBodies = kJsonBody | kFormBody | kMultipartBody | kOpaqueBody;

struct Action {
  std::string name;
  std::string method;         // upper case
  std::string path;           // a template (path_template.h)
  std::vector<Param> params;  // declared ones, in the order of the document
  Bodies bodies = kJudgedBodies;
  bool operator==(const Action&) const = default;
};

// What becomes of a request whose path no action has.
enum class Unmapped : uint8_t { kRefuse, kSegment /* its first segment is the action */ };

struct Spec {
  std::string name;
  std::string base_url;
  std::vector<std::string> hosts;
  Unmapped unmapped = Unmapped::kRefuse;  // without actions always kSegment
  std::vector<Action> actions;
  Upstream upstream;  // timeouts, retries, circuit_breaker, tls, credentials
  bool operator==(const Spec&) const = default;
};

struct Mistake {
  std::string pointer;  // JSON Pointer (RFC 6901); empty: the document
  std::string detail;   // the end of a sentence: "must be a string"
};

// Reads the document. At most 100 mistakes are kept. Errors: those of json::ParseTree, and
// tool_document, of which `mistakes` has the particulars.
Result<Spec> ReadSpec(std::string_view json, std::vector<Mistake>* mistakes);

// The document as canonical JSON: no spaces, members in the order of the table, defaults left out.
std::string SpecJson(const Spec& spec);

// 1 to 128 of A-Z a-z 0-9 . _ -, the first a letter or a digit; as CheckBaseUrl.
std::string CheckName(std::string_view name);

// A param's place and type as documents write them.
std::string_view PlaceName(Place place);
std::string_view TypeName(Type type);

}  // namespace aegis::tool
