// WebSocket handshakes: what is taken for one is one by RFC 6455 §4.1, and a tool's answer is
// consent only with the right Sec-WebSocket-Accept and without a body.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "aegis/gateway/websocket.h"

namespace {

using aegis::net::ParseStatus;

constexpr std::string_view kKey = "dGhlIHNhbXBsZSBub25jZQ==";
constexpr std::string_view kAccept = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

template <typename Head>
int Count(const Head& head, std::string_view name) {
  int count = 0;
  for (const auto& field : head.fields) count += field.name == name ? 1 : 0;
  return count;
}

void CheckRequest(std::string bytes) {
  aegis::net::RequestParser parser;
  if (parser.Parse(bytes.data(), bytes.size()) != ParseStatus::kDone) return;
  const auto& head = parser.head();
  const aegis::gateway::WebSocketRequest request = aegis::gateway::ReadWebSocketRequest(head);
  if (!request.asks) {
    if (!request.key.empty()) std::abort();
    return;
  }
  if (!request.error.empty() || request.key.size() != 24 || head.method != "GET" ||
      head.body != aegis::net::BodyKind::kNone || Count(head, "upgrade") != 1 ||
      Count(head, "sec-websocket-key") != 1 || Count(head, "sec-websocket-version") != 1) {
    std::abort();
  }
}

void CheckAnswer(std::string bytes) {
  aegis::net::ResponseParser parser;
  parser.Reset("GET", true);
  if (parser.Parse(bytes.data(), bytes.size()) != ParseStatus::kDone) return;
  const auto& head = parser.head();
  if (!aegis::gateway::AcceptsWebSocket(head, kKey)) return;
  const auto* accept = head.Find("sec-websocket-accept");
  if (accept == nullptr || accept->value != kAccept || Count(head, "upgrade") != 1 ||
      Count(head, "sec-websocket-accept") != 1 || Count(head, "content-length") != 0 ||
      Count(head, "transfer-encoding") != 0) {
    std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string bytes(reinterpret_cast<const char*>(data), size);
  CheckRequest(bytes);
  CheckAnswer(bytes);
  return 0;
}
