#include "aegis/gateway/envoy/opa_envoy_input.h"

#include "aegis/gateway/envoy/opa_envoy_body.h"
#include "aegis/gateway/envoy/opa_envoy_document.h"

namespace aegis::gateway {

using rego::MakeStringView;
using rego::Value;

void OpaEnvoyInput::Describe(Value attributes) {
  const Value http = attributes.Get("request").Get("http");
  const std::string_view path = http.Get("path").string_value();
  action.assign(http.Get("method").string_value());
  action.append(" ").append(path.substr(0, path.find('?')));
  const Value peer = attributes.Get("source");
  const Value socket = peer.Get("address").Get("socketAddress");
  address = socket.Get("address").string_value();
  source.assign(peer.Get("principal").string_value());
  if (!source.empty()) return;
  source.assign(address);
  if (const Value port = socket.Get("portValue"); port.is_int()) {
    source.append(":").append(std::to_string(port.int_value()));
  }
}

Value OpaEnvoyInput::Read(std::string_view message, bool skip_body, Arena& arena) {
  refusal = Refusal();
  part = problem = address = {};
  const OpaEnvoyDocument document = ReadOpaEnvoyDocument(message, arena, &refusal);
  if (document.value.is_undefined()) return Value();
  const Value attributes = document.value.Get("attributes");
  Describe(attributes);
  const Value http = attributes.Get("request").Get("http");
  const auto refuse = [&](std::string_view which, std::string_view why) {
    part = which;
    problem = why;
    return Value();
  };

  rego::ObjectBuilder input(arena, 8);
  if (!attributes.is_undefined()) input.Add("attributes", attributes);
  const std::string_view path = http.Get("path").string_value();
  const OpaEnvoyParsed parsed_path = ParseOpaEnvoyPath(path, arena);
  if (parsed_path.value.is_undefined()) return refuse("path", parsed_path.problem);
  input.Add("parsed_path", parsed_path.value);
  const size_t question = path.find('?');
  const OpaEnvoyParsed query = ParseOpaEnvoyQuery(
      question == std::string_view::npos ? std::string_view() : path.substr(question + 1), false,
      arena);
  if (query.value.is_undefined()) return refuse("query", query.problem);
  input.Add("parsed_query", query.value);
  if (!skip_body) {
    const OpaEnvoyParsed body = ParseOpaEnvoyBody(
        http.Get("headers"), http.Get("body").string_value(), document.raw_body, arena);
    if (body.value.is_undefined()) return refuse("body", body.problem);
    input.Add("parsed_body", body.value);
    input.Add("truncated_body", Value::Bool(body.truncated));
  }
  if (const Value principal = attributes.Get("source").Get("principal");
      !principal.is_undefined()) {
    input.Add("source_principal", principal);
  }
  rego::ObjectBuilder version(arena, 2);
  version.Add("encoding", MakeStringView("protojson"));
  version.Add("ext_authz", MakeStringView("v3"));
  input.Add("version", version.Build());
  const Value built = input.Build();
  // A member that found no room is left out by the builder.
  if (arena.exhausted() || built.is_undefined()) {
    refusal = {413, "check_too_large", "the authorization request is too large to be judged"};
    return Value();
  }
  return built;
}

}  // namespace aegis::gateway
