#include "aegis/net/tls_server.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sys/socket.h>

#include <algorithm>
#include <climits>
#include <optional>
#include <utility>

#include "aegis/net/tls_io.h"

namespace aegis::net {
namespace {

// What RFC 9113 section 9.2.2 leaves of TLS 1.2.
constexpr const char* kTls12Ciphers =
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:"
    "ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305";

bool IsPlainText(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return static_cast<unsigned char>(c) > 0x20 && static_cast<unsigned char>(c) < 0x7F;
  });
}

// Nothing: the certificate has no URI name. An empty text: it has one that is none.
std::optional<std::string> FirstUri(const X509* certificate) {
  const auto free_names = [](GENERAL_NAMES* names) { GENERAL_NAMES_free(names); };
  const std::unique_ptr<GENERAL_NAMES, decltype(free_names)> names(
      static_cast<GENERAL_NAMES*>(
          X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)),
      free_names);
  for (int i = 0; names && i < sk_GENERAL_NAME_num(names.get()); ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(names.get(), i);
    if (name->type != GEN_URI) continue;
    const ASN1_IA5STRING* uri = name->d.uniformResourceIdentifier;
    const std::string_view text(reinterpret_cast<const char*>(ASN1_STRING_get0_data(uri)),
                                static_cast<size_t>(ASN1_STRING_length(uri)));
    return IsPlainText(text) ? std::string(text) : std::string();
  }
  return std::nullopt;
}

std::string Subject(const X509* certificate) {
  const std::unique_ptr<BIO, decltype(&BIO_free)> out(BIO_new(BIO_s_mem()), &BIO_free);
  if (!out ||
      X509_NAME_print_ex(out.get(), X509_get_subject_name(certificate), 0, XN_FLAG_RFC2253) < 0) {
    return {};
  }
  char* data = nullptr;
  const long size = BIO_get_mem_data(out.get(), &data);
  return size > 0 ? std::string(data, static_cast<size_t>(size)) : std::string();
}

}  // namespace

int TlsServerContext::SelectProtocol(ssl_st*, const unsigned char** out, unsigned char* out_size,
                                     const unsigned char* offered, unsigned offered_size,
                                     void* context) {
  const std::string& ours = static_cast<const TlsServerContext*>(context)->protocols_;
  unsigned char* chosen = nullptr;
  if (SSL_select_next_proto(&chosen, out_size, reinterpret_cast<const unsigned char*>(ours.data()),
                            static_cast<unsigned>(ours.size()), offered,
                            offered_size) != OPENSSL_NPN_NEGOTIATED) {
    return SSL_TLSEXT_ERR_ALERT_FATAL;
  }
  *out = chosen;
  return SSL_TLSEXT_ERR_OK;
}

