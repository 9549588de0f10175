// hearth mcp login, logout: signing in at servers of the Model Context Protocol that ask for OAuth.
#include <fcntl.h>
#include <fmt/core.h>
#include <spawn.h>
#include <unistd.h>

#include <cstdlib>
#include <thread>

#include "base/utf8.h"
#include "cli/interrupts.h"
#include "cli/mcp_servers.h"
#include "cli/rows.h"
#include "cli/settings.h"
#include "config/secrets.h"
#include "mcp/oauth.h"

namespace hearth::cli {
namespace {

constexpr int standard_minutes = 5, max_minutes = 60;

Result<mcp::ServerSettings> server_named(const Arguments& arguments, const std::string& name) {
  for (mcp::ServerSettings& server : TRY(mcp_settings(arguments))) {
    if (server.name != name) continue;
    if (server.url.empty())
      return Error(ErrorKind::invalid,
                   fmt::format("'{}' is a program, which nobody signs in to", name));
    return std::move(server);
  }
  return Error(ErrorKind::not_found,
               fmt::format("no server '{}' is set; `hearth mcp list` shows them", printable(name)));
}

// What $BROWSER names, or the desktop's; where there is neither, the address on the screen will do.
void open_browser(const std::string& address) {
  const char* named = std::getenv("BROWSER");
  const bool has_desktop = std::getenv("DISPLAY") || std::getenv("WAYLAND_DISPLAY");
  if ((!named || !*named) && !has_desktop) return;
  std::string program = named && *named ? named : "xdg-open", argument = address;
  char* words[] = {program.data(), argument.data(), nullptr};
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
  posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
  pid_t pid = 0;
  (void)::posix_spawnp(&pid, words[0], &actions, nullptr, words, environ);
  posix_spawn_file_actions_destroy(&actions);
}

// Fires with `outer`, or when the time is over.
class Patience {
 public:
  Patience(const std::stop_token& outer, std::chrono::minutes time)
      : outer_(outer, [this] { source_.request_stop(); }),
        waiter_([this, time](const std::stop_token& leaving) {
          std::mutex mutex;
          std::condition_variable_any woken;
          std::unique_lock lock(mutex);
          woken.wait_for(lock, leaving, time, [] { return false; });
          if (!leaving.stop_requested()) source_.request_stop();
        }) {}
  std::stop_token token() const { return source_.get_token(); }

 private:
  std::stop_source source_;
  std::stop_callback<std::function<void()>> outer_;
  std::jthread waiter_;
};

Status login(App& app, const Arguments& arguments) {
  const InterruptScope interrupts;
  const mcp::ServerSettings server = TRY(server_named(arguments, arguments[0]));
  mcp::SignIn how;
  how.scope = arguments.text("--scope");
  how.client_id = arguments.text("--client-id");
  how.secret = TRY(read_secret(arguments.text("--client-secret")));
  how.port = static_cast<std::uint16_t>(TRY(arguments.integer("--redirect-port", 0, 0, 65535)));
  const auto minutes = TRY(arguments.integer("--minutes", standard_minutes, 1, max_minutes));
  const bool opens = !arguments.has("--no-browser");
  how.open = [&](const std::string& address) {
    app.out.remark(fmt::format("Sign in here:\n  {}", printable(address, address.size())));
    if (opens) open_browser(address);
  };
  const Patience patience(interrupts.token(), std::chrono::minutes(minutes));
  auto grant = mcp::sign_in(server, how, patience.token());
  if (!grant) {
    if (grant.error().kind() == ErrorKind::cancelled && !interrupts.token().stop_requested())
      return Error(ErrorKind::unavailable,
                   fmt::format("nobody signed in within {} minutes", minutes));
    return std::move(grant).error().within(server.name);
  }
  TRY(mcp::Grants(server.grants).keep(server.name, *grant));
  if (arguments.has("--json"))
    app.out.json(Json::object({{"server", server.name},
                               {"issuer", grant->issuer},
                               {"scope", grant->scope},
                               {"expires_at", grant->expires_at},
                               {"renews", !grant->refresh_token.empty()}}));
  else
    app.out.line(fmt::format(
        "Signed in to {} by {}{}.", server.name, printable(grant->issuer, 200),
        grant->refresh_token.empty() && grant->expires_at != 0 ? ", until the token expires" : ""));
  return Done{};
}

Status logout(App& app, const Arguments& arguments) {
  const bool was_there = TRY(mcp::Grants(grants_path()).forget(arguments[0]));
  if (arguments.has("--json"))
    app.out.json(Json::object({{"server", arguments[0]}, {"forgotten", was_there}}));
  else
    app.out.line(was_there ? fmt::format("The tokens of {} are deleted here.", arguments[0])
                           : fmt::format("There are no tokens of {}.", printable(arguments[0])));
  return Done{};
}

constexpr Option login_options_own[] = {
    {"--scope", "TEXT", "What to ask for, instead of what the server names."},
    {"--client-id", "ID", "A client that is registered already, instead of a new one."},
    {"--client-secret", "REFERENCE", "Its secret: env:NAME, file:PATH or keyring:NAME."},
    {"--redirect-port", "N", "Port of 127.0.0.1 that the browser comes back to; 0: any."},
    {"--minutes", "N", "How long to wait for you: 5."},
    {"--no-browser", "", "Print the address and open nothing."},
};

std::span<const Option> login_options() {
  static const std::vector<Option> list = [] {
    std::vector<Option> all(std::begin(login_options_own), std::end(login_options_own));
    for (const Option& option : setting_options("mcp.")) all.push_back(option);
    return all;
  }();
  return list;
}

std::span<const Option> logout_options() {
  static const std::vector<Option> list = setting_options("mcp.");
  return list;
}

}  // namespace

const Command mcp_login_command{
    .name = "mcp login",
    .arguments = "SERVER",
    .summary = "Sign in to a server that asks for OAuth.",
    .details =
        "The server of mcp.json says who lets people in; your browser opens there, and the\n"
        "tokens are kept in ~/.local/share/hearth/mcp_grants.json, which only you can read.\n"
        "They are renewed by themselves as long as that is allowed.",
    .options = login_options(),
    .run = login};

const Command mcp_logout_command{.name = "mcp logout",
                                 .arguments = "SERVER",
                                 .summary = "Delete the tokens of a server.",
                                 .details = "",
                                 .options = logout_options(),
                                 .run = logout};

}  // namespace hearth::cli
