// The life of a connection under a clock that the test turns.
#include "http/connection.h"

#include <doctest/doctest.h>
#include <fmt/core.h>

#include "http/testing.h"

using namespace hearth;
using namespace hearth::http;
using namespace std::chrono_literals;

namespace {

// A connection whose requests are kept; the test answers them.
struct Bench {
  Bench() {
    shared.options.max_body_bytes = 100000;
    auto guard = Guard::create({}, {"https://app.example"});
    REQUIRE(guard);
    shared.guard = std::move(*guard);
    shared.mailbox = std::make_shared<Mailbox>([] {});
    shared.handler.admit = [this](const Request& request) -> std::optional<Response> {
      ++admitted;
      if (request.path == "/refused") return error_response({401, "no_key", "no key", "", 0});
      return std::nullopt;
    };
    shared.handler.handle = [this](Request request, std::shared_ptr<Responder> responder) {
      requests.push_back(std::move(request));
      responders.push_back(std::move(responder));
    };
    connect();
  }
  ~Bench() {
    responders.clear();
    connection.reset();
    shared.mailbox->close();
  }
  void connect() {
    connection =
        std::make_unique<Connection>(shared, Peer{1, "127.0.0.1", "127.0.0.1", false, true}, now);
  }
  void receive(std::string_view bytes) { connection->receive(bytes, now); }
  void wait(std::chrono::milliseconds time) {
    for (; time > 0ms; time -= 250ms) {
      now += 250ms;
      connection->tick(now);
    }
  }
  // What the client has received since it last looked.
  std::string read() {
    connection->pull(now);
    std::string text;
    while (!connection->output().empty()) {
      const std::size_t n = connection->output().size();
      text += connection->output();
      connection->sent(n, now);
    }
    return text;
  }
  Connection::End end() { return connection->end(); }

  Shared shared;
  Time now = Time() + 1h;
  int admitted = 0;
  std::vector<Request> requests;
  std::vector<std::shared_ptr<Responder>> responders;
  std::unique_ptr<Connection> connection;
};

std::string get(std::string_view path, std::string_view headers = "") {
  return fmt::format("GET {} HTTP/1.1\r\nHost: localhost\r\n{}\r\n", path, headers);
}
std::string post(std::string_view headers, std::string_view body) {
  return fmt::format("POST /p HTTP/1.1\r\nHost: localhost\r\n{}\r\n{}", headers, body);
}
bool has(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}
Response hello() { return {200, {{"Content-Type", "text/plain"}}, "hello"}; }

}  // namespace

TEST_CASE("a request is answered and the connection goes on") {
  Bench bench;
  bench.receive(get("/a?x=1"));
  REQUIRE(bench.requests.size() == 1);
  CHECK(bench.requests[0].path == "/a");
  CHECK(bench.requests[0].peer == "127.0.0.1");
  CHECK(bench.requests[0].id.starts_with("req_"));
  CHECK(bench.read() == "");
  bench.responders[0]->send(hello());
  const std::string text = bench.read();
  CHECK(text.starts_with("HTTP/1.1 200 OK\r\n"));
  CHECK(has(text, "x-request-id: " + bench.requests[0].id + "\r\n"));
  CHECK(has(text, "Content-Length: 5\r\n"));
  CHECK(has(text, "Date: "));
  CHECK(!has(text, "Connection:"));
  CHECK(text.ends_with("\r\n\r\nhello"));
  bench.receive(get("/b"));
  REQUIRE(bench.requests.size() == 2);
  CHECK(bench.requests[1].id != bench.requests[0].id);
  CHECK(bench.end() == Connection::End::open);
}

TEST_CASE("pipelined requests are answered one after another, in order") {
  Bench bench;
  bench.receive(get("/1") + get("/2") + post("Content-Length: 3\r\n", "abc") + get("/4"));
  for (std::size_t i = 0; i < 4; ++i) {
    REQUIRE(bench.requests.size() == i + 1);
    bench.responders[i]->send({200, {}, fmt::format("<{}>", bench.requests[i].path)});
    CHECK(bench.read().ends_with(fmt::format("<{}>", bench.requests[i].path)));
  }
  CHECK(bench.requests[2].body == "abc");
}

TEST_CASE("reading stops while too much is waiting behind an answer") {
  Bench bench;
  bench.receive(get("/1"));
  CHECK(bench.connection->wants_input());
  std::string pile;
  while (pile.size() < limits::pipelined_bytes) pile += get("/more");
  bench.receive(pile);
  CHECK(!bench.connection->wants_input());
  bench.responders[0]->send(hello());
  bench.read();
  CHECK(bench.connection->wants_input());
}

