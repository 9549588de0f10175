#include "http/tls.h"

#include <fmt/core.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include <algorithm>

namespace hearth::http {
namespace {

constexpr std::size_t record_bytes = 16u << 10;  // the most that one TLS record carries

std::string last_reason() {
  const unsigned long code = ERR_peek_last_error();
  ERR_clear_error();
  const char* reason = ERR_reason_error_string(code);
  return reason ? reason : "not a readable PEM file";
}

// Of the protocols a client offers, ours is HTTP/1.1; a client that offers none of ours gets none.
int select_protocol(SSL*, const unsigned char** out, unsigned char* out_size,
                    const unsigned char* in, unsigned in_size, void*) {
  static constexpr unsigned char ours[] = "\x08http/1.1";
  unsigned char* chosen = nullptr;
  if (SSL_select_next_proto(&chosen, out_size, ours, sizeof ours - 1, in, in_size) !=
      OPENSSL_NPN_NEGOTIATED)
    return SSL_TLSEXT_ERR_NOACK;
  *out = chosen;
  return SSL_TLSEXT_ERR_OK;
}

}  // namespace

struct TlsParts {
  SSL* ssl;
  BIO* from_network;  // owned by ssl
  BIO* to_network;    // owned by ssl
};

TlsSession::TlsSession(std::unique_ptr<TlsParts> parts) : parts_(std::move(parts)) {}
TlsSession::~TlsSession() { SSL_free(parts_->ssl); }

bool TlsSession::receive(std::string_view cipher, std::string& plain) {
  ERR_clear_error();
  while (!cipher.empty()) {
    const int put = BIO_write(parts_->from_network, cipher.data(),
                              static_cast<int>(std::min(cipher.size(), record_bytes)));
    if (put <= 0) return false;
    cipher.remove_prefix(static_cast<std::size_t>(put));
  }
  char buffer[record_bytes];
  for (;;) {
    const int got = SSL_read(parts_->ssl, buffer, sizeof buffer);
    if (got > 0) {
      plain.append(buffer, static_cast<std::size_t>(got));
      continue;
    }
    const int why = SSL_get_error(parts_->ssl, got);
    ERR_clear_error();
    return why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE;
  }
}

std::size_t TlsSession::send(std::string_view plain) {
  if (!SSL_is_init_finished(parts_->ssl) || plain.empty()) return 0;
  ERR_clear_error();
  const int put =
      SSL_write(parts_->ssl, plain.data(), static_cast<int>(std::min(plain.size(), record_bytes)));
  ERR_clear_error();
  return put > 0 ? static_cast<std::size_t>(put) : 0;
}

void TlsSession::send_close() {
  if (SSL_is_init_finished(parts_->ssl)) SSL_shutdown(parts_->ssl);
  ERR_clear_error();
}

void TlsSession::take_output(std::string& cipher) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(parts_->to_network, &data);
  if (size > 0) cipher.append(data, static_cast<std::size_t>(size));
  (void)BIO_reset(parts_->to_network);
}

Result<std::unique_ptr<TlsContext>> TlsContext::load(const std::string& certificate_file,
                                                     const std::string& key_file) {
  ERR_clear_error();
  SSL_CTX* ssl = SSL_CTX_new(TLS_server_method());
  if (!ssl) return Error(ErrorKind::io, "TLS cannot start");
  std::unique_ptr<TlsContext> context(new TlsContext(ssl));
  SSL_CTX_set_min_proto_version(ssl, TLS1_2_VERSION);
  SSL_CTX_set_options(
      ssl, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE);
  SSL_CTX_set_mode(ssl, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                            SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  SSL_CTX_set_session_cache_mode(ssl, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_alpn_select_cb(ssl, select_protocol, nullptr);
  if (SSL_CTX_use_certificate_chain_file(ssl, certificate_file.c_str()) != 1)
    return Error(ErrorKind::invalid,
                 fmt::format("server.tls_cert = '{}': {}", certificate_file, last_reason()));
  if (SSL_CTX_use_PrivateKey_file(ssl, key_file.c_str(), SSL_FILETYPE_PEM) != 1)
    return Error(ErrorKind::invalid,
                 fmt::format("server.tls_key = '{}': {}", key_file, last_reason()));
  if (SSL_CTX_check_private_key(ssl) != 1)
    return Error(ErrorKind::invalid,
                 fmt::format("server.tls_key = '{}': does not belong to the certificate '{}'",
                             key_file, certificate_file));
  return context;
}

TlsContext::~TlsContext() { SSL_CTX_free(static_cast<SSL_CTX*>(context_)); }

std::unique_ptr<TlsSession> TlsContext::open() const {
  SSL* ssl = SSL_new(static_cast<SSL_CTX*>(context_));
  HEARTH_CHECK(ssl != nullptr);
  auto parts = std::make_unique<TlsParts>();
  *parts = {ssl, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem())};
  HEARTH_CHECK(parts->from_network && parts->to_network);
  SSL_set_bio(ssl, parts->from_network, parts->to_network);
  SSL_set_accept_state(ssl);
  return std::make_unique<TlsSession>(std::move(parts));
}

}  // namespace hearth::http
