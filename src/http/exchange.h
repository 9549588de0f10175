// Responder: how an answer is given.  Exchange: the loop's side of the same thing.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "http/responder.h"

namespace hearth::http {

class Exchange;

// Exchanges with something new for the loop.  Thread-safe.
class Mailbox {
 public:
  // `wake` is called, under no lock of the caller's, when the box stops being empty.
  explicit Mailbox(std::function<void()> wake) : wake_(std::move(wake)) {}
  void post(std::shared_ptr<Exchange> exchange);
  std::vector<std::shared_ptr<Exchange>> take();
  void close();  // later posts are forgotten

 private:
  std::mutex mutex_;
  std::function<void()> wake_;
  std::vector<std::shared_ptr<Exchange>> posted_;
};

// What an Exchange must know of its request.
struct ExchangeFacts {
  std::uint64_t connection_id = 0;
  bool is_http10 = false;
  bool is_head = false;    // answers have no body
  bool keep_alive = true;  // the connection may go on afterwards
  Headers headers;         // on every answer: request id, CORS
};

// Thread-safe.
class Exchange final : public Responder, public std::enable_shared_from_this<Exchange> {
 public:
  Exchange(ExchangeFacts facts, std::shared_ptr<Mailbox> mailbox);

  // A Responder that answers 500, or cuts the stream, if it is let go unfinished.
  static std::shared_ptr<Responder> handle(const std::shared_ptr<Exchange>& exchange);

  void send(Response response) override;
  void start_stream(StreamStart start) override;
  void write(std::string_view event) override;
  void finish() override { finish_because({}); }
  void finish_because(const StreamEnd& why) override;
  bool is_open() const override;
  std::size_t pending_bytes() const override;
  std::stop_token stop() const override { return stop_.get_token(); }

  // ---- For the loop. ----
  struct Taken {
    std::string bytes;
    bool is_finished = false;  // nothing will follow
    bool must_close = false;   // the connection ends after these bytes
    bool must_abort = false;   // the connection ends now
    bool is_stream = false;
    bool is_socket = false;             // after the bytes come frames, of what follows
    std::vector<std::string> messages;  // each whole
    std::optional<StreamEnd> end;       // after the messages
  };
  Taken take(std::size_t unsent_bytes);  // unsent: what the loop still holds of earlier bytes
  void beat();                           // a heartbeat, if this is a stream that wants them
  void disconnect();                     // the client is gone: fires the stop token
  void ask_to_stop();                    // the server is leaving: fires the stop token
  void no_keep_alive();                  // the answer, if not begun, will say Connection: close
  std::uint64_t connection_id() const { return facts_.connection_id; }

 private:
  void abandon();
  void append_head(int status, Headers headers, bool has_length, std::size_t length);
  void append_chunk(std::string_view bytes);
  void append_message(std::string_view text);
  void end_socket(const StreamEnd& why);
  void notify();

  enum class Stage { waiting, streaming, finished };

  const std::shared_ptr<Mailbox> mailbox_;
  std::stop_source stop_;
  mutable std::mutex mutex_;
  ExchangeFacts facts_;
  std::string queued_, heartbeat_;
  std::size_t unsent_ = 0;
  Stage stage_ = Stage::waiting;
  std::vector<std::string> messages_;  // of a WebSocket
  std::size_t message_bytes_ = 0;
  std::optional<StreamEnd> end_;
  bool is_stream_ = false, is_socket_ = false, close_ = false, abort_ = false, gone_ = false,
       posted_ = false;
};

}  // namespace hearth::http
