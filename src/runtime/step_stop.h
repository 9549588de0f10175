// StepStop: a stop token for a step that several requests share.
#pragma once

#include <atomic>
#include <functional>
#include <list>
#include <stop_token>

namespace hearth {

// Asks to stop as soon as every request in the step was asked to, or the runner is leaving.
// Add all requests, then arm().  Used by one thread, while others ask to stop.
class StepStop {
 public:
  explicit StepStop(std::stop_token leaving)
      : leaving_(std::move(leaving), Ask{[this] { source_.request_stop(); }}) {}

  void add(const std::stop_token& request) {
    going_on_.fetch_add(1);
    requests_.emplace_back(request, Ask{[this] { one_less(); }});
  }
  void arm() { one_less(); }
  std::stop_token token() const { return source_.get_token(); }

 private:
  using Ask = std::function<void()>;
  void one_less() {
    if (going_on_.fetch_sub(1) == 1) source_.request_stop();
  }

  std::stop_source source_;
  std::atomic<int> going_on_{1};  // requests that go on, and one until arm()
  std::stop_callback<Ask> leaving_;
  std::list<std::stop_callback<Ask>> requests_;
};

}  // namespace hearth
