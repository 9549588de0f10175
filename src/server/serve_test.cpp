// The endpoints over sockets, with a runner whose answers are known.
#include "server/serve.h"

#include <doctest/doctest.h>
#include <sys/stat.h>

#include <cstdio>
#include <cstdlib>

#include "http/secrets.h"
#include "server/endpoints.h"
#include "server/running.h"

using namespace hearth;
using namespace hearth::server;
using namespace std::chrono_literals;

namespace {

// The objects of a stream's "data: " lines; "[DONE]" as a string.
std::vector<Json> events_of(std::string_view body) {
  std::vector<Json> events;
  while (!body.empty()) {
    const std::string_view block = body.substr(0, body.find("\n\n"));
    body.remove_prefix(std::min(body.size(), block.size() + 2));
    if (!block.starts_with("data: ")) continue;
    const std::string_view data = block.substr(6);
    if (data == "[DONE]") {
      events.emplace_back("[DONE]");
      continue;
    }
    auto event = parse_json(data);
    REQUIRE(event);
    events.push_back(std::move(*event));
  }
  return events;
}

std::string chat(std::string_view content, std::string_view more = "") {
  return fmt::format(
      R"({{"model":"fake","seed":0,"max_tokens":5,"messages":[{{"role":"user","content":"{}"}}]{}}})",
      content, more);
}
constexpr std::string_view chat_path = "/v1/chat/completions";

}  // namespace

TEST_CASE("chat: a whole answer") {
  Running running;
  const Json body = running.json("POST", chat_path, chat("hello"));
  CHECK(at(body, "object") == Json("chat.completion"));
  CHECK(at(body, "model") == Json("fake"));
  CHECK(at(body, "id").as_string().starts_with("chatcmpl-"));
  CHECK(at(body, "choices.0.index") == Json(0));
  CHECK(at(body, "choices.0.message.role") == Json("assistant"));
  CHECK(at(body, "choices.0.message.content") == Json("abcde"));
  CHECK(at(body, "choices.0.finish_reason") == Json("length"));
  CHECK(at(body, "choices.0.logprobs").is_null());
  CHECK(at(body, "usage.completion_tokens") == Json(5));
  CHECK(at(body, "usage.total_tokens").as_integer() ==
        at(body, "usage.prompt_tokens").as_integer() + 5);
  CHECK(at(body, "usage.prompt_tokens_details.cached_tokens") == Json(1));
}

TEST_CASE("chat: n answers, the end of the alphabet, log probabilities") {
  Running running;
  const Json body = running.json(
      "POST", chat_path,
      chat("x", R"(,"n":3,"logprobs":true,"top_logprobs":2,"max_completion_tokens":5)"));
  CHECK(at(body, "choices.0.message.content") == Json("abcde"));
  CHECK(at(body, "choices.2.message.content") == Json("cdefg"));
  CHECK(at(body, "choices.2.index") == Json(2));
  CHECK(at(body, "usage.completion_tokens") == Json(15));
  CHECK(at(body, "choices.1.logprobs.content").size() == 5);
  CHECK(at(body, "choices.1.logprobs.content.0.token") == Json("b"));
  CHECK(at(body, "choices.1.logprobs.content.0.bytes.0") == Json(98));
  CHECK(at(body, "choices.1.logprobs.content.0.logprob") == Json(-0.25));
  CHECK(at(body, "choices.1.logprobs.content.0.top_logprobs.1.token") == Json("b"));
  const Json end =
      running.json("POST", chat_path,
                   R"({"model":"fake","seed":24,"messages":[{"role":"user","content":"x"}]})");
  CHECK(at(end, "choices.0.message.content") == Json("yz"));
  CHECK(at(end, "choices.0.finish_reason") == Json("stop"));
}