TEST_CASE("Connection: close, HTTP/1.0 and HEAD") {
  const struct {
    std::string what, text, says;
    bool has_body, closes;
  } rows[] = {
      {"close", get("/", "Connection: close\r\n"), "Connection: close", true, true},
      {"1.0", "GET / HTTP/1.0\r\nHost: localhost\r\n\r\n", "Connection: close", true, true},
      {"1.0 keep", "GET / HTTP/1.0\r\nHost: localhost\r\nConnection: keep-alive\r\n\r\n",
       "Connection: keep-alive", true, false},
      {"HEAD", "HEAD / HTTP/1.1\r\nHost: localhost\r\n\r\n", "Content-Length: 5", false, false},
  };
  for (const auto& row : rows) {
    CAPTURE(row.what);
    Bench bench;
    bench.receive(row.text);
    REQUIRE(bench.responders.size() == 1);
    bench.responders[0]->send(hello());
    const std::string text = bench.read();
    CHECK(has(text, row.says));
    CHECK(text.ends_with("hello") == row.has_body);
    CHECK((bench.end() == Connection::End::after_output) == row.closes);
  }
}

TEST_CASE("a connection serves so many requests and no more") {
  Bench bench;
  for (std::size_t i = 1; i <= limits::requests_per_connection; ++i) {
    bench.receive(get("/"));
    REQUIRE(bench.responders.size() == i);
    bench.responders[i - 1]->send(hello());
    const bool is_last = i == limits::requests_per_connection;
    CHECK(has(bench.read(), "Connection: close") == is_last);
  }
  CHECK(bench.end() == Connection::End::after_output);
}

TEST_CASE("malformed requests are answered 400 and the connection ends") {
  Bench bench;
  bench.receive("GET / HTTP/1.1\r\nbad\r\n\r\n" + get("/smuggled"));
  const std::string text = bench.read();
  CHECK(text.starts_with("HTTP/1.1 400 "));
  CHECK(has(text, "Connection: close\r\n"));
  CHECK(has(text, "\"type\":\"invalid_request_error\""));
  CHECK(bench.requests.empty());
  CHECK(bench.end() == Connection::End::after_output);
  bench.receive("more");
  bench.wait(limits::linger);
  CHECK(bench.end() == Connection::End::now);
}

TEST_CASE("a refusal at the door comes before the body is read") {
  Bench bench;
  bench.receive(
      fmt::format("POST /refused HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n",
                  limits::swallowed_body_bytes + 1));
  CHECK(bench.read().starts_with("HTTP/1.1 401 "));
  CHECK(bench.end() == Connection::End::after_output);

  Bench small;  // a small body is swallowed, and the connection lives
  small.receive("POST /refused HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\na");
  CHECK(small.read() == "");
  small.receive("bc" + get("/next"));
  CHECK(small.read().starts_with("HTTP/1.1 401 "));
  CHECK(small.requests.size() == 1);
}

TEST_CASE("Host, Origin and preflights are judged before anything else") {
  Bench bench;
  bench.receive("GET / HTTP/1.1\r\nHost: evil.com\r\n\r\n");
  CHECK(bench.read().starts_with("HTTP/1.1 403 "));
  bench.receive(get("/", "Origin: https://evil\r\n"));
  CHECK(bench.read().starts_with("HTTP/1.1 403 "));
  bench.receive(
      "OPTIONS /v1/x HTTP/1.1\r\nHost: localhost\r\nOrigin: https://app.example\r\n"
      "Access-Control-Request-Method: POST\r\n\r\n");
  const std::string text = bench.read();
  CHECK(text.starts_with("HTTP/1.1 204 "));
  CHECK(has(text, "Access-Control-Allow-Origin: https://app.example\r\n"));
  CHECK(!has(text, "Content-Length"));
  CHECK(bench.admitted == 0);
  bench.receive("TRACE / HTTP/1.1\r\nHost: localhost\r\n\r\n");
  CHECK(bench.read().starts_with("HTTP/1.1 405 "));
  CHECK(bench.requests.empty());
}

TEST_CASE("Expect: 100-continue is followed once the head is accepted") {
  Bench bench;
  bench.receive(post("Expect: 100-continue\r\nContent-Length: 3\r\n", ""));
  CHECK(bench.read() == "HTTP/1.1 100 Continue\r\n\r\n");
  bench.receive("abc");
  REQUIRE(bench.requests.size() == 1);
  CHECK(bench.requests[0].body == "abc");
  Bench impatient;  // the body came along: nobody waits for a word
  impatient.receive(post("Expect: 100-continue\r\nContent-Length: 3\r\n", "abc"));
  CHECK(impatient.read() == "");
  CHECK(impatient.requests.size() == 1);
}

