#include "http/websocket.h"

#include <doctest/doctest.h>
#include <fmt/core.h>

#include "http/limits.h"
#include "http/testing.h"

using namespace hearth::http;
using namespace std::chrono_literals;

namespace {

constexpr std::string_view key = "dGhlIHNhbXBsZSBub25jZQ==";

Request asking(Headers changed = {}) {
  Request request;
  request.method = "GET";
  request.headers = std::move(changed);
  for (const Header& header : Headers{{"Upgrade", "websocket"},
                                      {"Connection", "Upgrade"},
                                      {"Sec-WebSocket-Version", "13"},
                                      {"Sec-WebSocket-Key", std::string(key)}})
    if (!request.header(header.name)) request.headers.push_back(header);
  return request;
}

// The codes of the frames in `bytes`, as a server makes them: "text:hello ping close:1000 ".
std::string told(std::string_view bytes) {
  std::string text;
  while (bytes.size() >= 2) {
    const unsigned opcode = static_cast<unsigned char>(bytes[0]);
    std::size_t size = static_cast<unsigned char>(bytes[1]), head = 2;
    REQUIRE(size < 128);  // not masked
    for (std::size_t i = 0, more = size == 126 ? 2u : size == 127 ? 8u : 0u; i < more; ++i) {
      size = (i == 0 ? 0 : size << 8) | static_cast<unsigned char>(bytes[2 + i]);
      ++head;
    }
    REQUIRE(bytes.size() >= head + size);
    const std::string_view payload = bytes.substr(head, size);
    switch (opcode) {
      case 0x81:
        text += fmt::format("text:{} ", payload);
        break;
      case 0x88:
        text += payload.size() < 2
                    ? std::string("close ")
                    : fmt::format("close:{} ", static_cast<unsigned char>(payload[0]) * 256 +
                                                   static_cast<unsigned char>(payload[1]));
        break;
      case 0x89:
        text += "ping ";
        break;
      case 0x8a:
        text += fmt::format("pong:{} ", payload);
        break;
      default:
        text += fmt::format("{:02x} ", opcode);
    }
    bytes.remove_prefix(head + size);
  }
  CHECK(bytes.empty());
  return text;
}

std::string repeat(std::string_view text, int times) {
  std::string all;
  for (int i = 0; i < times; ++i) all += text;
  return all;
}

}  // namespace

