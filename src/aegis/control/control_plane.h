// The embedded control plane: the REST API for operators (/api/v1), and what gateways and OPA fetch
// (/v1/bundles, /v1/gateway/settings, /.well-known/jwks.json). All of it: api/openapi.yaml.
//
// Threading: thread-safe. The server's threads check and route requests and answer polls from
// memory; database work and compiling run on two threads of their own behind bounded queues (full:
// 503 with Retry-After), so that publishing a large policy does not delay suspending an agent.
// Ownership: the data folder and the clock must outlive the control plane.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "aegis/base/clock.h"
#include "aegis/base/result.h"
#include "aegis/control/data_folder.h"
#include "aegis/control/policy_compiler.h"
#include "aegis/net/http_message.h"
#include "aegis/net/http_server.h"
#include "aegis/telemetry/log.h"

namespace aegis::control {

class ControlPlane {
 public:
  struct Options {
    const DataFolder* folder = nullptr;
    std::string address = "127.0.0.1:8090";  // host:port; port 0 takes a free one
    std::string org = "default";
    std::string tenant = "default";
    std::string version = "0.0.0";
    const Clock* clock = &Clock::System();
    telemetry::Logger* logger = nullptr;  // null: no log
    // For tests; by default MakePolicyCompiler.
    std::function<std::unique_ptr<PolicyCompiler>()> make_compiler;
  };

  // Opens the store, brings its schema and the keys up to date, and serves. When it returns, an
  // active policy is already there for gateways to fetch. Errors: those of the store, of
  // HttpServer::Start, and policy_not_compiled.
  static Result<std::unique_ptr<ControlPlane>> Start(const Options& options);
  // Answers those who wait, finishes what was begun, and closes the store.
  ~ControlPlane();
  ControlPlane(const ControlPlane&) = delete;
  ControlPlane& operator=(const ControlPlane&) = delete;

  std::string address() const;  // "127.0.0.1:8090"
  std::string url() const;      // "http://127.0.0.1:8090"

  // One request without a socket; what the server calls.
  void Handle(net::HttpRequest request, net::Responder respond);

 private:
  struct Impl;
  explicit ControlPlane(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace aegis::control
