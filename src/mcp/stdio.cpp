// A server that is a program of ours: one message a line.  Source: Model Context Protocol, revision
// 2025-11-25, "Transports", stdio.
#include <fmt/core.h>

#include <algorithm>
#include <atomic>
#include <mutex>
#include <thread>

#include "base/child_process.h"
#include "base/guarded.h"
#include "base/utf8.h"
#include "mcp/transport.h"

namespace hearth::mcp {
namespace {

constexpr std::size_t kept_error_bytes = 2 << 10;  // of what it writes to standard error
// Lines that are no messages, as a library's careless print; a flood of them ends the server.
constexpr int max_strange_lines = 100;
// What may come while nothing is asked: a server that talks by itself for ever is ended.
constexpr std::size_t max_unasked_bytes = 32 << 20;
constexpr auto look_every = std::chrono::milliseconds(100);
// What a program gets of our environment: no secrets.
constexpr const char* harmless[] = {"PATH", "HOME",   "USER",     "LOGNAME", "SHELL", "TERM",
                                    "LANG", "LC_ALL", "LC_CTYPE", "TMPDIR",  "TZ"};

class ProgramTransport final : public Transport {
 public:
  ProgramTransport(std::unique_ptr<ChildProcess> child, Hearing hearing)
      : child_(std::move(child)), hearing_(std::move(hearing)) {
    reader_ = std::jthread([this](const std::stop_token& leaving) { listen(leaving); });
  }
  ~ProgramTransport() override {
    reader_.request_stop();
    reader_.join();
  }

  Status send(const std::string& message, bool is_request, const Deadline& deadline) override {
    const std::lock_guard lock(writing_);
    if (is_request) unasked_ = 0;
    auto sent = child_->write(message + "\n", deadline.time, deadline.stop);
    if (!sent.ok() && sent.error().kind() == ErrorKind::unavailable)
      return Error(ErrorKind::unavailable, sent.error().message() + last_words());
    return sent;
  }
  bool has_answered() const override { return false; }

 private:
  void listen(const std::stop_token& leaving) {
    std::string line;
    while (!leaving.stop_requested()) {
      ChildProcess::Read read = child_->read(look_every);
      if (!read.errors.empty()) keep_errors(read.errors);
      unasked_ += read.output.size();
      for (std::string_view rest = read.output; !rest.empty();) {
        const std::size_t end = rest.find('\n');
        line += rest.substr(0, end);
        rest.remove_prefix(end == rest.npos ? rest.size() : end + 1);
        if (line.size() > max_message_bytes)
          return hearing_.end(Error(ErrorKind::exhausted,
                                    fmt::format("a message is over {} bytes", max_message_bytes)));
        if (end == std::string_view::npos) break;
        if (!take(std::exchange(line, {})))
          return hearing_.end(
              Error(ErrorKind::invalid, "it writes what are no messages" + last_words()));
      }
      if (unasked_ > max_unasked_bytes)
        return hearing_.end(Error(ErrorKind::exhausted, "it writes without end"));
      if (read.is_over)
        return hearing_.end(Error(ErrorKind::unavailable, "it has ended" + last_words()));
    }
  }

  // False: too much of what comes is none.
  bool take(const std::string& line) {
    if (line.find_first_not_of(" \t\r") == line.npos) return true;
    auto message = parse_json(line, message_limits);
    if (!message || !message->is_object()) return ++strange_lines_ <= max_strange_lines;
    hearing_.message(std::move(*message));
    return true;
  }

  void keep_errors(const std::string& text) {
    errors_.with([&](std::string& kept) {
      kept += text;
      if (kept.size() > kept_error_bytes) kept.erase(0, kept.size() - kept_error_bytes);
    });
  }
  std::string last_words() const {
    const std::string kept = errors_.with([](const std::string& text) { return text; });
    std::string_view line = kept;
    while (line.ends_with('\n') || line.ends_with('\r')) line.remove_suffix(1);
    line.remove_prefix(line.rfind('\n') + 1);
    return line.empty() ? "" : fmt::format("; it said: {}", printable(line, 200));
  }

  const std::unique_ptr<ChildProcess> child_;
  const Hearing hearing_;
  std::mutex writing_;
  std::atomic<std::size_t> unasked_{0};
  int strange_lines_ = 0;  // the reader's
  Guarded<std::string> errors_;
  std::jthread reader_;
};

}  // namespace

Result<std::unique_ptr<Transport>> start_program(const ServerSettings& server,
                                                 const Variables& variables, Hearing hearing) {
  ChildOptions options;
  options.command = server.command;
  options.folder = server.folder;
  for (const char* name : harmless) {
    const bool is_own = std::ranges::any_of(server.environment,
                                            [&](const auto& pair) { return pair.first == name; });
    const auto value = variables.find(name);
    if (!is_own && value != variables.end()) options.environment.emplace_back(name, value->second);
  }
  for (const auto& pair : server.environment) options.environment.push_back(pair);
  auto child = TRY(ChildProcess::start(options));
  return std::unique_ptr<Transport>(
      std::make_unique<ProgramTransport>(std::move(child), std::move(hearing)));
}

}  // namespace hearth::mcp
