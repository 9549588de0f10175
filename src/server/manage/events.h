// EventHub: who listens to what happens to models, downloads and the machine.
#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/json.h"
#include "http/responder.h"

namespace hearth::server {

// text/event-stream, one JSON object to a line, or one to a message of a WebSocket.  The objects
// are the same.
enum class EventForm { sse, lines, socket };

// Begins a stream of that form as the answer to `request`.
void start_events(const http::Request& request, http::Responder& responder, EventForm form);
std::string event_text(EventForm form, const Json& event);

// Thread-safe.
class EventHub {
 public:
  enum class Topic { models, downloads, system };

  struct Wish {
    std::vector<Topic> topics;
    std::string model = {};  // only what concerns this one, and the machine; empty: everything
    EventForm form = EventForm::sse;
    std::function<bool()> may_stay = {};  // asked once a second; empty: for ever
  };

  // `state_of_system`: asked once a second while somebody listens to it.  `is_stopping`: whoever
  // listens is let go then.
  EventHub(std::function<Json()> state_of_system, std::function<bool()> is_stopping);
  ~EventHub();

  // From now on tells every event of the wish until the client leaves; `standing`, asked once, is
  // how things are.
  void listen(const http::Request& request, std::shared_ptr<http::Responder> responder, Wish wish,
              const std::function<std::vector<Json>()>& standing);
  void tell(Topic topic, const Json& event);
  // Whether an event is about the model, or about none; every event is about "".
  static bool concerns(const Json& event, const std::string& model);
  // Lets everybody go, and asks no more of what it was made with.
  void close();

 private:
  struct Listener {
    Wish wish;
    std::shared_ptr<http::Responder> responder;
  };
  bool has_listener(Topic topic) const;  // with the lock held
  void finish_all();
  void show_out();
  void tick(std::stop_token leaving);

  const std::function<Json()> state_of_system_;
  const std::function<bool()> is_stopping_;
  mutable std::mutex mutex_;  // of what follows
  std::condition_variable_any changed_;
  std::vector<Listener> listeners_;
  std::jthread ticker_;
};

}  // namespace hearth::server
