#include "server/manage/events.h"

#include <algorithm>
#include <chrono>

namespace hearth::server {
namespace {

constexpr std::chrono::seconds tick_every(1);
constexpr std::size_t max_listeners = 256;
// Of one that does not read: it misses events then.
constexpr std::size_t max_pending_bytes = 256 << 10;

}  // namespace

void start_events(http::Responder& responder, EventForm form) {
  http::StreamStart start;
  const bool is_sse = form == EventForm::sse;
  start.headers = {{"Content-Type", is_sse ? "text/event-stream" : "application/x-ndjson"},
                   {"Cache-Control", "no-cache"},
                   {"X-Accel-Buffering", "no"}};
  if (!is_sse) start.heartbeat.clear();
  responder.start_stream(std::move(start));
}

std::string event_text(EventForm form, const Json& event) {
  if (form == EventForm::lines) return write_json(event) + "\n";
  const Json* name = event.find("event");
  std::string text;
  if (name && name->is_string()) text = "event: " + name->as_string() + "\n";
  return text + "data: " + write_json(event) + "\n\n";
}

EventHub::EventHub(std::function<Json()> state_of_system, std::function<bool()> is_stopping)
    : state_of_system_(std::move(state_of_system)), is_stopping_(std::move(is_stopping)) {
  ticker_ = std::jthread([this](std::stop_token leaving) { tick(leaving); });
}

EventHub::~EventHub() {
  ticker_.request_stop();
  ticker_.join();
}

void EventHub::listen(std::vector<Topic> topics, std::shared_ptr<http::Responder> responder,
                      EventForm form, const std::vector<Json>& first) {
  start_events(*responder, form);
  for (const Json& event : first) responder->write(event_text(form, event));
  {
    const std::lock_guard lock(mutex_);
    std::erase_if(listeners_, [](const Listener& one) { return !one.responder->is_open(); });
    if (listeners_.size() >= max_listeners) {
      responder->finish();
      return;
    }
    listeners_.push_back({std::move(topics), std::move(responder), form});
  }
  changed_.notify_all();
}

void EventHub::tell(Topic topic, const Json& event) {
  const std::lock_guard lock(mutex_);  // nothing below blocks
  std::erase_if(listeners_, [](const Listener& one) { return !one.responder->is_open(); });
  for (const Listener& one : listeners_) {
    if (std::ranges::find(one.topics, topic) == one.topics.end()) continue;
    if (one.responder->pending_bytes() > max_pending_bytes) continue;
    one.responder->write(event_text(one.form, event));
  }
}

std::size_t EventHub::listeners() const {
  const std::lock_guard lock(mutex_);
  return listeners_.size();
}

bool EventHub::has_listener(Topic topic) const {
  return std::ranges::any_of(listeners_, [&](const Listener& one) {
    return std::ranges::find(one.topics, topic) != one.topics.end();
  });
}

void EventHub::tick(std::stop_token leaving) {
  auto next = std::chrono::steady_clock::now();
  for (;;) {
    {
      std::unique_lock lock(mutex_);
      if (!changed_.wait(lock, leaving, [&] { return !listeners_.empty(); })) return;
      next = std::max(next + tick_every, std::chrono::steady_clock::now());
      changed_.wait_until(lock, leaving, next, [] { return false; });
      if (leaving.stop_requested()) return;
      if (is_stopping_()) {
        finish_all();
        continue;
      }
      if (!has_listener(Topic::system)) continue;
    }
    tell(Topic::system, state_of_system_());
  }
}

// With the lock held.
void EventHub::finish_all() {
  for (const Listener& one : listeners_) one.responder->finish();
  listeners_.clear();
}

}  // namespace hearth::server
