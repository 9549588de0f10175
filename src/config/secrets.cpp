#include "config/secrets.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdlib>
#include <optional>
#include <vector>

#include "base/ascii.h"
#include "base/utf8.h"

extern char** environ;

namespace hearth {
namespace {

constexpr std::size_t max_secret_bytes = 64u << 10;
constexpr Milliseconds short_patience(5000);  // where no person is waited for

struct Form {
  std::string_view prefix;
  Result<std::string> (*read)(const std::string& name, Milliseconds patience);
};

class Descriptor {
 public:
  explicit Descriptor(int descriptor) : descriptor_(descriptor) {}
  ~Descriptor() { close(); }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return descriptor_; }
  void close() {
    if (descriptor_ >= 0) ::close(descriptor_);
    descriptor_ = -1;
  }

 private:
  int descriptor_;
};

Result<std::string> not_empty(std::string text, std::string_view where) {
  text = std::string(trimmed(text));
  if (text.empty()) return Error(ErrorKind::not_found, fmt::format("{} is empty", where));
  return text;
}

Result<std::string> read_variable(const std::string& name, Milliseconds) {
  const char* value = std::getenv(name.c_str());
  if (!value)
    return Error(ErrorKind::not_found,
                 fmt::format("the environment has no variable {}", printable(name)));
  return not_empty(value, fmt::format("the variable {}", printable(name)));
}

// All that comes until the end, or nothing when it takes too long or is too much.
bool read_all(int descriptor, std::string& text, std::chrono::steady_clock::time_point deadline) {
  std::array<char, 4096> buffer{};
  for (;;) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
        deadline - std::chrono::steady_clock::now());
    pollfd ready{descriptor, POLLIN, 0};
    if (left.count() <= 0 || ::poll(&ready, 1, static_cast<int>(left.count())) == 0) return false;
    const ssize_t size = ::read(descriptor, buffer.data(), buffer.size());
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return false;
    if (size == 0) return true;
    text.append(buffer.data(), static_cast<std::size_t>(size));
    if (text.size() > max_secret_bytes) return false;
  }
}

// The file that is judged is the one that is read, whoever renames meanwhile.
Result<std::string> read_private_file(const std::string& path, Milliseconds) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  struct stat status{};
  if (file.get() < 0 || ::fstat(file.get(), &status) != 0 || !S_ISREG(status.st_mode))
    return Error(ErrorKind::not_found, fmt::format("{}: cannot be read", printable(path)));
  if (status.st_uid != ::geteuid() && status.st_uid != 0)
    return Error(ErrorKind::invalid, fmt::format("{}: belongs to another user", printable(path)));
  if ((status.st_mode & 077) != 0)
    return Error(ErrorKind::invalid,
                 fmt::format("{}: mode {:04o}: needs 0600, so that nobody else can read it: "
                             "chmod 600 {}",
                             printable(path), status.st_mode & 07777, printable(path)));
  std::string text;
  if (!read_all(file.get(), text, std::chrono::steady_clock::now() + short_patience))
    return Error(ErrorKind::invalid, fmt::format("{}: is too long for a secret", printable(path)));
  return not_empty(std::move(text), printable(path));
}

struct Ended {
  std::optional<int> code;  // nothing: it was stopped, since it took too long
  std::string output, errors;
};

// Nothing: the program cannot be started.
std::optional<Ended> run(const std::vector<const char*>& words, Milliseconds patience) {
  int out_ends[2], error_ends[2];
  if (::pipe2(out_ends, O_CLOEXEC) != 0) return std::nullopt;
  const Descriptor out(out_ends[0]);
  Descriptor writing(out_ends[1]);
  if (::pipe2(error_ends, O_CLOEXEC) != 0) return std::nullopt;
  const Descriptor errors(error_ends[0]);
  Descriptor complaining(error_ends[1]);
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  ::posix_spawn_file_actions_adddup2(&actions, writing.get(), STDOUT_FILENO);
  ::posix_spawn_file_actions_adddup2(&actions, complaining.get(), STDERR_FILENO);
  pid_t child = 0;
  const int failure = ::posix_spawnp(&child, words[0], &actions, nullptr,
                                     const_cast<char* const*>(words.data()), environ);
  ::posix_spawn_file_actions_destroy(&actions);
  writing.close();
  complaining.close();
  if (failure != 0) return std::nullopt;
  Ended ended;
  const auto deadline = std::chrono::steady_clock::now() + patience;
  const bool is_done =
      read_all(out.get(), ended.output, deadline) && read_all(errors.get(), ended.errors, deadline);
  if (!is_done) ::kill(child, SIGKILL);
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (is_done) ended.code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  return ended;
}

// Whether there is an entry that `lookup` could not open.
bool is_locked(const std::string& name) {
  const auto found =
      run({"secret-tool", "search", "service", "hearth", "name", name.c_str(), nullptr},
          short_patience);
  return found && !found->output.empty();
}

Result<std::string> read_keyring(const std::string& name, Milliseconds patience) {
  auto ended =
      run({"secret-tool", "lookup", "service", "hearth", "name", name.c_str(), nullptr}, patience);
  if (!ended || ended->code == 127)
    return Error(ErrorKind::unavailable,
                 "the keyring is asked with `secret-tool`, which is not installed (Debian and "
                 "Ubuntu: libsecret-tools)");
  if (!ended->code)
    return Error(ErrorKind::unavailable,
                 fmt::format("the keyring did not answer within {}: is it locked?",
                             duration_text(patience)));
  if (const std::string_view found = trimmed(ended->output); ended->code == 0 && !found.empty())
    return std::string(found);
  // Who could ask for the password, and cannot, says so; a keyring that is absent as well.
  if (is_locked(name))
    return Error(ErrorKind::unavailable,
                 fmt::format("the keyring that holds '{}' is locked, and nobody could be asked for "
                             "its password: log in to the desktop, or `gnome-keyring-daemon "
                             "--unlock`",
                             printable(name)));
  if (const std::string_view reason = trimmed(ended->errors); !reason.empty())
    return Error(ErrorKind::unavailable,
                 fmt::format("the keyring cannot be reached: {}",
                             printable(reason.substr(0, reason.find('\n')))));
  return Error(ErrorKind::not_found,
               fmt::format("the keyring has no '{}': `secret-tool store --label=Hearth service "
                           "hearth name {}` puts it there",
                           printable(name), printable(name)));
}

constexpr Form forms[] = {
    {"env:", read_variable}, {"file:", read_private_file}, {"keyring:", read_keyring}};

}  // namespace

bool is_secret_reference(std::string_view text) {
  if (text.empty()) return true;
  for (const Form& form : forms)
    if (text.starts_with(form.prefix) && text.size() > form.prefix.size()) return true;
  return false;
}

Result<std::string> read_secret(std::string_view reference, Milliseconds keyring_patience) {
  if (reference.empty()) return std::string();
  for (const Form& form : forms)
    if (reference.starts_with(form.prefix) && reference.size() > form.prefix.size())
      return form.read(std::string(reference.substr(form.prefix.size())), keyring_patience);
  return Error(ErrorKind::invalid, fmt::format("needs {}, never the secret itself", secret_forms));
}

}  // namespace hearth
