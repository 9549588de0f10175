// The server over real sockets.
#include "http/server.h"

#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <fmt/core.h>
#include <netinet/in.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <mutex>
#include <thread>

#include "http/testing.h"
#include "http/websocket.h"

using namespace hearth;
using namespace hearth::http;
using namespace std::chrono_literals;

namespace {

// A server on a thread of its own, and what its handler was given.
class Running {
 public:
  explicit Running(ServerOptions options = {}) {
    Handler handler;
    handler.handle = [this](Request request, std::shared_ptr<Responder> responder) {
      handle(std::move(request), std::move(responder));
    };
    auto created = Server::create(options, std::move(handler));
    if (!created) MESSAGE(created.error().message());
    REQUIRE(created);
    server = std::move(*created);
    thread = std::jthread([this] {
      server->run();
      is_over = true;
    });
  }
  ~Running() {
    server->stop();
    server->stop();
    thread.join();
  }
  void handle(Request request, std::shared_ptr<Responder> responder) {
    if (request.path == "/echo") {
      responder->send({200, {}, request.body});
    } else if (request.path == "/big") {
      responder->send({200, {}, std::string(8u << 20, 'b')});
    } else if (request.path == "/count") {
      // Streams from a thread that is not the loop's, as a model does.
      counters.emplace_back([responder] {
        responder->start_stream({});
        for (int i = 0; i < 100; ++i) responder->write(fmt::format("data: {}\n\n", i));
        responder->finish();
      });
    } else {
      const std::lock_guard lock(mutex);
      if (request.path == "/stream") responder->start_stream({});
      if (request.path == "/socket") responder->start_stream(socket_start(request));
      held.push_back(std::move(responder));
    }
  }
  std::shared_ptr<Responder> wait_held(std::size_t index) {
    for (int i = 0; i < 2000; ++i) {
      {
        const std::lock_guard lock(mutex);
        if (held.size() > index) return held[index];
      }
      std::this_thread::sleep_for(5ms);
    }
    return nullptr;
  }
  std::uint16_t port() const { return server->port(); }

  std::unique_ptr<Server> server;
  std::mutex mutex;
  std::vector<std::shared_ptr<Responder>> held;
  std::vector<std::jthread> counters;
  std::atomic<bool> is_over{false};
  std::jthread thread;
};

template <typename Condition>
bool eventually(Condition condition) {
  for (int i = 0; i < 2000 && !condition(); ++i) std::this_thread::sleep_for(5ms);
  return condition();
}

std::string get(std::string_view path, std::string_view headers = "") {
  return fmt::format("GET {} HTTP/1.1\r\nHost: localhost\r\n{}\r\n", path, headers);
}
std::string post(std::string_view path, std::string_view body) {
  return fmt::format("POST {} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n{}", path,
                     body.size(), body);
}

}  // namespace

TEST_CASE("requests, one after another and pipelined") {
  Running running;
  TestClient client(running.port());
  REQUIRE(client.is_connected());
  for (int i = 0; i < 3; ++i) {
    client.send(post("/echo", "hello"));
    const auto answer = client.read_answer();
    CHECK(answer.status == 200);
    CHECK(answer.body == "hello");
  }
  std::string pile;
  for (int i = 0; i < 500; ++i) pile += post("/echo", fmt::format("body {}", i));
  client.send(pile);
  for (int i = 0; i < 500; ++i) CHECK(client.read_answer().body == fmt::format("body {}", i));
  CHECK(running.server->stats().requests_total == 503);
  CHECK(running.server->stats().connections_open == 1);
  CHECK(running.server->url() == fmt::format("http://127.0.0.1:{}", running.port()));
}

TEST_CASE("large answers arrive whole") {
  Running running;
  TestClient client(running.port());
  client.send(get("/big"));
  CHECK(client.read_answer().body == std::string(8u << 20, 'b'));
  client.send(post("/echo", std::string(3u << 20, 'c')));
  CHECK(client.read_answer().body == std::string(3u << 20, 'c'));
}

