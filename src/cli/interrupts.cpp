#include "cli/interrupts.h"

#include <pthread.h>

#include <csignal>
#include <cstdlib>
#include <ctime>
#include <thread>

namespace hearth::cli {
namespace {

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
  std::jthread thread;
};

InterruptScope::InterruptScope() : watcher_(new Watcher) {
  watcher_->thread = std::jthread([this](std::stop_token leaving) {
    const sigset_t set = interrupts();
    while (!leaving.stop_requested()) {
      const timespec tick{.tv_sec = 0, .tv_nsec = 50'000'000};
      if (sigtimedwait(&set, nullptr, &tick) < 0) continue;
      if (source_.stop_requested()) std::_Exit(130);  // asked twice: at once
      source_.request_stop();
    }
  });
}

InterruptScope::~InterruptScope() { delete watcher_; }

}  // namespace hearth::cli
