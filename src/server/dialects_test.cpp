// The same conversation through every interface gives the same tokens, streamed or not.
#include <doctest/doctest.h>
#include <fmt/core.h>

#include <thread>

#include "server/running.h"
#include "server/scripted.h"

using namespace hearth;
using namespace hearth::server;

namespace {

constexpr std::string_view sea = "The sea is \xE2\x89\x88 70 % of it; \"deep\" \\ and wide.";
constexpr std::string_view tool_call =
    "Look.\n<tool_call>\n{\"name\": \"weather\", \"arguments\": {\"city\": "
    "\"Oslo\"}}\n</tool_call>";

// The scripted model on a socket.
class Scripted {
 public:
  Scripted() : Scripted(usual()) {}
  explicit Scripted(ScriptedOptions options) {
    auto lease = scripted_lease("scripted", std::move(options));
    REQUIRE(lease);
    ServerConfig config;
    config.port = 0;
    auto created = ApiServer::create(config, {*lease});
    REQUIRE(created);
    server_ = std::move(*created);
    thread_ = std::jthread([this] { server_->run(); });
  }
  static ScriptedOptions usual() {
    ScriptedOptions options;
    options.script = {{{"weather", "<tools>"}, {}, std::string(tool_call)},
                      {{}, {}, std::string(sea)}};
    return options;
  }
  ~Scripted() {
    server_->stop();
    server_->stop();
  }
  std::string ask(std::string_view path, std::string_view body) {
    http::TestClient client(server_->port());
    client.send(fmt::format("POST {} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n{}",
                            path, body.size(), body));
    auto answer = client.read_answer();
    CAPTURE(answer.body);
    CHECK(answer.status == 200);
    return answer.body;
  }

 private:
  std::unique_ptr<ApiServer> server_;
  std::jthread thread_;
};

// Of every object in a stream of events or lines, the text at one of these places, joined.
std::string joined(std::string_view body, std::initializer_list<const char*> places) {
  std::string text;
  while (!body.empty()) {
    std::string_view line = body.substr(0, body.find('\n'));
    body.remove_prefix(std::min(body.size(), line.size() + 1));
    if (line.starts_with("data: ")) line.remove_prefix(6);
    const auto json = parse_json(line);
    if (!json || !json->is_object()) continue;
    const Json type = at(*json, "type");
    if (type.is_string() && !has(type.as_string(), "delta")) continue;
    for (const char* place : places)
      if (const Json piece = at(*json, place); piece.is_string()) text += piece.as_string();
  }
  return text;
}

struct Dialect {
  std::string_view path, body;  // the body without its end, and what is asked before it
  const char* whole;
  std::initializer_list<const char*> streamed;
};

const Dialect dialects[] = {
    {"/v1/chat/completions",
     R"({"model":"scripted","messages":[{"role":"system","content":"S"},{"role":"user","content":"Q"}])",
     "choices.0.message.content",
     {"choices.0.delta.content"}},
    {"/v1/messages",
     R"({"model":"scripted","max_tokens":500,"system":"S","messages":[{"role":"user","content":"Q"}])",
     "content.0.text",
     {"delta.text"}},
    {"/api/chat",
     R"({"model":"scripted","messages":[{"role":"system","content":"S"},{"role":"user","content":"Q"}])",
     "message.content",
     {"message.content"}},
    {"/v1/responses",
     R"({"model":"scripted","instructions":"S","input":[{"role":"user","content":"Q"}])",
     "output.0.content.0.text",
     {"delta"}},
    {"/api/generate", R"({"model":"scripted","system":"S","prompt":"Q")", "response", {"response"}},
};

}  // namespace

TEST_CASE("the same conversation through every interface") {
  Scripted scripted;
  std::vector<Json> prompts;
  for (const Dialect& row : dialects) {
    CAPTURE(std::string(row.path));
    const std::string plain = scripted.ask(row.path, std::string(row.body) + ",\"stream\":false}");
    const auto json = parse_json(plain);
    REQUIRE(json);
    CHECK(at(*json, row.whole) == Json(sea));
    for (const char* place : {"usage.prompt_tokens", "usage.input_tokens", "prompt_eval_count"})
      if (Json count = at(*json, place); count.is_integer()) prompts.push_back(std::move(count));
    // Anthropic counts what the cache held apart.
    if (const Json cached = at(*json, "usage.cache_read_input_tokens"); cached.is_integer())
      prompts.back() = prompts.back().as_integer() + cached.as_integer();
    const std::string streamed =
        scripted.ask(row.path, std::string(row.body) + ",\"stream\":true}");
    CHECK(joined(streamed, row.streamed) == sea);
  }
  REQUIRE(prompts.size() == std::size(dialects));
  for (const Json& count : prompts) CHECK(count == prompts.front());
}