TEST_CASE("a stream written from another thread arrives in order") {
  Running running;
  TestClient client(running.port());
  client.send(get("/count"));
  std::string want;
  for (int i = 0; i < 100; ++i) want += fmt::format("data: {}\n\n", i);
  CHECK(client.read_answer().body == want);
}

TEST_CASE("heartbeats keep a silent stream alive") {
  ServerOptions options;
  options.heartbeat = 250ms;
  Running running(options);
  TestClient client(running.port());
  client.send(get("/stream"));
  const std::string text = client.read_until(": ping\n\n\r\n");
  CHECK(text.find("200 OK") != std::string::npos);
  CHECK(text.ends_with(": ping\n\n\r\n"));
}

TEST_CASE("whoever leaves stops the work") {
  Running running;
  for (const bool is_reset : {false, true}) {
    CAPTURE(is_reset);
    const std::size_t index = running.held.size();
    TestClient client(running.port());
    client.send(get("/stream"));
    client.read_until("\r\n\r\n");
    const auto responder = running.wait_held(index);
    REQUIRE(responder);
    CHECK(!responder->stop().stop_requested());
    if (is_reset)
      client.reset();
    else
      client.close();
    CHECK(eventually([&] { return responder->stop().stop_requested(); }));
    responder->finish();
  }
  CHECK(eventually([&] { return running.server->stats().connections_open == 0; }));
  CHECK(running.server->stats().requests_open == 0);
}

TEST_CASE("a client that stops sending still gets its answer") {
  Running running;
  TestClient client(running.port());
  client.send(post("/echo", "half"));
  client.finish_sending();
  CHECK(client.read_until("").ends_with("half"));
}

TEST_CASE("a reader that does not read is dropped; the writer is never blocked") {
  Running running;
  TestClient client(running.port(), 4096);
  client.send(get("/stream"));
  const auto responder = running.wait_held(0);
  REQUIRE(responder);
  const std::string event(64u << 10, 'x');
  int written = 0;
  for (; responder->is_open() && written < 1000; ++written) responder->write(event);
  CHECK(written < 1000);
  CHECK(responder->stop().stop_requested());
  CHECK(eventually([&] { return running.server->stats().connections_open == 0; }));
}

TEST_CASE("a WebSocket's client that does not read is told so; the others go on") {
  Running running;
  const std::string ask = get("/socket",
                              "Connection: Upgrade\r\nUpgrade: websocket\r\n"
                              "Sec-WebSocket-Version: 13\r\n"
                              "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n");
  TestClient slow(running.port(), 4096), healthy(running.port());
  slow.send(ask);
  REQUIRE(running.wait_held(0));
  healthy.send(ask);
  REQUIRE(running.wait_held(1));
  const std::string text(64u << 10, 'x');
  int written = 0;
  for (; running.held[0]->is_open() && written < 1000; ++written) running.held[0]->write(text);
  CHECK(written < 1000);
  running.held[1]->write("hello");
  CHECK(healthy.read_until("hello").ends_with("\x81\x05hello"));
  running.held[1]->finish();
  CHECK(healthy.read_until("").ends_with(std::string("\x88\x02\x03\xe8", 4)));
  // Whole frames, then the reason.
  CHECK(slow.read_until("").ends_with("\x03\xf5the client reads too slowly"));
  CHECK(eventually([&] { return running.server->stats().connections_open == 0; }));
}

TEST_CASE("malformed bytes are answered and the connection closes, with the answer readable") {
  Running running;
  TestClient client(running.port());
  client.send("NONSENSE\r\n\r\n" + std::string(100000, 'x'));
  const std::string text = client.read_until("");
  CHECK(text.starts_with("HTTP/1.1 400 "));
  TestClient healthy(running.port());
  healthy.send(post("/echo", "ok"));
  CHECK(healthy.read_answer().body == "ok");
}

