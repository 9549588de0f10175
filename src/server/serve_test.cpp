// The endpoints over sockets, with a runner whose answers are known.
#include "server/serve.h"

#include <doctest/doctest.h>
#include <fmt/core.h>
#include <sys/stat.h>

#include <cstdio>
#include <cstdlib>

#include "http/secrets.h"
#include "server/endpoints.h"
#include "server/running.h"

using namespace hearth;
using namespace hearth::server;

TEST_CASE("embeddings: floats, base64, fewer dimensions, inputs of every kind") {
  Running running;
  const auto ask = [&](std::string_view fields) {
    return running.json("POST", "/v1/embeddings",
                        fmt::format(R"({{"model":"fake/embed:latest",{}}})", fields));
  };
  const Json plain = ask(R"("input":["ab","abc"])");
  CHECK(at(plain, "object") == Json("list"));
  CHECK(at(plain, "data.1.index") == Json(1));
  CHECK(at(plain, "data.1.embedding") == Json(Json::Array{0.5, -0.5, 0.5, 4}));
  CHECK(at(plain, "usage.prompt_tokens") == Json(7));
  CHECK(at(ask(R"("input":[1,2,3])"), "data.0.embedding.3") == Json(3));
  CHECK(at(ask(R"("input":[[1],[2,3]])"), "data.1.embedding.3") == Json(2));
  const Json coded = ask(R"("input":"ab","encoding_format":"base64")");
  const float want[] = {0.5f, -0.5f, 0.5f, 3.0f};
  CHECK(at(coded, "data.0.embedding") ==
        Json(http::base64({reinterpret_cast<const char*>(want), sizeof want})));
  const Json shorter = ask(R"("input":"ab","dimensions":1)");
  CHECK(at(shorter, "data.0.embedding") == Json(Json::Array{1}));
  CHECK(at(ask(fmt::format(R"("input":"{}","truncate":true)", std::string(2000, 'x'))),
           "usage.prompt_tokens") == Json(1000));
}

