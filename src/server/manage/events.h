// EventHub: who listens to what happens to models, downloads and the machine.
#pragma once

#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/json.h"
#include "http/responder.h"

namespace hearth::server {

enum class EventForm { sse, lines };  // text/event-stream, or one JSON object to a line

// Begins a stream of that form.
void start_events(http::Responder& responder, EventForm form);
std::string event_text(EventForm form, const Json& event);

// Thread-safe.
class EventHub {
 public:
  enum class Topic { models, downloads, system };

  // `state_of_system`: asked once a second while somebody listens to it.  `is_stopping`: whoever
  // listens is let go then.
  EventHub(std::function<Json()> state_of_system, std::function<bool()> is_stopping);
  ~EventHub();

  // Gets `first`, then every event of the topics until it leaves.
  void listen(std::vector<Topic> topics, std::shared_ptr<http::Responder> responder, EventForm form,
              const std::vector<Json>& first);
  void tell(Topic topic, const Json& event);
  std::size_t listeners() const;

 private:
  struct Listener {
    std::vector<Topic> topics;
    std::shared_ptr<http::Responder> responder;
    EventForm form;
  };
  bool has_listener(Topic topic) const;  // with the lock held
  void finish_all();
  void tick(std::stop_token leaving);

  const std::function<Json()> state_of_system_;
  const std::function<bool()> is_stopping_;
  mutable std::mutex mutex_;  // of what follows
  std::condition_variable_any changed_;
  std::vector<Listener> listeners_;
  std::jthread ticker_;
};

}  // namespace hearth::server
