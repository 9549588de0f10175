// OpenAI's Responses interface over sockets.
#include <doctest/doctest.h>
#include <fmt/core.h>

#include "server/responses/responses.h"
#include "server/running.h"

using namespace hearth;
using namespace hearth::server;

namespace {

constexpr std::string_view path = "/v1/responses";

Json parsed(std::string_view text) {
  auto value = parse_json(text);
  REQUIRE_MESSAGE(value, text);
  return std::move(*value);
}

std::string ask(std::string_view input, std::string_view more = "") {
  return fmt::format(R"({{"model":"fake","seed":0,"max_output_tokens":3,"input":{}{}}})", input,
                     more);
}

struct SentEvent {
  std::string name;
  Json data;
};

std::vector<SentEvent> events_of(std::string_view body) {
  std::vector<SentEvent> events;
  while (!body.empty()) {
    const std::string_view block = body.substr(0, body.find("\n\n"));
    body.remove_prefix(std::min(body.size(), block.size() + 2));
    const std::size_t gap = block.find("\ndata: ");
    REQUIRE(gap != std::string_view::npos);
    events.push_back({std::string(block.substr(7, gap - 7)), parsed(block.substr(gap + 7))});
    CHECK(at(events.back().data, "type") == Json(events.back().name));
    CHECK(at(events.back().data, "sequence_number") == Json(events.size() - 1));
  }
  return events;
}

std::string prompt_of(Running& running) {
  return running.generator->model().tokenizer().decode(running.runner().last().prompt, true);
}

constexpr std::string_view tools =
    R"(,"tools":[{"type":"function","name":"weather","parameters":{"type":"object"}},
{"type":"custom","name":"patch","description":"Changes files.","format":{"type":"grammar",
"syntax":"lark","definition":"start: /x/"}},{"type":"web_search"},
{"type":"namespace","name":"mcp__home","tools":[{"type":"function","name":"light"}]}],
"max_output_tokens":500,"include":["reasoning.encrypted_content"])";