TEST_CASE("connections have a limit, and the next one is told") {
  ServerOptions options;
  options.max_connections = 3;
  Running running(options);
  std::vector<TestClient> clients;
  for (int i = 0; i < 3; ++i) {
    clients.emplace_back(running.port());
    clients.back().send(post("/echo", "in"));
    CHECK(clients.back().read_answer().body == "in");
  }
  TestClient extra(running.port());
  extra.send(post("/echo", "out"));
  const auto answer = extra.read_answer();
  CHECK(answer.status == 503);
  CHECK(answer.head.find("Retry-After: ") != std::string::npos);
  clients.pop_back();
  extra.close();
  CHECK(eventually([&] { return running.server->stats().connections_open == 2; }));
  TestClient again(running.port());
  again.send(post("/echo", "in"));
  CHECK(again.read_answer().body == "in");
}

TEST_CASE("without descriptors left, nobody spins, and service goes on afterwards") {
  Running running;
  // Sockets that exist before there are none left, and connect afterwards.
  std::vector<int> sockets;
  for (int i = 0; i < 20; ++i) sockets.push_back(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  rlimit before{};
  REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
  rlimit tight = before;
  tight.rlim_cur = static_cast<rlim_t>(sockets.back()) + 3;
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &tight) == 0);
  sockaddr_in place{};
  place.sin_family = AF_INET;
  place.sin_port = htons(running.port());
  place.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  for (const int socket : sockets)
    ::connect(socket, reinterpret_cast<sockaddr*>(&place), sizeof place);
  const std::clock_t begin = std::clock();
  std::this_thread::sleep_for(400ms);
  const double cpu_seconds = static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC;
  CHECK(cpu_seconds < 0.2);
  CHECK(running.server->stats().connections_refused > 0);
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &before) == 0);
  for (const int socket : sockets) ::close(socket);
  TestClient client(running.port());
  client.send(post("/echo", "back"));
  CHECK(client.read_answer().body == "back");
}

TEST_CASE("a graceful stop: no new clients, answers finish, run() returns") {
  Running running;
  TestClient idle(running.port()), busy(running.port());
  idle.send(post("/echo", "x"));
  idle.read_answer();
  busy.send(get("/stream"));
  const auto responder = running.wait_held(0);
  REQUIRE(responder);
  running.server->stop();
  idle.read_until("");
  CHECK(idle.is_closed());
  CHECK(eventually([&] { return !TestClient(running.port()).is_connected(); }));
  CHECK(!responder->stop().stop_requested());
  responder->write("data: last\n\n");
  responder->finish();
  CHECK(busy.read_until("0\r\n\r\n").find("data: last") != std::string::npos);
  busy.close();
  CHECK(eventually([&] { return running.is_over.load(); }));
}

TEST_CASE("a stop whose patience ends fires the stop tokens and lets last words out") {
  ServerOptions options;
  options.drain = 100ms;
  Running running(options);
  TestClient busy(running.port());
  busy.send(get("/stream"));
  const auto responder = running.wait_held(0);
  REQUIRE(responder);
  running.server->stop();
  CHECK(eventually([&] { return responder->stop().stop_requested(); }));
  CHECK(responder->is_open());
  responder->write("data: stopping\n\n");
  CHECK(busy.read_until("data: stopping\n\n").ends_with("data: stopping\n\n"));
  CHECK(eventually([&] { return running.is_over.load(); }));
}

TEST_CASE("SIGTERM stops the server") {
  ServerOptions options;
  options.stop_on_signals = true;
  Running running(options);
  std::raise(SIGTERM);
  CHECK(eventually([&] { return running.is_over.load(); }));
}

