// WebSocket: a client's frames after the upgrade, as a transformation of bytes: no socket, no
// clock. Without extensions: nothing is compressed.  Source: RFC 6455.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "http/message.h"
#include "http/responder.h"

namespace hearth::http {

using Time = std::chrono::steady_clock::time_point;

// Whether the connection is asked to go on as a WebSocket.
bool asks_for_socket(const Request& request);
// The answer to a request that asks for it wrongly: 400, or 426 with the version that is spoken.
std::optional<Response> refuse_socket(const Request& request);
// Says yes.  `request` has been looked at by both of the above.
StreamStart socket_start(const Request& request);

// One client's; used by one thread.  What its messages say is ignored: clients listen.
class WebSocket {
 public:
  explicit WebSocket(Time now);
  ~WebSocket();
  WebSocket(const WebSocket&) = delete;
  WebSocket& operator=(const WebSocket&) = delete;

  // Each appends to `out` what is to be sent to the client.
  void receive(std::string_view bytes, Time now, std::string& out);
  void send(std::string_view text, std::string& out);  // UTF-8
  void tick(Time now, std::string& out);               // a ping, when it is time
  void close(const StreamEnd& why, std::string& out);  // only the first one counts

  // The last frame has been made: the client's farewell, an error or close().
  bool is_over() const;

 private:
  struct Codec;
  std::unique_ptr<Codec> codec_;
};

}  // namespace hearth::http
