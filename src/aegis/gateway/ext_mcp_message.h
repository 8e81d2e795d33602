// agentgateway.dev.ext_mcp: what agentgateway asks about a call of MCP, and what it is answered.
//
// Source: agentgateway's crates/protos/proto/ext_mcp.proto (package agentgateway.dev.ext_mcp). A
// field that stands twice is refused; unknown fields are skipped.
//
// Threading: one thread at a time. Lifetime: views into the message.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "aegis/net/http1_parser.h"

namespace aegis::gateway {

// McpRequest and McpResponse; the latter has no headers.
struct McpMessage {
  std::vector<std::string_view> services;  // targets, as the gateway names its backends
  std::string_view method;                 // of JSON-RPC: "tools/call"
  std::string_view content;                // JSON: `params` or `result`; empty: none
  std::vector<net::HeaderField> headers;
  // Of metadata_context, if the gateway's configuration puts them there: what the answer to the
  // request said of the decision.
  std::string_view decision_id;
  std::string_view agent;

  // False: it is not such a message.
  bool Read(std::string_view bytes);

 private:
  bool Header(std::string_view bytes);
  bool Context(std::string_view bytes);
  bool Entry(std::string_view bytes);
};

enum class McpError : uint8_t { kPermissionDenied = 1, kResourceExhausted = 2, kInvalid = 3 };

// Pass, or with `mutated` (JSON) what takes the content's place.
void AppendMcpPass(const std::string* mutated, std::string& out);
// `details`: JSON, for the client.
void AppendMcpError(McpError code, std::string_view reason, std::string_view details,
                    std::string& out);
// These follow a pass of a request. `name`, `value`: of one header that is set.
void AppendMcpSetHeader(std::string_view name, std::string_view value, std::string& mutation);
void AppendMcpRemoveHeader(std::string_view name, std::string& mutation);
void AppendMcpMetadata(std::string_view name, std::string_view value, std::string& metadata);
// Puts the two together; empty ones are left out.
void AppendMcpMutation(std::string_view mutation, std::string_view metadata, std::string& out);

}  // namespace aegis::gateway
