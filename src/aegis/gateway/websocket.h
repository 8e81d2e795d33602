// The handshake of the WebSocket protocol (RFC 6455 §4), as far as Aegis answers for it: whether
// a request asks for one properly, and whether the tool has agreed. What flows afterwards is not
// looked into.
//
// Threading: free functions.
#pragma once

#include <string>
#include <string_view>

#include "aegis/net/http1_parser.h"

namespace aegis::gateway {

struct WebSocketRequest {
  bool asks = false;            // it is a handshake
  std::string_view key = {};    // Sec-WebSocket-Key
  std::string_view error = {};  // it wants to be one and is not (400); static; empty: it is fine
};
// A request that names no protocol, or another one, asks for nothing: its Upgrade goes no further.
WebSocketRequest ReadWebSocketRequest(const net::RequestHead& head);

// Sec-WebSocket-Accept for that key (§4.2.2).
std::string WebSocketAccept(std::string_view key);

// Whether the answer, of status 101, is the tool's consent to the handshake with that key.
bool AcceptsWebSocket(const net::ResponseHead& head, std::string_view key);

}  // namespace aegis::gateway