TEST_CASE("a call of a tool through every interface, held to its schema") {
  Scripted scripted;
  const char* schema =
      R"({"type":"object","properties":{"city":{"type":"string"}},"required":["city"]})";
  const std::string ask = R"("messages":[{"role":"user","content":"the weather?"}])";
  const std::string function = fmt::format(
      R"("tools":[{{"type":"function","function":{{"name":"weather","parameters":{}}}}}])", schema);
  const struct {
    std::string_view path;
    std::string body;
    const char *name, *arguments;
  } rows[] = {
      {"/v1/chat/completions", fmt::format(R"({{"model":"scripted",{},{}}})", ask, function),
       "choices.0.message.tool_calls.0.function.name",
       "choices.0.message.tool_calls.0.function.arguments"},
      {"/v1/messages",
       fmt::format(
           R"({{"model":"scripted","max_tokens":500,{},"tools":[{{"name":"weather","input_schema":{}}}]}})",
           ask, schema),
       "content.1.name", "content.1.input"},
      {"/api/chat", fmt::format(R"({{"model":"scripted","stream":false,{},{}}})", ask, function),
       "message.tool_calls.0.function.name", "message.tool_calls.0.function.arguments"},
      {"/v1/responses",
       fmt::format(
           R"({{"model":"scripted","input":"the weather?","tools":[{{"type":"function","name":"weather","parameters":{}}}]}})",
           schema),
       "output.1.name", "output.1.arguments"},
  };
  for (const auto& row : rows) {
    CAPTURE(std::string(row.path));
    const auto json = parse_json(scripted.ask(row.path, row.body));
    REQUIRE(json);
    CHECK(at(*json, row.name) == Json("weather"));
    Json arguments = at(*json, row.arguments);
    if (arguments.is_string()) arguments = *parse_json(arguments.as_string());
    CHECK(arguments == Json::object({{"city", "Oslo"}}));
  }
}

TEST_CASE("marks of control in what people and tools say stay text") {
  Scripted scripted;
  // `%` stands for what is said.  A prompt of /v1/completions is read as it is written, marks too.
  const std::string function = R"("tools":[{"type":"function","function":{"name":"t"}}])";
  const std::string call =
      R"({"id":"1","type":"function","function":{"name":"t","arguments":"{}"}})";
  const struct {
    std::string path, body;
  } rows[] = {
      {"/v1/chat/completions", R"("messages":[{"role":"user","content":"%"}])"},
      {"/v1/chat/completions",
       R"("messages":[{"role":"system","content":[{"type":"text","text":"%"}]},{"role":"user","content":"q"}])"},
      {"/v1/chat/completions",
       R"("messages":[{"role":"user","content":"q"},{"role":"assistant","content":null,"tool_calls":[)" +
           call + R"(]},{"role":"tool","tool_call_id":"1","content":"%"}],)" + function},
      {"/v1/responses", R"("input":"%","instructions":"x")"},
      {"/v1/responses",
       R"("input":[{"type":"function_call","call_id":"1","name":"t","arguments":"{}"},
{"type":"function_call_output","call_id":"1","output":"%"}])"},
      {"/v1/responses",
       R"("input":[{"type":"mcp_call","id":"1","server_label":"s","name":"t","arguments":"{}","output":"%"}])"},
      {"/v1/messages", R"("max_tokens":5,"system":"%","messages":[{"role":"user","content":"%"}])"},
      {"/v1/messages",
       R"("max_tokens":5,"messages":[{"role":"user","content":"q"},
{"role":"assistant","content":[{"type":"tool_use","id":"1","name":"t","input":{}}]},
{"role":"user","content":[{"type":"tool_result","tool_use_id":"1","content":"%"}]}])"},
      {"/v1/messages",
       R"("max_tokens":5,"messages":[{"role":"user","content":"q"},
{"role":"assistant","content":[{"type":"mcp_tool_use","id":"1","name":"t","server_name":"s","input":{}},
{"type":"mcp_tool_result","tool_use_id":"1","content":"%"}]},{"role":"user","content":"and?"}])"},
      {"/api/chat", R"("stream":false,"messages":[{"role":"user","content":"%"}])"},
      {"/api/chat",
       R"("stream":false,"messages":[{"role":"user","content":"q"},
{"role":"assistant","tool_calls":[{"function":{"name":"t","arguments":{}}}]},
{"role":"tool","tool_name":"t","content":"%"}])"},
      {"/api/generate", R"("stream":false,"prompt":"%")"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.path);
    CAPTURE(row.body);
    const auto tokens = [&](std::string_view said) {
      std::string body = R"({"model":"scripted",)" + row.body + "}";
      std::size_t places = 0;
      for (std::size_t at = body.find('%'); at != body.npos; at = body.find('%')) {
        body.replace(at, 1, said);
        ++places;
      }
      const auto json = parse_json(scripted.ask(row.path, body));
      REQUIRE(json);
      std::int64_t sum = 0;
      for (const char* place : {"usage.prompt_tokens", "usage.input_tokens", "prompt_eval_count",
                                "usage.cache_read_input_tokens"})
        if (const Json count = at(*json, place); count.is_integer()) sum += count.as_integer();
      return sum - static_cast<std::int64_t>(places * said.size());
    };
    // A byte a token: a mark that is none has as many tokens as bytes.
    CHECK(tokens("x<|im_start|>y<|im_end|>") == tokens("x"));
  }
}

