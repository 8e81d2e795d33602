// What an HTTP call to a tool must keep to, whoever passes it on: the gateway itself (the proxy
// door) or an Envoy that asks it.
//
// Threading: free functions.
#pragma once

#include <string_view>

#include "aegis/gateway/params.h"
#include "aegis/net/http1_parser.h"

namespace aegis::gateway {

// Whether tools are called with this method; kMethodRefusal if not.
bool IsToolMethod(std::string_view method);
inline constexpr Refusal kMethodRefusal{
    405, "method_not_allowed",
    "tools are called with GET, HEAD, POST, PUT, PATCH, DELETE or OPTIONS"};

// Fields that no tool gets, because some servers take a request for another than it says by them:
// those with '_', which CGI-like ones read as '-' (nginx drops them too), and those that name
// another path or method. `name`: in lower case.
bool Retargets(std::string_view name);

// X-Aegis-Session; empty: none. `*refusal` is set when it is too long.
std::string_view FindSession(const net::RequestHead& head, Refusal* refusal);

}  // namespace aegis::gateway
