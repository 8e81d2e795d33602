// The params of a call to a tool: its JSON or form body and its query, and what the tool's map, if
// it has one, takes from the path, header fields and cookies.
//
// The rule is that nothing a tool could read as a param escapes policy: what Aegis cannot read the
// one way that every tool reads it is refused, never guessed.
//
//   body                                    params
//   JSON object (declared, or not declared but beginning like JSON)   its members
//   application/x-www-form-urlencoded       its fields, as strings
//   multipart/form-data                     its fields, as strings (or values of JSON, where the
//                                           part says so); of a file its name, type and size
//   image, audio, video, font, octet-stream, pdf, archives, text/plain, text/csv
//                                           none; passes unread unless it begins like JSON
//   query                                   each parameter, as a string
// With a map, fields have the types that it declares, and a name that it gives to one place is
// refused (400) in others.
//
// Refused (400): a name in both body and query, or twice; names of one object that differ in case
// only (Go and ASP.NET bind them alike), and for form and query names also in '.', ' ' and '_'
// (PHP); NUL in a name; '[' in a form's or query's name; a ';' there, which some servers take for
// '&'; a form that begins like JSON. Refused (415): a body of any other type, or of none; a charset
// that is not UTF-8 or given twice; any Content-Encoding.
//
// Threading: free functions.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "aegis/base/arena.h"
#include "aegis/net/http1_parser.h"
#include "aegis/rego/value.h"
#include "aegis/tool/action_map.h"

namespace aegis::gateway {

enum class BodyType : uint8_t {
  kNone,        // there is no body
  kJson,        // declared as JSON
  kForm,        // URL-encoded form
  kMultipart,   // multipart/form-data
  kOpaque,      // passes unread, unless it begins like JSON
  kUndeclared,  // no Content-Type: refused, unless it begins like JSON
  kUnread,      // passes unread, whatever it is: the tool's map says so
};

// Whether a body of this type must be whole to be judged.
inline bool IsJudged(BodyType type) {
  return type == BodyType::kJson || type == BodyType::kForm || type == BodyType::kMultipart;
}

// Why a request is refused; static texts. status 0: it is not.
struct Refusal {
  int status = 0;
  std::string_view reason;
  std::string_view detail;
};

// Of a body whose type nobody says.
inline constexpr Refusal kUndeclaredBody{
    415, "content_type", "the body has no Content-Type; tools would guess one, and policy cannot"};

// What the head says of the body. `bodies`: kinds that the action may have.
BodyType ClassifyBody(const net::RequestHead& head, tool::Bodies bodies, Refusal* refusal);

// What a part of a form that is no file is, by its Content-Type; empty: it has none.
enum class PartType : uint8_t { kText, kJson, kOther };
PartType ClassifyPart(std::string_view content_type);

// Whether a body that is not declared as JSON begins like a JSON object or array.
enum class Looks : uint8_t { kUnknown, kLikeJson, kOpaque };
Looks LookAtBody(std::string_view start);

// What params are made of. All of it must outlive them.
struct ParamSource {
  BodyType type = BodyType::kNone;
  std::string_view body =
      {};  // whole, where the type is judged (kJson: also one that looks like JSON)
  std::string_view query = {};
  std::span<const net::HeaderField> fields = {};
  const tool::ActionMap::Match* match = nullptr;  // nullptr: the tool has no map
  // Fields of one name have become one, their values joined by ',', and '!' stands for what is not
  // UTF-8: Envoy tells of them so.
  bool joined_fields = false;
};

// Builds the params object in `arena`. Undefined with `*refusal` set when the request is refused.
rego::Value BuildParams(const ParamSource& source, Arena& arena, Refusal* refusal);

// A JSON text whose names all readers tell apart. Undefined with `*refusal` set otherwise.
rego::Value ParseJsonParams(std::string_view text, Arena& arena, Refusal* refusal);

// Whether no two names of one object in `params` differ in case only and none holds NUL. `*refusal`
// is set if not.
bool CheckNames(rego::Value params, Arena& arena, Refusal* refusal);

}  // namespace aegis::gateway
