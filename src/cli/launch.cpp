// hearth launch: a client, told where the server is and what its model can do.
#include <fcntl.h>
#include <fmt/core.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <thread>

#include "base/bytes.h"
#include "base/files.h"
#include "base/utf8.h"
#include "cli/launch_clients.h"
#include "cli/own_server.h"
#include "cli/rows.h"
#include "cli/settings.h"
#include "library/folders.h"

namespace hearth::cli {
namespace {

constexpr auto patience = std::chrono::seconds(20);
constexpr std::int64_t small_context = 16'384;

Result<const LaunchClient*> find_client(const std::string& name) {
  std::string known;
  for (const LaunchClient& client : launch_clients()) {
    if (client.name == name) return &client;
    known += (known.empty() ? "" : ", ") + std::string(client.name);
  }
  return Error(ErrorKind::invalid,
               fmt::format("no client '{}' is known: needs {}", printable(name), known));
}

// A server of our own, for as long as the client runs.
class OwnServer {
 public:
  OwnServer() = default;
  OwnServer(const OwnServer&) = delete;
  OwnServer& operator=(const OwnServer&) = delete;
  ~OwnServer() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGTERM);
    ::waitpid(pid_, nullptr, 0);
  }

  Status start(const Arguments& arguments) {
    std::vector<std::string> words = {"hearth", "serve"};
    for (const char* option : {"--host", "--port"})
      if (arguments.has(option)) {
        words.emplace_back(option);
        words.push_back(arguments.text(option));
      }
    std::vector<char*> argv;
    for (std::string& word : words) argv.push_back(word.data());
    argv.push_back(nullptr);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    // A group of its own: Ctrl-C is for the client.
    posix_spawnattr_t attributes;
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
    const int failed =
        ::posix_spawn(&pid_, "/proc/self/exe", &actions, &attributes, argv.data(), environ);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    if (failed != 0) {
      pid_ = 0;
      return Error(ErrorKind::io, "hearth serve cannot be started");
    }
    const auto deadline = std::chrono::steady_clock::now() + patience;
    while (std::chrono::steady_clock::now() < deadline) {
      if (ask_server(arguments, "GET", "/livez").ok()) return Done{};
      if (::waitpid(pid_, nullptr, WNOHANG) == pid_) {
        pid_ = 0;
        break;
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
    return Error(ErrorKind::unavailable, "hearth serve does not answer: try it by itself");
  }

 private:
  pid_t pid_ = 0;
};

// The model that is meant, as the server knows it.
Result<LaunchSetup> set_up(App& app, const Arguments& arguments) {
  const Config config = TRY(read_config(arguments));
  LaunchSetup setup;
  setup.base = server_address(config.server);
  const char* key = std::getenv("HEARTH_API_KEY");
  setup.key = key ? key : "none";
  std::string name = arguments.text("--model");
  if (name.empty()) {
    const Json status = TRY(ask_server(arguments, "GET", "/api/models/status"));
    const Json* standard = status.find("default");
    name = standard && standard->is_string() ? standard->as_string() : "builtin";
  }
  const Json model = TRY(ask_server(arguments, "GET", "/v1/models/" + name));
  const Json* id = model.find("id");
  const Json* context = model.find("context_length");
  if (!id || !id->is_string() || !context || !context->is_integer())
    return Error(ErrorKind::invalid, "the server does not tell what its model can do");
  setup.model = id->as_string();
  setup.context = context->as_integer();
  const Json* capabilities = model.find("capabilities");
  const bool has_tools =
      capabilities && capabilities->is_array() &&
      std::ranges::find(capabilities->as_array(), Json("tools")) != capabilities->as_array().end();
  if (!has_tools)
    app.out.remark(fmt::format("{} knows no tools: it can talk, and change no files", setup.model));
  if (setup.context < small_context)
    app.out.remark(fmt::format("{} reads {} tokens: an agent's first request may be longer",
                               setup.model, setup.context));
  return setup;
}

void replace_all(std::vector<std::string>& words, std::string_view mark, const std::string& value) {
  for (std::string& word : words)
    if (word == mark) word = value;
}

// For a shell, so that it can be pasted.
std::string shell_quoted(std::string_view text) {
  constexpr std::string_view plain =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./:=@%+,";
  if (!text.empty() && text.find_first_not_of(plain) == text.npos) return std::string(text);
  std::string quoted = "'";
  for (const char c : text) quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return quoted + "'";
}

void print_plan(App& app, const LaunchPlan& plan) {
  for (const auto& [name, value] : plan.environment)
    app.out.line(fmt::format("export {}={}", name, shell_quoted(value)));
  std::string command;
  for (const std::string& word : plan.command) command += shell_quoted(word) + " ";
  if (!command.empty()) {
    command.pop_back();
    app.out.line(command);
  }
  if (plan.place.empty()) return;
  if (!command.empty()) app.out.line("");
  app.out.line(fmt::format("# {}", plan.place));
  app.out.text(plan.text);
}

void print_json(App& app, const LaunchSetup& setup, const LaunchPlan& plan) {
  Json environment = Json::object(), command = Json::array();
  for (const auto& [name, value] : plan.environment) environment.set(name, value);
  for (const std::string& word : plan.command) command.push_back(word);
  app.out.json(Json::object({{"model", setup.model},
                             {"base_url", setup.base + "/v1"},
                             {"context_length", setup.context},
                             {"environment", std::move(environment)},
                             {"command", std::move(command)},
                             {"place", plan.place},
                             {"text", plan.text}}));
}

// Runs it to its end, in front.
Status run_command(const LaunchClient& client, const LaunchPlan& plan) {
  for (const auto& [name, value] : plan.environment) ::setenv(name.c_str(), value.c_str(), 1);
  std::vector<std::string> words = plan.command;
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  pid_t pid = 0;
  const int failed = ::posix_spawnp(&pid, argv[0], nullptr, nullptr, argv.data(), environ);
  if (failed != 0)
    return Error(ErrorKind::not_found,
                 fmt::format("{} is not here ('{}'): {}", client.title, words[0], client.install));
  struct sigaction ignore{}, before{};
  ignore.sa_handler = SIG_IGN;
  ::sigaction(SIGINT, &ignore, &before);
  int state = 0;
  while (::waitpid(pid, &state, 0) < 0 && errno == EINTR) {
  }
  ::sigaction(SIGINT, &before, nullptr);
  if (WIFEXITED(state) && WEXITSTATUS(state) == 0) return Done{};
  return Error(ErrorKind::invalid,
               fmt::format("{} ended with {}", client.title,
                           WIFEXITED(state) ? WEXITSTATUS(state) : 128 + WTERMSIG(state)));
}

Status run(App& app, const Arguments& arguments) {
  const LaunchClient& client = *TRY(find_client(arguments[0]));
  const bool only_prints = arguments.has("--print") || arguments.has("--json");
  OwnServer own;
  if (!ask_server(arguments, "GET", "/livez").ok()) TRY(own.start(arguments));
  const LaunchSetup setup = TRY(set_up(app, arguments));
  LaunchPlan plan = client.plan(setup);
  for (std::size_t i = 1; i < arguments.count(); ++i) plan.command.push_back(arguments[i]);
  if (!plan.file.empty()) {
    const std::string path = standard_folders().cache + "/launch/" + plan.file;
    TRY(replace_file(path, bytes_of(plan.file_text)));
    replace_all(plan.command, "{file}", path);
  }
  if (arguments.has("--json")) {
    print_json(app, setup, plan);
    return Done{};
  }
  if (only_prints || plan.command.empty()) {
    print_plan(app, plan);
    return Done{};
  }
  if (!plan.place.empty()) {
    app.out.remark(fmt::format("{}:", plan.place));
    app.out.remark(plan.text);
  }
  return run_command(client, plan);
}

std::span<const Option> options() {
  static const std::vector<Option> list = [] {
    std::vector<Option> all{
        {"--model", "MODEL", "The model that the client asks; the server's default when absent."},
        {"--print", "", "Only print what would be set and started."}};
    for (const Option& option : server_options()) all.push_back(option);
    return all;
  }();
  return list;
}

}  // namespace

const Command launch_command{
    .name = "launch",
    .arguments = "CLIENT [WORD...]",
    .summary = "Start a client with Hearth as its model.",
    .details =
        "CLIENT: aider, claude, cline, codex, continue, open-webui, opencode, zed.  The base URL, "
        "the\n"
        "key, the model and its window of context are set for this one run; the client's own files "
        "are\n"
        "not changed.  Where no server runs, one is started and ends with the client.\n\n"
        "  hearth launch claude --model qwen3-coder:30b\n"
        "  hearth launch codex --print",
    .options = options(),
    .run = run};

}  // namespace hearth::cli
