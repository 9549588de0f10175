// Anthropic's interface over sockets.
#include <doctest/doctest.h>
#include <fmt/core.h>

#include "server/running.h"

using namespace hearth;
using namespace hearth::server;

namespace {

struct SentEvent {
  std::string name;
  Json data;
};

std::vector<SentEvent> events_of(std::string_view body) {
  std::vector<SentEvent> events;
  while (!body.empty()) {
    std::string_view block = body.substr(0, body.find("\n\n"));
    body.remove_prefix(std::min(body.size(), block.size() + 2));
    REQUIRE(block.starts_with("event: "));
    const std::size_t gap = block.find("\ndata: ");
    REQUIRE(gap != std::string_view::npos);
    auto data = parse_json(block.substr(gap + 7));
    REQUIRE(data);
    events.push_back({std::string(block.substr(7, gap - 7)), std::move(*data)});
    CHECK(at(events.back().data, "type") == Json(events.back().name));
  }
  return events;
}

std::string ask(std::string_view content, std::string_view more = "") {
  return fmt::format(
      R"({{"model":"fake","max_tokens":3,"seed":0,"messages":[{{"role":"user","content":"{}"}}]{}}})",
      content, more);
}
constexpr std::string_view path = "/v1/messages";

std::string prompt_of(Running& running) {
  return running.generator->model().tokenizer().decode(running.runner().last().prompt, true);
}

}  // namespace

TEST_CASE("messages: a whole answer, and the events of a stream that say the same") {
  Running running;
  const Json whole = running.json("POST", "/v1/messages?beta=true", ask("hello"));
  CHECK(at(whole, "id").as_string().starts_with("msg_"));
  CHECK(at(whole, "type") == Json("message"));
  CHECK(at(whole, "content.0.type") == Json("text"));
  CHECK(at(whole, "content.0.text") == Json("abc"));
  CHECK(at(whole, "usage.cache_read_input_tokens") == Json(1));

  const auto answer = running.request("POST", path, ask("hello", R"(,"stream":true)"),
                                      "anthropic-version: 2023-06-01\r\n");
  CHECK(has(answer.head, "Content-Type: text/event-stream; charset=utf-8\r\n"));
  CHECK(has(answer.head, "request-id: req_"));
  const auto events = events_of(answer.body);
  std::string names, text;
  for (const SentEvent& event : events) {
    if (event.name == "content_block_delta") {
      CHECK(at(event.data, "index") == Json(0));
      text += at(event.data, "delta.text").as_string();
    } else {
      names += event.name + " ";
    }
  }
  CHECK(names ==
        "message_start ping content_block_start content_block_stop message_delta message_stop ");
  CHECK(text == "abc");
  CHECK(at(events[0].data, "message.content").size() == 0);
  CHECK(at(events[0].data, "message.usage.input_tokens").is_integer());
  const Json& ending = events[events.size() - 2].data;
  CHECK(at(ending, "delta.stop_reason") == at(whole, "stop_reason"));
  CHECK(at(ending, "usage.output_tokens") == at(whole, "usage.output_tokens"));
  CHECK(at(ending, "usage.cache_read_input_tokens") == Json(1));
}

TEST_CASE("messages: why an answer ended") {
  Running running;
  const struct {
    std::string fields, reason;
    Json sequence;
  } rows[] = {
      {R"("seed":0,"max_tokens":3)", "max_tokens", Json()},
      {R"("seed":20,"max_tokens":30)", "end_turn", Json()},
      {R"("seed":0,"max_tokens":30,"stop_sequences":["q","d"])", "stop_sequence", Json("d")},
      {R"("seed":0,"max_tokens":100000,"stop_sequences":["q"])", "stop_sequence", Json("q")},
  };
  for (const auto& row : rows) {
    CAPTURE(row.fields);
    const Json answer = running.json(
        "POST", path,
        fmt::format(R"({{"model":"fake",{},"messages":[{{"role":"user","content":"x"}}]}})",
                    row.fields));
    CHECK(at(answer, "stop_reason") == Json(row.reason));
    CHECK(at(answer, "stop_sequence") == row.sequence);
  }
}

