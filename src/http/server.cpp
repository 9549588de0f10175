// The thread sanitizer does not understand fences; the loop's mutexes order things as well.
#ifdef __SANITIZE_THREAD__
#define BOOST_ASIO_DISABLE_FENCED_BLOCK
#endif
#include "http/server.h"

#include <fmt/core.h>

#include <atomic>
#include <boost/asio/basic_socket_acceptor.hpp>
#include <boost/asio/basic_stream_socket.hpp>
#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ip/v6_only.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>
#include <csignal>
#include <unordered_map>

#include "base/log.h"
#include "http/connection.h"
#include "http/secrets.h"
#include "http/tls.h"

namespace hearth::http {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using AsioError = boost::system::error_code;
using Executor = asio::io_context::executor_type;
using Socket = asio::basic_stream_socket<tcp, Executor>;
using Acceptor = asio::basic_socket_acceptor<tcp, Executor>;
using Clock = std::chrono::steady_clock;
using Timer = asio::basic_waitable_timer<Clock, asio::wait_traits<Clock>, Executor>;
using Signals = asio::basic_signal_set<Executor>;

constexpr std::chrono::milliseconds tick_interval{250};
constexpr std::chrono::milliseconds accept_pause{100};  // when there are no descriptors left
constexpr std::size_t scratch_bytes = 64u << 10;
constexpr int send_buffer_bytes = 256 << 10;  // what a slow reader may cost the kernel
constexpr int reads_per_turn = 4, accepts_per_turn = 64;
constexpr std::size_t turned_away_at_once = 64;  // connections that are only told "full"

// A socket and its Connection.  Belongs to the loop's thread.
struct Link {
  Link(Socket s, std::unique_ptr<TlsSession> t, Shared& shared, Peer peer, Time now)
      : socket(std::move(s)),
        tls(std::move(t)),
        id(peer.connection_id),
        address(peer.address),
        connection(shared, std::move(peer), now) {}

  Socket socket;
  std::unique_ptr<TlsSession> tls;
  const std::uint64_t id;
  const std::string address;
  Connection connection;
  std::string cipher;  // TLS only: encrypted, not yet sent
  std::size_t cipher_sent = 0;
  bool is_reading = false, is_writing = false, is_shut = false;
};

// An IPv4 address that came in on an IPv6 socket is shown as what it is.
asio::ip::address plain_address(const asio::ip::address& address) {
  if (address.is_v6() && address.to_v6().is_v4_mapped())
    return asio::ip::make_address_v4(asio::ip::v4_mapped, address.to_v6());
  return address;
}

Error listen_error(const tcp::endpoint& place, const AsioError& error) {
  const std::string address = place.address().is_v6()
                                  ? fmt::format("[{}]", place.address().to_string())
                                  : place.address().to_string();
  return Error(ErrorKind::io, fmt::format("{}:{}: {}", address, place.port(), error.message()));
}

}  // namespace

struct Server::State {
  explicit State(const ServerOptions& options) : ticker(io), pause(io), signals(io), reserve(io) {
    shared.options = options;
    shared.id_seed = random_u64();
    shared.mailbox =
        std::make_shared<Mailbox>([this] { asio::post(io, [this] { read_mailbox(); }); });
  }
  ~State() { shared.mailbox->close(); }

  Result<std::uint16_t> listen(const tcp::endpoint& place);
  void accept_next(Acceptor& acceptor);
  void accept_ready(Acceptor& acceptor);
  void add(Socket socket);
  void read_next(const std::shared_ptr<Link>& link);
  void read_ready(const std::shared_ptr<Link>& link);
  void write_next(const std::shared_ptr<Link>& link);
  void pump(const std::shared_ptr<Link>& link);
  bool write_some(Link& link);
  bool encrypt(Link& link);
  void close(Link& link);
  void read_mailbox();
  void tick_next();
  void tick();
  void signal_next();
  void on_stop();
  void ask_all_to_stop(Time until);
  std::vector<std::shared_ptr<Link>> all_links() const;

  // The loop is destroyed first: what it still holds refers to what comes before it.
  Shared shared;
  std::unique_ptr<TlsContext> tls;
  std::string url_host;
  std::uint16_t port = 0;
  std::atomic<int> stops_asked{0};
  std::atomic<std::uint64_t> open{0}, total{0}, refused{0}, bytes_in{0}, bytes_out{0};
  std::uint64_t last_id = 0;
  std::optional<Time> drain_until, close_at;
  std::vector<char> scratch = std::vector<char>(scratch_bytes);
  std::string plain;
  std::unordered_map<std::string, std::size_t> per_address;  // of clients that are not loopback

