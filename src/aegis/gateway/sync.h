// Keeps a gateway in step with its control plane: settings and bundle by long polling, token keys
// every poll; and tells it of unknown callers (unknown_reporter.h). What was good is kept on disk,
// so that a gateway starts and decides while the control plane is away. The bundle may come from
// another server instead (bundle_source.h).
//
// HTTP (docs: contracts of the control API), with `Authorization: Bearer <gateway key>`:
//   GET /v1/gateway/settings?wait=S   {"org","tenant","revision","tools":[a tool's document, …],
//                                      "agents":[{"name","labels","status"}],
//                                      "revoked":{"epoch","jtis"},
//                                      "blocked":{"names","sources"}}
//   GET /v1/bundles/<tenant>          a signed bundle (bundle_poller.h)
//   GET /.well-known/jwks.json        token keys
// ETag and If-None-Match throughout; 304 or a new content ends a wait.
//
// A bundle that does not verify or load, or that does not move forward (policy_loader.h), is
// refused and the running one stays; so do settings and keys. The error is logged, counted and told
// in status().
//
// Threading: three threads of its own; status() from any thread.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "aegis/base/result.h"
#include "aegis/crypto/key.h"
#include "aegis/gateway/bundle_source.h"
#include "aegis/gateway/gateway.h"
#include "aegis/gateway/tool_directory.h"

namespace aegis::gateway {

class Sync {
 public:
  struct Options {
    std::string control_url;  // "http://127.0.0.1:8090"
    std::string gateway_key;  // API key; never logged
    std::string tenant = "default";
    std::string token_issuer = "aegis";
    std::string token_audience = "aegis-gateway";
    crypto::KeySet bundle_keys;  // whose bundles of the control plane are accepted
    // Where the policy comes from; nothing: the control plane.
    std::optional<BundleSource> bundle_source;
    ToolResources tool_resources;           // what tools' documents may name
    std::string cache_folder;               // made if missing; empty: nothing is kept
    int wait_seconds = 30;                  // of a long poll
    telemetry::Logger* logger = nullptr;    // nullptr: no logs
    telemetry::Metrics* metrics = nullptr;  // nullptr: not counted
  };

  // Loads what the cache holds, puts it in force, and starts to poll. `gateway` must outlive it.
  // Errors: those of MakeDirectories; a cache that is damaged is only logged.
  static Result<std::unique_ptr<Sync>> Start(Options options, Gateway& gateway);
  virtual ~Sync() = default;  // stops and joins

  struct Part {
    bool loaded = false;      // something good is in force
    bool from_cache = false;  // and it has not been confirmed since the start
    std::string version;      // settings' or policy's revision; number of keys
    std::string error;        // of the last attempt; empty: it went well
  };
  struct Report {
    Part settings, bundle, keys;
    std::string bundle_source;  // URL; no secrets
    bool bundle_long_polling = false;
  };
  virtual Report status() const = 0;

  // Reads what tools need of files, secrets and names again, soon. Any thread.
  virtual void ReloadTools() = 0;
};

}  // namespace aegis::gateway