constexpr std::string_view script =
    R"~("say((<think>hm</think>Look.\n<tool_call>\n{\"name\": \"mcp__home__light\", )~"
    R"~(\"arguments\": {\"on\": true}}\n</tool_call>\n<tool_call>\n{\"name\": \"patch\", )~"
    R"~(\"arguments\": {\"input\": \"a\\nb\"}}\n</tool_call>))")~";

std::string with_tools(std::string_view input, std::string_view more = "") {
  return fmt::format(R"({{"model":"fake","input":{}{}{}}})", input, tools, more);
}

// Without what differs between two answers to the same question.
Json comparable(Json output) {
  for (Json& item : output.as_array()) {
    item.set("id", "*");
    if (item.find("call_id")) item.set("call_id", "*");
  }
  return output;
}

}  // namespace

TEST_CASE("responses: a whole answer, and the events of a stream that say the same") {
  Running running;
  const Json whole = running.json("POST", path, ask(R"("hello")"));
  CHECK(at(whole, "id").as_string().starts_with("resp_"));
  CHECK(at(whole, "object") == Json("response"));
  CHECK(at(whole, "status") == Json("incomplete"));
  CHECK(at(whole, "incomplete_details.reason") == Json("max_output_tokens"));
  CHECK(at(whole, "output.0.content.0.text") == Json("abc"));
  CHECK(at(whole, "usage.input_tokens_details.cached_tokens") == Json(1));
  CHECK(at(whole, "usage.output_tokens") == Json(3));

  const auto answer = running.request("POST", path, ask(R"("hello")", R"(,"stream":true)"));
  CHECK(has(answer.head, "Content-Type: text/event-stream; charset=utf-8\r\n"));
  const auto events = events_of(answer.body);
  std::string names, text;
  for (const SentEvent& event : events) {
    if (event.name == "response.output_text.delta")
      text += at(event.data, "delta").as_string();
    else
      names += event.name + " ";
  }
  CHECK(text == "abc");
  CHECK(names ==
        "response.created response.in_progress response.output_item.added "
        "response.content_part.added response.output_text.done response.content_part.done "
        "response.output_item.done response.incomplete ");
  const Json& last = at(events.back().data, "response");
  CHECK(comparable(at(last, "output")) == comparable(at(whole, "output")));
  CHECK(at(last, "usage") == at(whole, "usage"));
}

TEST_CASE("responses: thoughts, functions of namespaces and custom tools, whole and streamed") {
  Running running({}, hermes_template);
  const Json whole = running.json("POST", path, with_tools(script));
  const Json output = at(whole, "output");
  REQUIRE(output.size() == 4);
  CHECK(at(output, "0.type") == Json("reasoning"));
  CHECK(at(output, "0.content.0.text") == Json("hm"));
  CHECK(responses::unseal(at(output, "0.encrypted_content").as_string()) == "hm");
  CHECK(at(output, "1.content.0.text") == Json("Look."));
  CHECK(at(output, "2.type") == Json("function_call"));
  CHECK(at(output, "2.name") == Json("light"));
  CHECK(at(output, "2.namespace") == Json("mcp__home"));
  CHECK(at(output, "2.arguments") == Json(R"({"on": true})"));
  CHECK(at(output, "3.type") == Json("custom_tool_call"));
  CHECK(at(output, "3.input") == Json("a\nb"));
  CHECK(at(whole, "status") == Json("completed"));

  const auto answer = running.request("POST", path, with_tools(script, R"(,"stream":true)"));
  CHECK(has(answer.head, "x-hearth-warning: tools that do not run here were left out: web_search"));
  const auto events = events_of(answer.body);
  CHECK(comparable(at(events.back().data, "response.output")) == comparable(output));
  std::string arguments, input, thought;
  std::string last_item;
  for (const SentEvent& event : events) {
    if (event.name == "response.output_item.added")
      last_item = at(event.data, "item.id").as_string();
    if (event.name == "response.output_item.done")
      CHECK(at(event.data, "item.id") == Json(last_item));
    if (event.name == "response.function_call_arguments.delta") {
      CHECK(at(event.data, "item_id") == Json(last_item));
      arguments += at(event.data, "delta").as_string();
    }
    if (event.name == "response.custom_tool_call_input.delta")
      input += at(event.data, "delta").as_string();
    if (event.name == "response.reasoning_text.delta")
      thought += at(event.data, "delta").as_string();
  }
  CHECK(arguments == R"({"on": true})");
  CHECK(input == "a\nb");
  CHECK(thought == "hm");
}

TEST_CASE("responses: items become messages") {
  Running running({}, hermes_template);
  const std::string sealed = responses::seal("I see");
  running.json(
      "POST", path,
      fmt::format(R"({{"model":"fake","max_output_tokens":1,"instructions":"Be kind.","input":[
{{"role":"developer","content":[{{"type":"input_text","text":"Be brief."}}]}},
{{"type":"message","role":"user","content":"one"}},
{{"type":"reasoning","summary":[],"encrypted_content":"{}"}},
{{"type":"message","role":"assistant","content":[{{"type":"output_text","text":"two"}}]}},
{{"type":"function_call","call_id":"c1","name":"light","namespace":"mcp__home","arguments":"{{}}"}},
{{"type":"custom_tool_call","call_id":"c2","name":"patch","input":"x"}},
{{"type":"function_call_output","call_id":"c1","output":"on"}},
{{"type":"custom_tool_call_output","call_id":"c2","output":[{{"type":"input_text","text":"ok"}}]}},
{{"type":"web_search_call","id":"ws_1","status":"completed"}},
{{"role":"user","content":"three"}}]}})",
                  sealed));
  CHECK(prompt_of(running) ==
        "<|system|>Be kind.\n\nBe brief.<|user|>one<|assistant|><think>I see</think>two"
        "<tool_call>{\"name\": \"mcp__home__light\", \"arguments\": {}}</tool_call>"
        "<tool_call>{\"name\": \"patch\", \"arguments\": {\"input\": \"x\"}}</tool_call>"
        "<|tool|>on by mcp__home__light<|tool|>ok by patch<|user|>three<|assistant|>");
}

