// The body, path and query of a request as opa-envoy-plugin parses them for its policies (v1.19.1,
// envoyauth/request.go), with the readers of Go's standard library (1.26) that it uses: net/url,
// mime and mime/multipart. Where a text can be read in two ways, or is no UTF-8, it is refused
// rather than read Go's way; docs/from-opa-envoy.md lists these cases.
//
// Threading: free functions. Values are in the arena, or views into the texts given.
#pragma once

#include <string_view>

#include "aegis/base/arena.h"
#include "aegis/rego/value.h"

namespace aegis::gateway {

struct OpaEnvoyParsed {
  rego::Value value;         // undefined: see `problem`
  bool truncated = false;    // the value is null because the body is not all there
  std::string_view problem;  // why the request is refused; static
};

// "/people/42?x" without its query: ["people", "42"]. Leading '/' are dropped, and what is decoded
// may hold '/' again.
OpaEnvoyParsed ParseOpaEnvoyPath(std::string_view path, Arena& arena);

// "a=1&b=2&a=3": {"a": ["1", "3"], "b": ["2"]}. `lossy`: bytes that are not UTF-8 become U+FFFD;
// else they are refused.
OpaEnvoyParsed ParseOpaEnvoyQuery(std::string_view query, bool lossy, Arena& arena);

// `headers`: object of texts; `body` and `raw_body` as in the CheckRequest, either or both empty.
// JSON, forms and multipart forms are parsed; anything else is null.
OpaEnvoyParsed ParseOpaEnvoyBody(rego::Value headers, std::string_view body,
                                 std::string_view raw_body, Arena& arena);

}  // namespace aegis::gateway
