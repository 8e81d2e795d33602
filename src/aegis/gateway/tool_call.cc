#include "aegis/gateway/tool_call.h"

namespace aegis::gateway {
namespace {

constexpr std::string_view kSessionField = "x-aegis-session";
constexpr size_t kMaxSessionBytes = 256;

bool Retargets(std::string_view name) {
  if (name.find('_') != std::string_view::npos) return true;
  if (!name.starts_with("x-")) return false;
  return name == "x-original-url" || name == "x-rewrite-url" || name == "x-http-method" ||
         name == "x-http-method-override" || name == "x-method-override";
}

}  // namespace

bool IsToolMethod(std::string_view method) {
  return method == "GET" || method == "POST" || method == "PUT" || method == "PATCH" ||
         method == "DELETE" || method == "HEAD" || method == "OPTIONS";
}

bool StaysBehind(const net::HeaderField& field, bool credential_in_authorization) {
  switch (field.id) {
    case net::FieldId::kAegis:
    case net::FieldId::kProxyAuthorization:
      return true;
    case net::FieldId::kAuthorization:
      // Beside X-Aegis-Token it is the tool's.
      return credential_in_authorization;
    default:
      return Retargets(field.name);
  }
}

std::string_view FindSession(const net::RequestHead& head, Refusal* refusal) {
  const net::HeaderField* session = head.Find(kSessionField);
  if (session == nullptr) return {};
  if (session->value.size() > kMaxSessionBytes) {
    *refusal = {400, "bad_session", "X-Aegis-Session is longer than 256 bytes"};
  }
  return session->value;
}

}  // namespace aegis::gateway
