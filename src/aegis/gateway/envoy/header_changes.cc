#include "aegis/gateway/envoy/header_changes.h"

#include "aegis/base/text.h"
#include "aegis/gateway/tool_call.h"

namespace aegis::gateway {
namespace {

// Fields about the bytes of a body, which are not true of another.
bool DescribesBytes(std::string_view name) {
  return name == "content-md5" || name == "digest" || name == "content-digest" ||
         name == "repr-digest" || name == "etag" || name == "accept-ranges";
}

// As net::FieldId::kAegis.
bool IsAegisField(std::string_view name) {
  constexpr std::string_view kPrefix = "x-aegis";
  if (name.size() < kPrefix.size()) return false;
  for (size_t i = 0; i < kPrefix.size(); ++i) {
    if (name[i] != kPrefix[i] && (kPrefix[i] != '-' || name[i] != '_')) return false;
  }
  return true;
}

}  // namespace

void HeaderChanges::SetDecision(const Ticket& ticket) {
  Clear();
  OwnHeaders headers;
  headers.AddDecision(ticket);
  for (const OwnHeader& header : headers.items()) set.push_back(header);
}

bool HeaderChanges::IsSet(std::string_view name) const {
  for (const OwnHeader& header : set) {
    if (EqualsIgnoreCase(header.name, name)) return true;
  }
  return false;
}

void HeaderChanges::SetForTool(const Ticket& ticket, const net::RequestHead& head,
                               bool credential_in_authorization, bool inspected) {
  SetDecision(ticket);
  if (inspected) {
    set.push_back({"accept-encoding", "identity"});
    remove.push_back("range");
  }
  for (const net::HeaderField& field : head.fields) {
    if (StaysBehind(field, credential_in_authorization) && !IsSet(field.name)) {
      remove.push_back(field.name);
    }
  }
}

void HeaderChanges::SetForAgent(const Ticket& ticket, std::span<const OwnHeader> fields,
                                bool inspected, bool streamed) {
  SetDecision(ticket);
  for (const OwnHeader& field : fields) {
    const bool about_bytes =
        DescribesBytes(field.name) || (streamed && field.name == "content-length");
    if ((IsAegisField(field.name) && !IsSet(field.name)) || (inspected && about_bytes)) {
      remove.push_back(field.name);
    }
  }
}

void HeaderChanges::DropAll(std::span<const OwnHeader> fields) {
  Clear();
  for (const OwnHeader& field : fields) remove.push_back(field.name);
}

void HeaderChanges::DropAegis(std::span<const OwnHeader> fields) {
  Clear();
  for (const OwnHeader& field : fields) {
    if (IsAegisField(field.name)) remove.push_back(field.name);
  }
}

}  // namespace aegis::gateway
