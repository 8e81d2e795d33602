#include "aegis/gateway/state.h"

#include "aegis/net/http1_grammar.h"

namespace aegis::gateway {

Result<Tool> MakeTool(std::string_view base_url) {
  const auto refuse = [&](std::string_view why) {
    return Fail(Code::kInvalidArgument, "tool_url",
                "'" + std::string(base_url) + "': " + std::string(why));
  };
  if (base_url.find('@') != std::string_view::npos) {
    // Not quoted: what is in front of the '@' is secret.
    return Fail(Code::kInvalidArgument, "tool_url", "a tool's URL must not hold credentials");
  }
  constexpr std::string_view kScheme = "http://";
  if (base_url.starts_with("https://")) return refuse("https towards tools is not supported yet");
  if (!base_url.starts_with(kScheme)) return refuse("a tool's URL begins with http://");
  Tool tool;
  tool.base_url = base_url;
  const std::string_view rest = base_url.substr(kScheme.size());
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
  auto address = net::ResolveAddress(has_port ? tool.host : tool.host + ":80");
  if (address) {
    tool.address = *address;
    tool.pool_key = tool.base_url + " " + address->ToString();
  } else {
    tool.problem = address.error().message;
  }
  return tool;
}

}  // namespace aegis::gateway