TEST_CASE("chat: a stream says the same, once, in order, and ends") {
  Running running;
  const auto answer =
      running.request("POST", chat_path,
                      chat("x", R"(,"n":2,"stream":true,"stream_options":{"include_usage":true})"));
  CHECK(has(answer.head, "Content-Type: text/event-stream; charset=utf-8\r\n"));
  const auto events = events_of(answer.body);
  std::string texts[2];
  int roles[2] = {}, finishes[2] = {};
  for (const Json& event : events) {
    if (event.is_string()) continue;
    CHECK(at(event, "object") == Json("chat.completion.chunk"));
    CHECK(at(event, "id") == at(events[0], "id"));
    if (at(event, "choices").size() == 0) continue;
    const auto index = static_cast<std::size_t>(at(event, "choices.0.index").as_integer());
    const Json text = at(event, "choices.0.delta.content");
    if (text.is_string()) texts[index] += text.as_string();
    roles[index] += at(event, "choices.0.delta.role") == Json("assistant");
    finishes[index] += at(event, "choices.0.finish_reason") == Json("length");
    CHECK(event.find("usage") != nullptr);
  }
  CHECK(texts[0] == "abcde");
  CHECK(texts[1] == "bcdef");
  for (int i = 0; i < 2; ++i) {
    CHECK(roles[i] == 1);
    CHECK(finishes[i] == 1);
  }
  REQUIRE(events.size() > 2);
  CHECK(events.back() == Json("[DONE]"));
  const Json& usage = events[events.size() - 2];
  CHECK(at(usage, "choices").size() == 0);
  CHECK(at(usage, "usage.completion_tokens") == Json(10));
  CHECK(has(answer.body, "\"choices\":[]"));
}

TEST_CASE("chat: errors before and after the first byte") {
  Running running;
  for (const bool stream : {false, true}) {
    CAPTURE(stream);
    const std::string more = stream ? R"(,"stream":true)" : "";
    const auto refused = running.request("POST", chat_path, chat("refused", more));
    CHECK(refused.status == 503);
    CHECK(has(refused.head, "Retry-After: 1\r\n"));
    CHECK(has(refused.body, "\"type\":\"server_error\""));

    const auto failing = running.request("POST", chat_path, chat("failing", more));
    CHECK(failing.status == (stream ? 200 : 500));
    CHECK(has(failing.body, "\"error\":{"));
    CHECK(!has(failing.body, "[DONE]"));
    CHECK(!has(failing.body, "secret"));
  }
}

TEST_CASE("chat: a prompt that does not fit, and max_tokens that do not") {
  Running running;
  const auto overflow = running.request("POST", chat_path, chat(std::string(2000, 'x')));
  CHECK(overflow.status == 400);
  const auto body = parse_json(overflow.body);
  REQUIRE(body);
  CHECK(at(*body, "error.code") == Json("context_length_exceeded"));
  const std::string message = at(*body, "error.message").as_string();
  CHECK(
      message.starts_with("This model's maximum context length is 1000 tokens. However, your "
                          "prompt has 2"));
  CHECK(message.ends_with(" tokens. Please reduce the length of the messages or completion."));

  // At the last prompt that fits, one token is left.
  const std::string tokens_999 = "[" + [] {
    std::string list = "97";
    for (int i = 1; i < 999; ++i) list += ",97";
    return list;
  }() + "]";
  const auto completion = [&](const std::string& tokens) {
    return running.request(
        "POST", "/v1/completions",
        fmt::format(R"({{"model":"fake","prompt":{},"max_tokens":500,"seed":0}})", tokens));
  };
  const auto last = completion(tokens_999);
  CHECK(last.status == 200);
  CHECK(has(last.head, "x-hearth-max-tokens: 1\r\n"));
  CHECK(has(last.body, "\"max_tokens\":1"));
  CHECK(has(last.body, "\"completion_tokens\":1,"));
  CHECK(completion("[97," + tokens_999.substr(1)).status == 400);
  const auto fits = running.request("POST", chat_path, chat("x"));
  CHECK(!has(fits.head, "x-hearth-max-tokens"));
}

TEST_CASE("a client that leaves stops its work") {
  Running running;
  for (const bool stream : {false, true}) {
    CAPTURE(stream);
    http::TestClient client(running.server->port());
    const std::string body = chat("endless", stream ? R"(,"n":2,"stream":true)" : "");
    client.send(fmt::format("POST {} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n{}",
                            chat_path, body.size(), body));
    if (stream) client.read_until("\"content\":\".\"");
    CHECK(eventually([&] { return running.runner().stats().running == 1; }));
    client.close();
    CHECK(eventually([&] { return running.runner().stats().running == 0; }));
  }
  CHECK(running.runner().stats().requests_cancelled == 2);
}

