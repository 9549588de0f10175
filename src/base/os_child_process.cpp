#include <fcntl.h>
#include <fmt/core.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <optional>
#include <thread>

#include "base/child_process.h"

namespace hearth {
namespace {

constexpr std::size_t read_bytes = 64 << 10;
constexpr auto polite_wait = std::chrono::milliseconds(500), step = std::chrono::milliseconds(10);
constexpr int write_poll_ms = 50;

class Handle {
 public:
  Handle() = default;
  explicit Handle(int value) : value_(value) {}
  Handle(Handle&& other) noexcept : value_(std::exchange(other.value_, -1)) {}
  Handle& operator=(Handle&& other) noexcept {
    close();
    value_ = std::exchange(other.value_, -1);
    return *this;
  }
  ~Handle() { close(); }
  void close() {
    if (value_ >= 0) ::close(value_);
    value_ = -1;
  }
  int value() const { return value_; }
  bool is_open() const { return value_ >= 0; }

 private:
  int value_ = -1;
};

struct Ends {
  Handle ours, theirs;
};

Error os_error(std::string_view what) {
  return Error(ErrorKind::io, fmt::format("{}: {}", what, std::strerror(errno)));
}

Result<Ends> output_pipe() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return os_error("a pipe");
  ::fcntl(ends[0], F_SETFL, O_NONBLOCK);
  return Ends{Handle(ends[0]), Handle(ends[1])};
}

// A socket: to write to one whose other side is gone is an error and no signal.
Result<Ends> input_socket() {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) return os_error("a socket");
  ::fcntl(ends[0], F_SETFL, O_NONBLOCK);
  return Ends{Handle(ends[0]), Handle(ends[1])};
}

std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> list;
  for (std::string& text : texts) list.push_back(text.data());
  list.push_back(nullptr);
  return list;
}

Result<pid_t> spawn(const ChildOptions& options, const std::array<int, 3>& standard) {
  std::vector<std::string> words = options.command, variables;
  for (const auto& [name, value] : options.environment) variables.push_back(name + "=" + value);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  for (int i = 0; i < 3; ++i)
    posix_spawn_file_actions_adddup2(&actions, standard[static_cast<std::size_t>(i)], i);
  if (!options.folder.empty())
    posix_spawn_file_actions_addchdir_np(&actions, options.folder.c_str());
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setflags(&attributes,
                           POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  sigset_t none, all;
  sigemptyset(&none);
  sigfillset(&all);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setsigdefault(&attributes, &all);
  pid_t pid = 0;
  const int failed = ::posix_spawnp(&pid, words.front().c_str(), &actions, &attributes,
                                    pointers(words).data(), pointers(variables).data());
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  if (failed == 0) return pid;
  return Error(failed == ENOENT ? ErrorKind::not_found : ErrorKind::io,
               fmt::format("{}: {}", words.front(), std::strerror(failed)));
}

void limit(pid_t pid, const ChildOptions& options) {
  const auto set = [&](__rlimit_resource what, rlim_t most) {
    const rlimit both{most, most};
    if (most > 0) ::prlimit(pid, what, &both, nullptr);
  };
  set(RLIMIT_AS, options.memory_bytes);
  set(RLIMIT_CPU, options.processor_seconds);
}

// What is there now.  False: the other side has closed.
bool drain(const Handle& handle, std::string& text) {
  std::array<char, read_bytes> buffer;
  const ssize_t got = ::read(handle.value(), buffer.data(), buffer.size());
  if (got > 0) text.append(buffer.data(), static_cast<std::size_t>(got));
  return got > 0 || (got < 0 && (errno == EAGAIN || errno == EINTR));
}

}  // namespace

struct ChildProcess::State {
  pid_t pid = 0;
  Handle input, output, errors;
  std::optional<int> status;  // of its end, as waitpid tells it

  bool ends_before(std::chrono::steady_clock::time_point deadline) {
    for (;;) {
      int now = 0;
      if (!status && ::waitpid(pid, &now, WNOHANG) == pid) status = now;
      if (status || std::chrono::steady_clock::now() >= deadline) return status.has_value();
      std::this_thread::sleep_for(step);
    }
  }
};

ChildProcess::ChildProcess(std::unique_ptr<State> state) : state_(std::move(state)) {}

Result<std::unique_ptr<ChildProcess>> ChildProcess::start(const ChildOptions& options) {
  if (options.command.empty() || options.command.front().empty())
    return Error(ErrorKind::invalid, "no program is named");
  Ends input = TRY(input_socket());
  Ends output = TRY(output_pipe());
  Ends errors = TRY(output_pipe());
  auto state = std::make_unique<State>();
  state->pid =
      TRY(spawn(options, {input.theirs.value(), output.theirs.value(), errors.theirs.value()}));
  limit(state->pid, options);
  state->input = std::move(input.ours);
  state->output = std::move(output.ours);
  state->errors = std::move(errors.ours);
  return std::unique_ptr<ChildProcess>(new ChildProcess(std::move(state)));
}

ChildProcess::~ChildProcess() {
  State& state = *state_;
  state.input.close();
  const auto ends_within = [&](std::chrono::milliseconds patience) {
    return state.ends_before(std::chrono::steady_clock::now() + patience);
  };
  bool ended = ends_within(polite_wait);
  if (!ended) {
    ::kill(-state.pid, SIGTERM);
    ended = ends_within(polite_wait);
  }
  ::kill(-state.pid, SIGKILL);  // also what it left behind
  if (!ended) ::waitpid(state.pid, nullptr, 0);
}

void ChildProcess::close_input() { state_->input.close(); }

bool ChildProcess::succeeded(std::chrono::steady_clock::time_point deadline) {
  return state_->ends_before(deadline) && WIFEXITED(*state_->status) &&
         WEXITSTATUS(*state_->status) == 0;
}

Status ChildProcess::write(std::string_view bytes, std::chrono::steady_clock::time_point deadline,
                           const std::stop_token& stop) {
  while (!bytes.empty()) {
    const ssize_t put =
        ::send(state_->input.value(), bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (put > 0) {
      bytes.remove_prefix(static_cast<std::size_t>(put));
      continue;
    }
    if (put < 0 && errno != EAGAIN && errno != EINTR)
      return Error(ErrorKind::unavailable, "it has ended");
    if (stop.stop_requested()) return Error(ErrorKind::cancelled, "stopped");
    if (std::chrono::steady_clock::now() >= deadline)
      return Error(ErrorKind::unavailable, "it does not read");
    pollfd waiting{state_->input.value(), POLLOUT, 0};
    ::poll(&waiting, 1, write_poll_ms);
  }
  return Done{};
}

ChildProcess::Read ChildProcess::read(std::chrono::milliseconds patience) {
  Read result;
  std::array<pollfd, 2> waiting{
      {{state_->output.value(), POLLIN, 0}, {state_->errors.value(), POLLIN, 0}}};
  ::poll(waiting.data(), waiting.size(), static_cast<int>(patience.count()));
  if (waiting[1].revents && !drain(state_->errors, result.errors)) state_->errors.close();
  if (waiting[0].revents) result.is_over = !drain(state_->output, result.output);
  return result;
}

}  // namespace hearth
