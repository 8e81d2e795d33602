// What an HTTP call to a tool must keep to, whoever passes it on: the gateway itself (the proxy
// door) or an Envoy that asks it.
//
// Threading: free functions.
#pragma once

#include <string_view>

#include "aegis/gateway/params.h"
#include "aegis/gateway/route.h"
#include "aegis/gateway/state.h"
#include "aegis/net/http1_parser.h"

namespace aegis::gateway {

// Whether tools are called with this method; kMethodRefusal if not.
bool IsToolMethod(std::string_view method);
inline constexpr Refusal kMethodRefusal{
    405, "method_not_allowed",
    "tools are called with GET, HEAD, POST, PUT, PATCH, DELETE or OPTIONS"};

// The decision could not be recorded, so that nothing may be done by it.
inline constexpr Refusal kUnrecorded{
    503, "audit_unavailable", "the decision cannot be recorded, so that the call may not go on"};

// Whether no tool gets this field, whoever passes the call on: Aegis's own, the agent's credential,
// and fields by which some servers take a request for another than it says. Those are the ones with
// '_', which CGI-like servers read as '-' (nginx drops them too), and those that name another path
// or method.
bool StaysBehind(const net::HeaderField& field, bool credential_in_authorization);

// Which action of its tool a call is: by the tool's map, if it has one, else by the first segment
// of its path. Sets `route->action`; `match->action` is nullptr where no map says which it is.
// Views into the state and the route. Cheap; asked again when the state may be another.
Refusal ResolveAction(const State* state, std::string_view method, Route* route,
                      tool::ActionMap::Match* match);
// Kinds of body that the call may have.
inline tool::Bodies BodiesOf(const tool::ActionMap::Match& match) {
  return match.action == nullptr ? tool::kJudgedBodies : match.action->bodies();
}

// The tool whose host the Host field `host` names, port and case apart; empty: it is none's.
// `*refusal` is set when it is one but for a '.' at its end.
std::string_view FindHostTool(const State* state, std::string_view host, Refusal* refusal);

// X-Aegis-Session; empty: none. `*refusal` is set when it is too long or there are two.
std::string_view FindSession(const net::RequestHead& head, Refusal* refusal);

}  // namespace aegis::gateway