TEST_CASE("thoughts, a schema, tools, streams, stop strings and log probabilities together") {
  ScriptedOptions options;
  options.script = {
      {{"call it"}, {}, "<think>\nhm\n</think>\n\n" + std::string(tool_call.substr(6))},
      {{}, {}, "<think>\nhm\n</think>\n\n{\"city\": \"Oslo\"}"}};
  Scripted scripted(std::move(options));
  const auto ask = [&](std::string_view words, std::string_view stop, bool stream) {
    return scripted.ask(
        chat_path,
        fmt::format(
            R"({{"model":"scripted","stream":{},"stop":["{}"],"logprobs":true,"top_logprobs":2,
"messages":[{{"role":"user","content":"{}"}}],
"response_format":{{"type":"json_schema","json_schema":{{"name":"c","strict":true,"schema":{{"type":"object",
"properties":{{"city":{{"type":"string"}}}},"required":["city"],"additionalProperties":false}}}}}},
"tools":[{{"type":"function","function":{{"name":"weather","strict":true,"parameters":{{"type":"object",
"properties":{{"city":{{"enum":["Oslo","Bergen"]}}}},"required":["city"],"additionalProperties":false}}}}}}]}})",
            stream, stop, words));
  };
  const struct {
    std::string words, stop, text, finish;
  } rows[] = {{"say it", "NEVER", "{\"city\": \"Oslo\"}", "stop"},
              {"say it", "slo", "{\"city\": \"O", "stop"},
              {"call it", "NEVER", "", "tool_calls"}};
  for (const auto& row : rows) {
    CAPTURE(row.words);
    CAPTURE(row.stop);
    const auto whole = parse_json(ask(row.words, row.stop, false));
    REQUIRE(whole);
    CHECK(at(*whole, "choices.0.message.reasoning_content") == Json("hm"));
    const Json content = at(*whole, "choices.0.message.content");
    if (row.finish == "stop") CHECK(content == Json(row.text));
    CHECK(at(*whole, "choices.0.finish_reason") == Json(row.finish));
    const Json calls = at(*whole, "choices.0.message.tool_calls");
    CHECK(calls.is_array() == (row.finish == "tool_calls"));
    const auto logprobs = at(*whole, "choices.0.logprobs.content").size();
    CHECK(logprobs > 20);
    const std::string stream = ask(row.words, row.stop, true);
    CHECK(joined(stream, {"choices.0.delta.reasoning_content"}) == "hm");
    CHECK(joined(stream, {"choices.0.delta.content"}) ==
          (content.is_string() ? content.as_string() : ""));
    if (calls.is_array()) {
      CHECK(joined(stream, {"choices.0.delta.tool_calls.0.function.arguments"}) ==
            at(calls, "0.function.arguments").as_string());
      CHECK(at(calls, "0.function.name") == Json("weather"));
    }
    std::size_t streamed = 0;
    for (std::size_t found = stream.find("\"top_logprobs\""); found != stream.npos;
         found = stream.find("\"top_logprobs\"", found + 1))
      ++streamed;
    CHECK(streamed == logprobs);
  }
}

