// Arbitrary bytes, cut at arbitrary places, into one connection.
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "http/connection.h"

using namespace hearth;
using namespace hearth::http;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Shared shared;
  shared.options.max_body_bytes = 4096;
  shared.mailbox = std::make_shared<Mailbox>([] {});
  std::size_t handled = 0;
  shared.handler.handle = [&](Request request, std::shared_ptr<Responder> responder) {
    ++handled;
    HEARTH_CHECK(!request.path.empty() && request.body.size() <= 4096);
    if (request.path.size() % 2 == 0) {
      responder->send({200, {}, request.body});
    } else {
      responder->start_stream({});
      responder->write(request.path);
      responder->finish();
    }
  };
  Time now = Time() + std::chrono::hours(1);
  {
    Connection connection(shared, Peer{1, "127.0.0.1", "127.0.0.1", false, true}, now);
    // The first byte says how the rest is cut.
    const std::size_t step = size > 0 ? std::size_t{data[0] % 64u} + 1 : 1;
    std::string_view rest(reinterpret_cast<const char*>(data), size);
    if (!rest.empty()) rest.remove_prefix(1);
    while (!rest.empty() && connection.end() != Connection::End::now) {
      const std::string_view piece = rest.substr(0, step);
      rest.remove_prefix(piece.size());
      connection.receive(piece, now);
      connection.sent(connection.output().size(), now);
      now += std::chrono::milliseconds(1);
    }
    connection.tick(now + std::chrono::seconds(30));
    connection.receive_end(now);
  }
  HEARTH_CHECK(shared.body_bytes_held == 0 && shared.requests_open == 0);
  shared.mailbox->close();
  return 0;
}
