// Authorization requests of Envoy: no input may crash the reader, read out of bounds, or leave
// anything for the next request; and what is accepted keeps to the rules of the proxy door.
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>

#include "aegis/base/arena.h"
#include "aegis/gateway/envoy/check_request.h"
#include "aegis/gateway/envoy/checked_call.h"
#include "aegis/net/http1_grammar.h"
#include "aegis/rego/value.h"

namespace {

using aegis::Arena;
using aegis::gateway::CheckedCall;
using aegis::gateway::CheckRequest;
using aegis::gateway::Limits;
using aegis::gateway::Refusal;

// All that an outcome consists of, as text.
std::string Describe(CheckRequest& request, CheckedCall& call, std::string_view message,
                     Arena& arena) {
  arena.Reset();
  const Limits limits;
  Refusal refusal = request.Read(message, limits.http.max_fields);
  if (refusal.status == 0) refusal = call.ReadHead(request, limits.http);
  if (refusal.status == 0) refusal = call.FindAction(request, nullptr);
  if (refusal.status != 0) return std::to_string(refusal.status) + std::string(refusal.reason);
  std::string out = std::string(call.tool) + "/" + std::string(call.action) + " " +
                    std::string(call.head.method) + " " + std::string(call.head.target);
  if (call.tool.empty() || call.action.empty()) std::abort();
  if (!aegis::net::CheckGovernedPath(call.head.path).empty()) std::abort();
  for (const auto& field : call.head.fields) {
    if (!aegis::net::IsToken(field.name) || !aegis::net::IsFieldValue(field.value)) std::abort();
    if (field.name.front() == ':') std::abort();
    out.append(" ").append(field.name).append("=").append(field.value);
  }
  const aegis::rego::Value params = call.ReadParams(request, limits, arena, &refusal);
  if (params.is_undefined() == (refusal.status == 0)) std::abort();
  if (params.is_undefined()) return out + std::string(refusal.reason);
  aegis::rego::AppendJson(params, out);
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  // A copy of its own size lets the sanitizer see any byte read beyond it.
  const auto copy = std::make_unique<char[]>(size);
  std::copy(data, data + size, copy.get());
  const std::string_view message(copy.get(), size);
  static CheckRequest used_request;
  static CheckedCall used_call;
  static Arena arena(16 * 1024, size_t{64} << 20);
  const std::string used = Describe(used_request, used_call, message, arena);
  CheckRequest request;
  CheckedCall call;
  if (Describe(request, call, message, arena) != used) std::abort();
  return 0;
}
