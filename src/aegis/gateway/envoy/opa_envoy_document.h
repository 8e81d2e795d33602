// A CheckRequest as the document that policies of opa-envoy-plugin read: its member `attributes`,
// named and typed as that plugin writes it (github.com/open-policy-agent/opa-envoy-plugin v1.19.1,
// envoyauth). What it makes of the message:
//   - a field has its JSON name ("contextExtensions") and is there when it has been set: no empty
//     texts, no zeros, no empty maps;
//   - bytes are base64 (RFC 4648 §4) with padding; integers of all sizes and enums are numbers;
//     google.protobuf.Timestamp is {"seconds", "nanos"}; google.protobuf.Struct is its JSON.
//
// Stricter than protobuf, as CheckRequest is: a field or a map's key that stands twice is refused,
// and so are two members of a oneof. Unknown fields are skipped.
//
// Threading: free functions.
#pragma once

#include <string_view>

#include "aegis/base/arena.h"
#include "aegis/gateway/params.h"
#include "aegis/rego/value.h"

namespace aegis::gateway {

struct OpaEnvoyDocument {
  // The object {"attributes": …}, in the arena and with views into the message; undefined when the
  // message is refused.
  rego::Value value;
  std::string_view raw_body;  // of attributes.request.http
};

// `*refusal`: why the value is undefined; check_malformed, or check_too_large when the arena cannot
// hold it.
OpaEnvoyDocument ReadOpaEnvoyDocument(std::string_view message, Arena& arena, Refusal* refusal);

}  // namespace aegis::gateway
