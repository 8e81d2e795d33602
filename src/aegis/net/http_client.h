// A blocking HTTP/1.1 client for the CLI, the bundle poller and the demo's agents, over TCP or TLS.
// Connections are kept alive and reused per host. One thread at a time, but for Interrupt.
#pragma once

#include <memory>
#include <string>

#include "aegis/base/result.h"
#include "aegis/net/http_message.h"

namespace aegis::net {

class HttpClient {
 public:
  struct Options {
    int connect_timeout_ms = 5'000;
    size_t max_body_bytes = 64 << 20;
    std::string ca_file = {};  // PEM certificates to trust; empty: the system's
  };
  HttpClient();
  explicit HttpClient(Options options);
  ~HttpClient();

  // `url`: "http://host:port" or "https://host:port" (a path in it is put before request.path).
  // Errors: bad_url, connect_failed, tls_setup, tls_failed (the certificate, too), timeout,
  // bad_response, response_too_large, interrupted.
  Result<HttpResponse> Send(const std::string& url, const HttpRequest& request, int timeout_ms);

  // Ends a Send that runs, and every later one, with the error "interrupted". Any thread.
  void Interrupt();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace aegis::net
