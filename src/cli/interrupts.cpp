#include "cli/interrupts.h"

#include <pthread.h>

#include <csignal>
#include <cstdlib>
#include <ctime>
#include <thread>

namespace hearth::cli {
namespace {

constexpr int wake_signal = SIGUSR2;  // sent to the watcher alone, to end it

sigset_t interrupts() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGTERM);
  return set;
}

}  // namespace

void block_interrupts() {
  const sigset_t set = interrupts();
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
}

void allow_interrupts() {
  const sigset_t set = interrupts();
  pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
}

struct InterruptScope::Watcher {
  std::thread thread;
};

InterruptScope::InterruptScope() : watcher_(std::make_unique<Watcher>()) {
  sigset_t wake;
  sigemptyset(&wake);
  sigaddset(&wake, wake_signal);
  pthread_sigmask(SIG_BLOCK, &wake, nullptr);  // the watcher inherits it
  watcher_->thread = std::thread([this] {
    sigset_t set = interrupts();
    sigaddset(&set, wake_signal);
    for (;;) {
      const int signal = sigwaitinfo(&set, nullptr);
      if (signal == wake_signal) return;
      if (signal < 0) continue;
      if (source_.stop_requested()) std::_Exit(130);  // asked twice: at once
      source_.request_stop();
    }
  });
}

InterruptScope::~InterruptScope() {
  pthread_kill(watcher_->thread.native_handle(), wake_signal);
  watcher_->thread.join();
  // A second Ctrl-C pressed as the first took effect is not meant for what comes next.
  const sigset_t set = interrupts();
  constexpr timespec now{};
  if (source_.stop_requested())
    while (sigtimedwait(&set, nullptr, &now) > 0) {
    }
}

}  // namespace hearth::cli
