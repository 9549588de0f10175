#include "http/connection.h"

#include <fmt/core.h>

#include <utility>

namespace hearth::http {
namespace {

constexpr std::size_t kept_buffer_bytes = 1u << 10;  // larger ones are given back when empty

void give_back(std::string& buffer) {
  if (buffer.capacity() > kept_buffer_bytes)
    buffer = std::string();
  else
    buffer.clear();
}

// Scatters a counter over 64 bits.  Source: Steele et al. 2014, "Fast splittable pseudorandom
// number generators", the finaliser of SplitMix64.
std::uint64_t scatter(std::uint64_t x) {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
  return x ^ (x >> 31);
}

std::string next_id(Shared& shared) {
  const std::uint64_t n = ++shared.ids_made;
  return fmt::format("req_{:016x}{:08x}", scatter(shared.id_seed + n), n & 0xffffffff);
}

}  // namespace

Connection::Connection(Shared& shared, Peer peer, Time now)
    : shared_(shared),
      peer_(std::move(peer)),
      idle_since_(now),
      last_input_(now),
      last_output_(now) {}

Connection::~Connection() {
  lost();
  release_body();
}

void Connection::receive(std::string_view bytes, Time now) {
  if (end_ != End::open) {
    discarded_bytes_ += bytes.size();
    if (discarded_bytes_ > limits::linger_bytes) end_ = End::now;
    return;
  }
  if (!exchange_ && !request_since_) request_since_ = now;
  last_input_ = now;
  in_ += bytes;
  advance(now);
}

void Connection::receive_end(Time now) {
  half_closed_ = true;
  if (end_ == End::after_output && output().empty()) end_ = End::now;
  if (end_ != End::open) return;
  if (socket_) {
    lost();  // it went without a word
    return;
  }
  // Most clients that stop sending have left; one that only finished its sending side still gets
  // whatever answer is ready.
  if (exchange_)
    exchange_->ask_to_stop();
  else
    end_ = End::now;
  advance(now);
}

void Connection::lost() {
  end_ = End::now;
  if (exchange_) {
    exchange_->disconnect();
    exchange_.reset();
    --shared_.requests_open;
  }
}

void Connection::sent(std::size_t bytes, Time now) {
  out_sent_ += bytes;
  drained_bytes_ += bytes;
  if (out_sent_ == out_.size()) {
    give_back(out_);
    out_sent_ = 0;
  }
  advance(now);
}

void Connection::pull(Time now) { advance(now); }

bool Connection::wants_input() const {
  if (half_closed_) return false;
  if (end_ != End::open) return true;
  return !exchange_ || in_.size() < limits::pipelined_bytes;
}

void Connection::advance(Time now) {
  while (end_ == End::open) {
    if (exchange_) {
      pull_exchange(now);
      if (end_ != End::open || !is_finished_ || !output().empty()) return;
      finish_exchange(now);
    } else if (in_.empty() || !parse(now)) {
      if (half_closed_ && !exchange_) end_ = End::now;  // the request will never be whole
      return;
    }
  }
}

// False: more bytes are needed.
bool Connection::parse(Time now) {
  if (!request_since_) request_since_ = now;
  if (!parser_) {
    parser_ = std::make_unique<RequestParser>(shared_.options.max_body_bytes);
    is_judged_ = false;
    refusal_.reset();
  }
  const std::size_t taken = parser_->take(in_);
  in_.erase(0, taken);
  if (in_.empty()) give_back(in_);
  const std::size_t held = parser_->request().body.size();
  shared_.body_bytes_held += held - body_bytes_;
  body_bytes_ = held;

  if (const auto& problem = parser_->problem()) {
    refuse(error_response(*problem));
    return true;
  }
  if (parser_->stage() == RequestParser::Stage::head) return false;
  if (!is_judged_) {
    is_judged_ = true;
    body_since_ = now;
    refusal_ = judge();
    const bool is_done = parser_->stage() == RequestParser::Stage::done;
    const bool is_small = !parser_->is_chunked() && !parser_->expects_continue() &&
                          parser_->content_length() <= limits::swallowed_body_bytes;
    if (refusal_ && !is_done && !is_small) {
      refuse(std::move(*refusal_));
      return true;
    }
    if (!is_done && parser_->expects_continue() && in_.empty())
      out_ += "HTTP/1.1 100 Continue\r\n\r\n";
  } else if (!refusal_ && shared_.body_bytes_held > limits::bodies_together_bytes) {
    refuse(error_response({503, "overloaded", "too many large requests at once", "", 1}));
    return true;
  }
  if (parser_->stage() == RequestParser::Stage::done) {
    dispatch();
    return true;
  }
  return taken > 0 && !in_.empty();
}

std::optional<Response> Connection::judge() {
  Request& request = parser_->request();
  request.id = next_id(shared_);
  request.peer = peer_.address;
  request.is_tls = peer_.is_tls;
  request.is_loopback = peer_.is_loopback;
  if (auto answer = shared_.guard.check(request, peer_.local_address)) return answer;
  if (request.method == "TRACE" || request.method == "CONNECT")
    return error_response({405, "method_not_allowed", "this method is not served", "", 0});
  if (parser_->content_length() + shared_.body_bytes_held > limits::bodies_together_bytes)
    return error_response({503, "overloaded", "too many large requests at once", "", 1});
  return shared_.handler.admit ? shared_.handler.admit(request) : std::nullopt;
}

std::shared_ptr<Exchange> Connection::make_exchange(const Request* request, bool keep_alive,
                                                    bool is_http10) {
  ExchangeFacts facts;
  facts.connection_id = peer_.connection_id;
  facts.is_http10 = is_http10;
  facts.keep_alive = keep_alive;
  if (request) {
    facts.is_head = request->method == "HEAD";
    facts.headers = shared_.guard.answer_headers(*request);
  }
  const bool has_id = request && !request->id.empty();
  facts.headers.push_back({"x-request-id", has_id ? request->id : next_id(shared_)});
  ++shared_.requests_total;
  ++shared_.requests_open;
  ++requests_;
  is_finished_ = is_stream_ = must_close_ = false;
  stall_since_.reset();
  drain_since_.reset();
  request_since_.reset();
  return std::make_shared<Exchange>(std::move(facts), shared_.mailbox);
}

void Connection::dispatch() {
  Request request = std::move(parser_->request());
  const bool keep_alive = parser_->wants_keep_alive() && !shared_.draining &&
                          requests_ + 1 < limits::requests_per_connection;
  exchange_ = make_exchange(&request, keep_alive, parser_->is_http10());
  parser_.reset();
  if (refusal_) {
    exchange_->send(std::move(*refusal_));
    refusal_.reset();
  } else {
    shared_.handler.handle(std::move(request), Exchange::handle(exchange_));
  }
}

// Answers before the message has been read to its end; what follows cannot be told apart, so the
// connection ends.
void Connection::refuse(Response response) {
  const bool is_judged = parser_ && is_judged_;
  exchange_ = make_exchange(is_judged ? &parser_->request() : nullptr, false, false);
  parser_.reset();
  refusal_.reset();
  exchange_->send(std::move(response));
}

void Connection::refuse(int status, std::string_view code, std::string_view message) {
  refuse(error_response({status, std::string(code), std::string(message), "", 0}));
}

void Connection::pull_exchange(Time now) {
  Exchange::Taken taken = exchange_->take(output().size());
  is_finished_ = taken.is_finished;
  is_stream_ = taken.is_stream;
  must_close_ = taken.must_close;
  if (taken.must_abort) {
    lost();
    return;
  }
  put_out(std::move(taken.bytes), now);
  if (taken.is_socket) pull_socket(std::move(taken), now);
}

void Connection::pull_socket(Exchange::Taken taken, Time now) {
  if (!socket_) socket_ = std::make_unique<WebSocket>(now);
  std::string frames;
  socket_->receive(in_, now, frames);
  give_back(in_);
  for (const std::string& message : taken.messages) socket_->send(message, frames);
  if (taken.end) socket_->close(*taken.end, frames);
  put_out(std::move(frames), now);
  if (!socket_->is_over()) return;
  is_finished_ = must_close_ = true;
  exchange_->disconnect();
}

void Connection::put_out(std::string bytes, Time now) {
  if (bytes.empty()) return;
  last_output_ = now;
  if (output().empty()) {
    out_ = std::move(bytes);
  } else {
    out_.erase(0, out_sent_);
    out_ += bytes;
  }
  out_sent_ = 0;
}

void Connection::finish_exchange(Time now) {
  exchange_.reset();
  socket_.reset();
  --shared_.requests_open;
  release_body();
  idle_since_ = now;
  drain_since_.reset();
  if (must_close_ || shared_.draining || (half_closed_ && in_.empty())) {
    end_ = half_closed_ ? End::now : End::after_output;
    end_since_ = now;
  }
}

void Connection::release_body() {
  shared_.body_bytes_held -= body_bytes_;
  body_bytes_ = 0;
}

void Connection::drain(Time now) {
  if (end_ != End::open) return;
  if (exchange_) {
    exchange_->no_keep_alive();
    advance(now);
  } else if (!request_since_) {
    end_ = End::now;
  }
}

void Connection::turn_away(Time now) {
  refuse(error_response({503, "overloaded", "too many connections", "", 1}));
  advance(now);
}

void Connection::ask_to_stop() {
  if (socket_ && exchange_) exchange_->finish_because({1001, "the server stops"});
  if (exchange_)
    exchange_->ask_to_stop();
  else
    end_ = End::now;
}

void Connection::tick(Time now) {
  if (end_ == End::after_output && output().empty() && now - end_since_ >= limits::linger)
    end_ = End::now;
  if (end_ != End::open) return;
  if (exchange_)
    tick_answering(now);
  else
    tick_reading(now);
}

void Connection::tick_socket(Time now) {
  if (now - last_input_ >= limits::socket_silence) {
    lost();
    return;
  }
  if (output().size() < limits::stall_bytes)
    stall_since_.reset();
  else if (!stall_since_)
    stall_since_ = now;
  else if (now - *stall_since_ >= limits::stall)
    exchange_->finish_because(reads_too_slowly());
  std::string frames;
  socket_->tick(now, frames);
  put_out(std::move(frames), now);
}

void Connection::tick_reading(Time now) {
  if (!request_since_) {
    const auto patience = requests_ == 0 ? limits::head_deadline : limits::keep_alive_idle;
    if (now - idle_since_ >= patience) end_ = End::now;
    return;
  }
  const bool is_head = !parser_ || parser_->stage() == RequestParser::Stage::head;
  if (is_head) {
    if (now - *request_since_ >= limits::head_deadline)
      refuse(408, "request_timeout", "the request's head took too long");
  } else {
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(now - body_since_);
    const std::size_t due =
        seconds < limits::body_rate_grace
            ? 0
            : static_cast<std::size_t>(seconds.count()) * limits::body_bytes_per_second;
    if (now - last_input_ >= limits::body_idle || body_bytes_ < due)
      refuse(408, "request_timeout", "the request's body came too slowly");
  }
  if (exchange_) advance(now);
}

void Connection::tick_answering(Time now) {
  const std::size_t unsent = output().size();
  if (socket_ && !is_finished_) {
    tick_socket(now);
    return;
  }
  if (is_stream_ && !is_finished_) {
    if (unsent < limits::stall_bytes)
      stall_since_.reset();
    else if (!stall_since_)
      stall_since_ = now;
    else if (now - *stall_since_ >= limits::stall)
      lost();
    if (exchange_ && unsent == 0 && now - last_output_ >= shared_.options.heartbeat) {
      exchange_->beat();
      advance(now);
    }
    return;
  }
  if (unsent == 0) {
    drain_since_.reset();
  } else if (!drain_since_) {
    drain_since_ = now;
    drained_bytes_ = 0;
  } else if (now - *drain_since_ >= limits::stall) {
    const auto due =
        static_cast<std::size_t>(limits::stall.count()) * limits::body_bytes_per_second;
    if (drained_bytes_ < due) lost();
    drain_since_.reset();
  }
}

}  // namespace hearth::http