  asio::io_context io{1};
  Timer ticker, pause;
  Signals signals;
  Socket reserve;  // a descriptor kept for the moment when there are none: see accept_ready
  std::vector<Acceptor> acceptors;
  std::unordered_map<std::uint64_t, std::shared_ptr<Link>> links;
};

Result<std::uint16_t> Server::State::listen(const tcp::endpoint& place) {
  AsioError error;
  Acceptor acceptor(io);
  if (acceptor.open(place.protocol(), error)) return listen_error(place, error);
  acceptor.set_option(asio::socket_base::reuse_address(true), error);
  if (place.address().is_v6())
    acceptor.set_option(asio::ip::v6_only(!place.address().is_unspecified()), error);
  acceptor.set_option(asio::socket_base::send_buffer_size(send_buffer_bytes), error);
  if (acceptor.bind(place, error)) return listen_error(place, error);
  if (acceptor.listen(asio::socket_base::max_listen_connections, error))
    return listen_error(place, error);
  acceptor.non_blocking(true, error);
  const std::uint16_t bound = acceptor.local_endpoint(error).port();
  acceptors.push_back(std::move(acceptor));
  return bound;
}

void Server::State::accept_next(Acceptor& acceptor) {
  acceptor.async_wait(asio::socket_base::wait_read, [this, &acceptor](const AsioError& error) {
    if (!error) accept_ready(acceptor);
  });
}

void Server::State::accept_ready(Acceptor& acceptor) {
  for (int i = 0; i < accepts_per_turn; ++i) {
    AsioError error;
    Socket socket(io);
    acceptor.accept(socket, error);
    if (error == asio::error::would_block || error == asio::error::try_again) break;
    if (error == asio::error::no_descriptors || error.value() == ENFILE) {
      // Without a descriptor the client can be neither served nor refused, and would wake the loop
      // for ever: the reserve is given up for a moment to take it and hang up.
      reserve.close(error);
      acceptor.accept(socket, error);
      socket.close(error);
      reserve.open(tcp::v4(), error);
      ++refused;
      pause.expires_after(accept_pause);
      pause.async_wait([this, &acceptor](const AsioError& stopped) {
        if (!stopped) accept_next(acceptor);
      });
      return;
    }
    if (!error) add(std::move(socket));
  }
  accept_next(acceptor);
}

void Server::State::add(Socket socket) {
  AsioError error;
  const auto remote = socket.remote_endpoint(error);
  if (error) return;  // gone already
  const auto local = socket.local_endpoint(error);
  if (error) return;
  socket.non_blocking(true, error);
  socket.set_option(tcp::no_delay(true), error);
  socket.set_option(asio::socket_base::keep_alive(true), error);
  const auto address = plain_address(remote.address());
  Peer peer{++last_id, address.to_string(), plain_address(local.address()).to_string(),
            tls != nullptr, address.is_loopback()};
  ++total;
  const bool is_full = links.size() >= shared.options.max_connections;
  if (links.size() >= shared.options.max_connections + turned_away_at_once) {
    ++refused;
    return;
  }
  if (!peer.is_loopback) {
    std::size_t& count = per_address[peer.address];
    if (count >= limits::connections_per_address) {
      ++refused;
      return;
    }
    ++count;
  }
  const Time now = Clock::now();
  auto link = std::make_shared<Link>(std::move(socket), tls ? tls->open() : nullptr, shared,
                                     std::move(peer), now);
  links.emplace(link->id, link);
  open = links.size();
  if (is_full) {
    ++refused;
    link->connection.turn_away(now);
  }
  pump(link);
}

void Server::State::read_next(const std::shared_ptr<Link>& link) {
  link->is_reading = true;
  link->socket.async_wait(asio::socket_base::wait_read, [this, link](const AsioError& error) {
    link->is_reading = false;
    if (!error) read_ready(link);
  });
}

