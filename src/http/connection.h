// Connection: one client's bytes in and out, as a state machine without sockets or clocks.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "http/exchange.h"
#include "http/guard.h"
#include "http/parser.h"
#include "http/server.h"
#include "http/websocket.h"

namespace hearth::http {

// What all connections of one server share; belongs to the loop's thread but for the counters.
struct Shared {
  ServerOptions options;
  Guard guard;
  Handler handler;
  std::shared_ptr<Mailbox> mailbox;
  std::size_t body_bytes_held = 0;  // of requests being read or answered
  bool draining = false;
  std::uint64_t id_seed = 0, ids_made = 0;
  std::atomic<std::uint64_t> requests_total{0}, requests_open{0};
};

struct Peer {
  std::uint64_t connection_id = 0;
  std::string address, local_address;
  bool is_tls = false;
  bool is_loopback = true;
};

class Connection {
 public:
  // `shared` outlives the connection.
  Connection(Shared& shared, Peer peer, Time now);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // ---- What happened. ----
  void receive(std::string_view bytes, Time now);
  void receive_end(Time now);              // the client will send no more
  void sent(std::size_t bytes, Time now);  // that many of output() have left
  void lost();                             // the connection is broken
  void pull(Time now);                     // the exchange has news
  void tick(Time now);                     // time passes: to be called every fraction of a second
  void drain(Time now);                    // no further requests
  void ask_to_stop();                      // the answer should end now
  void turn_away(Time now);                // answer 503 to whatever comes: the server is full

  // ---- What to do. ----
  std::string_view output() const { return std::string_view(out_).substr(out_sent_); }
  bool wants_input() const;
  enum class End {
    open,
    after_output,  // when output() is empty: shut down sending, read on (and discard) until `now`
    now,
  };
  End end() const { return end_; }

 private:
  void advance(Time now);
  bool parse(Time now);
  std::optional<Response> judge();
  void dispatch();
  void refuse(Response response);
  void refuse(int status, std::string_view code, std::string_view message);
  void pull_exchange(Time now);
  void pull_socket(Exchange::Taken taken, Time now);
  void put_out(std::string bytes, Time now);
  void finish_exchange(Time now);
  void release_body();
  void tick_reading(Time now);
  void tick_answering(Time now);
  void tick_socket(Time now);
  std::shared_ptr<Exchange> make_exchange(const Request* request, bool keep_alive, bool is_http10);

  Shared& shared_;
  const Peer peer_;
  std::string in_, out_;
  std::size_t out_sent_ = 0;

  std::unique_ptr<RequestParser> parser_;
  bool is_judged_ = false;
  std::optional<Response> refusal_;  // to be sent when the small body has been read
  std::size_t body_bytes_ = 0;       // this request's share of body_bytes_held

  std::shared_ptr<Exchange> exchange_;
  std::unique_ptr<WebSocket> socket_;  // once the exchange's answer is one
  bool is_finished_ = false, is_stream_ = false, must_close_ = false;

  bool half_closed_ = false;
  std::size_t requests_ = 0, discarded_bytes_ = 0;
  End end_ = End::open;

  std::optional<Time> request_since_;  // first byte of the request being read
  Time idle_since_, body_since_, last_input_, last_output_, end_since_;
  std::optional<Time> stall_since_, drain_since_;
  std::size_t drained_bytes_ = 0;
};

}  // namespace hearth::http
