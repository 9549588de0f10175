// Calls as real chat templates write them in earlier answers are read back as calls.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "base/files.h"
#include "text/answer/answer.h"
#include "text/chat_template.h"

using namespace hearth;

namespace {

std::string folder() {
  const char* named = std::getenv("HEARTH_DATA");
  return std::string(named ? named : "../shared/data") + "/conformance/chat-templates/jinja";
}

const Json& tools() {
  static const Json list = *parse_json(R"([{"type":"function","function":{"name":"weather",
"description":"d","parameters":{"type":"object","properties":{"city":{"type":"string",
"description":"d"},"days":{"type":"integer","description":"d"}},"required":["city"]}}}])");
  return list;
}

// The end of a conversation whose last message calls the tool; "": the template refuses this form.
std::string answer_with_call(const ChatTemplate& chat_template, bool as_text, bool as_empty) {
  const char* arguments = as_text ? R"("{\"city\": \"New {York}\", \"days\": 3}")"
                                  : R"({"city": "New {York}", "days": 3})";
  RenderInputs inputs;
  inputs.tools = tools();
  inputs.bos_token = "<s>";
  inputs.eos_token = "</s>";
  inputs.variables = *parse_json(R"({"functions":"weather","datetime":"now"})");
  inputs.add_generation_prompt = true;
  inputs.messages = *parse_json(R"([{"role":"user","content":"Question"}])");
  const auto before = chat_template.render(inputs);
  inputs.add_generation_prompt = false;
  inputs.messages.push_back(*parse_json(
      std::string(R"({"role":"assistant","content":)") + (as_empty ? "\"\"" : "null") +
      R"(,"tool_calls":[{"id":"abcdefghi","type":"function","function":{"name":"weather","arguments":)" +
      arguments + "}}]}"));
  const auto after = chat_template.render(inputs);
  if (!before || !after) return "";
  const std::string start = before->text(), whole = after->text();
  if (whole.find("\\\"city") != whole.npos || whole.find("'city'") != whole.npos) return "";
  std::size_t same = 0;
  while (same < start.size() && same < whole.size() && start[same] == whole[same]) ++same;
  // Not from within a mark that both begin alike.
  const std::size_t open = whole.substr(0, same).rfind('<');
  if (open != whole.npos && whole.find('>', open) >= same) same = open;
  return whole.substr(same);
}

// Whose way to write calls no row describes yet.
constexpr std::string_view unknown[] = {"CohereForAI-c4ai-command-r-plus-tool_use.jinja",
                                        "meetkai-functionary-medium-v3.2.jinja",
                                        "upstage-Solar-Open-100B.jinja"};

struct Call {
  std::string name, arguments;
};
std::vector<Call> read_calls(const AnswerForm& form, std::string_view text) {
  AnswerReader reader(form, tools(), false);
  std::vector<AnswerPiece> pieces = reader.add(text);
  for (AnswerPiece& piece : reader.finish()) pieces.push_back(std::move(piece));
  std::vector<Call> calls;
  for (const AnswerPiece& piece : pieces) {
    if (piece.kind == AnswerPiece::Kind::call) calls.push_back({piece.text, ""});
    if (piece.kind == AnswerPiece::Kind::arguments) calls.back().arguments += piece.text;
  }
  return calls;
}

}  // namespace

TEST_CASE("what a template writes of a call is read back as that call") {
  const auto names = list_folder(folder());
  if (!names) {
    std::printf("skipped: %s is absent\n", folder().c_str());
    return;
  }
  int templates = 0;
  const Json want = *parse_json(R"({"city": "New {York}", "days": 3})");
  for (const std::string& name : *names) {
    if (!name.ends_with(".jinja")) continue;
    CAPTURE(name);
    const auto source = read_file(join_path(folder(), name), 1u << 20);
    REQUIRE(source);
    const auto chat_template = ChatTemplate::parse(*source);
    REQUIRE(chat_template);
    const AnswerForm form = find_answer_form(*source);
    std::string answer;
    for (const bool as_text : {false, true})
      for (const bool as_empty : {false, true})
        if (answer.find("weather") == answer.npos)
          answer = answer_with_call(*chat_template, as_text, as_empty);
    if (answer.find("weather") == answer.npos) continue;  // it leaves calls out, or knows none
    CAPTURE(answer);
    CAPTURE(std::string(family_of(form)));
    ++templates;
    const bool is_unknown = std::ranges::find(unknown, name) != std::end(unknown);
    const auto calls = read_calls(form, answer);
    REQUIRE(calls.size() == (is_unknown ? 0 : 1));
    if (is_unknown) continue;
    CHECK(calls[0].name == "weather");
    const auto arguments = parse_json(calls[0].arguments);
    REQUIRE(arguments);
    CHECK(*arguments == want);
  }
  CHECK(templates >= 40);
}