TEST_CASE("what is refused, and how") {
  Running running;
  std::string many = R"({"model":"fake/embed:latest","input":["x")";
  for (int i = 0; i < 2048; ++i) many += ",\"x\"";
  many += "]}";
  const std::string long_name = fmt::format(R"({{"model":"{}"}})", std::string(10000, 'm'));
  const std::string hot = chat_body("x", R"(,"temperature":3)");
  const std::string long_input =
      fmt::format(R"({{"model":"fake/embed:latest","input":["x","{}"]}})", std::string(2000, 'x'));
  const struct {
    std::string_view method, path, body;
    int status;
    std::string_view code, param;
  } rows[] = {
      {"GET", "/nowhere", "", 404, "unknown_url", ""},
      {"GET", "/v1/chat/completions", "", 405, "method_not_allowed", ""},
      {"POST", "/v1/models", "{}", 405, "method_not_allowed", ""},
      {"PATCH", "/health", "", 405, "method_not_allowed", ""},
      {"get", "/health", "", 405, "method_not_allowed", ""},
      {"GET", "/v1/models/nobody", "", 404, "model_not_found", "model"},
      {"GET", "/v1/models/..%2f..%2fetc%2fpasswd", "", 400, "bad_request", ""},
      {"POST", "/v1/chat/completions", "", 400, "invalid_json", ""},
      {"POST", "/v1/chat/completions", "[]", 400, "invalid_json", ""},
      {"POST", "/v1/chat/completions", "{}", 400, "invalid_value", "model"},
      {"POST", "/v1/chat/completions", R"({"model":null})", 400, "invalid_value", "model"},
      {"POST", "/v1/chat/completions", R"({"model":5})", 400, "invalid_value", "model"},
      {"POST", "/v1/chat/completions", R"({"model":""})", 404, "model_not_found", "model"},
      {"POST", "/v1/chat/completions", R"({"model":"/etc/passwd"})", 404, "model_not_found",
       "model"},
      {"POST", "/v1/chat/completions", long_name, 400, "invalid_value", "model"},
      {"POST", "/v1/chat/completions", R"({"model":"fake"})", 400, "invalid_value", "messages"},
      {"POST", "/v1/chat/completions",
       R"({"model":"fake/embed:latest","messages":[{"role":"user","content":"x"}]})", 400,
       "unsupported_value", "model"},
      {"POST", "/v1/chat/completions", hot, 400, "invalid_value", "temperature"},
      {"POST", "/v1/completions", R"({"model":"fake"})", 400, "invalid_value", "prompt"},
      {"POST", "/v1/completions", R"({"model":"fake","prompt":[261]})", 400, "invalid_value",
       "prompt"},
      {"POST", "/v1/completions", R"({"model":"fake","prompt":[1],"suffix":"x"})", 400,
       "unsupported_value", "suffix"},
      {"POST", "/v1/embeddings", R"({"model":"fake/embed:latest","input":""})", 400,
       "invalid_value", "input[0]"},
      {"POST", "/v1/embeddings", R"({"model":"fake/embed:latest","input":[]})", 400,
       "invalid_value", "input"},
      {"POST", "/v1/embeddings", many, 400, "invalid_value", "input"},
      {"POST", "/v1/embeddings", R"({"model":"fake/embed:latest","input":"x","dimensions":0})", 400,
       "invalid_value", "dimensions"},
      {"POST", "/v1/embeddings", R"({"model":"fake/embed:latest","input":"x","dimensions":5})", 400,
       "invalid_value", "dimensions"},
      {"POST", "/v1/embeddings",
       R"({"model":"fake/embed:latest","input":"x","encoding_format":"hex"})", 400, "invalid_value",
       "encoding_format"},
      {"POST", "/v1/embeddings", long_input, 400, "context_length_exceeded", "input[1]"},
      {"POST", "/tokenize", "{}", 400, "invalid_value", "content"},
      {"POST", "/detokenize", R"({"tokens":[300]})", 400, "invalid_value", "tokens"},
  };
  for (const auto& row : rows) {
    CAPTURE(std::string(row.method));
    CAPTURE(std::string(row.path));
    CAPTURE(std::string(row.body.substr(0, 100)));
    const auto answer = running.request(row.method, row.path, row.body);
    CAPTURE(answer.body);
    CHECK(answer.status == row.status);
    CHECK(has(answer.head, "x-request-id: req_"));
    const auto body = parse_json(answer.body);
    REQUIRE(body);
    CHECK(at(*body, "error.code") == Json(row.code));
    CHECK(at(*body, "error.param") == (row.param.empty() ? Json() : Json(row.param)));
    CHECK(at(*body, "error.type").is_string());
    if (row.status == 405) CHECK(has(answer.head, "Allow: "));
  }
}

TEST_CASE("paths with and without /v1, HEAD, OPTIONS") {
  Running running;
  for (const std::string_view path : {"/v1/models", "/models", "/v1/v1/models", "/v1/models/",
                                      "//v1//models", "/v1/models?x=1"}) {
    CAPTURE(std::string(path));
    CHECK(running.request("GET", path).status == 200);
  }
  CHECK(at(running.json("GET", "/v1/models/fake/embed:latest"), "id") == Json("fake/embed:latest"));
  CHECK(at(running.json("GET", "/models/fake%2Fembed%3Alatest"), "id") ==
        Json("fake/embed:latest"));
  CHECK(running.request("GET", "/").body == "Hearth is running\n");
  CHECK(running.request("HEAD", "/").status == 200);
  CHECK(running.request("HEAD", "/v1/models").status == 200);
  const auto options = running.request("OPTIONS", chat_path);
  CHECK(options.status == 204);
  CHECK(has(options.head, "Allow: POST, OPTIONS\r\n"));
  CHECK(running.request("OPTIONS", "*").status == 204);
}

