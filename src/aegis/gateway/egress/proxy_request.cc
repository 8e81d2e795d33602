#include "aegis/gateway/egress/proxy_request.h"

#include <algorithm>

#include "aegis/base/text.h"
#include "aegis/crypto/base64.h"
#include "aegis/gateway/tool_call.h"

namespace aegis::gateway {
namespace {

using net::FieldId;
using net::IoStep;
using net::IoWant;

constexpr std::string_view kCrlf = "\r\n";
constexpr size_t kStatusLine = 12;  // "HTTP/1.1 200"

// The credentials behind a scheme and one or more spaces; empty: another scheme.
std::string_view Behind(std::string_view value, std::string_view scheme) {
  if (value.size() <= scheme.size() || value[scheme.size()] != ' ' ||
      !EqualsIgnoreCase(value.substr(0, scheme.size()), scheme)) {
    return {};
  }
  value.remove_prefix(scheme.size());
  while (value.starts_with(' ')) value.remove_prefix(1);
  return value;
}

}  // namespace

Pipeline::Credential FindProxyCredential(const net::RequestHead& head, std::string* storage) {
  Pipeline::Credential credential;
  int count = 0;
  for (const net::HeaderField& field : head.fields) {
    if (field.id == FieldId::kUserAgent) credential.user_agent = field.value;
    if (field.id != FieldId::kProxyAuthorization) continue;
    ++count;
    credential.token = Behind(field.value, "bearer");
    if (!credential.token.empty()) continue;
    const auto basic = crypto::Base64Decode(Behind(field.value, "basic"));
    const size_t colon = basic ? basic->find(':') : std::string::npos;
    if (colon == std::string::npos) continue;
    storage->assign(*basic, colon + 1);
    credential.token = *storage;
  }
  credential.malformed = count > 1 || (count == 1 && credential.token.empty());
  if (credential.malformed) credential.token = {};
  return credential;
}

void AppendRequestHead(const net::RequestHead& head, const EgressTarget& target,
                       std::string_view traceparent, bool forward_tracestate, std::string& out) {
  out.append(head.method).append(" ").append(head.path);
  if (head.has_query) out.append("?").append(head.query);
  out.append(" HTTP/1.1\r\nhost: ").append(target.HostField()).append(kCrlf);
  for (const net::HeaderField& field : head.fields) {
    switch (field.id) {
      case FieldId::kConnection:
      case FieldId::kContentLength:
      case FieldId::kHost:
      case FieldId::kKeepAlive:
      case FieldId::kProxyAuthenticate:
      case FieldId::kProxyConnection:
      case FieldId::kTe:
      case FieldId::kTraceparent:
      case FieldId::kTrailer:
      case FieldId::kTransferEncoding:
      case FieldId::kUpgrade:
        continue;
      case FieldId::kTracestate:
        if (!forward_tracestate) continue;
        break;
      default:
        break;
    }
    if (field.nominated || StaysBehind(field, false)) continue;
    out.append(field.name).append(": ").append(field.value).append(kCrlf);
  }
  out.append("traceparent: ").append(traceparent).append(kCrlf);
  if (head.body == net::BodyKind::kChunked) {
    out.append("transfer-encoding: chunked\r\n");
  } else if (head.body == net::BodyKind::kLength) {
    out.append("content-length: ").append(std::to_string(head.content_length)).append(kCrlf);
  }
  out.append("connection: close\r\n\r\n");
}

void RequestEnd::Start(const net::RequestHead& head, std::string_view received) {
  body_.Start(head.body, head.content_length, net::ChunkDecoder::Trailers::kRefuse);
  received_ = received;
}

IoStep RequestEnd::Read(char* data, size_t size) {
  IoStep step;
  if (!received_.empty()) {
    const size_t taken = received_.copy(data, size);
    received_.remove_prefix(taken);
    step.bytes = static_cast<ssize_t>(taken);
  } else {
    step = agent_.Read(data, size);
  }
  if (step.bytes <= 0) return step;
  std::string_view bytes(data, static_cast<size_t>(step.bytes));
  while (!bytes.empty()) {
    size_t consumed = 0;
    std::string_view piece;
    // What is behind the body is another request, which nobody has judged.
    if (body_.done() || !body_.Next(bytes, &consumed, &piece)) return {-1, IoWant::kNothing};
    bytes.remove_prefix(consumed);
  }
  return step;
}

IoStep AnswerEnd::Read(char* data, size_t size) {
  const IoStep step = upstream_.Read(data, size);
  if (step.bytes > 0 && start_.size() < kStatusLine) {
    start_.append(data, std::min(kStatusLine - start_.size(), static_cast<size_t>(step.bytes)));
  }
  return step;
}

int AnswerEnd::status() const {
  if (start_.size() < kStatusLine || !start_.starts_with("HTTP/1.")) return 0;
  int status = 0;
  for (const char c : std::string_view(start_).substr(9)) {
    if (c < '0' || c > '9') return 0;
    status = status * 10 + (c - '0');
  }
  return status;
}

}  // namespace aegis::gateway