TEST_CASE("who asks for a WebSocket, and who asks for it wrongly") {
  const struct {
    std::string what;
    Request request;
    bool asks;
    int status;  // 0: let in
  } rows[] = {
      {"as browsers do", asking(), true, 0},
      {"among others",
       asking({{"Connection", "keep-alive, upgrade"}, {"Upgrade", "h2c,WebSocket"}}), true, 0},
      {"no upgrade", asking({{"Upgrade", "h2c"}}), false, 0},
      {"no connection", asking({{"Connection", "close"}}), false, 0},
      {"an old version", asking({{"Sec-WebSocket-Version", "12"}}), true, 426},
      {"two versions", asking({{"Sec-WebSocket-Version", "13"}, {"Sec-WebSocket-Version", "13"}}),
       true, 426},
      {"no key", asking({{"Sec-WebSocket-Key", ""}}), true, 400},
      {"a short key", asking({{"Sec-WebSocket-Key", "dGhlIHNhbXBsZQ=="}}), true, 400},
      {"no base64", asking({{"Sec-WebSocket-Key", "dGhlIHNhbXBsZSB!b25jZQ=="}}), true, 400},
      {"two keys",
       asking({{"Sec-WebSocket-Key", std::string(key)}, {"Sec-WebSocket-Key", std::string(key)}}),
       true, 400},
  };
  for (const auto& row : rows) {
    CAPTURE(row.what);
    CHECK(asks_for_socket(row.request) == row.asks);
    if (!row.asks) continue;
    const auto refusal = refuse_socket(row.request);
    CHECK((refusal ? refusal->status : 0) == row.status);
  }
  Request post = asking();
  post.method = "POST";
  CHECK(!asks_for_socket(post));
  // Source: RFC 6455, section 1.3.
  const StreamStart start = socket_start(asking());
  CHECK(*find_header(start.headers, "Sec-WebSocket-Accept") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}

TEST_CASE("what clients send, and what they are told") {
  constexpr int text = 1, binary = 2, more = 0, close = 8, ping = 9, pong = 10;
  const std::string limit(limits::socket_message_bytes, 'x');
  const std::string unmasked("\x81\x02hi", 4);
  const auto f = [](int opcode, std::string_view payload, FrameShape shape = {}) {
    return client_frame(opcode, payload, shape);
  };
  const FrameShape part{.is_final = false};
  const struct {
    std::string what, bytes, told;
  } rows[] = {
      {"a text", f(text, "hi"), ""},
      {"bytes", f(binary, "\x01\xff"), ""},
      {"fragments with a ping among them", f(text, "a", part) + f(ping, "p") + f(more, "b"),
       "pong:p "},
      {"empty fragments", f(text, "", part) + f(more, "", part) + f(more, ""), ""},
      {"a pong for nothing", f(pong, "x"), ""},
      {"UTF-8 over fragments", f(text, "\xc3", part) + f(more, "\xa4"), ""},
      {"the largest message", f(text, limit), ""},
      {"one byte more", f(text, limit + "x"), "close:1009 "},
      {"the same in fragments", f(text, limit, part) + f(more, "x"), "close:1009 "},
      {"a huge length", std::string("\x82\xff\x00\x00\x01\x00\x00\x00\x00\x00maskx", 15),
       "close:1009 "},
      {"a length with a sign", std::string("\x82\xff\x80\x00\x00\x00\x00\x00\x00\x00mask", 14),
       "close:1002 "},
      {"a length longer than needed", std::string("\x81\xfe\x00\x05maskhello", 13), "close:1002 "},
      {"no mask", unmasked, "close:1002 "},
      {"an extension's bit", f(text, "hi", {.reserved = 4}), "close:1002 "},
      {"an opcode of the future", f(3, "hi"), "close:1002 "},
      {"a control opcode of the future", f(11, "hi"), "close:1002 "},
      {"a ping in fragments", f(ping, "hi", part), "close:1002 "},
      {"a long ping", f(ping, std::string(126, 'p')), "close:1002 "},
      {"the rest of nothing", f(more, "hi"), "close:1002 "},
      {"a text inside a text", f(text, "a", part) + f(text, "b"), "close:1002 "},
      {"no UTF-8", f(text, "\xff"), "close:1007 "},
      {"half a letter", f(text, "\xc3"), "close:1007 "},
      {"farewell", f(close, std::string("\x03\xe8", 2)), "close:1000 "},
      {"farewell without a code", f(close, ""), "close "},
      {"farewell of one byte", f(close, "\x03"), "close:1002 "},
      {"farewell with a code that is none", f(close, std::string("\x03\xed", 2)), "close:1002 "},
      {"bytes after the farewell", f(close, std::string("\x03\xe8", 2)) + f(ping, "x"),
       "close:1000 "},
      {"as many frames as may be", repeat(f(pong, ""), limits::socket_frames_at_once), ""},
      {"one more", repeat(f(pong, ""), limits::socket_frames_at_once + 1), "close:1008 "},
  };
  for (const auto& row : rows)
    for (const std::size_t step : {std::size_t{1}, std::size_t{7}, row.bytes.size()}) {
      CAPTURE(row.what);
      CAPTURE(step);
      WebSocket socket((Time()));
      std::string out;
      for (std::size_t at = 0; at < row.bytes.size(); at += step)
        socket.receive(std::string_view(row.bytes).substr(at, step), Time(), out);
      CHECK(told(out) == row.told);
      CHECK(socket.is_over() == row.told.starts_with("close"));
      if (!socket.is_over()) continue;
      out.clear();
      socket.send("too late", out);
      socket.close({1001, ""}, out);
      CHECK(out.empty());
    }
}

TEST_CASE("what a client is sent: texts of every length, pings, a farewell with its reason") {
  WebSocket socket((Time()));
  for (const std::size_t size : {0u, 1u, 125u, 126u, 65535u, 65536u, 200000u}) {
    std::string out;
    const std::string text(size, 'x');
    socket.send(text, out);
    CHECK(told(out) == fmt::format("text:{} ", text));
  }
  std::string out;
  socket.tick(Time() + limits::socket_ping - 1ms, out);
  CHECK(out.empty());
  socket.tick(Time() + limits::socket_ping, out);
  CHECK(told(out) == "ping ");
  socket.tick(Time() + limits::socket_ping + 1s, out);
  CHECK(told(out) == "ping ");
  out.clear();
  socket.close({1013, "slow"}, out);
  CHECK(told(out) == "close:1013 ");
  CHECK(out.ends_with("slow"));
  CHECK(socket.is_over());
}

TEST_CASE("frames that come at the rate that may be are never too many") {
  WebSocket socket((Time()));
  Time now;
  std::string out;
  for (int i = 0; i < 1000; ++i) {
    now += 1000ms / limits::socket_frames_per_second;
    socket.receive(client_frame(10, ""), now, out);
  }
  CHECK(out.empty());
  CHECK(!socket.is_over());
}