void Server::State::read_ready(const std::shared_ptr<Link>& link) {
  const Time now = Clock::now();
  for (int i = 0; i < reads_per_turn; ++i) {
    AsioError error;
    const std::size_t got = link->socket.read_some(asio::buffer(scratch), error);
    if (error == asio::error::would_block || error == asio::error::try_again) break;
    if (error == asio::error::eof) {
      link->connection.receive_end(now);
      break;
    }
    if (error) {
      link->connection.lost();
      break;
    }
    bytes_in += got;
    const std::string_view bytes(scratch.data(), got);
    if (link->tls) {
      plain.clear();
      const bool goes_on = link->tls->receive(bytes, plain);
      if (!plain.empty()) link->connection.receive(plain, now);
      if (!goes_on) link->connection.receive_end(now);
    } else {
      link->connection.receive(bytes, now);
    }
    if (got < scratch.size() || !link->connection.wants_input()) break;
  }
  pump(link);
}

void Server::State::write_next(const std::shared_ptr<Link>& link) {
  if (link->is_writing) return;
  link->is_writing = true;
  link->socket.async_wait(asio::socket_base::wait_write, [this, link](const AsioError& error) {
    link->is_writing = false;
    if (!error) pump(link);
  });
}

// Encrypts the next record's worth.  False: there is nothing to send.
bool Server::State::encrypt(Link& link) {
  if (link.cipher_sent < link.cipher.size()) return true;
  link.cipher.clear();
  link.cipher_sent = 0;
  link.tls->take_output(link.cipher);
  if (link.cipher.empty()) {
    const std::size_t put = link.tls->send(link.connection.output());
    link.tls->take_output(link.cipher);
    if (put > 0) link.connection.sent(put, Clock::now());
  }
  if (link.cipher.empty()) link.cipher.shrink_to_fit();
  return !link.cipher.empty();
}

// False: the network takes no more now, or there is nothing to send.
bool Server::State::write_some(Link& link) {
  std::string_view data;
  if (link.tls) {
    if (!encrypt(link)) return false;
    data = std::string_view(link.cipher).substr(link.cipher_sent);
  } else {
    data = link.connection.output();
  }
  if (data.empty()) return false;
  AsioError error;
  const std::size_t put = link.socket.write_some(asio::buffer(data.data(), data.size()), error);
  if (error == asio::error::would_block || error == asio::error::try_again) return false;
  if (error) {
    link.connection.lost();
    return true;
  }
  bytes_out += put;
  if (link.tls)
    link.cipher_sent += put;
  else
    link.connection.sent(put, Clock::now());
  return true;
}

void Server::State::pump(const std::shared_ptr<Link>& link) {
  if (!link->socket.is_open()) return;
  while (link->connection.end() != Connection::End::now && write_some(*link)) {
  }
  if (link->connection.end() == Connection::End::now) {
    close(*link);
    return;
  }
  const bool has_output =
      link->cipher_sent < link->cipher.size() || !link->connection.output().empty();
  // Before the handshake is done, output waits for the client, not for the network.
  if (has_output && !(link->tls && link->cipher_sent == link->cipher.size())) write_next(link);
  if (!has_output && link->connection.end() == Connection::End::after_output && !link->is_shut) {
    link->is_shut = true;
    AsioError error;
    if (link->tls) {
      link->tls->send_close();
      while (encrypt(*link) && write_some(*link)) {
      }
    }
    link->socket.shutdown(asio::socket_base::shutdown_send, error);
  }
  if (link->connection.wants_input() && !link->is_reading) read_next(link);
}

void Server::State::close(Link& link) {
  AsioError error;
  link.connection.lost();
  link.socket.close(error);
  if (const auto count = per_address.find(link.address); count != per_address.end())
    if (--count->second == 0) per_address.erase(count);
  links.erase(link.id);
  open = links.size();
  if (shared.draining && links.empty()) io.stop();
}

void Server::State::read_mailbox() {
  const Time now = Clock::now();
  for (const auto& exchange : shared.mailbox->take()) {
    const auto found = links.find(exchange->connection_id());
    if (found == links.end()) continue;
    const std::shared_ptr<Link> link = found->second;
    link->connection.pull(now);
    pump(link);
  }
}

std::vector<std::shared_ptr<Link>> Server::State::all_links() const {
  std::vector<std::shared_ptr<Link>> all;
  all.reserve(links.size());
  for (const auto& [id, link] : links) all.push_back(link);
  return all;
}

