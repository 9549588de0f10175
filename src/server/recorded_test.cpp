// Recorded exchanges: tests/http/<endpoint>/<case>.request and .response.  With HEARTH_UPDATE=1 in
// the environment the responses are rewritten; the difference is reviewed like code.
#include <doctest/doctest.h>
#include <fmt/core.h>

#include <algorithm>
#include <cstdlib>

#include "base/bytes.h"
#include "base/files.h"
#include "http/testing.h"
#include "server/endpoints.h"
#include "server/fakes.h"
#include "server/serve.h"

using namespace hearth;
using namespace hearth::server;

namespace {

constexpr std::uint64_t max_bytes = 1 << 20;

// "/v1/models/{id}" -> "v1_models_id"
std::string folder_of(std::string_view path) {
  std::string name;
  for (const char c : path)
    if (c == '/')
      name += name.empty() ? "" : "_";
    else if (c != '{' && c != '}')
      name += c;
  return name.empty() ? "root" : name;
}

// What follows `before`, up to `end`, becomes "*": it differs from run to run.
void hide(std::string& text, std::string_view before, std::string_view end) {
  for (std::size_t at = text.find(before); at != std::string::npos;
       at = text.find(before, at + before.size())) {
    const std::size_t begin = at + before.size();
    const std::size_t stop = std::min(text.find_first_of(end, begin), text.size());
    text.replace(begin, stop - begin, "*");
  }
}

std::string without_chance(std::string text) {
  hide(text, "x-request-id: ", "\r");
  hide(text, "Date: ", "\r");
  hide(text, "Content-Length: ", "\r");
  hide(text, "\"id\":\"chatcmpl-", "\"");
  hide(text, "\"id\":\"cmpl-", "\"");
  hide(text, "\"id\":\"msg_", "\"");
  hide(text, "\"id\":\"call_", "\"");
  hide(text, "\"id\":\"toolu_", "\"");
  hide(text, "\nrequest-id: ", "\r");
  hide(text, "\"request_id\":\"", "\"");
  hide(text, "\"created\":", ",");
  hide(text, "\"created_at\":\"", "\"");
  hide(text, "_duration\":", ",}");
  hide(text, "\"hearth\":\"", "\"");
  hide(text, "\"system_fingerprint\":\"", "\"");
  hide(text, "\"version\": \"", "\"");
  for (const char* name :
       {"hearth_received_bytes_total ", "hearth_sent_bytes_total ", "hearth_start_time_seconds ",
        "hearth_connections_total ", "hearth_connections_open ", "hearth_http_requests_total ",
        "hearth_http_requests_open "})
    hide(text, fmt::format("\n{}", name), "\n");
  std::erase(text, '\r');
  return text;
}

// The chunks of a chunked body, joined: how they were cut is chance.
std::string exchange(std::uint16_t port, std::string request) {
  // Recordings have plain line ends in their heads, and no length.
  const std::size_t gap = request.find("\n\n");
  REQUIRE(gap != std::string::npos);
  const std::string body = request.substr(gap + 2);
  std::string head;
  for (const char c : request.substr(0, gap))
    head += c == '\n' ? std::string("\r\n") : std::string(1, c);
  http::TestClient client(port);
  client.send(fmt::format("{}\r\nContent-Length: {}\r\n\r\n{}", head, body.size(), body));
  const auto answer = client.read_answer();
  return without_chance(answer.head) + without_chance(answer.body);
}

}  // namespace

TEST_CASE("recorded exchanges") {
  const bool update = std::getenv("HEARTH_UPDATE") != nullptr;
  for (const Endpoint* endpoint : endpoints()) {
    const std::string folder = "tests/http/" + folder_of(endpoint->path);
    CAPTURE(folder);
    const auto names = list_folder(folder);
    REQUIRE(names);
    int recordings = 0;
    for (const std::string& name : *names) {
      if (!name.ends_with(".request")) continue;
      ++recordings;
      CAPTURE(name);
      // A server of its own, so that what it counts depends on nothing else.
      ServerConfig config;
      config.port = 0;
      auto server = ApiServer::create(config, {fake_lease("fake", ModelKind::generator),
                                               fake_lease("embed", ModelKind::embedder)});
      REQUIRE(server);
      std::jthread thread([&] { (*server)->run(); });
      const std::string path = join_path(folder, name.substr(0, name.size() - 8));
      const std::string got = exchange((*server)->port(), *read_file(path + ".request", max_bytes));
      (*server)->stop();
      (*server)->stop();
      thread.join();
      if (update) REQUIRE(replace_file(path + ".response", bytes_of(got)).ok());
      const auto want = read_file(path + ".response", max_bytes);
      REQUIRE(want);
      CHECK(got == *want);
    }
    CHECK(recordings > 0);
  }
}
