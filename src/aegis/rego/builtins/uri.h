// URIs (RFC 3986) as Go's net/url reads and writes them (1.26).
//
// Internal to the rego library.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace aegis::rego {

// Parts of a URI, with escapes undone where nothing else is said.
struct Uri {
  std::string scheme;
  std::string opaque;                    // escaped: what follows "scheme:" without a '/'
  std::optional<std::string> user_info;  // escaped
  std::string host;                      // with brackets and port
  bool omit_host = false;                // "scheme:/path"
  std::string path;
  std::string raw_path;      // for uri.parse
  std::string encoded_path;  // as it was written
  bool force_query = false;  // a '?' with nothing after it
  std::string raw_query;
  std::string fragment;
  std::string encoded_fragment;  // as it was written
};

bool ParseUri(std::string_view text, Uri& out);
// The URI from its parts.
std::string UriText(const Uri& uri);
// The path with escapes, as it stands in that text.
std::string UriPathText(const Uri& uri);
// Whether the path or the fragment, escaped as little as Go does, is what was written.
bool EncodesPath(const Uri& uri);
bool EncodesFragment(const Uri& uri);

}  // namespace aegis::rego
