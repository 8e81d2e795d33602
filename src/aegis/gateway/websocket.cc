#include "aegis/gateway/websocket.h"

#include "aegis/base/text.h"
#include "aegis/crypto/base64.h"
#include "aegis/crypto/digest.h"

namespace aegis::gateway {
namespace {

using net::FieldId;
using net::HeaderField;

constexpr std::string_view kProtocol = "websocket";
constexpr std::string_view kGuid = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";  // §1.3
constexpr size_t kNonceBytes = 16;

// The field's value if it is there once and belongs to the message; else empty.
template <typename Head>
std::string_view Only(const Head& head, std::string_view name) {
  std::string_view value;
  int count = 0;
  for (const HeaderField& field : head.fields) {
    if (field.name != name) continue;
    ++count;
    if (!field.nominated) value = field.value;
  }
  return count == 1 ? value : std::string_view();
}

// Whether the one Upgrade field says so and Connection names it.
template <typename Head>
bool Upgrades(const Head& head) {
  int count = 0;
  bool agrees = false;
  for (const HeaderField& field : head.fields) {
    if (field.id != FieldId::kUpgrade) continue;
    ++count;
    agrees = field.nominated && EqualsIgnoreCase(field.value, kProtocol);
  }
  return count == 1 && agrees;
}

bool MentionsWebSocket(const net::RequestHead& head) {
  for (const HeaderField& field : head.fields) {
    if (field.id != FieldId::kUpgrade) continue;
    for (const std::string_view protocol : Split(field.value, ',')) {
      if (EqualsIgnoreCase(Trim(protocol), kProtocol)) return true;
    }
  }
  return false;
}

}  // namespace

WebSocketRequest ReadWebSocketRequest(const net::RequestHead& head) {
  if (!MentionsWebSocket(head)) return {};
  if (head.method != "GET" || head.minor_version == 0 || head.body != net::BodyKind::kNone) {
    return {.error = "a WebSocket begins with a GET of HTTP/1.1 without a body"};
  }
  if (!Upgrades(head)) {
    return {.error = "send 'Upgrade: websocket' alone, with 'Connection: Upgrade'"};
  }
  if (Only(head, "sec-websocket-version") != "13") {
    return {.error = "Sec-WebSocket-Version must be 13, and there once"};
  }
  const std::string_view key = Only(head, "sec-websocket-key");
  const auto nonce = crypto::Base64Decode(key);
  if (!nonce || nonce->size() != kNonceBytes) {
    return {.error = "Sec-WebSocket-Key must be 16 bytes in base64, and there once"};
  }
  return {.asks = true, .key = key, .error = {}};
}

std::string WebSocketAccept(std::string_view key) {
  std::string text(key);
  text.append(kGuid);
  return crypto::Base64Encode(crypto::Hash(crypto::HashFunction::kSha1, text));
}

bool AcceptsWebSocket(const net::ResponseHead& head, std::string_view key) {
  // A 101 has no body (RFC 9110 §15.2.2, RFC 9112 §6); what says so is not to be trusted.
  return Upgrades(head) && head.Find(FieldId::kContentLength) == nullptr &&
         head.Find(FieldId::kTransferEncoding) == nullptr &&
         Only(head, "sec-websocket-accept") == WebSocketAccept(key);
}

}  // namespace aegis::gateway
