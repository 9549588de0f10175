// Answers from other servers, however the network cuts them; settings that are refused.
#include <doctest/doctest.h>

#include "base/bytes.h"
#include "formats/scratch_folder.h"
#include "library/remote.h"
#include "library/remote_answer.h"
#include "library/remote_model.h"
#include "text/answer/answer.h"

using namespace hearth;

namespace {

constexpr std::string_view stream =
    "data: {\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\r\n\r\n"
    ": a comment\n\n"
    "data: {\"choices\":[{\"delta\":{\"reasoning_content\":\"So.\"}}]}\n\n"
    "data: {\"choices\":[{\"delta\":{\"content\":\"Gr\\u00fc\\u00dfe\"}}]}\n\n"
    "data: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"a\",\"function\":"
    "{\"name\":\"weather\",\"arguments\":\"{\\\"ci\"}}]}}]}\n\n"
    "data: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":0,\"function\":"
    "{\"arguments\":\"ty\\\":1}\"}}]},\"finish_reason\":\"tool_calls\"}]}\n\n"
    "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":3}}\n\n"
    "data: [DONE]\n\n";

constexpr std::string_view told =
    "<think>So.</think>Gr\xc3\xbc\xc3\x9f"
    "e<tool_call>\n{\"name\":\"weather\",\"arguments\":{\"city\":1}}\n</tool_call>\n";

}  // namespace

TEST_CASE("an answer's stream is the same wherever it is cut") {
  for (std::size_t cut = 0; cut <= stream.size(); ++cut) {
    CAPTURE(cut);
    RemoteAnswer answer;
    std::string text = answer.add(stream.substr(0, cut)).value();
    text += answer.add(stream.substr(cut)).value();
    text += answer.finish();
    CHECK(text == told);
    CHECK(answer.is_done());
    CHECK(answer.usage().prompt_tokens == 7);
    CHECK(answer.usage().completion_tokens == 3);
  }
}

TEST_CASE("what a server says instead of an answer is passed on") {
  const struct {
    std::string stream;
    const char* says;
  } rows[] = {
      {"data: {\"error\":{\"message\":\"out of memory\"}}\n\n", "the server says: out of memory"},
      {"data: {\"error\":\"busy\"}\n\n", "the server says: busy"},
      {"data: {nonsense\n\n", "no JSON"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.stream);
    RemoteAnswer answer;
    const auto got = answer.add(row.stream);
    REQUIRE(!got.ok());
    CHECK(got.error().message().find(row.says) != std::string::npos);
  }
}

TEST_CASE("a conversation reaches the other server as it was, calls of tools too") {
  const auto model = make_remote_model({.name = "lab", .url = "http://127.0.0.1:1/v1"});
  const Json messages = *parse_json(
      R"([{"role":"system","content":"Be short."},{"role":"user","content":"Grüße \"x\""},
          {"role":"assistant","content":"","tool_calls":[{"id":"1","type":"function",
           "function":{"name":"f","arguments":"{\"a\":1}"}}]},
          {"role":"tool","tool_call_id":"1","content":"3"}])");
  RenderInputs inputs;
  inputs.messages = messages;
  inputs.add_generation_prompt = true;
  const auto rendered = model->chat_format()->render(inputs);
  REQUIRE_MESSAGE(rendered.ok(), rendered.error().message());
  const auto body = conversation_in(rendered->text());
  REQUIRE_MESSAGE(body.ok(), body.error().message());
  REQUIRE(body->has_value());
  const Json::Array& sent = (*body)->find("messages")->as_array();
  REQUIRE(sent.size() == 4);
  CHECK(sent[0].find("role")->as_string() == "system");
  CHECK(sent[1].find("content")->as_string() == "Grüße \"x\"");
  const Json& call = sent[2].find("tool_calls")->as_array()[0];
  CHECK(call.find("function")->find("arguments")->is_string());
  CHECK(!conversation_in("Once upon a time")->has_value());
  const AnswerForm form = find_answer_form(model->chat_template_source());
  CHECK(family_of(form) == "hermes");
  CHECK(form.thoughts != nullptr);
}

TEST_CASE("settings of other servers: kept, and refused where they make no sense") {
  const testing::ScratchFolder scratch;
  LibraryFolders folders;
  folders.catalog = scratch.path("catalog.json");
  CHECK(read_remotes(folders)->empty());
  REQUIRE(write_remotes(folders, {{.name = "lab", .url = "http://127.0.0.1:8000/v1", .model = "m"}})
              .ok());
  const auto kept = find_remote(folders, "lab");
  REQUIRE(kept.ok());
  CHECK(kept->model == "m");
  CHECK(kept->is_on_this_machine());
  CHECK(!find_remote(folders, "other").ok());
  const struct {
    RemoteSettings remote;
    const char* says;
  } rows[] = {
      {{.name = "a b", .url = "http://x/v1"}, "a remote's name"},
      {{.name = "a", .url = "ftp://x"}, "needs an address"},
      {{.name = "a", .url = "http://me:secret@x/v1"}, "needs an address"},
      {{.name = "a", .url = "http://x/v1", .key_env = "KEY"}, "over https alone"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.says);
    const auto status = check_remote(row.remote);
    REQUIRE(!status.ok());
    CHECK(status.error().message().find(row.says) != std::string::npos);
  }
  REQUIRE(replace_file(remotes_file(folders), bytes_of("[1]")).ok());
  CHECK(!read_remotes(folders).ok());
}
