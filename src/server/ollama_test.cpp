// Ollama's interface over sockets.
#include <doctest/doctest.h>
#include <fmt/core.h>

#include "server/running.h"

using namespace hearth;
using namespace hearth::server;

namespace {

std::vector<Json> lines_of(std::string_view body) {
  std::vector<Json> lines;
  while (!body.empty()) {
    const std::string_view line = body.substr(0, body.find('\n'));
    body.remove_prefix(std::min(body.size(), line.size() + 1));
    auto object = parse_json(line);
    REQUIRE(object);
    lines.push_back(std::move(*object));
  }
  return lines;
}

std::string ask(std::string_view content, std::string_view more = "") {
  return fmt::format(
      R"({{"model":"fake","options":{{"seed":0,"num_predict":5}},"messages":[{{"role":"user","content":"{}"}}]{}}})",
      content, more);
}

}  // namespace

TEST_CASE("ollama chat: lines of a stream join to the whole answer") {
  Running running;
  const Json whole = running.json("POST", "/api/chat", ask("hello", R"(,"stream":false)"));
  CHECK(at(whole, "model") == Json("fake"));
  CHECK(at(whole, "message.role") == Json("assistant"));
  CHECK(at(whole, "message.content") == Json("abcde"));
  CHECK(at(whole, "done") == Json(true));
  CHECK(at(whole, "done_reason") == Json("length"));
  CHECK(at(whole, "eval_count") == Json(5));
  for (const char* name : {"total_duration", "load_duration", "prompt_eval_count",
                           "prompt_eval_duration", "eval_duration"}) {
    CAPTURE(std::string(name));
    CHECK(at(whole, name).is_integer());
  }
  const auto answer = running.request("POST", "/api/chat", ask("hello"));
  CHECK(has(answer.head, "Content-Type: application/x-ndjson\r\n"));
  const auto lines = lines_of(answer.body);
  std::string text;
  for (std::size_t i = 0; i < lines.size(); ++i) {
    CHECK(at(lines[i], "model") == Json("fake"));
    CHECK(at(lines[i], "created_at").is_string());
    CHECK(at(lines[i], "message.role") == Json("assistant"));
    CHECK(at(lines[i], "done") == Json(i + 1 == lines.size()));
    text += at(lines[i], "message.content").as_string();
  }
  CHECK(text == "abcde");
  CHECK(at(lines.back(), "prompt_eval_count") == at(whole, "prompt_eval_count"));
  CHECK(at(lines.back(), "done_reason") == Json("length"));
}

TEST_CASE("ollama chat: options reach the sampler, and names may have a tag") {
  Running running;
  running.json("POST", "/api/chat",
               R"({"model":"fake:latest","stream":false,"keep_alive":"5m","options":{"temperature":
0.25,"top_k":7,"top_p":0.5,"min_p":0.125,"seed":9,"stop":["x"],"repeat_penalty":1.5,"num_ctx":900,
"num_gpu":1},"messages":[{"role":"user","content":"hi"}]})");
  const GenerateRequest last = running.runner().last();
  CHECK(last.sampling.temperature == 0.25f);
  CHECK(last.sampling.top_k == 7);
  CHECK(last.sampling.top_p == 0.5f);
  CHECK(last.sampling.min_p == 0.125f);
  CHECK(last.sampling.seed == 9);
  CHECK(last.sampling.repetition_penalty == 1.5f);
  CHECK(last.stop == std::vector<std::string>{"x"});
  // As much as one is told to, within what num_ctx leaves.
  running.json("POST", "/api/chat",
               R"({"model":"fake","stream":false,"options":{"num_ctx":60,"num_predict":-1,"seed":0},
"messages":[{"role":"user","content":"hi"}]})");
  const GenerateRequest bounded = running.runner().last();
  CHECK(static_cast<std::int64_t>(bounded.prompt.size()) + bounded.max_tokens == 60);
  const auto wide =
      running.request("POST", "/api/chat",
                      R"({"model":"fake","stream":false,"options":{"num_ctx":32768,"seed":0,
"num_predict":1},"messages":[{"role":"user","content":"hi"}]})");
  CHECK(wide.status == 200);
  CHECK(has(wide.head, "x-hearth-warning: num_ctx 32768 is more than the context of 1000\r\n"));
}

TEST_CASE("ollama generate: raw, system, context, and nothing but loading") {
  Running running;
  const auto prompt = [&] {
    return running.generator->model().tokenizer().decode(running.runner().last().prompt, true);
  };
  const Json whole = running.json(
      "POST", "/api/generate",
      R"({"model":"fake","prompt":"hi","stream":false,"options":{"seed":0,"num_predict":2}})");
  CHECK(at(whole, "response") == Json("ab"));
  CHECK(prompt() == "hi");
  // BOS, h, i, a, b: what a next request may go on from.
  CHECK(at(whole, "context") == Json(Json::Array{256, 104, 105, 97, 98}));
  running.json("POST", "/api/generate",
               R"({"model":"fake","prompt":"!","stream":false,"context":[256,104,105,97,98],
"options":{"num_predict":1}})");
  CHECK(prompt() == "hiab!");
  const Json raw = running.json(
      "POST", "/api/generate",
      R"({"model":"fake","prompt":"x","raw":true,"stream":false,"options":{"num_predict":1}})");
  CHECK(at(raw, "context").is_null());
  running.json("POST", "/api/generate",
               R"({"model":"fake","prompt":"a","suffix":"b","stream":false,
"options":{"num_predict":1}})");
  CHECK(running.runner().last().prompt == std::vector<Token>{256, 258, 97, 259, 98, 260});
  const struct {
    const char *path, *body, *reason;
  } nothing_but_loading[] = {
      {"/api/generate", R"({"model":"fake"})", "load"},
      {"/api/generate", R"({"model":"fake","prompt":"","keep_alive":"5m"})", "load"},
      {"/api/chat", R"({"model":"fake","messages":[]})", "load"},
      {"/api/chat", R"({"model":"fake","messages":[],"keep_alive":0})", "unload"},
  };
  for (const auto& row : nothing_but_loading)
    CHECK(at(running.json("POST", row.path, row.body), "done_reason") == Json(row.reason));
}

