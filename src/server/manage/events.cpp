#include "server/manage/events.h"

#include <algorithm>
#include <array>
#include <chrono>

#include "http/limits.h"
#include "http/websocket.h"

namespace hearth::server {
namespace {

constexpr std::chrono::seconds tick_every(1);
constexpr std::size_t max_listeners = http::limits::connections;
// Of one that does not read: a stream misses events then, a WebSocket is closed.
constexpr std::size_t max_pending_bytes = 256 << 10;

}  // namespace

void start_events(const http::Request& request, http::Responder& responder, EventForm form) {
  http::StreamStart start;
  if (form == EventForm::socket) {
    start = http::socket_start(request);
  } else {
    const bool is_sse = form == EventForm::sse;
    start.headers = {{"Content-Type", is_sse ? "text/event-stream" : "application/x-ndjson"},
                     {"Cache-Control", "no-cache"},
                     {"X-Accel-Buffering", "no"}};
    if (!is_sse) start.heartbeat.clear();
  }
  responder.start_stream(std::move(start));
}

std::string event_text(EventForm form, const Json& event) {
  if (form == EventForm::socket) return write_json(event);
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

EventHub::~EventHub() { close(); }

void EventHub::close() {
  ticker_.request_stop();
  if (ticker_.joinable()) ticker_.join();
  const std::lock_guard lock(mutex_);
  finish_all();
}

void EventHub::listen(const http::Request& request, std::shared_ptr<http::Responder> responder,
                      Wish wish, const std::function<std::vector<Json>()>& standing) {
  start_events(request, *responder, wish.form);
  const EventForm form = wish.form;
  const std::string model = wish.model;
  {
    const std::lock_guard lock(mutex_);
    std::erase_if(listeners_, [](const Listener& one) { return !one.responder->is_open(); });
    if (listeners_.size() >= max_listeners) {
      responder->finish_because({1013, "too many listen already"});
      return;
    }
    listeners_.push_back({std::move(wish), responder});
  }
  changed_.notify_all();
  // After what happens is told, so that nothing is lost between the two.
  for (const Json& event : standing()) responder->write(event_text(form, event));
}

bool EventHub::concerns(const Json& event, const std::string& model) {
  bool has_name = false;
  for (const char* key : {"name", "model", "reference"})
    if (const Json* value = event.find(key)) {
      has_name = true;
      if (*value == Json(model)) return true;
    }
  return model.empty() || !has_name;
}

void EventHub::tell(Topic topic, const Json& event) {
  std::array<std::string, 3> texts;    // by form
  const std::lock_guard lock(mutex_);  // nothing below blocks
  std::erase_if(listeners_, [&](const Listener& one) {
    if (!one.responder->is_open()) return true;
    if (std::ranges::find(one.wish.topics, topic) == one.wish.topics.end()) return false;
    if (!concerns(event, one.wish.model)) return false;
    if (one.responder->pending_bytes() > max_pending_bytes) {
      if (one.wish.form == EventForm::socket)
        one.responder->finish_because(http::reads_too_slowly());
      return one.wish.form == EventForm::socket;
    }
    std::string& text = texts[static_cast<std::size_t>(one.wish.form)];
    if (text.empty()) text = event_text(one.wish.form, event);
    one.responder->write(text);
    return false;
  });
}

bool EventHub::has_listener(Topic topic) const {
  return std::ranges::any_of(listeners_, [&](const Listener& one) {
    return std::ranges::find(one.wish.topics, topic) != one.wish.topics.end();
  });
}

void EventHub::tick(std::stop_token leaving) {
  auto next = std::chrono::steady_clock::now();
  for (;;) {
    bool is_watched = false;
    {
      std::unique_lock lock(mutex_);
      if (!changed_.wait(lock, leaving, [&] { return !listeners_.empty(); })) return;
      next += tick_every;
      // Nobody listened for a while: who came has been told how things are.
      if (const auto now = std::chrono::steady_clock::now(); next < now) next = now + tick_every;
      changed_.wait_until(lock, leaving, next, [] { return false; });
      if (leaving.stop_requested()) return;
      if (is_stopping_()) {
        finish_all();
        continue;
      }
      is_watched = has_listener(Topic::system);
    }
    show_out();
    if (is_watched) tell(Topic::system, state_of_system_());
  }
}

// Those who may not stay.
void EventHub::show_out() {
  std::vector<Listener> asked;
  {
    const std::lock_guard lock(mutex_);
    for (const Listener& one : listeners_)
      if (one.wish.may_stay) asked.push_back(one);
  }
  for (const Listener& guest : asked) {
    if (guest.wish.may_stay()) continue;
    guest.responder->finish_because({1008, "the API key is not valid any more"});
    const std::lock_guard lock(mutex_);
    std::erase_if(listeners_,
                  [&](const Listener& one) { return one.responder == guest.responder; });
  }
}

// With the lock held.
void EventHub::finish_all() {
  for (const Listener& one : listeners_) one.responder->finish_because({1001, "the server stops"});
  listeners_.clear();
}

}  // namespace hearth::server