TEST_CASE("clients that are too slow") {
  SUBCASE("nothing is sent") {
    Bench bench;
    bench.wait(limits::head_deadline - 250ms);
    CHECK(bench.end() == Connection::End::open);
    bench.wait(250ms);
    CHECK(bench.end() == Connection::End::now);
  }
  SUBCASE("a head, byte by byte") {
    Bench bench;
    const std::string text = get("/", "A: " + std::string(100, 'a') + "\r\n");
    std::size_t i = 0;
    for (; bench.connection->output().empty() && i < text.size(); ++i) {
      bench.receive(text.substr(i, 1));
      bench.wait(500ms);
    }
    CHECK(i == 20);
    CHECK(bench.read().starts_with("HTTP/1.1 408 "));
    CHECK(bench.end() == Connection::End::after_output);
  }
  SUBCASE("a body that pauses") {
    Bench bench;
    bench.receive(post("Content-Length: 90000\r\n", std::string(80000, 'a')));
    bench.wait(limits::body_idle - 250ms);
    CHECK(bench.end() == Connection::End::open);
    CHECK(bench.connection->output().empty());
    bench.wait(250ms);
    CHECK(bench.read().starts_with("HTTP/1.1 408 "));
  }
  SUBCASE("a body that trickles") {
    Bench bench;
    bench.receive(post("Content-Length: 90000\r\n", ""));
    int seconds = 0;
    for (; bench.connection->output().empty() && seconds < 60; ++seconds) {
      bench.receive(std::string(400, 'a'));
      bench.wait(1s);
    }
    CHECK(seconds == limits::body_rate_grace.count());
    CHECK(bench.read().starts_with("HTTP/1.1 408 "));
  }
  SUBCASE("a body at the least rate") {
    Bench bench;
    bench.receive(post("Content-Length: 30000\r\n", ""));
    for (int i = 0; i < 60; ++i) {
      bench.receive(std::string(500, 'a'));
      bench.wait(1s);
    }
    CHECK(bench.requests.size() == 1);
  }
  SUBCASE("an idle connection") {
    Bench bench;
    bench.receive(get("/"));
    bench.responders[0]->send(hello());
    bench.read();
    bench.wait(limits::keep_alive_idle - 250ms);
    CHECK(bench.end() == Connection::End::open);
    bench.wait(250ms);
    CHECK(bench.end() == Connection::End::now);
  }
}

TEST_CASE("a stream: headers at once, chunks, heartbeats, the end") {
  Bench bench;
  bench.receive(get("/s"));
  const auto responder = bench.responders[0];
  responder->start_stream({200, {{"Content-Type", "text/event-stream"}}, ": ping\n\n"});
  std::string text = bench.read();
  CHECK(has(text, "Transfer-Encoding: chunked\r\n"));
  CHECK(text.ends_with("\r\n\r\n"));
  responder->write("data: 1\n\n");
  CHECK(bench.read() == "9\r\ndata: 1\n\n\r\n");
  bench.wait(limits::heartbeat - 250ms);
  CHECK(bench.read() == "");
  bench.wait(250ms);
  CHECK(bench.read() == "8\r\n: ping\n\n\r\n");
  responder->write("data: 2\n\n");
  responder->finish();
  CHECK(bench.read() == "9\r\ndata: 2\n\n\r\n0\r\n\r\n");
  CHECK(bench.end() == Connection::End::open);
  responder->write("late");
  CHECK(bench.read() == "");
}

TEST_CASE("a stream to HTTP/1.0 ends with the connection; HEAD gets headers alone") {
  Bench old;
  old.receive("GET / HTTP/1.0\r\nHost: localhost\r\nConnection: keep-alive\r\n\r\n");
  old.responders[0]->start_stream({});
  old.responders[0]->write("data: 1\n\n");
  old.responders[0]->finish();
  const std::string text = old.read();
  CHECK(!has(text, "chunked"));
  CHECK(text.ends_with("\r\n\r\ndata: 1\n\n"));
  CHECK(old.end() == Connection::End::after_output);

  Bench head;
  head.receive("HEAD / HTTP/1.1\r\nHost: localhost\r\n\r\n");
  head.responders[0]->start_stream({});
  head.responders[0]->write("data: 1\n\n");
  head.responders[0]->finish();
  CHECK(head.read().ends_with("\r\n\r\n"));
  CHECK(head.end() == Connection::End::open);
}

