// The client's end of a connection, with or without TLS (1.2 or 1.3, OpenSSL), on a socket that
// does not block.
//
// With TLS the server's certificate must be valid for the host that was asked for. An end of the
// connection that the server did not announce is an error, so that nobody can cut an answer short.
//
// Threading: a TlsContext may be shared by threads; a TlsClient, its TlsSession and a ClientStream
// belong to one at a time.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "aegis/base/file.h"
#include "aegis/base/result.h"

struct ssl_ctx_st;
struct ssl_session_st;
struct ssl_st;

namespace aegis::net {

class TlsContext {
 public:
  struct Options {
    std::string ca_file = {};           // PEM certificates to trust; empty: the system's
    std::string certificate_file = {};  // PEM, shown to servers that ask for one; with key_file
    std::string key_file = {};          // PEM
    // ALPN names that are offered; a server that chooses another one is not talked to. Empty: none.
    std::vector<std::string> protocols = {};
  };
  // Errors: tls_setup (a file cannot be read, or the key is not the certificate's).
  static Result<std::shared_ptr<const TlsContext>> Make(const Options& options);
  ~TlsContext();
  TlsContext(const TlsContext&) = delete;
  TlsContext& operator=(const TlsContext&) = delete;
  ssl_ctx_st* get() const { return context_; }
  // As on the wire: each with its length before it.
  const std::string& protocols() const { return protocols_; }

 private:
  explicit TlsContext(ssl_ctx_st* context) : context_(context) {}
  ssl_ctx_st* context_;
  std::string protocols_;
};

// What the last server said how to shorten the next handshake with it (RFC 8446 §2.2). Must outlast
// the connections that it is given to; for connections of one context to one host only, since a
// resumed session is not verified again.
class TlsSession {
 public:
  TlsSession() = default;
  ~TlsSession() { Replace(nullptr); }
  TlsSession(const TlsSession&) = delete;
  TlsSession& operator=(const TlsSession&) = delete;
  ssl_session_st* get() const { return session_; }
  void Replace(ssl_session_st* session);  // takes it over

 private:
  ssl_session_st* session_ = nullptr;
};

enum class IoWant : uint8_t { kNothing, kRead, kWrite };
// `bytes`: moved; 0: the other side ended the connection; negative: nothing yet if `want` says what
// to wait for, else it is broken.
struct IoStep {
  ssize_t bytes = 0;
  IoWant want = IoWant::kNothing;
};

// TLS on a connected socket that somebody else owns.
class TlsClient {
 public:
  // `host`: whom the certificate must be of: a name, or an IP address without brackets. `session`:
  // to resume and to be renewed, or nullptr. Errors: tls_setup.
  Status Start(std::shared_ptr<const TlsContext> context, const std::string& host, int fd,
               TlsSession* session = nullptr);
  // To be called until it wants nothing; then bytes is 1, or negative with the reason in error().
  IoStep Handshake();
  IoStep Read(char* data, size_t size);
  // What was not taken must be offered again, at its beginning the same bytes.
  IoStep Write(std::string_view data);
  // Bytes were received that Read can give without the socket.
  bool has_pending() const;
  bool resumed() const;
  // Says that nothing more will be written, as far as the socket takes it.
  void Shutdown();
  void Close() { ssl_.reset(); }

  explicit operator bool() const { return ssl_ != nullptr; }
  const std::string& error() const { return error_; }

 private:
  struct Free {
    void operator()(ssl_st* ssl) const;
  };
  std::shared_ptr<const TlsContext> context_;
  std::unique_ptr<ssl_st, Free> ssl_;
  std::string error_;
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
  std::string error() const { return tls_ ? tls_.error() : error_; }

 private:
  FileDescriptor fd_;
  TlsClient tls_;
  std::string error_;
};

}  // namespace aegis::net
