#include "aegis/gateway/tool_call.h"

namespace aegis::gateway {
namespace {

constexpr std::string_view kSessionField = "x-aegis-session";
constexpr size_t kMaxSessionBytes = 256;

}  // namespace

bool IsToolMethod(std::string_view method) {
  return method == "GET" || method == "POST" || method == "PUT" || method == "PATCH" ||
         method == "DELETE" || method == "HEAD" || method == "OPTIONS";
}

bool Retargets(std::string_view name) {
  if (name.find('_') != std::string_view::npos) return true;
  if (!name.starts_with("x-")) return false;
  return name == "x-original-url" || name == "x-rewrite-url" || name == "x-http-method" ||
         name == "x-http-method-override" || name == "x-method-override";
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
