// Chat and text completions over sockets, with a runner whose answers are known.
#include <doctest/doctest.h>
#include <fmt/core.h>

#include <memory>

#include "server/running.h"

using namespace hearth;
using namespace hearth::server;

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

}  // namespace

TEST_CASE("chat: a whole answer") {
  Running running;
  const Json body = running.json("POST", chat_path, chat_body("hello"));
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
      chat_body("x", R"(,"n":3,"logprobs":true,"top_logprobs":2,"max_completion_tokens":5)"));
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
  const auto answer = running.request(
      "POST", chat_path,
      chat_body("x", R"(,"n":2,"stream":true,"stream_options":{"include_usage":true})"));
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
    const auto refused = running.request("POST", chat_path, chat_body("refused", more));
    CHECK(refused.status == 503);
    CHECK(has(refused.head, "Retry-After: 1\r\n"));
    CHECK(has(refused.body, "\"type\":\"server_error\""));

    const auto failing = running.request("POST", chat_path, chat_body("failing", more));
    CHECK(failing.status == (stream ? 200 : 500));
    CHECK(has(failing.body, "\"error\":{"));
    CHECK(!has(failing.body, "[DONE]"));
    CHECK(!has(failing.body, "secret"));
  }
}

TEST_CASE("chat: a prompt that does not fit, and max_tokens that do not") {
  Running running;
  const auto overflow = running.request("POST", chat_path, chat_body(std::string(2000, 'x')));
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
  const auto fits = running.request("POST", chat_path, chat_body("x"));
  CHECK(!has(fits.head, "x-hearth-max-tokens"));
}

TEST_CASE("a client that leaves stops its work") {
  Running running;
  for (const bool stream : {false, true}) {
    CAPTURE(stream);
    http::TestClient client(running.server->port());
    const std::string body = chat_body("endless", stream ? R"(,"n":2,"stream":true)" : "");
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
  const std::string body = chat_body("endless", R"(,"stream":true)");
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
