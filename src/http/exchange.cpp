#include "http/exchange.h"

#include <fmt/core.h>

#include <ctime>

#include "http/limits.h"

namespace hearth::http {

StreamEnd reads_too_slowly() { return {1013, "the client reads too slowly"}; }

void Mailbox::post(std::shared_ptr<Exchange> exchange) {
  const std::lock_guard lock(mutex_);
  if (!wake_) return;
  posted_.push_back(std::move(exchange));
  if (posted_.size() == 1) wake_();
}

std::vector<std::shared_ptr<Exchange>> Mailbox::take() {
  const std::lock_guard lock(mutex_);
  return std::exchange(posted_, {});
}

void Mailbox::close() {
  const std::lock_guard lock(mutex_);
  wake_ = nullptr;
  posted_.clear();
}

Exchange::Exchange(ExchangeFacts facts, std::shared_ptr<Mailbox> mailbox)
    : mailbox_(std::move(mailbox)), facts_(std::move(facts)) {}

std::shared_ptr<Responder> Exchange::handle(const std::shared_ptr<Exchange>& exchange) {
  return {exchange.get(), [exchange](Responder*) { exchange->abandon(); }};
}

void Exchange::append_head(int status, Headers headers, bool has_length, std::size_t length) {
  for (const Header& header : facts_.headers) headers.push_back(header);
  headers.push_back({"Date", http_date(std::time(nullptr))});
  headers.push_back({"Server", "hearth"});
  headers.push_back({"X-Content-Type-Options", "nosniff"});
  if (has_length && status != 204) headers.push_back({"Content-Length", fmt::format("{}", length)});
  const bool is_framed = !has_length && status != 101;
  if (is_framed && !facts_.is_http10) headers.push_back({"Transfer-Encoding", "chunked"});
  if (!facts_.keep_alive && status != 101)
    headers.push_back({"Connection", "close"});
  else if (facts_.is_http10)
    headers.push_back({"Connection", "keep-alive"});
  queued_ += format_head(status, headers);
}

void Exchange::append_chunk(std::string_view bytes) {
  if (facts_.is_head || bytes.empty()) return;
  if (facts_.is_http10) {
    queued_ += bytes;
    return;
  }
  queued_ += fmt::format("{:x}\r\n", bytes.size());
  queued_ += bytes;
  queued_ += "\r\n";
}

void Exchange::send(Response response) {
  {
    const std::lock_guard lock(mutex_);
    if (stage_ != Stage::waiting || gone_) return;
    append_head(response.status, std::move(response.headers), true, response.body.size());
    if (!facts_.is_head) queued_ += response.body;
    close_ = !facts_.keep_alive;
    stage_ = Stage::finished;
  }
  notify();
}

void Exchange::start_stream(StreamStart start) {
  {
    const std::lock_guard lock(mutex_);
    if (stage_ != Stage::waiting || gone_) return;
    // An HTTP/1.0 client knows the end of a stream by the end of the connection.
    if (facts_.is_http10) facts_.keep_alive = false;
    append_head(start.status, std::move(start.headers), false, 0);
    heartbeat_ = std::move(start.heartbeat);
    is_socket_ = start.is_socket;
    stage_ = Stage::streaming;
    is_stream_ = true;
  }
  notify();
}

void Exchange::write(std::string_view event) {
  bool is_dropped = false;
  {
    const std::lock_guard lock(mutex_);
    if (stage_ != Stage::streaming || gone_) return;
    if (is_socket_) {
      append_message(event);
      is_dropped = gone_;
    } else {
      append_chunk(event);
    }
    if (!is_socket_ && queued_.size() + unsent_ > limits::unsent_bytes) {
      is_dropped = abort_ = gone_ = true;
      queued_ = std::string();
    }
  }
  if (is_dropped) stop_.request_stop();
  notify();
}

// With the lock held.  A client that does not keep up is told so, after what it has been sent.
void Exchange::append_message(std::string_view text) {
  message_bytes_ += text.size();
  if (message_bytes_ + unsent_ <= limits::unsent_bytes) {
    messages_.emplace_back(text);
    return;
  }
  messages_.clear();
  message_bytes_ = 0;
  gone_ = true;
  end_socket(reads_too_slowly());
}

// With the lock held.
void Exchange::end_socket(const StreamEnd& why) {
  end_ = why;
  close_ = true;
  stage_ = Stage::finished;
}

void Exchange::finish_because(const StreamEnd& why) {
  {
    const std::lock_guard lock(mutex_);
    if (stage_ != Stage::streaming || gone_) return;
    if (is_socket_) {
      end_socket(why);
    } else {
      if (!facts_.is_http10 && !facts_.is_head) queued_ += "0\r\n\r\n";
      close_ = !facts_.keep_alive;
      stage_ = Stage::finished;
    }
  }
  notify();
}

void Exchange::abandon() {
  bool is_waiting;
  {
    const std::lock_guard lock(mutex_);
    is_waiting = stage_ == Stage::waiting;
    if (stage_ == Stage::streaming && is_socket_) {
      end_socket({1011, "the answer was cut short"});
    } else if (stage_ == Stage::streaming) {
      abort_ = true;
      stage_ = Stage::finished;
    }
  }
  if (is_waiting)
    send(error_response({500, "internal_error", "the request was not answered", "", 0}));
  else
    notify();
}

bool Exchange::is_open() const {
  const std::lock_guard lock(mutex_);
  return !gone_;
}

std::size_t Exchange::pending_bytes() const {
  const std::lock_guard lock(mutex_);
  return queued_.size() + message_bytes_ + unsent_;
}

Exchange::Taken Exchange::take(std::size_t unsent_bytes) {
  const std::lock_guard lock(mutex_);
  Taken taken{std::exchange(queued_, {}),
              stage_ == Stage::finished,
              close_,
              abort_,
              is_stream_,
              is_socket_,
              std::exchange(messages_, {}),
              end_};
  unsent_ = unsent_bytes + taken.bytes.size() + std::exchange(message_bytes_, 0);
  posted_ = false;
  return taken;
}

void Exchange::beat() {
  const std::lock_guard lock(mutex_);
  if (stage_ == Stage::streaming && !gone_) append_chunk(heartbeat_);
}

void Exchange::disconnect() {
  {
    const std::lock_guard lock(mutex_);
    gone_ = true;
    queued_ = std::string();
    messages_.clear();
    message_bytes_ = 0;
  }
  stop_.request_stop();
}

void Exchange::ask_to_stop() { stop_.request_stop(); }

void Exchange::no_keep_alive() {
  const std::lock_guard lock(mutex_);
  facts_.keep_alive = false;
  if (stage_ == Stage::finished) close_ = true;
}

void Exchange::notify() {
  {
    const std::lock_guard lock(mutex_);
    if (posted_) return;
    posted_ = true;
  }
  mailbox_->post(shared_from_this());
}

}  // namespace hearth::http