TEST_CASE("responses: stored turns can be asked for, gone on from and forgotten") {
  Running running;
  const Json first = running.json("POST", path, ask(R"("one")"));
  const std::string id = at(first, "id").as_string();
  const std::string own = fmt::format("{}/{}", path, id);
  CHECK(running.json("GET", own) == first);
  const Json items = running.json("GET", own + "/input_items");
  CHECK(at(items, "data.0.content.0.text") == Json("one"));
  CHECK(at(items, "data.0.id").as_string().starts_with("msg_"));

  const std::string more = fmt::format(R"(,"previous_response_id":"{}")", id);
  const Json second = running.json("POST", path, ask(R"("two")", more));
  CHECK(at(second, "previous_response_id") == Json(id));
  CHECK(prompt_of(running) ==
        "<|im_start|>user\none<|im_end|>\n<|im_start|>assistant\nabc<|im_end|>\n"
        "<|im_start|>user\ntwo<|im_end|>\n<|im_start|>assistant\n");
  const Json count = running.json("POST", "/v1/responses/input_tokens", ask(R"("two")", more));
  CHECK(at(count, "input_tokens") == Json(running.runner().last().prompt.size()));

  CHECK(at(running.json("DELETE", own), "deleted") == Json(true));
  CHECK(running.request("GET", own).status == 404);
  const auto lost = running.request("POST", path, ask(R"("two")", more));
  CHECK(lost.status == 404);
  CHECK(has(lost.body, "previous_response_not_found"));
  // The second turn has kept what it needs of the first.
  const std::string third =
      fmt::format(R"(,"previous_response_id":"{}")", at(second, "id").as_string());
  running.json("POST", path, ask(R"("three")", third));
  CHECK(has(prompt_of(running), "one"));

  const Json unstored = running.json("POST", path, ask(R"("x")", R"(,"store":false)"));
  CHECK(running.request("GET", fmt::format("{}/{}", path, at(unstored, "id").as_string())).status ==
        404);
}

TEST_CASE("responses: in the background") {
  Running running;
  const Json begun = running.json("POST", path, ask(R"("hello")", R"(,"background":true)"));
  CHECK(at(begun, "status") == Json("in_progress"));
  const std::string own = fmt::format("{}/{}", path, at(begun, "id").as_string());
  REQUIRE(eventually([&] { return at(running.json("GET", own), "status") == Json("incomplete"); }));
  CHECK(at(running.json("GET", own), "output.0.content.0.text") == Json("abc"));

  const Json endless = running.json("POST", path, ask(R"("endless")", R"(,"background":true)"));
  const std::string other = fmt::format("{}/{}", path, at(endless, "id").as_string());
  CHECK(at(running.json("POST", other + "/cancel"), "status") == Json("cancelled"));
  CHECK(eventually([&] { return running.runner().stats().running == 0; }));
  CHECK(at(running.json("GET", other), "status") == Json("cancelled"));

  const Json failing = running.json("POST", path, ask(R"("failing")", R"(,"background":true)"));
  const std::string third = fmt::format("{}/{}", path, at(failing, "id").as_string());
  REQUIRE(eventually([&] { return at(running.json("GET", third), "status") == Json("failed"); }));
  CHECK(at(running.json("GET", third), "error.code") == Json("internal_error"));
  // A server that stops does not wait for this one.
  running.json("POST", path, ask(R"("endless")", R"(,"background":true)"));
}

TEST_CASE("responses: what is refused, and how") {
  Running running;
  const struct {
    std::string body;
    int status;
    std::string param, says;
  } rows[] = {
      {R"({"model":"fake"})", 400, "input", "missing"},
      {R"({"model":"fake","input":3})", 400, "input", "list of items"},
      {R"({"model":"fake","input":[{"role":"bot","content":"x"}]})", 400, "input[0].role", "user"},
      {R"({"model":"fake","input":[{"type":"dance"}]})", 400, "input[0]", "dance"},
      {R"({"model":"fake","input":[{"type":"function_call","name":"f"}]})", 400, "input[0]",
       "call_id"},
      {R"({"model":"fake","input":[{"role":"user","content":[{"type":"input_image","image_url":"data:"}]}]})",
       400, "input", "it does not see"},
      {R"({"model":"fake","input":"x","max_output_tokens":0})", 400, "max_output_tokens", "from 1"},
      {ask(R"("x")", R"(,"text":{"format":{"type":"dance"}})"), 400, "text.format", "dance"},
      {ask(R"("x")", R"(,"conversation":"c")"), 404, "conversation", "no conversation"},
      {ask(R"("x")", R"(,"conversation":3)"), 400, "conversation", "needs the id"},
      {ask(R"("x")", R"(,"prompt":{"id":"p"})"), 404, "prompt", "There is no prompt 'p'"},
      {ask(R"("x")", R"(,"tool_choice":{"type":"file_search"})"), 400, "tool_choice", "needs auto"},
      {ask(R"("x")", R"(,"background":true,"store":false)"), 400, "background", "store"},
      {ask("\"" + std::string(1200, 'x') + "\""), 400, "input", "maximum context length"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.body.substr(0, 100));
    const auto answer = running.request("POST", path, row.body);
    CAPTURE(answer.body);
    CHECK(answer.status == row.status);
    const Json error = at(parsed(answer.body), "error");
    CHECK(at(error, "param") == Json(row.param));
    CHECK(has(at(error, "message").as_string(), row.says));
  }
  const auto events = events_of(
      running.request("POST", path, ask("\"" + std::string(1200, 'x') + "\"", R"(,"stream":true)"))
          .body);
  CHECK(events.back().name == "response.failed");
  CHECK(at(events.back().data, "response.error.code") == Json("context_length_exceeded"));
  const auto failing =
      events_of(running.request("POST", path, ask(R"("failing")", R"(,"stream":true)")).body);
  CHECK(failing.back().name == "response.failed");
}

