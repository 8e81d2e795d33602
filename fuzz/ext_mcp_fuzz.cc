// Questions of agentgateway: no input may crash the reader, read out of bounds, or leave anything
// for the next message.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>

#include "aegis/base/text.h"
#include "aegis/gateway/ext_mcp_message.h"

namespace {

using aegis::gateway::McpMessage;

std::string Describe(McpMessage& message, std::string_view bytes) {
  if (!message.Read(bytes)) return "refused";
  std::string out(message.method);
  for (const std::string_view service : message.services) out.append(" ").append(service);
  if (!aegis::IsValidUtf8(out)) std::abort();
  for (const auto& field : message.headers) {
    out.append(" ").append(field.name).append("=").append(field.value);
  }
  out.append(" ").append(message.decision_id).append(" ").append(message.agent);
  return out.append(" ").append(message.content);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  // A copy of its own size lets the sanitizer see any byte read beyond it.
  const auto copy = std::make_unique<char[]>(size);
  std::copy(data, data + size, copy.get());
  const std::string_view bytes(copy.get(), size);
  static McpMessage used;
  const std::string before = Describe(used, bytes);
  McpMessage message;
  if (Describe(message, bytes) != before) std::abort();
  return 0;
}
