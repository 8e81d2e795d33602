#include "aegis/net/tls_io.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

namespace aegis::net::tls {
namespace {

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

IoStep Receive(int fd, char* data, size_t size, int flags, std::string& error) {
  ssize_t got = 0;
  do {
    got = ::recv(fd, data, size, flags);
  } while (got < 0 && errno == EINTR);
  if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return {-1, IoWant::kRead};
  if (got < 0) error = std::strerror(errno);
  return {got, IoWant::kNothing};
}

}  // namespace

std::string LastError() {
  const unsigned long code = ERR_peek_last_error();
  char text[256] = "unknown TLS error";
  if (code != 0) ERR_error_string_n(code, text, sizeof text);
  ERR_clear_error();
  return text;
}

tl::unexpected<Error> SetupFailed(std::string_view what) {
  return Fail(Code::kFailedPrecondition, "tls_setup", std::string(what) + ": " + LastError());
}

bool Attach(SSL* ssl, int fd) {
  BIO* bio = BIO_new(SocketMethod());
  if (bio == nullptr) return false;
  BIO_set_fd(bio, fd, BIO_NOCLOSE);
  SSL_set_bio(ssl, bio, bio);
  return true;
}

IoStep StepOf(SSL* ssl, int returned, std::string& error) {
  if (returned > 0) return {returned, IoWant::kNothing};
  switch (SSL_get_error(ssl, returned)) {
    case SSL_ERROR_WANT_READ:
      return {-1, IoWant::kRead};
    case SSL_ERROR_WANT_WRITE:
      return {-1, IoWant::kWrite};
    case SSL_ERROR_ZERO_RETURN:
      return {0, IoWant::kNothing};
    default:
      break;
  }
  const long verified = SSL_get_verify_result(ssl);
  error = verified != X509_V_OK ? std::string("the certificate is not accepted: ") +
                                      X509_verify_cert_error_string(verified)
                                : LastError();
  ERR_clear_error();
  return {-1, IoWant::kNothing};
}

IoStep ReadSocket(int fd, char* data, size_t size, std::string& error) {
  return Receive(fd, data, size, 0, error);
}

IoStep PeekSocket(int fd, char* byte, std::string& error) {
  return Receive(fd, byte, 1, MSG_PEEK, error);
}

IoStep WriteSocket(int fd, std::string_view data, std::string& error) {
  ssize_t sent = 0;
  do {
    sent = ::send(fd, data.data(), data.size(), MSG_NOSIGNAL);
  } while (sent < 0 && errno == EINTR);
  if (sent < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return {-1, IoWant::kWrite};
  if (sent < 0) error = std::strerror(errno);
  return {sent, IoWant::kNothing};
}

}  // namespace aegis::net::tls