TEST_CASE("responses of a conversation: what was said in it comes before") {
  Running running;
  const Json made =
      running.json("POST", "/v1/conversations",
                   R"({"items":[{"role":"user","content":"first"}],"metadata":{"topic":"sea"}})");
  CHECK(at(made, "object") == Json("conversation"));
  CHECK(at(made, "metadata.topic") == Json("sea"));
  const std::string id = at(made, "id").as_string();
  const std::string of_it = fmt::format(R"(,"conversation":"{}","store":false)", id);
  const Json answer = running.json("POST", path, ask(R"("second")", of_it));
  CHECK(at(answer, "conversation.id") == Json(id));
  CHECK(has(prompt_of(running), "first"));
  running.json("POST", path,
               ask(R"("third")", fmt::format(R"(,"conversation":{{"id":"{}"}})", id)));
  CHECK(has(prompt_of(running), "second"));
  CHECK(has(prompt_of(running), "abc"));  // what was answered

  const std::string items = "/v1/conversations/" + id + "/items";
  const Json list = running.json("GET", items + "?order=asc");
  REQUIRE(at(list, "data").size() == 5);
  CHECK(at(list, "data.0.content.0.text") == Json("first"));
  CHECK(at(list, "data.2.role") == Json("assistant"));
  const std::string item = at(list, "data.0.id").as_string();
  CHECK(at(running.json("GET", items + "/" + item), "content.0.text") == Json("first"));
  CHECK(at(running.json("DELETE", items + "/" + item), "id") == Json(id));
  const Json added =
      running.json("POST", items, R"({"items":[{"role":"assistant","content":"more"}]})");
  CHECK(at(added, "data.0.content.0.type") == Json("output_text"));
  running.json("POST", path, ask(R"("last")", of_it));
  CHECK_FALSE(has(prompt_of(running), "first"));
  CHECK(has(prompt_of(running), "more"));
  CHECK(at(running.json("POST", "/v1/conversations/" + id, R"({"metadata":{"topic":"x"}})"),
           "metadata.topic") == Json("x"));

  // An answer that is asked for again later, and what went before it.
  const Json stored =
      running.json("POST", path, ask(R"("kept")", fmt::format(R"(,"conversation":"{}")", id)));
  running.json("POST", path,
               ask(R"("after")",
                   fmt::format(R"(,"previous_response_id":"{}")", at(stored, "id").as_string())));
  CHECK(has(prompt_of(running), "more"));
  CHECK(has(prompt_of(running), "kept"));

  CHECK(at(running.json("DELETE", "/v1/conversations/" + id), "deleted") == Json(true));
  CHECK(running.request("POST", path, ask(R"("x")", of_it)).status == 404);
  CHECK(running.request("GET", items).status == 404);
  CHECK(
      running
          .request("POST", path, ask(R"("x")", R"(,"conversation":"c","previous_response_id":"r")"))
          .status == 400);
  CHECK(running.request("POST", "/v1/conversations", R"({"items":[{"role":"king","content":"x"}]})")
            .status == 400);
  CHECK(running.request("POST", path, ask(R"("x")", R"(,"prompt":{"id":"p"})")).status == 404);
}

TEST_CASE("an answer that fails is no part of its conversation") {
  Running running;
  const std::string id = at(running.json("POST", "/v1/conversations", "{}"), "id").as_string();
  CHECK(
      running.request("POST", path, ask(R"("failing")", fmt::format(R"(,"conversation":"{}")", id)))
          .status == 500);
  CHECK(at(running.json("GET", "/v1/conversations/" + id + "/items"), "data").size() == 0);
}