TEST_CASE("chat: the room that other servers' clients ask for is kept to") {
  Running running;
  const auto ask = [&](std::string_view more) {
    return running.request("POST", chat_path, chat_body(std::string(40, 'x'), more));
  };
  for (const char* few : {R"(,"num_ctx":30)", R"(,"n_ctx":30)", R"(,"options":{"num_ctx":30})"}) {
    CAPTURE(std::string(few));
    const auto answer = ask(few);
    CHECK(answer.status == 400);
    CHECK(has(answer.body, "maximum context length is 30 tokens"));
  }
  const auto many = ask(R"(,"options":{"num_ctx":32768})");
  CHECK(many.status == 200);
  CHECK(has(many.head, "x-hearth-warning: num_ctx 32768 is more than the context of 1000"));
  CHECK(ask(R"(,"num_ctx":"big")").status == 400);
}

TEST_CASE("the oldest turns go where that is asked for, and it is told") {
  Running running;
  const auto turns = [](std::size_t first, std::size_t last) {
    return fmt::format(
        R"([{{"role":"system","content":"Be brief."}},{{"role":"user","content":"{}"}},)"
        R"({{"role":"assistant","content":"{}"}},{{"role":"user","content":"{}"}}])",
        std::string(first, 'x'), std::string(100, 'y'), std::string(last, 'z'));
  };
  const auto ask = [&](std::string_view path, const std::string& messages, std::string_view more) {
    const bool is_responses = path == "/v1/responses";
    return running.request("POST", std::string(path),
                           fmt::format(R"({{"model":"fake","{}":{}{}}})",
                                       is_responses ? "input" : "messages", messages, more));
  };
  const struct {
    std::string_view path, wish;
  } rows[] = {
      {"/v1/chat/completions", R"(,"max_tokens":5,"truncation":"auto")"},
      {"/v1/responses", R"(,"max_output_tokens":5,"truncation":"auto")"},
      {"/api/chat", R"(,"stream":false,"options":{"num_predict":5},"truncate":true)"},
  };
  for (const auto& row : rows) {
    CAPTURE(std::string(row.path));
    CHECK(ask(row.path, turns(1200, 50), "").status == 400);
    const auto cut = ask(row.path, turns(1200, 50), row.wish);
    CHECK(cut.status == 200);
    CHECK(
        has(cut.head, "x-hearth-warning: the oldest 1 of 2 turns were left out: the prompt had "));
    const auto fits = ask(row.path, turns(10, 50), row.wish);
    CHECK(fits.status == 200);
    CHECK_FALSE(has(fits.head, "x-hearth-warning"));
    CHECK(ask(row.path, turns(10, 1200), row.wish).status == 400);
  }
  const auto fewer = ask("/v1/chat/completions", turns(300, 50),
                         R"(,"max_tokens":5,"truncation":"auto","num_ctx":300)");
  CHECK(fewer.status == 200);
  CHECK(has(fewer.head, "turns were left out"));
  CHECK(ask("/v1/chat/completions", turns(1, 1), R"(,"truncation":"always")").status == 400);
}