TEST_CASE("what cannot be listened on is an error that names it") {
  Running running;
  ServerOptions options;
  options.port = running.port();
  const auto taken = Server::create(options, {});
  REQUIRE(!taken);
  CHECK(taken.error().kind() == ErrorKind::io);
  CHECK(taken.error().message().find(fmt::format(":{}: ", running.port())) != std::string::npos);
  options.port = 0;
  options.host = "not.an.address";
  const auto named = Server::create(options, {});
  REQUIRE(!named);
  CHECK(named.error().kind() == ErrorKind::invalid);
  options.host = "127.0.0.1";
  options.tls_certificate = "/nonexistent.pem";
  CHECK(!Server::create(options, {}));
  options.tls_key = "/nonexistent.pem";
  const auto certificate = Server::create(options, {});
  REQUIRE(!certificate);
  CHECK(certificate.error().message().find("server.tls_cert") != std::string::npos);
}

namespace {

// A fresh P-256 key and a certificate for it, as two PEM files; true when done.
bool write_certificate(const std::string& certificate_file, const std::string& key_file) {
  EVP_PKEY* key = EVP_EC_gen("P-256");
  X509* certificate = X509_new();
  ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
  X509_gmtime_adj(X509_getm_notBefore(certificate), 0);
  X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
  X509_set_pubkey(certificate, key);
  X509_sign(certificate, key, EVP_sha256());
  std::FILE* file = std::fopen(certificate_file.c_str(), "w");
  const bool first = file && PEM_write_X509(file, certificate);
  if (file) std::fclose(file);
  file = std::fopen(key_file.c_str(), "w");
  const bool second =
      file && PEM_write_PrivateKey(file, key, nullptr, nullptr, 0, nullptr, nullptr);
  if (file) std::fclose(file);
  X509_free(certificate);
  EVP_PKEY_free(key);
  return first && second;
}

}  // namespace

TEST_CASE("the same over TLS") {
  char folder[] = "/tmp/hearth-tls-XXXXXX";
  REQUIRE(mkdtemp(folder));
  ServerOptions options;
  options.tls_certificate = std::string(folder) + "/cert.pem";
  options.tls_key = std::string(folder) + "/key.pem";
  REQUIRE(write_certificate(options.tls_certificate, options.tls_key));
  {
    Running running(options);
    CHECK(running.server->url().starts_with("https://"));
    for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
      TestClient client(running.port());
      SSL_CTX* context = SSL_CTX_new(TLS_client_method());
      SSL_CTX_set_max_proto_version(context, version);
      SSL* ssl = SSL_new(context);
      SSL_set_fd(ssl, client.socket());
      REQUIRE(SSL_connect(ssl) == 1);
      const std::string body(1u << 20, 't');
      const std::string text = post("/echo", body);
      std::size_t sent = 0;
      CHECK(SSL_write_ex(ssl, text.data(), text.size(), &sent) == 1);
      std::string got;
      const auto is_whole = [&] {
        const std::size_t head = got.find("\r\n\r\n");
        return head != std::string::npos && got.size() >= head + 4 + body.size();
      };
      while (!is_whole()) {
        char buffer[4096];
        const int n = SSL_read(ssl, buffer, sizeof buffer);
        if (n <= 0) break;
        got.append(buffer, static_cast<std::size_t>(n));
      }
      CHECK(got.starts_with("HTTP/1.1 200 OK"));
      CHECK(got.ends_with(body));
      SSL_free(ssl);
      SSL_CTX_free(context);
    }
    TestClient old(running.port());  // TLS 1.1
    SSL_CTX* context = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_security_level(context, 0);
    SSL_CTX_set_min_proto_version(context, TLS1_1_VERSION);
    SSL_CTX_set_max_proto_version(context, TLS1_1_VERSION);
    SSL* ssl = SSL_new(context);
    SSL_set_fd(ssl, old.socket());
    CHECK(SSL_connect(ssl) != 1);
    SSL_free(ssl);
    SSL_CTX_free(context);
    TestClient plain(running.port());
    plain.send(get("/echo"));
    CHECK(plain.read_until("").find("200 OK") == std::string::npos);
  }
  std::remove(options.tls_certificate.c_str());
  std::remove(options.tls_key.c_str());
  ::rmdir(folder);
}
