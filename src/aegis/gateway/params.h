// The params of a call to a tool without a map: its JSON or form body and its query.
//
// The rule is that nothing a tool could read as a param escapes policy: what Aegis cannot read the
// one way that every tool reads it is refused, never guessed.
//
//   body                                    params
//   JSON object (declared, or not declared but beginning like JSON)   its members
//   application/x-www-form-urlencoded       its fields, as strings
//   image, audio, video, font, octet-stream, pdf, archives, text/plain, text/csv
//                                           none; passes unread unless it begins like JSON
//   query                                   each parameter, as a string
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
#include <string>
#include <string_view>

#include "aegis/base/arena.h"
#include "aegis/net/http1_parser.h"
#include "aegis/rego/value.h"

namespace aegis::gateway {

enum class BodyType : uint8_t {
  kNone,        // there is no body
  kJson,        // declared as JSON
  kForm,        // URL-encoded form
  kOpaque,      // passes unread, unless it begins like JSON
  kUndeclared,  // no Content-Type: refused, unless it begins like JSON
};

// Why a request is refused; static texts. status 0: it is not.
struct Refusal {
  int status = 0;
  std::string_view reason;
  std::string_view detail;
};

// Of a body whose type nobody says.
inline constexpr Refusal kUndeclaredBody{
    415, "content_type", "the body has no Content-Type; tools would guess one, and policy cannot"};

// What the head says of the body.
BodyType ClassifyBody(const net::RequestHead& head, Refusal* refusal);

// Whether a body that is not declared as JSON begins like a JSON object or array.
enum class Looks : uint8_t { kUnknown, kLikeJson, kOpaque };
Looks LookAtBody(std::string_view start);

// Builds the params object in `arena`. `body`: whole, for kJson (also an undeclared one that looks
// like JSON) and kForm. Views into body and query are kept: both must outlive the value. Undefined
// with `*refusal` set when the request is refused.
rego::Value BuildParams(BodyType type, std::string_view body, std::string_view query, Arena& arena,
                        Refusal* refusal);

// Whether no two names of one object in `params` differ in case only and none holds NUL. `*refusal`
// is set if not.
bool CheckNames(rego::Value params, Arena& arena, Refusal* refusal);

}  // namespace aegis::gateway