TEST_CASE("a window of a long text is kept where that is asked for, and it is told") {
  Running running;
  std::string file;
  for (int i = 0; i < 200; ++i) file += fmt::format("line {}\\n", i);
  const auto ask = [&](std::string_view messages, std::string_view more) {
    return running.request(
        "POST", chat_path,
        fmt::format(R"({{"model":"fake","max_tokens":5,"messages":{}{}}})", messages, more));
  };
  const std::string messages = fmt::format(
      R"([{{"role":"user","content":"old"}},{{"role":"assistant","content":"yes"}},)"
      R"({{"role":"user","content":[{{"type":"text","text":"{}"}},{{"type":"text","text":"why?"}}]}}])",
      file);
  CHECK(ask(messages, R"(,"truncation":"auto")").status == 400);
  const auto answer = ask(messages, R"(,"truncation":"window")");
  CHECK(answer.status == 200);
  CHECK(has(answer.head, "tokens were left out of the middle of long texts, and all turns but"));
  const std::string prompt =
      running.generator->model().tokenizer().decode(running.runner().last().prompt, true);
  CHECK(has(prompt, "line 0\n"));
  CHECK(has(prompt, "tokens are left out here]\nline "));
  CHECK(has(prompt, "line 199\n"));
  CHECK(has(prompt, "why?"));
  CHECK_FALSE(has(prompt, "line 100\n"));
  CHECK(running.runner().last().prompt.size() + 5 <= 1000);
  CHECK(running.runner().last().prompt.size() > 850);

  // What fills in the middle slides to the place.
  const auto fill = [&](std::string_view more) {
    return running.request(
        "POST", "/v1/completions",
        fmt::format(R"({{"model":"fake","max_tokens":5,"prompt":"{}","suffix":"{}"{}}})", file,
                    file, more));
  };
  CHECK(fill("").status == 400);
  const auto filled = fill(R"(,"truncation":"window")");
  CHECK(filled.status == 200);
  CHECK(has(filled.head, "far from the place were left out"));
  const std::string around =
      running.generator->model().tokenizer().decode(running.runner().last().prompt, false);
  CHECK(has(around, "line 199\nline 0\n"));
  CHECK_FALSE(has(around, "line 100\n"));
}

namespace {

// A request of the shape that Claude Code sends: a first line of the instructions whose hash is
// another one each time, marks of the client's own cache that move, reminders in between.
std::string coding_request(int turn) {
  std::string tools, instructions;
  for (int i = 0; i < 24; ++i) {
    tools += fmt::format(
        R"({}{{"name":"Tool{}","description":"Does the thing number {}, carefully.","input_schema":{{"$schema":"http://json-schema.org/draft-07/schema#","type":"object","properties":{{"path":{{"type":"string","minLength":1}},"limit":{{"type":"integer","minimum":0}}}},"required":["path"],"additionalProperties":false}}}})",
        i == 0 ? "" : ",", i, i);
    instructions += fmt::format("Rule {}: look before you change anything. ", i);
  }
  std::string messages =
      R"({"role":"user","content":[{"type":"text","text":"<system-reminder>Today is a day.</system-reminder>"},{"type":"text","text":"What is the weather?")";
  messages += turn == 1 ? R"(,"cache_control":{"type":"ephemeral"}}]})" : "}]}";
  if (turn == 2)
    messages +=
        R"(,{"role":"assistant","content":[{"type":"text","text":"Look.\n"},{"type":"tool_use","id":"toolu_1","name":"Tool3","input":{"path":"Oslo"}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"toolu_1","content":"Rain","cache_control":{"type":"ephemeral"}}]},{"role":"system","content":"The task list is empty."},{"role":"user","content":"And now?"})";
  return fmt::format(
      R"({{"model":"scripted","max_tokens":40,"thinking":{{"type":"adaptive"}},"metadata":{{"user_id":"u{}"}},"system":[{{"type":"text","text":"x-anthropic-billing-header: cc_version=2.1.197.{}; cc_entrypoint=cli; cch={};"}},{{"type":"text","text":"You are a coding agent.","cache_control":{{"type":"ephemeral"}}}},{{"type":"text","text":"{}","cache_control":{{"type":"ephemeral"}}}}],"tools":[{}],"messages":[{}]}})",
      turn, turn == 1 ? "a1b" : "f9c", turn == 1 ? "00d3e" : "9ab41", instructions, tools,
      messages);
}

}  // namespace

TEST_CASE("the second turn of a coding agent reads nine tenths of the first from the cache") {
  ScriptedOptions options;
  options.script = {{{}, {}, "Done."}};
  options.context = 65'536;
  Scripted scripted(std::move(options));
  const auto tokens = [&](int turn, const char* name) {
    const auto answer = parse_json(scripted.ask("/v1/messages?beta=true", coding_request(turn)));
    REQUIRE(answer);
    const std::int64_t cached = at(*answer, "usage.cache_read_input_tokens").as_integer();
    const std::int64_t read = at(*answer, "usage.input_tokens").as_integer();
    return std::string_view(name) == "cached" ? cached : cached + read;
  };
  const std::int64_t first = tokens(1, "all");
  CHECK(first > 5000);
  const std::int64_t cached = tokens(2, "cached");
  CAPTURE(first);
  CHECK(10 * cached >= 9 * first);
}
