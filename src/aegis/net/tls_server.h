// The server's end of a connection, with or without TLS (1.2 or 1.3, OpenSSL), on a socket that
// does not block.
//
// Threading: a TlsServerContext may be shared by threads; a ServerStream belongs to one.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "aegis/base/result.h"
#include "aegis/net/tls_stream.h"

namespace aegis::net {

class TlsServerContext {
 public:
  struct Options {
    std::string certificate_file;  // PEM, the server's first, then what leads to its root
    std::string key_file;          // PEM
    // PEM certificates that a client's must lead to; then every client must show one. Empty: none
    // is asked for.
    std::string client_ca_file;
    // ALPN names in order of preference, e.g. {"h2"}; a client that offers only others is refused.
    std::vector<std::string> protocols;
    bool requires_protocol = true;  // a client that offers none at all is refused, too
  };
  // Errors: tls_setup (a file cannot be read, or the key is not the certificate's).
  static Result<std::shared_ptr<const TlsServerContext>> Make(const Options& options);
  ~TlsServerContext();
  TlsServerContext(const TlsServerContext&) = delete;
  TlsServerContext& operator=(const TlsServerContext&) = delete;
  ssl_ctx_st* get() const { return context_; }
  bool requires_protocol() const { return requires_protocol_; }

 private:
  explicit TlsServerContext(ssl_ctx_st* context) : context_(context) {}
  static int SelectProtocol(ssl_st* ssl, const unsigned char** out, unsigned char* out_size,
                            const unsigned char* offered, unsigned offered_size, void* context);

  ssl_ctx_st* context_;
  std::string protocols_;  // as on the wire: each with its length before it
  bool requires_protocol_ = false;
};

// Reads and writes a socket that somebody else owns.
class ServerStream {
 public:
  explicit ServerStream(int fd) : fd_(fd) {}
  ServerStream(ServerStream&&) noexcept = default;
  ServerStream& operator=(ServerStream&&) noexcept = default;
  int fd() const { return fd_; }

  // Errors: tls_setup.
  Status StartTls(std::shared_ptr<const TlsServerContext> context);
  bool is_tls() const { return ssl_ != nullptr; }
  // To be called until it wants nothing; then bytes is 1, or negative with the reason in error().
  IoStep Handshake();
  // After the handshake: the protocol that was agreed upon; empty: none.
  std::string_view protocol() const;
  // After the handshake: who the client's verified certificate says it is (Peer::principal); empty:
  // it showed none, or one whose name holds what is no text.
  std::string Principal() const;

  // Fills as much of `data` as there is.
  IoStep Read(char* data, size_t size);
  // Whether there is a byte to read, which stays: as Read.
  IoStep Peek();
  IoStep Write(std::string_view data);
  // Bytes were received that Read may give without the socket; after a Read that wants to read they
  // are part of what is missing.
  bool has_pending() const;
  // Says that nothing more will be written.
  void Shutdown();

  const std::string& error() const { return error_; }

 private:
  struct Free {
    void operator()(ssl_st* ssl) const;
  };
  int fd_;
  std::shared_ptr<const TlsServerContext> context_;
  std::unique_ptr<ssl_st, Free> ssl_;
  std::string error_;
};

}  // namespace aegis::net
