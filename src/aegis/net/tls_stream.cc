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

// Called by OpenSSL when a server has given a session. 1: it was taken over.
int KeepSession(SSL* ssl, SSL_SESSION* session) {
  auto* keeper = static_cast<TlsSession*>(SSL_get_app_data(ssl));
  if (keeper == nullptr) return 0;
  keeper->Replace(session);
  return 1;
}

}  // namespace

Result<std::shared_ptr<const TlsContext>> TlsContext::Make(const Options& options) {
  SSL_CTX* raw = SSL_CTX_new(TLS_client_method());
  if (raw == nullptr) return tls::SetupFailed("TLS cannot start");
  std::shared_ptr<TlsContext> context(new TlsContext(raw));
  SSL_CTX_set_min_proto_version(raw, TLS1_2_VERSION);
  SSL_CTX_set_verify(raw, SSL_VERIFY_PEER, nullptr);
  SSL_CTX_set_mode(raw, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                            SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_session_cache_mode(raw, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
  SSL_CTX_sess_set_new_cb(raw, KeepSession);
  const std::string& ca_file = options.ca_file;
  const int loaded = ca_file.empty() ? SSL_CTX_set_default_verify_paths(raw)
                                     : SSL_CTX_load_verify_locations(raw, ca_file.c_str(), nullptr);
  if (loaded != 1) {
    return tls::SetupFailed(ca_file.empty() ? "the system's certificates cannot be read"
                                            : "the certificates of " + ca_file + " cannot be read");
  }
  if (!options.certificate_file.empty()) {
    if (SSL_CTX_use_certificate_chain_file(raw, options.certificate_file.c_str()) != 1) {
      return tls::SetupFailed("the certificate of " + options.certificate_file + " cannot be read");
    }
    if (SSL_CTX_use_PrivateKey_file(raw, options.key_file.c_str(), SSL_FILETYPE_PEM) != 1 ||
        SSL_CTX_check_private_key(raw) != 1) {
      return tls::SetupFailed("the key of " + options.key_file +
                              " cannot be read, or is not the certificate's");
    }
  }
  for (const std::string& protocol : options.protocols) {
    context->protocols_.push_back(static_cast<char>(protocol.size()));
    context->protocols_.append(protocol);
  }
  const std::string& offered = context->protocols_;
  if (!offered.empty() &&
      SSL_CTX_set_alpn_protos(raw, reinterpret_cast<const unsigned char*>(offered.data()),
                              static_cast<unsigned>(offered.size())) != 0) {
    return tls::SetupFailed("TLS cannot offer its protocols");
  }
  return std::shared_ptr<const TlsContext>(std::move(context));
}

TlsContext::~TlsContext() { SSL_CTX_free(context_); }

void TlsSession::Replace(ssl_session_st* session) {
  SSL_SESSION_free(session_);
  session_ = session;
}

void TlsClient::Free::operator()(ssl_st* ssl) const { SSL_free(ssl); }

Status TlsClient::Start(std::shared_ptr<const TlsContext> context, const std::string& host, int fd,
                        TlsSession* session) {
  context_ = std::move(context);
  error_.clear();
  ssl_.reset(SSL_new(context_->get()));
  if (!ssl_ || !tls::Attach(ssl_.get(), fd)) return tls::SetupFailed("TLS cannot start");
  bool named = false;
  if (IsIpAddress(host)) {
    named = X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl_.get()), host.c_str()) == 1;
  } else {
    SSL_set_hostflags(ssl_.get(), X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    named = SSL_set1_host(ssl_.get(), host.c_str()) == 1 &&
            SSL_set_tlsext_host_name(ssl_.get(), host.c_str()) == 1;
  }
  if (!named) return tls::SetupFailed("TLS cannot ask for " + host);
  if (session != nullptr) {
    SSL_set_app_data(ssl_.get(), session);
    // One that cannot be resumed only makes the handshake whole.
    if (session->get() != nullptr) SSL_set_session(ssl_.get(), session->get());
  }
  SSL_set_connect_state(ssl_.get());
  return Ok();
}

IoStep TlsClient::Handshake() {
  ERR_clear_error();
  const IoStep step = tls::StepOf(ssl_.get(), SSL_do_handshake(ssl_.get()), error_);
  if (step.bytes <= 0 || context_->protocols().empty()) return step;
  const unsigned char* chosen = nullptr;
  unsigned size = 0;
  SSL_get0_alpn_selected(ssl_.get(), &chosen, &size);
  // A server that knows nothing of ALPN speaks HTTP/1.1; the application says what it offered.
  if (size == 0) return step;
  std::string name(1, static_cast<char>(size));
  name.append(reinterpret_cast<const char*>(chosen), size);
  const std::string& offered = context_->protocols();
  for (size_t at = 0; at < offered.size(); at += 1 + static_cast<unsigned char>(offered[at])) {
    if (offered.compare(at, name.size(), name) == 0) return step;
  }
  error_ = "the server chose a protocol that was not offered";
  return {-1, IoWant::kNothing};
}

IoStep TlsClient::Read(char* data, size_t size) {
  ERR_clear_error();
  const int got = SSL_read(ssl_.get(), data, static_cast<int>(std::min<size_t>(size, INT_MAX)));
  return tls::StepOf(ssl_.get(), got, error_);
}

IoStep TlsClient::Write(std::string_view data) {
  ERR_clear_error();
  const int sent =
      SSL_write(ssl_.get(), data.data(), static_cast<int>(std::min<size_t>(data.size(), INT_MAX)));
  return tls::StepOf(ssl_.get(), sent, error_);
}

bool TlsClient::has_pending() const { return SSL_pending(ssl_.get()) > 0; }

bool TlsClient::resumed() const { return SSL_session_reused(ssl_.get()) == 1; }

void TlsClient::Shutdown() {
  // After a failure OpenSSL forbids it; before the handshake is over there is nothing to end.
  if (!error_.empty() || SSL_is_init_finished(ssl_.get()) != 1) return;
  ERR_clear_error();
  SSL_shutdown(ssl_.get());
  ERR_clear_error();
}

Status ClientStream::StartTls(std::shared_ptr<const TlsContext> context, const std::string& host) {
  return tls_.Start(std::move(context), host, fd_.get());
}

ClientStream::Step ClientStream::Handshake() {
  return tls_ ? tls_.Handshake() : Step{1, Want::kNothing};
}

ClientStream::Step ClientStream::Read(char* data, size_t size) {
  return tls_ ? tls_.Read(data, size) : tls::ReadSocket(fd_.get(), data, size, error_);
}

ClientStream::Step ClientStream::Write(std::string_view data) {
  return tls_ ? tls_.Write(data) : tls::WriteSocket(fd_.get(), data, error_);
}

bool ClientStream::IdleAndOpen() const {
  char byte = 0;
  return fd_ && ::recv(fd_.get(), &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && errno == EAGAIN;
}

void ClientStream::Close() {
  tls_.Close();
  fd_.Close();
}

}  // namespace aegis::net