TEST_CASE("a client that leaves fires the stop token") {
  Bench bench;
  bench.receive(get("/s"));
  const auto responder = bench.responders[0];
  CHECK(!responder->stop().stop_requested());
  SUBCASE("cleanly") {
    bench.connection->receive_end(bench.now);
    CHECK(responder->stop().stop_requested());
    responder->send(hello());  // it may only have closed its sending side
    CHECK(bench.read().ends_with("hello"));
    CHECK(bench.end() == Connection::End::now);
  }
  SUBCASE("with a broken connection") {
    bench.connection->lost();
    CHECK(responder->stop().stop_requested());
    CHECK(!responder->is_open());
    responder->send(hello());
    CHECK(bench.connection->output().empty());
  }
  CHECK(bench.shared.requests_open == 0);
}

TEST_CASE("readers that do not read are dropped") {
  Bench bench;
  bench.receive(get("/s"));
  const auto responder = bench.responders[0];
  responder->start_stream({});
  bench.read();
  SUBCASE("past the cap, at once") {
    const std::string event(100000, 'a');
    while (responder->pending_bytes() + event.size() < limits::unsent_bytes - 1000)
      responder->write(event);
    CHECK(responder->is_open());
    responder->write(event);
    CHECK(!responder->is_open());
    CHECK(responder->stop().stop_requested());
    bench.connection->pull(bench.now);
    CHECK(bench.end() == Connection::End::now);
  }
  SUBCASE("past the lower mark, after a while") {
    responder->write(std::string(limits::stall_bytes, 'a'));
    bench.connection->pull(bench.now);
    bench.wait(limits::stall);
    CHECK(bench.end() == Connection::End::open);
    bench.wait(500ms);
    CHECK(bench.end() == Connection::End::now);
    CHECK(responder->stop().stop_requested());
  }
  SUBCASE("below the mark, never") {
    responder->write(std::string(limits::stall_bytes - 100, 'a'));
    bench.connection->pull(bench.now);
    bench.wait(limits::stall + 5s);
    CHECK(bench.end() == Connection::End::open);
  }
  SUBCASE("a finished answer that nobody takes") {
    responder->write("data\n\n");
    responder->finish();
    bench.connection->pull(bench.now);
    bench.wait(limits::stall + 500ms);
    CHECK(bench.end() == Connection::End::now);
  }
}

TEST_CASE("a responder let go unfinished answers 500, or cuts the stream") {
  Bench bench;
  bench.receive(get("/a"));
  bench.responders.clear();
  CHECK(bench.read().starts_with("HTTP/1.1 500 "));
  bench.receive(get("/b"));
  bench.responders[0]->start_stream({});
  bench.read();
  bench.responders.clear();
  CHECK(bench.read() == "");
  CHECK(bench.end() == Connection::End::now);
}

TEST_CASE("all bodies together are bounded") {
  Bench bench;
  bench.shared.body_bytes_held = limits::bodies_together_bytes;
  bench.receive(post("Content-Length: 3\r\n", "abc"));
  const std::string text = bench.read();
  CHECK(text.starts_with("HTTP/1.1 503 "));
  CHECK(has(text, "Retry-After: 1\r\n"));
  bench.receive(get("/small"));
  bench.responders[0]->send(hello());
  CHECK(bench.read().ends_with("hello"));
  CHECK(bench.shared.body_bytes_held == limits::bodies_together_bytes);
}

TEST_CASE("draining: idle connections end, answers finish and say so") {
  Bench bench;
  bench.receive(get("/a"));
  bench.shared.draining = true;
  bench.connection->drain(bench.now);
  CHECK(bench.end() == Connection::End::open);
  bench.responders[0]->send(hello());
  CHECK(has(bench.read(), "Connection: close\r\n"));
  CHECK(bench.end() == Connection::End::after_output);
  bench.connect();
  bench.connection->drain(bench.now);
  CHECK(bench.end() == Connection::End::now);
}

TEST_CASE("header values cannot begin headers of their own") {
  CHECK(format_head(200, {{"A", "x\r\nB: y"}}) == "HTTP/1.1 200 OK\r\nA: x  B: y\r\n\r\n");
}

namespace {

constexpr std::string_view ask_for_socket =
    "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

// A connection that has gone on as a WebSocket; `early`: what the client did not wait to send.
struct SocketBench : Bench {
  explicit SocketBench(std::string_view early = "") {
    receive(get("/socket", ask_for_socket) + std::string(early));
    REQUIRE(requests.size() == 1);
    responders[0]->start_stream(socket_start(requests[0]));
    head = read();
  }
  Responder& responder() { return *responders[0]; }
  std::string head;
};

std::string close_frame(int code, std::string_view reason) {
  return fmt::format("\x88{}{}{}{}", static_cast<char>(reason.size() + 2),
                     static_cast<char>(code >> 8), static_cast<char>(code & 255), reason);
}

}  // namespace

