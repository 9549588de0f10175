// Ctrl-C as a stop token: the first one ends the answer, a second within it ends the program.
#pragma once

#include <memory>
#include <stop_token>

namespace hearth::cli {

// Blocks SIGINT in this thread and those it starts afterwards: call first thing in main.
void block_interrupts();
// For a server, which has handlers of its own.
void allow_interrupts();

// While it lives, SIGINT (and SIGTERM) request a stop.  One at a time.
class InterruptScope {
 public:
  InterruptScope();
  ~InterruptScope();
  InterruptScope(const InterruptScope&) = delete;
  InterruptScope& operator=(const InterruptScope&) = delete;

  std::stop_token token() const { return source_.get_token(); }

 private:
  std::stop_source source_;
  struct Watcher;
  std::unique_ptr<Watcher> watcher_;
};

}  // namespace hearth::cli
