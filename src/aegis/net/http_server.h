// A small HTTP/1.1 server for messages held whole in memory (control API, admin pages, demo tools).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "aegis/base/result.h"
#include "aegis/net/http_message.h"

namespace aegis::net {

// Answers one request; may be called from any thread, exactly once, and after the server is gone
// (then it does nothing).
using Responder = std::function<void(HttpResponse)>;
// Runs on a server thread; must not block. A long poll keeps the responder and answers later.
using Handler = std::function<void(HttpRequest request, Responder respond)>;

class HttpServer {
 public:
  struct Options {
    std::string address = "127.0.0.1:0";  // host:port; port 0 takes a free one
    int threads = 1;
    size_t max_header_bytes = 32 * 1024;
    size_t max_body_bytes = 16 << 20;
    // Asked with the head alone, before a byte of the body is kept: how large this request's body
    // may be, so that only those who may send much can. Runs on a server thread. Empty:
    // max_body_bytes.
    std::function<size_t(const HttpRequest& head)> body_limit = {};
    int idle_timeout_ms = 75'000;
    int request_timeout_ms = 30'000;  // to receive one request whole; answers may take longer
    size_t max_connections = 4096;
  };
  // Binds and starts serving. Errors: bad_address, address_in_use, io_error.
  static Result<std::unique_ptr<HttpServer>> Start(Options options, Handler handler);
  virtual ~HttpServer() = default;  // stops and joins
  virtual uint16_t port() const = 0;
  virtual std::string address() const = 0;  // "127.0.0.1:8090"
};

}  // namespace aegis::net
