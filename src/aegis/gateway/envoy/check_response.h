// envoy.service.auth.v3.CheckResponse: what Envoy is told to do with the call.
//
// Source: envoy/service/auth/v3/external_auth.proto. Every header is set by
// OVERWRITE_IF_EXISTS_OR_ADD, so that nothing that a client sent stands beside it. A refusal, for
// whatever cause, is a denied_response and never an error_response, which failure_mode_allow would
// let pass.
//
// Threading: free functions.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "aegis/gateway/own_answer.h"
#include "aegis/gateway/pipeline.h"
#include "aegis/net/http1_parser.h"

namespace aegis::gateway {

// Appends the message that lets the call of `head` go on: X-Aegis-* are set for the tool and for
// the client's answer, and what no tool gets (StaysBehind) is removed.
void AppendOkResponse(const Ticket& ticket, const net::RequestHead& head,
                      bool credential_in_authorization, std::string& out);

// Appends the message that answers the client. `decided`: the ticket, when there is a decision on
// record; else nullptr.
void AppendDeniedResponse(const OwnAnswer& answer, const Ticket* decided, std::string& out);

// Appends the members of a google.protobuf.Struct that tell the decision.
void AppendDecisionMembers(const Ticket& ticket, std::string& out);

}  // namespace aegis::gateway
