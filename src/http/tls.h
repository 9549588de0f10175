// TLS as a transformation of bytes: no sockets.  TLS 1.2 and 1.3, no renegotiation, no early data.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"

namespace hearth::http {

struct TlsParts;

// One client's session; used by one thread.
class TlsSession {
 public:
  explicit TlsSession(std::unique_ptr<TlsParts> parts);
  ~TlsSession();
  TlsSession(const TlsSession&) = delete;
  TlsSession& operator=(const TlsSession&) = delete;

  // Bytes from the network.  What they decrypt to is appended to `plain`.  False: the client broke
  // the protocol or closed; take_output() may still hold an alert to send.
  bool receive(std::string_view cipher, std::string& plain);
  // Encrypts some of `plain` and returns how much; 0 before the handshake is done.
  std::size_t send(std::string_view plain);
  void send_close();
  // Appends what is to be sent to the network.
  void take_output(std::string& cipher);

 private:
  std::unique_ptr<TlsParts> parts_;
};

// A certificate chain and its key.  Immutable; thread-safe.
class TlsContext {
 public:
  // Errors: invalid, naming the file.
  static Result<std::unique_ptr<TlsContext>> load(const std::string& certificate_file,
                                                  const std::string& key_file);
  ~TlsContext();
  TlsContext(const TlsContext&) = delete;
  TlsContext& operator=(const TlsContext&) = delete;

  std::unique_ptr<TlsSession> open() const;

 private:
  explicit TlsContext(void* context) : context_(context) {}
  void* context_;  // SSL_CTX
};

}  // namespace hearth::http
