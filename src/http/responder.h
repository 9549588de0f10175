// Responder: how a handler answers one request, at once or as a stream, from any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <stop_token>
#include <string>
#include <string_view>

#include "http/message.h"

namespace hearth::http {

struct StreamStart {
  int status = 200;
  Headers headers;
  // Sent when the stream has been silent for a while; empty: never.
  std::string heartbeat = ": ping\n\n";
  // The connection goes on as a WebSocket, whose messages are what is written: see socket_start().
  bool is_socket = false;
};

// Why a stream ends.  Source: RFC 6455, section 7.4.1.
struct StreamEnd {
  std::uint16_t code = 1000;
  std::string reason;
};

StreamEnd reads_too_slowly();

// Either send(), or start_stream(), any number of write() and finish(); what comes out of order or
// after the client left is ignored.  Letting the last pointer go unfinished answers 500, or cuts
// the stream short.  Nothing here blocks.  Thread-safe.
class Responder {
 public:
  virtual ~Responder() = default;

  virtual void send(Response response) = 0;

  // The headers leave at once.
  virtual void start_stream(StreamStart start) = 0;
  // One whole event: a heartbeat may come before or after it, not inside.
  virtual void write(std::string_view event) = 0;
  virtual void finish() = 0;
  // The same.  A WebSocket's client is told why; other streams have no words for it.
  virtual void finish_because(const StreamEnd&) { finish(); }

  // False: the client has left, or was dropped because it does not read.
  virtual bool is_open() const = 0;
  // Bytes given and not yet taken by the network.
  virtual std::size_t pending_bytes() const = 0;
  // Fires, on the loop's thread, when the client leaves or the server must stop now; is_open()
  // tells which.
  virtual std::stop_token stop() const = 0;
};

}  // namespace hearth::http
