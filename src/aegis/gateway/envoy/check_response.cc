#include "aegis/gateway/envoy/check_response.h"

#include "aegis/base/protobuf_wire.h"
#include "aegis/base/text.h"
#include "aegis/gateway/tool_call.h"

namespace aegis::gateway {
namespace {

constexpr uint64_t kOverwriteOrAdd = 2;  // HeaderValueOption.HeaderAppendAction

// google.rpc.Code of an answer.
Code CodeOf(int status) {
  switch (status) {
    case 401:
      return Code::kUnauthenticated;
    case 403:
      return Code::kPermissionDenied;
    case 503:
      return Code::kUnavailable;
    default:
      return Code::kInvalidArgument;
  }
}

// HeaderValueOption{header=1{key=1, value=2}, append_action=3}
void WriteHeader(WireWriter& writer, uint32_t field, std::string_view name,
                 std::string_view value) {
  const size_t option = writer.Begin(field);
  const size_t header = writer.Begin(1);
  writer.Bytes(1, name);
  writer.Bytes(2, value);
  writer.End(header);
  writer.Number(3, kOverwriteOrAdd);
  writer.End(option);
}

// google.protobuf.Struct{fields=1: map of Value{string_value=3}}
void WriteMember(WireWriter& writer, std::string_view name, std::string_view text) {
  if (text.empty()) return;
  const size_t entry = writer.Begin(1);
  writer.Bytes(1, name);
  const size_t value = writer.Begin(2);
  writer.Bytes(3, text);
  writer.End(value);
  writer.End(entry);
}

// For Envoy's access log and the filters behind.
void WriteMetadata(WireWriter& writer, const Ticket& ticket, std::string& out) {
  const size_t metadata = writer.Begin(4);
  AppendDecisionMembers(ticket, out);
  writer.End(metadata);
}

bool IsSet(const OwnHeaders& headers, std::string_view name) {
  for (const OwnHeader& header : headers.items()) {
    if (EqualsIgnoreCase(header.name, name)) return true;
  }
  return false;
}

}  // namespace

void AppendDecisionMembers(const Ticket& ticket, std::string& out) {
  WireWriter writer(out);
  WriteMember(writer, "decision_id", ticket.id.text());
  WriteMember(writer, "outcome", ticket.proceeds ? "allow" : decision::OutcomeName(ticket.outcome));
  WriteMember(writer, "reason", decision::ReasonName(ticket.reason));
  WriteMember(writer, "policy_version", ticket.policy_version);
  WriteMember(writer, "agent", ticket.agent);
  WriteMember(writer, "tool", ticket.tool);
  WriteMember(writer, "action", ticket.action);
  if (ticket.shadowed) WriteMember(writer, "shadow", decision::OutcomeName(ticket.outcome));
}

void AppendOkResponse(const Ticket& ticket, const net::RequestHead& head,
                      bool credential_in_authorization, std::string& out) {
  OwnHeaders headers;
  headers.AddDecision(ticket);
  WireWriter writer(out);
  writer.End(writer.Begin(1));  // google.rpc.Status{}: OK
  const size_t ok = writer.Begin(3);
  for (const OwnHeader& header : headers.items()) WriteHeader(writer, 2, header.name, header.value);
  for (const net::HeaderField& field : head.fields) {
    // Envoy removes after it has set.
    if (StaysBehind(field, credential_in_authorization) && !IsSet(headers, field.name)) {
      writer.Bytes(5, field.name);
    }
  }
  for (const OwnHeader& header : headers.items()) WriteHeader(writer, 6, header.name, header.value);
  writer.End(ok);
  WriteMetadata(writer, ticket, out);
}

void AppendDeniedResponse(const OwnAnswer& answer, const Ticket* decided, std::string& out) {
  const Problem& problem = answer.problem;
  WireWriter writer(out);
  const size_t status = writer.Begin(1);
  writer.Number(1, static_cast<uint64_t>(CodeOf(problem.status)));
  writer.Bytes(2, problem.reason);
  writer.End(status);
  const size_t denied = writer.Begin(2);
  const size_t http_status = writer.Begin(1);
  writer.Number(1, static_cast<uint64_t>(problem.status));
  writer.End(http_status);
  WriteHeader(writer, 2, "Content-Type", "application/problem+json");
  for (const OwnHeader& header : answer.headers.items()) {
    WriteHeader(writer, 2, header.name, header.value);
  }
  const size_t body = writer.Begin(3);
  AppendProblem(problem, out);
  writer.End(body);
  writer.End(denied);
  if (decided != nullptr) return WriteMetadata(writer, *decided, out);
  const size_t metadata = writer.Begin(4);
  WriteMember(writer, "outcome", "deny");
  WriteMember(writer, "reason", problem.reason);
  writer.End(metadata);
}

}  // namespace aegis::gateway
