// The result contract of opa-envoy-plugin (v1.19.1, envoyauth/response.go): what its policies
// answer, as the CheckResponse that the plugin makes of it.
//
//   true, false                  nothing else is said
//   {"allowed": true or false,   required
//    "headers": …,               set for the tool if allowed, else for the client
//    "dynamic_metadata": {…},
//    if allowed:                 "request_headers_to_remove": ["x"], "response_headers_to_add": …,
//                                "query_parameters_to_remove": ["x"],
//                                "query_parameters_to_set": {"x": "1" or ["1", "2"]}
//    else:                       "body": "text", "http_status": 403}
//
// Headers are an object, or a list of objects, of texts or lists of texts. Members that are not
// named here are ignored, and so are those of the other case. Headers carry no append action, as
// the plugin's.
//
// Threading: free functions.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "aegis/rego/value.h"

namespace aegis::gateway {

// Whether the call is allowed; nothing when the value is not of that form, and then `*out` is not
// to be used. Appends the CheckResponse, whose dynamic metadata name the decision.
std::optional<bool> AppendOpaEnvoyResponse(rego::Value result, std::string_view decision_id,
                                           std::string* out);

// What a denied call is answered when nothing is enforced: it may go on as it is, and the metadata
// are those of the denial.
bool AppendOpaEnvoyDryRun(rego::Value result, std::string_view decision_id, std::string* out);

// That the request could not be parsed: 400, with the text as the body.
void AppendOpaEnvoyBadRequest(std::string_view part, std::string_view problem, std::string* out);

}  // namespace aegis::gateway