TEST_CASE("a stop in the middle of a stream is told in the stream") {
  auto running = std::make_unique<Running>();
  http::TestClient client(running->server->port());
  const std::string body = chat("endless", R"(,"stream":true)");
  client.send(fmt::format("POST {} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n{}",
                          chat_path, body.size(), body));
  client.read_until("\"content\":\".\"");
  running.reset();
  const std::string rest = client.read_until("");
  CHECK(has(rest, "\"code\":\"shutting_down\""));
  CHECK(!has(rest, "[DONE]"));
}

TEST_CASE("completions: one, many, tokens, echo, best_of, suffix") {
  Running running;
  const auto ask = [&](std::string_view fields) {
    return running.json("POST", "/v1/completions",
                        fmt::format(R"({{"model":"fake","seed":0,{}}})", fields));
  };
  const Json one = ask(R"("prompt":"hi","max_tokens":3)");
  CHECK(at(one, "object") == Json("text_completion"));
  CHECK(at(one, "choices.0.text") == Json("abc"));
  CHECK(at(one, "usage.prompt_tokens") == Json(3));
  CHECK(at(ask(R"("prompt":[104,105])"), "usage.prompt_tokens") == Json(2));
  CHECK(at(ask(R"("prompt":"x")"), "usage.completion_tokens") == Json(16));

  const Json many = ask(R"("prompt":["p","q"],"n":2,"max_tokens":1,"echo":true)");
  CHECK(at(many, "choices").size() == 4);
  CHECK(at(many, "choices.0.text") == Json("pa"));
  CHECK(at(many, "choices.1.text") == Json("pb"));
  CHECK(at(many, "choices.3.text") == Json("qb"));
  CHECK(at(many, "choices.3.index") == Json(3));
  CHECK(at(many, "usage.prompt_tokens") == Json(4));

  const Json best = ask(R"("prompt":"p","n":1,"best_of":3,"max_tokens":2)");
  CHECK(at(best, "choices").size() == 1);
  CHECK(at(best, "choices.0.logprobs").is_null());
  CHECK(at(best, "usage.completion_tokens") == Json(6));

  ask(R"("prompt":"a","suffix":"b")");
  CHECK(running.runner().last().prompt == std::vector<Token>{256, 258, 'a', 259, 'b', 260});
}

