// The input document of opa-envoy-plugin (v1.19.1), of a CheckRequest:
//   attributes        the message (opa_envoy_document.h)
//   parsed_path       ["people", "42"]
//   parsed_query      {"a": ["1"]}
//   parsed_body       the body, if it could be parsed; else null
//   truncated_body    whether the body is not all there
//   source_principal  attributes.source.principal, if there is one
//   version           {"encoding": "protojson", "ext_authz": "v3"}
//
// Threading: one thread at a time. Lifetime: the value has views into the message.
#pragma once

#include <string>
#include <string_view>

#include "aegis/base/arena.h"
#include "aegis/gateway/params.h"
#include "aegis/rego/value.h"

namespace aegis::gateway {

class OpaEnvoyInput {
 public:
  // The document, in the arena; undefined when the request is refused: then either `refusal` says
  // why (status not 0), or `part` of the request could not be parsed because of `problem`.
  rego::Value Read(std::string_view message, bool skip_body, Arena& arena);

  Refusal refusal;
  std::string_view part;
  std::string_view problem;

  // For the record, once it was read. "GET /people/42", without the query.
  std::string action;
  std::string_view address;  // of the caller, a view into the message; empty: not an IP address
  // Principal of the client's certificate, else its address and port, as Envoy says.
  std::string source;

 private:
  void Describe(rego::Value attributes);
};

}  // namespace aegis::gateway
