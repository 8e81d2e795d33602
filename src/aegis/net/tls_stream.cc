#include "aegis/net/tls_stream.h"

#include <arpa/inet.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstring>

namespace aegis::net {
namespace {

std::string LastError() {
  const unsigned long code = ERR_peek_last_error();
  char text[256] = "unknown TLS error";
  if (code != 0) ERR_error_string_n(code, text, sizeof text);
  ERR_clear_error();
  return text;
}

// OpenSSL's socket BIO writes so that a peer that went away raises SIGPIPE.
int SendWithoutSignal(BIO* bio, const char* data, int size) {
  BIO_clear_retry_flags(bio);
  const auto sent = static_cast<int>(::send(static_cast<int>(BIO_get_fd(bio, nullptr)), data,
                                            static_cast<size_t>(size), MSG_NOSIGNAL));
  if (sent <= 0 && BIO_sock_should_retry(sent) != 0) BIO_set_retry_write(bio);
  return sent;
}

const BIO_METHOD* SocketMethod() {
  static const BIO_METHOD* const method = [] {
    const BIO_METHOD* base = BIO_s_socket();
    BIO_METHOD* made = BIO_meth_new(BIO_TYPE_SOCKET, "socket");
    BIO_meth_set_write(made, SendWithoutSignal);
    BIO_meth_set_read(made, BIO_meth_get_read(base));
    BIO_meth_set_ctrl(made, BIO_meth_get_ctrl(base));
    BIO_meth_set_create(made, BIO_meth_get_create(base));
    BIO_meth_set_destroy(made, BIO_meth_get_destroy(base));
    return made;
  }();
  return method;
}

bool IsIpAddress(const std::string& host) {
  unsigned char buffer[sizeof(in6_addr)];
  return ::inet_pton(AF_INET, host.c_str(), buffer) == 1 ||
         ::inet_pton(AF_INET6, host.c_str(), buffer) == 1;
}

tl::unexpected<Error> SetupFailed(std::string_view what) {
  return Fail(Code::kFailedPrecondition, "tls_setup", std::string(what) + ": " + LastError());
}

}  // namespace

Result<std::shared_ptr<const TlsContext>> TlsContext::Make(const std::string& ca_file) {
  SSL_CTX* raw = SSL_CTX_new(TLS_client_method());
  if (raw == nullptr) return SetupFailed("TLS cannot start");
  std::shared_ptr<const TlsContext> context(new TlsContext(raw));
  SSL_CTX_set_min_proto_version(raw, TLS1_2_VERSION);
  SSL_CTX_set_verify(raw, SSL_VERIFY_PEER, nullptr);
  SSL_CTX_set_mode(raw, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  const int loaded = ca_file.empty() ? SSL_CTX_set_default_verify_paths(raw)
                                     : SSL_CTX_load_verify_locations(raw, ca_file.c_str(), nullptr);
  if (loaded != 1) {
    return SetupFailed(ca_file.empty() ? "the system's certificates cannot be read"
                                       : "the certificates of " + ca_file + " cannot be read");
  }
  return context;
}

TlsContext::~TlsContext() { SSL_CTX_free(context_); }

void ClientStream::Free::operator()(ssl_st* ssl) const { SSL_free(ssl); }

Status ClientStream::StartTls(std::shared_ptr<const TlsContext> context, const std::string& host) {
  context_ = std::move(context);
  ssl_.reset(SSL_new(context_->get()));
  BIO* bio = BIO_new(SocketMethod());
  if (!ssl_ || bio == nullptr) {
    BIO_free(bio);
    return SetupFailed("TLS cannot start");
  }
  BIO_set_fd(bio, fd_.get(), BIO_NOCLOSE);
  SSL_set_bio(ssl_.get(), bio, bio);
  bool named = false;
  if (IsIpAddress(host)) {
    named = X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl_.get()), host.c_str()) == 1;
  } else {
    SSL_set_hostflags(ssl_.get(), X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    named = SSL_set1_host(ssl_.get(), host.c_str()) == 1 &&
            SSL_set_tlsext_host_name(ssl_.get(), host.c_str()) == 1;
  }
  if (!named) return SetupFailed("TLS cannot ask for " + host);
  SSL_set_connect_state(ssl_.get());
  return Ok();
}

ClientStream::Step ClientStream::StepOf(int returned) {
  if (returned > 0) return {returned, Want::kNothing};
  switch (SSL_get_error(ssl_.get(), returned)) {
    case SSL_ERROR_WANT_READ:
      return {-1, Want::kRead};
    case SSL_ERROR_WANT_WRITE:
      return {-1, Want::kWrite};
    case SSL_ERROR_ZERO_RETURN:
      return {0, Want::kNothing};
    default:
      break;
  }
  const long verified = SSL_get_verify_result(ssl_.get());
  error_ = verified != X509_V_OK ? std::string("the certificate is not accepted: ") +
                                       X509_verify_cert_error_string(verified)
                                 : LastError();
  ERR_clear_error();
  return {-1, Want::kNothing};
}

ClientStream::Step ClientStream::Handshake() {
  if (!ssl_) return {1, Want::kNothing};
  ERR_clear_error();
  return StepOf(SSL_do_handshake(ssl_.get()));
}

ClientStream::Step ClientStream::Read(char* data, size_t size) {
  if (ssl_) {
    ERR_clear_error();
    return StepOf(SSL_read(ssl_.get(), data, static_cast<int>(std::min<size_t>(size, INT_MAX))));
  }
  ssize_t got = 0;
  do {
    got = ::recv(fd_.get(), data, size, 0);
  } while (got < 0 && errno == EINTR);
  if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return {-1, Want::kRead};
  if (got < 0) error_ = std::strerror(errno);
  return {got, Want::kNothing};
}

ClientStream::Step ClientStream::Write(std::string_view data) {
  if (ssl_) {
    ERR_clear_error();
    return StepOf(SSL_write(ssl_.get(), data.data(),
                            static_cast<int>(std::min<size_t>(data.size(), INT_MAX))));
  }
  ssize_t sent = 0;
  do {
    sent = ::send(fd_.get(), data.data(), data.size(), MSG_NOSIGNAL);
  } while (sent < 0 && errno == EINTR);
  if (sent < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return {-1, Want::kWrite};
  if (sent < 0) error_ = std::strerror(errno);
  return {sent, Want::kNothing};
}

bool ClientStream::IdleAndOpen() const {
  char byte = 0;
  return fd_ && ::recv(fd_.get(), &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && errno == EAGAIN;
}

void ClientStream::Close() {
  ssl_.reset();
  fd_.Close();
}

std::string ClientStream::error() const { return error_; }

}  // namespace aegis::net
