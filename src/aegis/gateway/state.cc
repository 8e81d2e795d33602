#include "aegis/gateway/state.h"

#include "aegis/net/http1_grammar.h"

namespace aegis::gateway {

Result<Tool> ReadTool(std::string_view base_url) {
  const auto refuse = [&](std::string_view why) {
    return Fail(Code::kInvalidArgument, "tool_url",
                "'" + std::string(base_url) + "': " + std::string(why));
  };
  if (base_url.find('@') != std::string_view::npos) {
    // Not quoted: what is in front of the '@' is secret.
    return Fail(Code::kInvalidArgument, "tool_url", "a tool's URL must not hold credentials");
  }
  Tool tool;
  tool.https = base_url.starts_with("https://");
  if (!tool.https && !base_url.starts_with("http://")) {
    return refuse("a tool's URL begins with http:// or https://");
  }
  tool.base_url = base_url;
  const std::string_view rest = base_url.substr(tool.https ? 8 : 7);
  const size_t slash = rest.find('/');
  tool.host = rest.substr(0, slash);
  if (slash != std::string_view::npos) tool.path_prefix = rest.substr(slash);
  while (tool.path_prefix.ends_with('/')) tool.path_prefix.pop_back();
  if (tool.host.empty() || !net::AllOfClass(tool.host, net::internal::kHostChar)) {
    return refuse("the host is missing or malformed");
  }
  if (!net::AllOfClass(tool.path_prefix, net::internal::kPathChar)) {
    return refuse("the path holds a byte that must be percent-encoded");
  }
  if (!tool.path_prefix.empty()) {
    if (const std::string_view why = net::CheckGovernedPath(tool.path_prefix); !why.empty()) {
      return refuse(why);
    }
  }
  const size_t colon = tool.host.rfind(':');
  const bool has_port = colon != std::string::npos && !tool.host.ends_with(']');
  tool.authority = has_port ? tool.host : tool.host + (tool.https ? ":443" : ":80");
  std::string& name = tool.target.server_name;
  name = tool.host.substr(0, has_port ? colon : std::string::npos);
  if (name.starts_with('[') && name.ends_with(']')) name = name.substr(1, name.size() - 2);
  if (name.empty()) return refuse("the host is missing or malformed");
  tool.pool_key = tool.base_url;
  return tool;
}

ToolProblem Unresolved(std::string message) {
  return {502, "upstream_unreachable", "the tool's address cannot be resolved", std::move(message)};
}

Result<Tool> MakeTool(std::string_view base_url) {
  AEGIS_TRY(Tool tool, ReadTool(base_url));
  auto addresses = net::ResolveAddresses(tool.authority);
  if (addresses) {
    tool.target.addresses = *std::move(addresses);
  } else {
    tool.problem = Unresolved(std::move(addresses).error().message);
  }
  return tool;
}

}  // namespace aegis::gateway