TEST_CASE("completions: log probabilities of the answer and of the prompt") {
  Running running;
  for (const bool stream : {false, true}) {
    CAPTURE(stream);
    const auto answer = running.request(
        "POST", "/v1/completions",
        fmt::format(R"({{"model":"fake","seed":0,"prompt":[104,105],"max_tokens":2,"logprobs":1,)"
                    R"("echo":true,"stream":{}}})",
                    stream));
    std::string text;
    Json::Array tokens, numbers, offsets;
    const auto events = stream ? events_of(answer.body) : std::vector<Json>{};
    std::vector<Json> parts = events;
    if (!stream) {
      auto body = parse_json(answer.body);
      REQUIRE(body);
      parts = {*body};
    }
    for (const Json& part : parts) {
      if (part.is_string()) continue;
      text += at(part, "choices.0.text").as_string();
      const Json logprobs = at(part, "choices.0.logprobs");
      if (logprobs.is_null()) continue;
      for (const Json& item : logprobs.find("tokens")->as_array()) tokens.push_back(item);
      for (const Json& item : logprobs.find("token_logprobs")->as_array()) numbers.push_back(item);
      for (const Json& item : logprobs.find("text_offset")->as_array()) offsets.push_back(item);
    }
    CHECK(text == "hiab");
    CHECK(Json(tokens) == Json(Json::Array{"h", "i", "a", "b"}));
    CHECK(Json(numbers) == Json(Json::Array{Json(), -0.25, -0.25, -0.25}));
    CHECK(Json(offsets) == Json(Json::Array{0, 1, 2, 3}));
  }
}

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
  std::string inputs = "\"x\"";
  for (int i = 0; i < 2048; ++i) inputs += ",\"x\"";
  const std::string embed = R"({"model":"fake/embed:latest",)";
  const struct {
    std::string method, path, body;
    int status;
    std::string code, param;
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
      {"POST", "/v1/chat/completions", fmt::format(R"({{"model":"{}"}})", std::string(10000, 'm')),
       400, "invalid_value", "model"},
      {"POST", "/v1/chat/completions", R"({"model":"fake"})", 400, "invalid_value", "messages"},
      {"POST", "/v1/chat/completions",
       R"({"model":"fake/embed:latest","messages":[{"role":"user","content":"x"}]})", 400,
       "unsupported_value", "model"},
      {"POST", "/v1/chat/completions", chat("x", R"(,"temperature":3)"), 400, "invalid_value",
       "temperature"},
      {"POST", "/v1/completions", R"({"model":"fake"})", 400, "invalid_value", "prompt"},
      {"POST", "/v1/completions", R"({"model":"fake","prompt":[261]})", 400, "invalid_value",
       "prompt"},
      {"POST", "/v1/completions", R"({"model":"fake","prompt":[1],"suffix":"x"})", 400,
       "unsupported_value", "suffix"},
      {"POST", "/v1/embeddings", embed + R"("input":""})", 400, "invalid_value", "input[0]"},
      {"POST", "/v1/embeddings", embed + R"("input":[]})", 400, "invalid_value", "input"},
      {"POST", "/v1/embeddings", embed + "\"input\":[" + inputs + "]}", 400, "invalid_value",
       "input"},
      {"POST", "/v1/embeddings", embed + R"("input":"x","dimensions":0})", 400, "invalid_value",
       "dimensions"},
      {"POST", "/v1/embeddings", embed + R"("input":"x","dimensions":5})", 400, "invalid_value",
       "dimensions"},
      {"POST", "/v1/embeddings", embed + R"("input":"x","encoding_format":"hex"})", 400,
       "invalid_value", "encoding_format"},
      {"POST", "/v1/embeddings", embed + R"("input":["x",")" + std::string(2000, 'x') + R"("]})",
       400, "context_length_exceeded", "input[1]"},
      {"POST", "/tokenize", "{}", 400, "invalid_value", "content"},
      {"POST", "/detokenize", R"({"tokens":[300]})", 400, "invalid_value", "tokens"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.method);
    CAPTURE(row.path);
    CAPTURE(row.body.substr(0, 100));
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
  running.json("POST", chat_path, chat("x"));
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
  CHECK(running.request("POST", chat_path, chat("x")).status == 200);
  running.runner().set_queued(512);
  CHECK(running.request("GET", "/livez").status == 200);
  CHECK(running.request("GET", "/v1/models").status == 200);
  for (const std::string_view path : {"/readyz", "/health"})
    CHECK(running.request("GET", path).status == 503);
  const auto refused = running.request("POST", chat_path, chat("x"));
  CHECK(refused.status == 503);
  CHECK(has(refused.head, "Retry-After: "));
  CHECK(has(refused.body, "\"code\":\"overloaded\""));
}

TEST_CASE("keys: who may do what, before the body is read") {
  char path[] = "/tmp/hearth-serve-XXXXXX";
  const int descriptor = mkstemp(path);
  REQUIRE(descriptor >= 0);
  std::FILE* file = ::fdopen(descriptor, "w");
  std::fputs("person-key-000001 infer\nscrape-key-000001 metrics\n", file);
  std::fclose(file);
  ServerConfig config;
  config.api_key_file = path;
  {
    Running running(config);
    const std::string person = "Authorization: Bearer person-key-000001\r\n";
    const std::string scrape = "x-api-key: scrape-key-000001\r\n";
    for (const Endpoint* endpoint : endpoints()) {
      CAPTURE(std::string(endpoint->path));
      const std::string target = endpoint->path.ends_with("{id}") ? std::string("/v1/models/fake")
                                                                  : std::string(endpoint->path);
      const auto status = [&](const std::string& headers) {
        return running.request(endpoint->method, target, "{}", headers).status;
      };
      const bool is_open = endpoint->scope == Scope::none;
      CHECK((status("") == 401) == !is_open);
      CHECK((status("Authorization: Bearer wrong-key-0000001\r\n") == 401) == !is_open);
      CHECK((status(person) == 403) == (endpoint->scope == Scope::metrics));
      CHECK((status(scrape) == 403) == (endpoint->scope == Scope::infer));
    }
    CHECK(running.request("GET", "/v1%2fmodels").status == 401);
    CHECK(running.request("GET", "/v1/models?api_key=person-key-000001").status == 401);
    CHECK(running.request("OPTIONS", "/v1/models").status == 204);
    running.request("POST", chat_path, chat("x"), person);
    CHECK(running.runner().last().cache_salt == "key-0");
  }
  std::remove(path);
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
