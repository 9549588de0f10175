#include "mcp/redirect.h"

#include <fmt/core.h>

#include <condition_variable>
#include <mutex>
#include <optional>
#include <thread>

#include "http/secrets.h"
#include "http/server.h"

namespace hearth::mcp {
namespace {

constexpr const char* path = "/callback";

std::string in_query(const http::Request& request, std::string_view name) {
  for (const auto& [key, value] : request.query)
    if (key == name) return value;
  return "";
}

http::Response page(int status, std::string_view words) {
  http::Response response;
  response.status = status;
  response.headers = {{"Content-Type", "text/html; charset=utf-8"},
                      {"Cache-Control", "no-store"},
                      {"Referrer-Policy", "no-referrer"},
                      {"Content-Security-Policy", "default-src 'none'"}};
  response.body = fmt::format(
      "<!doctype html><html lang=\"en\"><title>Hearth</title><p>{}</p></html>\n", words);
  return response;
}

}  // namespace

struct RedirectListener::State {
  explicit State(const std::string& text) : wanted(http::sha256(text)) {}

  http::Response take(const http::Request& request) {
    if (request.method != "GET" || request.path != path) return page(404, "There is nothing here.");
    if (!http::equal_in_constant_time(http::sha256(in_query(request, "state")), wanted))
      return page(400, "This is not the answer to what Hearth has asked.");
    const std::lock_guard lock(mutex);
    if (answer) return page(400, "Hearth has had its answer.");
    answer = Redirected{in_query(request, "code"), in_query(request, "iss"),
                        in_query(request, "error"), in_query(request, "error_description")};
    changed.notify_all();
    return answer->error.empty() ? page(200, "Hearth has signed in. This page may be closed.")
                                 : page(200, "Signing in was refused. This page may be closed.");
  }

  const http::Sha256 wanted;
  std::mutex mutex;
  std::condition_variable_any changed;
  std::optional<Redirected> answer;
  std::unique_ptr<http::Server> server;
  std::jthread loop;
};

RedirectListener::RedirectListener(std::unique_ptr<State> state) : state_(std::move(state)) {}
RedirectListener::~RedirectListener() { state_->server->stop(); }

Result<std::unique_ptr<RedirectListener>> RedirectListener::open(std::uint16_t port,
                                                                 const std::string& state) {
  auto own = std::make_unique<State>(state);
  State* raw = own.get();  // the loop lives no longer
  http::ServerOptions options;
  options.port = port;
  options.landing_path = path;
  options.drain = std::chrono::milliseconds(500);
  http::Handler handler;
  handler.handle = [raw](http::Request request, std::shared_ptr<http::Responder> responder) {
    responder->send(raw->take(request));
  };
  own->server = TRY(http::Server::create(options, std::move(handler)));
  own->loop = std::jthread([raw] { raw->server->run(); });
  return std::unique_ptr<RedirectListener>(new RedirectListener(std::move(own)));
}

std::string RedirectListener::address() const {
  return fmt::format("http://127.0.0.1:{}{}", state_->server->port(), path);
}

Result<Redirected> RedirectListener::wait(const std::stop_token& stop) {
  std::unique_lock lock(state_->mutex);
  if (!state_->changed.wait(lock, stop, [&] { return state_->answer.has_value(); }))
    return Error(ErrorKind::cancelled, "stopped");
  return *state_->answer;
}

}  // namespace hearth::mcp