TEST_CASE("messages: the prompt is made of system, blocks and results") {
  Running running;
  running.json("POST", path, R"({"model":"fake","max_tokens":1,
"system":[{"type":"text","text":"x-anthropic-billing-header: cc_version=1; cch=abc;"},
{"type":"text","text":"Be ","cache_control":{"type":"ephemeral"}},{"type":"text","text":"kind."}],
"metadata":{"user_id":"someone"},"thinking":{"type":"adaptive"},"context_management":{"edits":[]},
"messages":[{"role":"user","content":[{"type":"text","text":"one","cache_control":{}},
{"type":"text","text":" two"}]},{"role":"assistant","content":[{"type":"thinking","thinking":"hm",
"signature":"s"},{"type":"text","text":"three"}]},{"role":"user","content":"four"}]})");
  CHECK(prompt_of(running) ==
        "<|im_start|>system\nBe kind.<|im_end|>\n<|im_start|>user\none two<|im_end|>\n"
        "<|im_start|>assistant\nthree<|im_end|>\n<|im_start|>user\nfour<|im_end|>\n"
        "<|im_start|>assistant\n");
  running.json("POST", path, R"({"model":"fake","max_tokens":1,
"system":"x-anthropic-billing-header: cch=1\nBe kind.","messages":[{"role":"user","content":"x"},
{"role":"assistant","content":"It is"}]})");
  CHECK(prompt_of(running) ==
        "<|im_start|>system\nBe kind.<|im_end|>\n<|im_start|>user\nx<|im_end|>\n"
        "<|im_start|>assistant\nIt is");
  const Json count = running.json("POST", "/v1/messages/count_tokens",
                                  R"({"model":"fake","messages":[{"role":"user","content":"x"}]})");
  running.json("POST", path, ask("x"));
  CHECK(at(count, "input_tokens") == Json(running.runner().last().prompt.size()));
}

TEST_CASE("messages: what is refused, and how") {
  Running running;
  const struct {
    std::string body;
    int status;
    std::string type, says;
  } rows[] = {
      {"{", 400, "invalid_request_error", "not JSON"},
      {R"({"model":"nobody","max_tokens":1,"messages":[]})", 404, "not_found_error", "nobody"},
      {R"({"model":"fake","messages":[{"role":"user","content":"x"}]})", 400,
       "invalid_request_error", "max_tokens"},
      {R"({"model":"fake","max_tokens":1,"messages":[]})", 400, "invalid_request_error",
       "messages"},
      {R"({"model":"fake","max_tokens":1,"messages":[{"role":"bot","content":"x"}]})", 400,
       "invalid_request_error", "role"},
      {R"({"model":"fake","max_tokens":1,"messages":[{"role":"user","content":[{"type":"image"}]}]})",
       400, "invalid_request_error", "image"},
      {ask("x", R"(,"temperature":"hot")"), 400, "invalid_request_error", "temperature"},
      {ask("x", R"(,"thinking":{"type":"maybe"})"), 400, "invalid_request_error", "thinking"},
      {ask("x", R"(,"mcp_servers":[{}])"), 400, "invalid_request_error", "mcp_servers"},
      {ask("x", R"(,"mcp_servers":[{"type":"url","name":"a","url":"http://127.0.0.1:1/"}])"), 400,
       "invalid_request_error", "server_url"},
      {ask(std::string(1200, 'x')), 400, "invalid_request_error",
       "prompt is too long: 1251 tokens > 1000 maximum context length"},
      {ask("refused"), 503, "overloaded_error", "queue"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.body.substr(0, 100));
    const auto answer = running.request("POST", path, row.body);
    CAPTURE(answer.body);
    CHECK(answer.status == row.status);
    CHECK(has(answer.head, "request-id: req_"));
    const auto body = parse_json(answer.body);
    REQUIRE(body);
    CHECK(at(*body, "type") == Json("error"));
    CHECK(at(*body, "error.type") == Json(row.type));
    CHECK(has(at(*body, "error.message").as_string(), row.says));
    CHECK(at(*body, "request_id").as_string().starts_with("req_"));
  }
  const auto events =
      events_of(running.request("POST", path, ask("failing", R"(,"stream":true)")).body);
  CHECK(events.back().name == "error");
  CHECK(at(events.back().data, "error.type") == Json("api_error"));
}

TEST_CASE("models in Anthropic's form, for those who name its version") {
  Running running;
  const auto get = [&](std::string_view route) {
    const auto answer = running.request("GET", route, "", "anthropic-version: 2023-06-01\r\n");
    auto body = parse_json(answer.body);
    REQUIRE(body);
    return std::move(*body);
  };
  const Json list = get("/v1/models");
  CHECK(at(list, "data.0.type") == Json("model"));
  CHECK(at(list, "data.0.created_at").is_string());
  CHECK(at(list, "has_more") == Json(false));
  CHECK(at(list, "first_id") == Json("fake"));
  CHECK(at(list, "last_id") == Json("fake/embed:latest"));
  CHECK(at(get("/v1/models/fake"), "display_name") == Json("fake"));
  CHECK(at(get("/v1/models/nobody"), "error.type") == Json("not_found_error"));
}
