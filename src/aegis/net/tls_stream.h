// The client's end of a connection, with or without TLS (1.2 or 1.3, OpenSSL), on a socket that
// does not block.
//
// With TLS the server's certificate must be valid for the host that was asked for. An end of the
// connection that the server did not announce is an error, so that nobody can cut an answer short.
//
// Threading: a TlsContext may be shared by threads; a ClientStream belongs to one at a time.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "aegis/base/file.h"
#include "aegis/base/result.h"

struct ssl_ctx_st;
struct ssl_st;

namespace aegis::net {

class TlsContext {
 public:
  // `ca_file`: PEM certificates to trust; empty: the system's. Errors: tls_setup.
  static Result<std::shared_ptr<const TlsContext>> Make(const std::string& ca_file);
  ~TlsContext();
  ssl_ctx_st* get() const { return context_; }

 private:
  explicit TlsContext(ssl_ctx_st* context) : context_(context) {}
  ssl_ctx_st* context_;
};

enum class IoWant : uint8_t { kNothing, kRead, kWrite };
// `bytes`: moved; 0: the other side ended the connection; negative: nothing yet if `want` says what
// to wait for, else it is broken.
struct IoStep {
  ssize_t bytes = 0;
  IoWant want = IoWant::kNothing;
};

class ClientStream {
 public:
  using Want = IoWant;
  using Step = IoStep;

  ClientStream() = default;
  ClientStream(ClientStream&&) noexcept = default;
  ClientStream& operator=(ClientStream&&) noexcept = default;
  // Of a connected socket, without TLS.
  explicit ClientStream(FileDescriptor fd) : fd_(std::move(fd)) {}

  // Puts TLS on it, for `host` (a name, or an IP address without brackets). Errors: tls_setup.
  Status StartTls(std::shared_ptr<const TlsContext> context, const std::string& host);
  // To be called until it wants nothing; then bytes is 1, or negative with the reason in error().
  Step Handshake();

  Step Read(char* data, size_t size);
  Step Write(std::string_view data);

  int fd() const { return fd_.get(); }
  explicit operator bool() const { return static_cast<bool>(fd_); }
  // Whether nothing has come that nobody asked for, and the connection stands.
  bool IdleAndOpen() const;
  void Close();
  std::string error() const;

 private:
  struct Free {
    void operator()(ssl_st* ssl) const;
  };
  FileDescriptor fd_;
  std::shared_ptr<const TlsContext> context_;
  std::unique_ptr<ssl_st, Free> ssl_;
  std::string error_;
};

}  // namespace aegis::net