void Server::State::tick_next() {
  ticker.expires_after(tick_interval);
  ticker.async_wait([this](const AsioError& error) {
    if (error) return;
    tick();
    tick_next();
  });
}

void Server::State::tick() {
  const Time now = Clock::now();
  if (close_at && now >= *close_at) {
    for (const auto& link : all_links()) close(*link);
    return;
  }
  if (drain_until && !close_at && now >= *drain_until) ask_all_to_stop(now + limits::last_words);
  for (const auto& link : all_links()) {
    link->connection.tick(now);
    if (!link->connection.output().empty() || link->connection.end() != Connection::End::open)
      pump(link);
  }
}

void Server::State::signal_next() {
  signals.async_wait([this](const AsioError& error, int) {
    if (error) return;
    ++stops_asked;
    on_stop();
    signal_next();
  });
}

void Server::State::ask_all_to_stop(Time until) {
  close_at = until;
  for (const auto& link : all_links()) {
    link->connection.ask_to_stop();
    pump(link);
  }
}

void Server::State::on_stop() {
  const Time now = Clock::now();
  if (shared.draining) {
    ask_all_to_stop(now + tick_interval);
    return;
  }
  shared.draining = true;
  drain_until = now + shared.options.drain;
  AsioError error;
  for (Acceptor& acceptor : acceptors) acceptor.close(error);
  pause.cancel();
  for (const auto& link : all_links()) {
    link->connection.drain(now);
    pump(link);
  }
  if (links.empty()) io.stop();
}

Server::Server(std::shared_ptr<State> state) : state_(std::move(state)) {}
Server::~Server() = default;

Result<std::unique_ptr<Server>> Server::create(const ServerOptions& options, Handler handler) {
  const bool is_local = options.host == "localhost" || options.host == "127.0.0.1";
  AsioError error;
  const auto address = asio::ip::make_address(is_local ? "127.0.0.1" : options.host, error);
  if (error)
    return Error(ErrorKind::invalid,
                 fmt::format("server.host = '{}': needs an IP address or localhost", options.host));
  auto state = std::make_shared<State>(options);
  state->shared.guard = TRY(Guard::create(options.allowed_hosts, options.allowed_origins));
  state->shared.guard.set_landing_path(options.landing_path);
  state->shared.handler = std::move(handler);
  if (options.tls_certificate.empty() != options.tls_key.empty())
    return Error(ErrorKind::invalid, "server.tls_cert and server.tls_key: need each other");
  if (!options.tls_certificate.empty())
    state->tls = TRY(TlsContext::load(options.tls_certificate, options.tls_key));
  state->acceptors.reserve(2);  // handlers hold references to them
  state->port = TRY(state->listen({address, options.port}));
  if (is_local) {
    const auto twin = state->listen({asio::ip::address_v6::loopback(), state->port});
    if (!twin) log_warning("listen skipped=\"{}\"", twin.error().message());
  }
  state->url_host = address.is_v6() ? fmt::format("[{}]", options.host) : options.host;
  state->reserve.open(tcp::v4(), error);
  if (options.stop_on_signals) {
    state->signals.add(SIGINT, error);
    state->signals.add(SIGTERM, error);
    state->signal_next();
  }
  return std::unique_ptr<Server>(new Server(std::move(state)));
}

std::uint16_t Server::port() const { return state_->port; }

std::string Server::url() const {
  return fmt::format("{}://{}:{}", state_->tls ? "https" : "http", state_->url_host, state_->port);
}

void Server::run() {
  for (Acceptor& acceptor : state_->acceptors) state_->accept_next(acceptor);
  state_->tick_next();
  state_->io.run();
  for (const auto& link : state_->all_links()) state_->close(*link);
}

void Server::stop() {
  ++state_->stops_asked;
  asio::post(state_->io, [state = state_.get()] { state->on_stop(); });
}

bool Server::is_stopping() const { return state_->stops_asked > 0; }

ServerStats Server::stats() const {
  ServerStats stats;
  stats.connections_open = state_->open;
  stats.connections_total = state_->total;
  stats.connections_refused = state_->refused;
  stats.requests_total = state_->shared.requests_total;
  stats.requests_open = state_->shared.requests_open;
  stats.bytes_in = state_->bytes_in;
  stats.bytes_out = state_->bytes_out;
  return stats;
}

}  // namespace hearth::http
