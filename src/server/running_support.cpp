#include <doctest/doctest.h>
#include <fmt/core.h>

#include <algorithm>
#include <cstdlib>

#include "server/running.h"

namespace hearth::server {

Running::Running(ServerConfig config, std::string template_source, AccessFiles access) {
  config.port = 0;
  generator = fake_lease("fake", ModelKind::generator, std::move(template_source));
  embedder = fake_lease("fake/embed:latest", ModelKind::embedder);
  auto created = ApiServer::create(config, {generator, embedder}, {.access = std::move(access)});
  if (!created) MESSAGE(created.error().message());
  REQUIRE(created);
  server = std::move(*created);
  thread = std::jthread([this] { server->run(); });
}

Running::~Running() {
  server->stop();
  server->stop();
  thread.join();
}

http::TestClient::Answer Running::request(std::string_view method, std::string_view path,
                                          std::string_view body, std::string_view headers) {
  http::TestClient client(server->port());
  client.send(fmt::format("{} {} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n{}\r\n{}",
                          method, path, body.size(), headers, body));
  if (method == "HEAD") {
    const std::string head = client.read_until("\r\n\r\n");
    return {std::stoi(head.substr(9, 3)), head, ""};
  }
  return client.read_answer();
}

Json Running::json(std::string_view method, std::string_view path, std::string_view body) {
  const auto answer = request(method, path, body);
  CAPTURE(answer.body);
  CHECK(answer.status == 200);
  auto parsed = parse_json(answer.body);
  REQUIRE(parsed);
  return std::move(*parsed);
}

FakeRunner& Running::runner() { return static_cast<FakeRunner&>(*generator->runner); }

Json at(const Json& body, std::string_view path) {
  const Json* value = &body;
  while (!path.empty() && value) {
    const std::string_view part = path.substr(0, path.find('.'));
    path.remove_prefix(std::min(path.size(), part.size() + 1));
    if (value->is_array()) {
      const auto index = static_cast<std::size_t>(std::atoi(std::string(part).c_str()));
      value = index < value->size() ? &value->as_array()[index] : nullptr;
    } else {
      value = value->find(part);
    }
  }
  return value ? *value : Json();
}

bool has(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

std::string chat_body(std::string_view content, std::string_view more) {
  return fmt::format(
      R"({{"model":"fake","seed":0,"max_tokens":5,"messages":[{{"role":"user","content":"{}"}}]{}}})",
      content, more);
}

bool eventually(const std::function<bool()>& condition) {
  for (int i = 0; i < 2000 && !condition(); ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  return condition();
}

}  // namespace hearth::server
