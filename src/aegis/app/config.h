// aegis.yaml: what a running Aegis is told by file. docs/configuration.md describes it for users.
//
// The keys services, keys, bundles and plugins are those of OPA's configuration (OPA docs
// "Configuration"), as far as they are known here; anything else is a mistake.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "aegis/app/telemetry_config.h"
#include "aegis/base/result.h"
#include "aegis/gateway/bundle_source.h"
#include "aegis/gateway/options.h"
#include "aegis/gateway/tool_directory.h"
#include "aegis/policy/diagnostic.h"

namespace aegis::app {

struct Config {
  // Where the tenant's policy comes from; nothing: the control plane.
  std::optional<gateway::BundleSource> bundle_source;
  // Where agents call; empty when the file does not say.
  std::vector<gateway::Listener> listeners;
  // Where Envoys ask; its address is empty when the file does not say.
  gateway::Listener envoy;
  gateway::Redaction redaction;
  gateway::Limits limits;  // as far as the file says them
  // Likewise, as they would ask opa-envoy-plugin.
  gateway::OpaEnvoyOptions opa_envoy;
  gateway::ToolResources tool_resources;
  TelemetryConfig telemetry;
  // The forward proxy; its address is empty when the file does not say.
  gateway::EgressOptions egress;
  // Every value of the file by its path, e.g. "http.listeners[0].address".
  std::map<std::string, std::string> values;
};

// Reads and checks a file, and the keys it names. Mistakes in the file go to `diagnostics`, all at
// once. Errors: those of ReadFile; config_invalid.
Result<Config> ReadConfig(const std::string& path, const std::string& tenant,
                          policy::Diagnostics& diagnostics);

// The keys that differ and that a running Aegis cannot take up; the others are the files of
// certificates.
std::vector<std::string> NeedsRestart(const Config& before, const Config& after);

// The JSON Schema of aegis.yaml (draft-07), indented, with a line feed at the end.
std::string ConfigJsonSchema();

// What is wrong with a text that is to be a URL to call, as the end of a sentence; empty: nothing.
std::string CheckUrl(std::string_view text);
// What is wrong with a reference to a secret, as the end of a sentence; empty: nothing. It does not
// quote the text, which may be the secret itself.
std::string CheckSecretReference(std::string_view text);

// What a reference to a secret names: "env:NAME" is the environment variable's value, "file:PATH"
// the file's content without a final line feed. Errors: secret_reference (neither form),
// secret_missing (unset, empty, or more than 64 KiB), those of ReadFile.
Result<std::string> ResolveSecret(const std::string& reference);

}  // namespace aegis::app
