// The admin port: GET /healthz, /readyz, /metrics and /config. For operators and probes only: it is
// bound to the loopback interface by default and shows no secrets.
//
//   /healthz  200 while the process serves at all
//   /readyz   200 when calls are decided as they should be; else 503 with the reason
//   /metrics  Prometheus text format
//   /config   what runs: addresses, limits, modes, versions, tools
#pragma once

#include <memory>
#include <string>

#include "aegis/base/result.h"
#include "aegis/gateway/gateway.h"
#include "aegis/gateway/sync.h"
#include "aegis/net/http_server.h"

namespace aegis::gateway {

class AdminServer {
 public:
  struct Options {
    std::string address = "127.0.0.1:9901";
    std::string version;
    const Sync* sync = nullptr;  // may be null; these must outlive the server
  };
  // Errors: those of net::HttpServer::Start.
  static Result<std::unique_ptr<AdminServer>> Start(const Options& options, const Gateway& gateway);

  std::string address() const { return server_->address(); }

 private:
  AdminServer(const Options& options, const Gateway& gateway)
      : options_(options), gateway_(gateway) {}
  net::HttpResponse Handle(const net::HttpRequest& request) const;
  std::string ReadyDocument(std::string_view reason) const;
  std::string ConfigDocument() const;

  Options options_;
  const Gateway& gateway_;
  std::unique_ptr<net::HttpServer> server_;  // last: its handler uses the members above
};

}  // namespace aegis::gateway
