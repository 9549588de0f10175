// ChildProcess: another program, its input and output ours.
#pragma once

#include <chrono>
#include <memory>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace hearth {

struct ChildOptions {
  std::vector<std::string> command;  // a program, found in PATH, and its arguments; never a shell's
  std::vector<std::pair<std::string, std::string>> environment;  // all that it gets of one
  std::string folder;                                            // it works in; empty: ours
  // From the moment it has started, before it is given any input; 0: no limit of our own.
  std::size_t memory_bytes = 0;    // of addresses
  unsigned processor_seconds = 0;  // then it is ended
};

// write() and read() may be used by one thread each.
class ChildProcess {
 public:
  // In a process group of its own, so that what it starts ends with it.  Errors: not_found, io.
  static Result<std::unique_ptr<ChildProcess>> start(const ChildOptions& options);
  // Closes its input, waits a moment, then ends the whole group.
  ~ChildProcess();
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  // Errors: unavailable (it does not read, or has ended), cancelled.
  Status write(std::string_view bytes, std::chrono::steady_clock::time_point deadline,
               const std::stop_token& stop);

  struct Read {
    std::string output, errors;  // what came, perhaps nothing
    bool is_over = false;        // no more output will come
  };
  Read read(std::chrono::milliseconds patience);

  void close_input();  // nothing more will be written
  // Whether it ended by itself, with 0, before the deadline.
  bool succeeded(std::chrono::steady_clock::time_point deadline);

 private:
  struct State;
  explicit ChildProcess(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace hearth