Result<std::shared_ptr<const TlsServerContext>> TlsServerContext::Make(const Options& options) {
  ERR_clear_error();
  SSL_CTX* raw = SSL_CTX_new(TLS_server_method());
  if (raw == nullptr) return tls::SetupFailed("TLS cannot start");
  std::shared_ptr<TlsServerContext> context(new TlsServerContext(raw));
  SSL_CTX_set_min_proto_version(raw, TLS1_2_VERSION);
  SSL_CTX_set_cipher_list(raw, kTls12Ciphers);
  SSL_CTX_set_options(raw, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_NO_TICKET |
                               SSL_OP_CIPHER_SERVER_PREFERENCE);
  // Connections live long; a session that is taken up again would keep a certificate that may have
  // run out meanwhile.
  SSL_CTX_set_session_cache_mode(raw, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_num_tickets(raw, 0);
  SSL_CTX_set_mode(raw, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                            SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_read_ahead(raw, 1);
  if (SSL_CTX_use_certificate_chain_file(raw, options.certificate_file.c_str()) != 1) {
    return tls::SetupFailed("the certificate " + options.certificate_file + " cannot be used");
  }
  if (SSL_CTX_use_PrivateKey_file(raw, options.key_file.c_str(), SSL_FILETYPE_PEM) != 1 ||
      SSL_CTX_check_private_key(raw) != 1) {
    return tls::SetupFailed("the key " + options.key_file + " cannot be used with " +
                            options.certificate_file);
  }
  if (!options.client_ca_file.empty()) {
    STACK_OF(X509_NAME)* names = SSL_load_client_CA_file(options.client_ca_file.c_str());
    if (names == nullptr ||
        SSL_CTX_load_verify_locations(raw, options.client_ca_file.c_str(), nullptr) != 1) {
      sk_X509_NAME_pop_free(names, X509_NAME_free);
      return tls::SetupFailed("the certificates of " + options.client_ca_file + " cannot be read");
    }
    SSL_CTX_set_client_CA_list(raw, names);
    SSL_CTX_set_verify(raw, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  }
  for (const std::string& name : options.protocols) {
    context->protocols_.push_back(static_cast<char>(name.size()));
    context->protocols_.append(name);
  }
  context->requires_protocol_ = options.requires_protocol && !options.protocols.empty();
  if (!context->protocols_.empty()) {
    SSL_CTX_set_alpn_select_cb(raw, &TlsServerContext::SelectProtocol, context.get());
  }
  return context;
}

TlsServerContext::~TlsServerContext() { SSL_CTX_free(context_); }

void ServerStream::Free::operator()(ssl_st* ssl) const { SSL_free(ssl); }

Status ServerStream::StartTls(std::shared_ptr<const TlsServerContext> context) {
  ERR_clear_error();
  context_ = std::move(context);
  ssl_.reset(SSL_new(context_->get()));
  if (!ssl_ || !tls::Attach(ssl_.get(), fd_)) return tls::SetupFailed("TLS cannot start");
  SSL_set_accept_state(ssl_.get());
  return Ok();
}

IoStep ServerStream::Handshake() {
  if (!ssl_) return {1, IoWant::kNothing};
  ERR_clear_error();
  const IoStep step = tls::StepOf(ssl_.get(), SSL_do_handshake(ssl_.get()), error_);
  if (step.bytes <= 0) return step;
  // The callback is not asked when a client offers no protocol at all.
  if (context_->requires_protocol() && protocol().empty()) {
    error_ = "the client offers no protocol (ALPN)";
    return {-1, IoWant::kNothing};
  }
  return step;
}

std::string_view ServerStream::protocol() const {
  const unsigned char* chosen = nullptr;
  unsigned size = 0;
  if (ssl_) SSL_get0_alpn_selected(ssl_.get(), &chosen, &size);
  return {reinterpret_cast<const char*>(chosen), size};
}

std::string ServerStream::Principal() const {
  if (!ssl_) return {};
  const X509* certificate = SSL_get0_peer_certificate(ssl_.get());
  if (certificate == nullptr || SSL_get_verify_result(ssl_.get()) != X509_V_OK ||
      (SSL_get_verify_mode(ssl_.get()) & SSL_VERIFY_PEER) == 0) {
    return {};
  }
  if (auto uri = FirstUri(certificate)) return *std::move(uri);
  return Subject(certificate);
}

IoStep ServerStream::Read(char* data, size_t size) {
  if (!ssl_) return tls::ReadSocket(fd_, data, size, error_);
  // A record is at most 16 KiB; several may be there.
  size_t total = 0;
  for (;;) {
    ERR_clear_error();
    const int got = SSL_read(ssl_.get(), data + total,
                             static_cast<int>(std::min<size_t>(size - total, INT_MAX)));
    const IoStep step = tls::StepOf(ssl_.get(), got, error_);
    // An end or a failure is found again by the next read.
    if (step.bytes <= 0) return total > 0 ? IoStep{static_cast<ssize_t>(total)} : step;
    total += static_cast<size_t>(step.bytes);
    if (total == size || !has_pending()) return {static_cast<ssize_t>(total)};
  }
}

IoStep ServerStream::Peek() {
  char byte = 0;
  if (!ssl_) return tls::PeekSocket(fd_, &byte, error_);
  ERR_clear_error();
  return tls::StepOf(ssl_.get(), SSL_peek(ssl_.get(), &byte, 1), error_);
}

IoStep ServerStream::Write(std::string_view data) {
  if (!ssl_) return tls::WriteSocket(fd_, data, error_);
  size_t total = 0;
  while (total < data.size()) {
    ERR_clear_error();
    const int sent = SSL_write(ssl_.get(), data.data() + total,
                               static_cast<int>(std::min<size_t>(data.size() - total, INT_MAX)));
    const IoStep step = tls::StepOf(ssl_.get(), sent, error_);
    if (step.bytes <= 0) return total > 0 ? IoStep{static_cast<ssize_t>(total)} : step;
    total += static_cast<size_t>(step.bytes);
  }
  return {static_cast<ssize_t>(total)};
}

bool ServerStream::has_pending() const { return ssl_ && SSL_has_pending(ssl_.get()) == 1; }

void ServerStream::Shutdown() {
  if (ssl_) {
    ERR_clear_error();
    SSL_shutdown(ssl_.get());
    ERR_clear_error();
  }
  ::shutdown(fd_, SHUT_WR);
}

}  // namespace aegis::net
