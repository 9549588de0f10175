// What stands on top of Runner's interface.
#include <fmt/core.h>

#include <condition_variable>
#include <deque>
#include <mutex>

#include "runtime/runner.h"

namespace hearth {

std::optional<Overflow> find_overflow(const Runner& runner, const GenerateRequest& request) {
  const auto prompt = static_cast<std::int64_t>(request.prompt.size());
  const std::int64_t context = runner.context_tokens();
  const std::int64_t answer = request.max_tokens == 0 ? 0 : 1;
  if (prompt + answer <= context) return std::nullopt;
  return Overflow{.prompt_tokens = prompt, .context_tokens = context};
}

std::string overflow_message(const Overflow& overflow) {
  return fmt::format("a prompt of {} tokens leaves no room for an answer in a context of {}",
                     overflow.prompt_tokens, overflow.context_tokens);
}

Result<Answer> generate(Runner& runner, GenerateRequest request,
                        const std::function<void(std::string_view)>& on_text) {
  std::mutex mutex;
  std::condition_variable arrival;
  std::deque<Event> events;
  TRY(runner.submit(std::move(request), [&](const Event& event) {
    // Notified under the lock: after the last event the waiter returns and these are gone.
    const std::lock_guard lock(mutex);
    events.push_back(event);
    arrival.notify_one();
  }));
  Answer answer;
  for (;;) {
    std::unique_lock lock(mutex);
    arrival.wait(lock, [&] { return !events.empty(); });
    Event event = std::move(events.front());
    events.pop_front();
    lock.unlock();
    if (event.error) return *std::move(event.error);
    if (event.choice == 0 && !event.is_prompt) {
      if (!event.text.empty() && on_text) on_text(event.text);
      answer.text += event.text;
      for (TokenInfo& token : event.tokens) answer.tokens.push_back(std::move(token));
      if (event.finish) answer.finish = *event.finish;
    }
    if (!event.last) continue;
    answer.usage = event.usage;
    return answer;
  }
}

}  // namespace hearth
