// Arbitrary bytes, cut at arbitrary places, as frames of a WebSocket's client.
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "http/limits.h"
#include "http/websocket.h"

using namespace hearth;
using namespace hearth::http;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Time now;
  WebSocket socket(now);
  std::string out;
  // The first byte says how the rest is cut.
  const std::size_t step = size > 0 ? std::size_t{data[0] % 64u} + 1 : 1;
  std::string_view rest(reinterpret_cast<const char*>(data), size);
  if (!rest.empty()) rest.remove_prefix(1);
  while (!rest.empty() && !socket.is_over()) {
    const std::string_view piece = rest.substr(0, step);
    rest.remove_prefix(piece.size());
    socket.receive(piece, now, out);
    now += std::chrono::milliseconds(1);
  }
  // A pong is no longer than its ping, and frames are counted.
  HEARTH_CHECK(out.size() <= size + 200);
  const bool was_over = socket.is_over();
  out.clear();
  socket.send("text", out);
  HEARTH_CHECK(out.empty() == was_over);
  socket.close({1001, "the server stops"}, out);
  HEARTH_CHECK(socket.is_over());
  return 0;
}