TEST_CASE("models, tokens, templates, health, metrics") {
  Running running;
  const Json models = running.json("GET", "/v1/models");
  CHECK(at(models, "data").size() == 2);
  CHECK(at(models, "data.0.context_length") == Json(1000));
  CHECK(at(models, "data.1.capabilities.0") == Json("embedding"));

  const Json tokens = running.json("POST", "/tokenize", R"({"content":"hi","add_special":true})");
  CHECK(at(tokens, "tokens") == Json(Json::Array{256, 104, 105}));
  CHECK(at(tokens, "count") == Json(3));
  const Json pieces = running.json("POST", "/tokenize", R"({"content":"é","with_pieces":true})");
  CHECK(at(pieces, "tokens.0.piece") == Json(Json::Array{0xC3}));
  CHECK(at(running.json("POST", "/detokenize", R"({"tokens":[104,105]})"), "content") ==
        Json("hi"));
  CHECK(at(running.json("POST", "/detokenize", R"({"tokens":[]})"), "content") == Json(""));
  const Json prompt = running.json("POST", "/apply-template",
                                   R"({"messages":[{"role":"user","content":"hello"}]})");
  CHECK(has(at(prompt, "prompt").as_string(), "hello"));

  for (const std::string_view path : {"/health", "/livez", "/readyz"})
    CHECK(at(running.json("GET", path), "status") == Json("ok"));
  running.json("POST", chat_path, chat_body("x"));
  const std::string page = running.request("GET", "/metrics").body;
  CHECK(has(page, "hearth_requests_running{model=\"fake\"} 0\n"));
  CHECK(has(page, "hearth_requests_done_total{model=\"fake\"} 1\n"));
  CHECK(has(page, "hearth_http_answers_total{route=\"/v1/chat/completions\",status=\"200\"} 1\n"));
  CHECK(has(page, "hearth_first_token_seconds_count 1\n"));
}

TEST_CASE("a full queue: not ready, and told at the door") {
  Running running;
  running.runner().set_queued(511);
  CHECK(running.request("GET", "/readyz").status == 200);
  CHECK(running.request("POST", chat_path, chat_body("x")).status == 200);
  running.runner().set_queued(512);
  CHECK(running.request("GET", "/livez").status == 200);
  CHECK(running.request("GET", "/v1/models").status == 200);
  for (const std::string_view path : {"/readyz", "/health"})
    CHECK(running.request("GET", path).status == 503);
  const auto refused = running.request("POST", chat_path, chat_body("x"));
  CHECK(refused.status == 503);
  CHECK(has(refused.head, "Retry-After: "));
  CHECK(has(refused.body, "\"code\":\"overloaded\""));
}

TEST_CASE("keys: who may do what, before the body is read") {
  char path[] = "/tmp/hearth-serve-XXXXXX";
  const int descriptor = mkstemp(path);
  REQUIRE(descriptor >= 0);
  std::FILE* file = ::fdopen(descriptor, "w");
  std::fputs("person-key-000001 infer\nscrape-key-000001 metrics\nmaster-key-000001 manage\n",
             file);
  std::fclose(file);
  ServerConfig config;
  config.api_key_file = path;
  {
    Running running(config);
    const std::string person = "Authorization: Bearer person-key-000001\r\n";
    const std::string scrape = "x-api-key: scrape-key-000001\r\n";
    const std::string master = "x-api-key: master-key-000001\r\n";
    for (const Endpoint* endpoint : endpoints()) {
      CAPTURE(std::string(endpoint->path));
      std::string target(endpoint->path);
      for (std::size_t hole; (hole = target.find('{')) != target.npos;)
        target.replace(hole, target.find('}') + 1 - hole, "fake");
      const auto status = [&](const std::string& headers) {
        return running.request(endpoint->method, target, "{}", headers).status;
      };
      const bool is_open = endpoint->scope == Scope::none;
      CHECK((status("") == 401) == !is_open);
      CHECK((status("Authorization: Bearer wrong-key-0000001\r\n") == 401) == !is_open);
      // A stream that a key is let into does not end by itself.
      const bool is_endless = endpoint->path.ends_with("/events");
      const auto is_let_in = [&](const std::string& key, Scope scope) {
        const bool may =
            (static_cast<unsigned>(endpoint->scope) & static_cast<unsigned>(scope)) != 0;
        if (is_endless && may) return true;
        return (status(key) == 403) == (!is_open && !may);
      };
      CHECK(is_let_in(person, Scope::infer));
      CHECK(is_let_in(scrape, Scope::metrics));
      CHECK(is_let_in(master, Scope::manage));
    }
    CHECK(running.request("GET", "/v1%2fmodels").status == 401);
    CHECK(running.request("GET", "/v1/models?api_key=person-key-000001").status == 401);
    CHECK(running.request("OPTIONS", "/v1/models").status == 204);
    running.request("POST", chat_path, chat_body("x"), person);
    CHECK(running.runner().last().cache_salt.starts_with("file-"));
  }
  std::remove(path);
}

