#include "aegis/net/tls_stream.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <climits>

#include "aegis/net/tls_io.h"

namespace aegis::net {
namespace {

bool IsIpAddress(const std::string& host) {
  unsigned char buffer[sizeof(in6_addr)];
  return ::inet_pton(AF_INET, host.c_str(), buffer) == 1 ||
         ::inet_pton(AF_INET6, host.c_str(), buffer) == 1;
}

}  // namespace

Result<std::shared_ptr<const TlsContext>> TlsContext::Make(const std::string& ca_file) {
  SSL_CTX* raw = SSL_CTX_new(TLS_client_method());
  if (raw == nullptr) return tls::SetupFailed("TLS cannot start");
  std::shared_ptr<const TlsContext> context(new TlsContext(raw));
  SSL_CTX_set_min_proto_version(raw, TLS1_2_VERSION);
  SSL_CTX_set_verify(raw, SSL_VERIFY_PEER, nullptr);
  SSL_CTX_set_mode(raw, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  const int loaded = ca_file.empty() ? SSL_CTX_set_default_verify_paths(raw)
                                     : SSL_CTX_load_verify_locations(raw, ca_file.c_str(), nullptr);
  if (loaded != 1) {
    return tls::SetupFailed(ca_file.empty() ? "the system's certificates cannot be read"
                                            : "the certificates of " + ca_file + " cannot be read");
  }
  return context;
}

TlsContext::~TlsContext() { SSL_CTX_free(context_); }

void ClientStream::Free::operator()(ssl_st* ssl) const { SSL_free(ssl); }

Status ClientStream::StartTls(std::shared_ptr<const TlsContext> context, const std::string& host) {
  context_ = std::move(context);
  ssl_.reset(SSL_new(context_->get()));
  if (!ssl_ || !tls::Attach(ssl_.get(), fd_.get())) return tls::SetupFailed("TLS cannot start");
  bool named = false;
  if (IsIpAddress(host)) {
    named = X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl_.get()), host.c_str()) == 1;
  } else {
    SSL_set_hostflags(ssl_.get(), X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    named = SSL_set1_host(ssl_.get(), host.c_str()) == 1 &&
            SSL_set_tlsext_host_name(ssl_.get(), host.c_str()) == 1;
  }
  if (!named) return tls::SetupFailed("TLS cannot ask for " + host);
  SSL_set_connect_state(ssl_.get());
  return Ok();
}

ClientStream::Step ClientStream::Handshake() {
  if (!ssl_) return {1, Want::kNothing};
  ERR_clear_error();
  return tls::StepOf(ssl_.get(), SSL_do_handshake(ssl_.get()), error_);
}

ClientStream::Step ClientStream::Read(char* data, size_t size) {
  if (ssl_) {
    ERR_clear_error();
    const int got = SSL_read(ssl_.get(), data, static_cast<int>(std::min<size_t>(size, INT_MAX)));
    return tls::StepOf(ssl_.get(), got, error_);
  }
  return tls::ReadSocket(fd_.get(), data, size, error_);
}

ClientStream::Step ClientStream::Write(std::string_view data) {
  if (ssl_) {
    ERR_clear_error();
    const int sent = SSL_write(ssl_.get(), data.data(),
                               static_cast<int>(std::min<size_t>(data.size(), INT_MAX)));
    return tls::StepOf(ssl_.get(), sent, error_);
  }
  return tls::WriteSocket(fd_.get(), data, error_);
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