TEST_CASE("ollama: what is refused is said as a text") {
  Running running;
  const struct {
    std::string_view method, path;
    std::string body;
    int status;
    std::string says;
  } rows[] = {
      {"POST", "/api/chat", R"({"model":"nobody","messages":[]})", 404, "nobody"},
      {"POST", "/api/chat", "{", 400, "not JSON"},
      {"POST", "/api/chat", ask("x", R"(,"format":"yaml")"), 400, "'format'"},
      {"POST", "/api/chat", ask("x", R"(,"format":{"type":"hiccup"})"), 400, "'format'"},
      {"POST", "/api/chat", ask("x", R"(,"think":3)"), 400, "'think'"},
      {"POST", "/api/chat", ask("x", R"(,"keep_alive":[])"), 400, "'keep_alive'"},
      {"POST", "/api/chat", R"({"model":"fake","messages":[{"role":"user","content":"x",
"images":["AA=="]}]})",
       400, "it does not see"},
      {"POST", "/api/chat", R"({"model":"fake","options":{"temperature":9},"messages":[{"role":
"user","content":"x"}]})",
       400, "'temperature'"},
      {"POST", "/api/chat", R"({"model":"fake","options":{"num_ctx":10},"messages":[{"role":
"user","content":"x"}]})",
       400, "maximum context length is 10 tokens"},
      {"POST", "/api/chat", ask(std::string(1200, 'x')), 400, "maximum context length is 1000"},
      {"POST", "/api/chat", ask("refused"), 503, "queue is full"},
      {"POST", "/api/generate", R"({"model":"fake","prompt":"x","template":"{{ .Prompt }}"})", 400,
       "'template'"},
      {"POST", "/api/generate", R"({"model":"fake","prompt":"x","raw":true,"system":"s"})", 400,
       "'raw'"},
      {"POST", "/api/generate", R"({"model":"fake/embed","prompt":"x"})", 400, "generate"},
      {"POST", "/api/show", R"({"name":"nobody"})", 404, "nobody"},
      {"POST", "/api/pull", R"({"model":"fake"})", 501, "fixed set of models"},
      {"POST", "/api/blobs/sha256:00", "", 501, "fixed set of models"},
      {"DELETE", "/api/delete", "{}", 501, "fixed set of models"},
      {"POST", "/api/push", "{}", 501, "/api/push is not offered"},
      {"POST", "/api/nothing", "{}", 404, "no such URL"},
      {"GET", "/api/chat", "", 405, "POST"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.path);
    CAPTURE(row.body.substr(0, 100));
    const auto answer = running.request(row.method, row.path, row.body);
    CAPTURE(answer.body);
    CHECK(answer.status == row.status);
    const auto body = parse_json(answer.body);
    REQUIRE(body);
    CHECK(body->size() == 1);
    REQUIRE(at(*body, "error").is_string());
    CHECK(has(at(*body, "error").as_string(), row.says));
  }
  const auto lines = lines_of(running.request("POST", "/api/chat", ask("failing")).body);
  CHECK(at(lines.back(), "error").is_string());
}

TEST_CASE("ollama: listings and vectors") {
  Running running;
  const Json tags = running.json("GET", "/api/tags");
  CHECK(at(tags, "models.0.name") == Json("fake:latest"));
  CHECK(at(tags, "models.1.name") == Json("fake/embed:latest"));
  CHECK(at(tags, "models.0.details.family") == Json("bytes"));
  CHECK(at(tags, "models.0.digest").as_string().size() == 64);
  CHECK(at(running.json("GET", "/api/ps"), "models.0.context_length") == Json(1000));
  CHECK(at(running.json("GET", "/api/version"), "version").is_string());
  for (const char* field : {"name", "model"}) {
    const Json show =
        running.json("POST", "/api/show", fmt::format(R"({{"{}":"fake:latest"}})", field));
    CHECK(*at(show, "model_info").find("bytes.context_length") == Json(1000));
    CHECK(has(at(show, "parameters").as_string(), "num_ctx 1000"));
    CHECK(has(at(show, "template").as_string(), ".Suffix"));
  }
  const Json many =
      running.json("POST", "/api/embed", R"({"model":"fake/embed","input":["a","b"]})");
  CHECK(at(many, "embeddings").size() == 2);
  CHECK(at(many, "embeddings.0").size() == 4);
  CHECK(at(many, "prompt_eval_count").as_integer() == 4);
  const std::string longer(2000, 'x');
  CHECK(running
            .request("POST", "/api/embed",
                     fmt::format(R"({{"model":"fake/embed","input":"{}"}})", longer))
            .status == 400);
  CHECK(at(running.json(
               "POST", "/api/embed",
               fmt::format(R"({{"model":"fake/embed","input":"{}","truncate":true}})", longer)),
           "truncated") == Json(true));
  CHECK(at(running.json("POST", "/api/embeddings", R"({"model":"fake/embed","prompt":"a"})"),
           "embedding")
            .size() == 4);
}