TEST_CASE("a connection goes on as a WebSocket") {
  SocketBench bench(client_frame(9, "early"));
  CHECK(bench.head.starts_with("HTTP/1.1 101 Switching Protocols\r\n"));
  CHECK(has(bench.head, "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"));
  CHECK(!has(bench.head, "Transfer-Encoding"));
  CHECK(!has(bench.head, "Connection: close"));
  CHECK(
      bench.head.ends_with("\r\n\r\n\x8a\x05"
                           "early"));
  bench.responder().write("hello");
  CHECK(bench.read() == "\x81\x05hello");
  bench.receive(client_frame(1, "what clients say is read and means nothing"));
  CHECK(bench.read() == "");
  bench.wait(limits::socket_ping);
  CHECK(bench.read() == std::string("\x89\0", 2));
  bench.responder().finish();
  CHECK(bench.read() == close_frame(1000, ""));
  CHECK(bench.end() == Connection::End::after_output);
  CHECK(bench.shared.requests_open == 0);
  bench.receive(client_frame(8, std::string("\x03\xe8", 2)));
  CHECK(bench.requests.size() == 1);
}

TEST_CASE("how WebSockets end") {
  const struct {
    std::string what;
    void (*happens)(SocketBench& bench);
    std::string told;
    Connection::End end;
  } rows[] = {
      {"the client says farewell",
       [](SocketBench& bench) { bench.receive(client_frame(8, std::string("\x03\xe9", 2))); },
       close_frame(1001, ""), Connection::End::after_output},
      {"the client breaks the protocol",
       [](SocketBench& bench) { bench.receive("GET / HTTP/1.1\r\n\r\n"); }, close_frame(1002, ""),
       Connection::End::after_output},
      {"the client goes without a word",
       [](SocketBench& bench) { bench.connection->receive_end(bench.now); }, "",
       Connection::End::now},
      {"the client is not heard of for a while",
       [](SocketBench& bench) { bench.wait(limits::socket_silence); }, "", Connection::End::now},
      {"the client does not read",
       [](SocketBench& bench) {
         const std::string text(1000, 'x');
         while (bench.responder().is_open()) bench.responder().write(text);
       },
       close_frame(1013, "the client reads too slowly"), Connection::End::after_output},
      {"the server stops", [](SocketBench& bench) { bench.connection->ask_to_stop(); },
       close_frame(1001, "the server stops"), Connection::End::after_output},
      {"a reason is given",
       [](SocketBench& bench) { bench.responder().finish_because({1008, "why"}); },
       close_frame(1008, "why"), Connection::End::after_output},
      {"the answer is let go", [](SocketBench& bench) { bench.responders.clear(); },
       close_frame(1011, "the answer was cut short"), Connection::End::after_output},
  };
  for (const auto& row : rows) {
    CAPTURE(row.what);
    SocketBench bench;
    row.happens(bench);
    const std::string text = bench.end() == Connection::End::now ? "" : bench.read();
    CHECK(text == row.told);
    CHECK(bench.end() == row.end);
    CHECK(bench.shared.requests_open == 0);
    if (!bench.responders.empty() && row.end == Connection::End::now)
      CHECK(!bench.responder().is_open());
  }
}

TEST_CASE("a reader who is too slow is told so after what it has been sent") {
  SocketBench bench;
  bench.responder().write("first");
  bench.connection->pull(bench.now);  // with the loop now, and not yet with the client
  const std::string text(limits::unsent_bytes / 4, 'x');
  for (int i = 0; i < 5; ++i) {
    bench.responder().write(text);
    bench.connection->pull(bench.now);
  }
  CHECK(!bench.responder().is_open());
  const std::string got = bench.read();
  CHECK(
      got.starts_with("\x81\x05"
                      "first"));
  CHECK(got.ends_with(close_frame(1013, "the client reads too slowly")));
  CHECK(got.size() < limits::unsent_bytes + 200);
}

TEST_CASE("a client of HTTP/1.0 and one that only looks are not upgraded") {
  Bench bench;
  bench.receive(fmt::format("GET /a HTTP/1.0\r\nHost: localhost\r\n{}\r\n", ask_for_socket));
  REQUIRE(bench.requests.size() == 1);
  CHECK(!asks_for_socket(bench.requests[0]));
}
