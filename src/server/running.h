// For tests: a server with fake models on a socket, and its answers as values.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <thread>

#include "base/json.h"
#include "http/testing.h"
#include "server/fakes.h"
#include "server/serve.h"

namespace hearth::server {

class Running {
 public:
  explicit Running(ServerConfig config = {}, std::string template_source = "",
                   AccessFiles access = {});
  ~Running();
  http::TestClient::Answer request(std::string_view method, std::string_view path,
                                   std::string_view body = "", std::string_view headers = "");
  // The body of a 200.
  Json json(std::string_view method, std::string_view path, std::string_view body = "");
  FakeRunner& runner();

  Lease generator, embedder;
  std::unique_ptr<ApiServer> server;
  std::jthread thread;
};

// body["a"][0]["b"] by "a.0.b"; null where there is none.
Json at(const Json& body, std::string_view path);
bool has(std::string_view text, std::string_view part);
constexpr std::string_view chat_path = "/v1/chat/completions";
// One message of a user to the generator, five tokens back; `more`: further members, ",...".
std::string chat_body(std::string_view content, std::string_view more = "");

// Waits up to ten seconds.
bool eventually(const std::function<bool()>& condition);

}  // namespace hearth::server