TEST_CASE("what nobody here can do is said by name") {
  Running running;
  const Json paths = at(running.json("GET", "/openapi.json"), "paths");
  const struct {
    std::string path, needs;
  } rows[] = {
      {"/v1/audio/speech", "Kokoro"},
      {"/v1/audio/transcriptions", "Whisper"},
      {"/v1/audio/translations", "Whisper"},
      {"/v1/images/generations", "Stable Diffusion"},
      {"/v1/images/edits", "FLUX"},
      {"/v1/images/variations", "FLUX"},
      {"/v1/moderations", "Llama Guard"},
      {"/v1/audio/voices", ""},
      {"/v1/images", ""},
      {"/api/push", "no registry"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.path);
    const auto answer = running.request("POST", row.path, "{}");
    CHECK(answer.status == 501);
    CHECK(has(answer.body, "is not offered"));
    CHECK(has(answer.body, row.needs));
    const auto body = parse_json(answer.body);
    REQUIRE(body);
    if (!row.path.starts_with("/v1/") || row.needs.empty()) continue;
    CHECK(at(*body, "error.code") == Json("unsupported"));
    CHECK(has(answer.head, "x-should-retry: false"));
    const Json* listed = paths.find(row.path);
    REQUIRE(listed);
    CHECK(has(at(*listed, "post.summary").as_string(), "501"));
  }
  // What a message shows that the model cannot see.
  const struct {
    std::string path, content, code;
  } parts[] = {
      {"/v1/chat/completions",
       R"([{"type":"image_url","image_url":{"url":"data:image/png;base64,AA"}}])",
       "unsupported_value"},
      {"/v1/chat/completions",
       R"([{"type":"input_audio","input_audio":{"data":"AA","format":"wav"}}])",
       "unsupported_value"},
      {"/v1/responses", R"([{"type":"input_image","image_url":"data:image/png;base64,AA"}])",
       "unsupported_value"},
      {"/v1/messages", R"([{"type":"image","source":{"type":"base64","data":"AA"}}])",
       "invalid_request_error"},
  };
  for (const auto& row : parts) {
    CAPTURE(row.path);
    CAPTURE(row.content);
    const auto answer = running.request(
        "POST", row.path,
        fmt::format(R"({{"model":"fake","max_tokens":1,"{}":[{{"role":"user","content":{}}}]}})",
                    row.path == "/v1/responses" ? "input" : "messages", row.content));
    CHECK(answer.status == 400);
    CHECK(has(answer.body, row.code));
    CHECK(has(answer.body, "this model reads text"));
  }
  const auto ollama = running.request(
      "POST", "/api/chat",
      R"({"model":"fake","messages":[{"role":"user","content":"x","images":["AA"]}]})");
  CHECK(ollama.status == 400);
  CHECK(has(ollama.body, "this model reads text, it does not see"));
}

TEST_CASE("an address that is not loopback needs keys") {
  for (const std::string_view host : {"0.0.0.0", "::", "192.0.2.1"}) {
    ServerConfig config;
    config.host = host;
    config.port = 0;
    const auto server = ApiServer::create(config, {});
    REQUIRE(!server);
    CHECK(server.error().kind() == ErrorKind::invalid);
    CHECK(has(server.error().message(), "api_key_file"));
  }
}

namespace {

// Every "$ref" below `value` names a schema of `all`.
void check_references(const Json& value, const Json& all) {
  if (value.is_array())
    for (const Json& item : value.as_array()) check_references(item, all);
  if (!value.is_object()) return;
  for (const auto& [key, item] : value.as_object()) {
    if (key == "$ref") {
      const std::string& text = item.as_string();
      CAPTURE(text);
      CHECK(all.find(text.substr(text.rfind('/') + 1)) != nullptr);
    }
    check_references(item, all);
  }
}

}  // namespace

TEST_CASE("openapi.json describes every endpoint and refers to nothing absent") {
  const auto description = parse_json(openapi_json());
  REQUIRE(description);
  for (const Endpoint* endpoint : endpoints()) {
    CAPTURE(std::string(endpoint->path));
    CHECK(!endpoint->summary.empty());
    CHECK(description->find("paths")->find(endpoint->path) != nullptr);
    CHECK(has(http_reference(), endpoint->path));
  }
  check_references(*description, *description->find("components")->find("schemas"));
}
