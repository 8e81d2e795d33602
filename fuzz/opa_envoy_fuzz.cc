// Envoy's requests where opa-envoy-plugin is replaced: no input may crash a reader, read out of
// bounds, or leave anything for the next request; what policy is asked is one JSON document. And
// what a policy answers becomes a message that a protobuf reader takes, or nothing.
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>

#include "aegis/base/arena.h"
#include "aegis/base/protobuf_wire.h"
#include "aegis/base/text.h"
#include "aegis/gateway/envoy/multipart.h"
#include "aegis/gateway/envoy/opa_envoy_body.h"
#include "aegis/gateway/envoy/opa_envoy_input.h"
#include "aegis/gateway/envoy/opa_envoy_result.h"
#include "aegis/rego/value.h"

namespace {

using aegis::Arena;
using aegis::gateway::OpaEnvoyInput;

std::string Describe(OpaEnvoyInput& input, std::string_view message, Arena& arena) {
  arena.Reset();
  const aegis::rego::Value value = input.Read(message, false, arena);
  if (value.is_undefined()) {
    if (input.refusal.status == 0 && (input.part.empty() || input.problem.empty())) std::abort();
    return std::string(input.refusal.reason) + std::string(input.part);
  }
  if (!value.Get("parsed_path").is_array() || !value.Get("parsed_query").is_object() ||
      !value.Get("truncated_body").is_bool()) {
    std::abort();
  }
  std::string out = aegis::rego::ToJson(value);
  if (!aegis::IsValidUtf8(out)) std::abort();
  Arena other;
  if (!aegis::rego::ParseJson(out, other, {.max_bytes = SIZE_MAX, .max_depth = 200})) std::abort();
  return out;
}

void TryBody(std::string_view body, Arena& arena) {
  for (const char* type : {"application/json", "application/x-www-form-urlencoded",
                           "multipart/form-data; boundary=XyZ"}) {
    arena.Reset();
    aegis::rego::ObjectBuilder headers(arena);
    headers.Add("content-type", aegis::rego::MakeStringView(type));
    const auto parsed = aegis::gateway::ParseOpaEnvoyBody(headers.Build(), {}, body, arena);
    if (parsed.value.is_undefined() == parsed.problem.empty()) std::abort();
    if (!aegis::IsValidUtf8(aegis::rego::ToJson(parsed.value))) std::abort();
  }
  aegis::gateway::MediaType media;
  aegis::gateway::ReadMediaType(body, &media);
}

void TryResult(std::string_view text, Arena& arena) {
  arena.Reset();
  const auto result = aegis::rego::ParseJson(text, arena);
  if (!result) return;
  std::string out;
  if (!aegis::gateway::AppendOpaEnvoyResponse(*result, "id", &out)) return;
  aegis::WireReader reader(out);
  aegis::WireField field;
  while (!reader.done()) {
    if (!reader.Next(field) || field.number > 4) std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  // A copy of its own size lets the sanitizer see any byte read beyond it.
  const auto copy = std::make_unique<char[]>(size);
  std::copy(data, data + size, copy.get());
  const std::string_view message(copy.get(), size);
  static OpaEnvoyInput used_input;
  static Arena arena(16 * 1024, size_t{64} << 20);
  const std::string used = Describe(used_input, message, arena);
  OpaEnvoyInput input;
  if (Describe(input, message, arena) != used) std::abort();
  TryBody(message, arena);
  TryResult(message, arena);
  return 0;
}
