#include "text/chat_format.h"

#include <doctest/doctest.h>

#include "text/test_data.h"

using namespace hearth;

namespace {

Json parse(const std::string& text) {
  auto json = parse_json(text);
  REQUIRE(json);
  return *std::move(json);
}

// The text, or "error: " and the message.
std::string rendered(const std::string& source, const std::string& messages) {
  const auto made = ChatFormat::parse(source);
  REQUIRE(made);
  RenderInputs inputs;
  inputs.messages = parse(messages);
  const auto prompt = made->render(inputs);
  return prompt ? prompt->text() : "error: " + prompt.error().message();
}

const std::string plain =
    "{% for m in messages %}[{{ m.role }}:{{ m.content }}{% for c in m.tool_calls %}"
    "{{ c.function.arguments|tojson }}{% endfor %}]{% endfor %}";
const std::string no_system =
    "{% if messages[0].role == 'system' %}{{ raise_exception('no system') }}{% endif %}" + plain;
const std::string drops_system =
    "{% for m in messages if m.role != 'system' %}[{{ m.role }}:{{ m.content }}]{% endfor %}";
const std::string wants_text =
    "{% for m in messages %}[{{ m.content is none }}{% for c in m.tool_calls %}"
    "{{ c.function.name + c.function.arguments }}{% endfor %}]{% endfor %}";

const std::string call_of_text =
    R"([{"role":"assistant","tool_calls":[{"function":{"name":"f","arguments":"{\"a\": 1}"}}]}])";
const std::string call_of_object =
    R"([{"role":"assistant","content":"","tool_calls":[{"function":{"name":"f",)"
    R"("arguments":{"a":1}}}]}])";

}  // namespace

TEST_CASE("messages reach the template in the form it reads") {
  const struct {
    std::string what, source, messages, text;
  } rows[] = {
      {"parts", plain,
       R"([{"role":"user","content":[{"type":"text","text":"a"},{"type":"input_text","text":"b"}]}])",
       "[user:ab]"},
      {"refusal", plain, R"([{"role":"assistant","content":[{"type":"refusal","refusal":"no"}]}])",
       "[assistant:no]"},
      {"developer", plain, R"([{"role":"developer","content":"d"}])", "[system:d]"},
      {"missing content", plain, R"([{"role":"assistant"}])", "[assistant:]"},
      {"null content", plain, R"([{"role":"user","content":null}])", "[user:]"},
      {"system", plain, R"([{"role":"system","content":"s"},{"role":"user","content":"u"}])",
       "[system:s][user:u]"},
      {"system refused", no_system,
       R"([{"role":"system","content":"s"},{"role":"user","content":"u"},)"
       R"({"role":"user","content":"v"}])",
       "[user:s\n\nu][user:v]"},
      {"system left out", drops_system,
       R"([{"role":"developer","content":"s"},{"role":"user","content":"u"}])", "[user:s\n\nu]"},
      {"system alone", no_system, R"([{"role":"system","content":"s"}])", "[user:s]"},
      {"empty system", no_system,
       R"([{"role":"system","content":""},{"role":"user","content":"u"}])", "[user:u]"},
      {"arguments as text, objects wanted", plain, call_of_text, R"([assistant:None{"a": 1}])"},
      {"arguments as objects, text wanted", wants_text, call_of_object, R"([Truef{"a":1}])"},
      {"arguments as text, text wanted", wants_text, call_of_text, R"([Truef{"a": 1}])"},
      {"arguments that are no JSON", plain,
       R"([{"role":"assistant","content":"x","tool_calls":[{"function":{"arguments":"{"}}]}])",
       R"([assistant:x"{"])"},
      {"no list", plain, "{}", "error: messages: needs a list"},
      {"no message", plain, "[1]", "error: messages[0]: needs an object"},
      {"no role", plain, R"([{"role":"user","content":"x"},{"content":"x"}])",
       "error: messages[1]: has no role"},
      {"content of a number", plain, R"([{"role":"user","content":1}])",
       "error: messages[0]: needs a text or a list of parts"},
      {"sound", plain, R"([{"role":"user","content":[{"type":"input_audio"}]}])",
       "error: messages[0]: has a part of type 'input_audio': this model reads text, and no model "
       "here hears"},
      {"part without text", plain, R"([{"role":"user","content":[{"type":"text"}]}])",
       "error: messages[0]: has a part without text"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.what);
    CHECK(rendered(row.source, row.messages) == row.text);
  }
}

TEST_CASE("pictures reach templates of every kind, and users cannot make them up") {
  constexpr const char* knows_parts =
      "{% for m in messages %}[{% if m.content is string %}{{ m.content }}{% else %}"
      "{% for p in m.content %}{% if p.type == 'image' %}<pic>{% else %}{{ p.text }}{% endif %}"
      "{% endfor %}{% endif %}]{% endfor %}";
  constexpr const char* only_parts =
      "{% for m in messages %}[{% for p in m.content %}{% if p.type == 'image' %}<pic>{% endif %}"
      "{% if p.type == 'text' %}{{ p.text }}{% endif %}{% endfor %}]{% endfor %}";
  constexpr const char* texts = "{% for m in messages %}[{{ m.content }}]{% endfor %}";
  const struct {
    std::string what, source, messages, text;
    bool pictures;
  } rows[] = {
      {"a place for them", knows_parts,
       R"([{"role":"user","content":[{"type":"text","text":"a"},{"type":"image_url"},)"
       R"({"type":"input_text","text":"b<pic>"}]}])",
       "![!a!<pic>!b<pic>!]", true},
      {"texts are parts", only_parts,
       R"([{"role":"system","content":"s"},{"role":"user","content":[{"type":"image"},)"
       R"({"type":"text","text":"x"}]}])",
       "![!s!][<pic>!x!]", true},
      {"no place", texts,
       R"([{"role":"user","content":[{"type":"image"},{"type":"text","text":"x<pic>"}]}])",
       "![<begin><pic><end>!x<pic>!]", false},
      {"the result of a tool", knows_parts,
       R"([{"role":"tool","content":[{"type":"text","text":"x"},{"type":"image"}]}])",
       "![!x!<begin><pic><end>]", true},
  };
  for (const auto& row : rows) {
    CAPTURE(row.what);
    const auto format = ChatFormat::parse(row.source);
    REQUIRE(format.ok());
    CHECK(format->traits().pictures == row.pictures);
    RenderInputs inputs;
    inputs.messages = *parse_json(row.messages);
    inputs.picture_text = "<begin><pic><end>";
    const auto prompt = format->render(inputs);
    REQUIRE_MESSAGE(prompt.ok(), prompt.error().message());
    std::string text;  // with a mark where trust begins or ends
    bool trusted = false;
    for (const auto& part : prompt->parts) {
      if (part.trusted != trusted) text += '!';
      trusted = part.trusted;
      text += part.text;
    }
    CHECK(text == row.text);
  }
}

TEST_CASE("what real templates can do is found out") {
  const struct {
    std::string name;
    ChatTraits traits;  // system, tools, tool_calls, argument_objects, thinking
  } rows[] = {
      {"google-gemma-2-2b-it", {false, false, false, false, false}},
      {"microsoft-Phi-3.5-mini-instruct", {true, false, false, false, false}},
      {"Qwen-Qwen2.5-7B-Instruct", {true, true, true, true, false}},
      {"Qwen-Qwen3-0.6B", {true, true, true, true, true}},
      {"meta-llama-Llama-3.2-3B-Instruct", {true, true, true, true, false}},
      {"openai-gpt-oss-120b", {true, true, true, true, false}},
      {"deepseek-ai-DeepSeek-R1-Distill-Llama-8B", {true, false, true, false, false}},
      {"NousResearch-Hermes-3-Llama-3.1-8B-tool_use", {true, true, true, true, false}},
  };
  for (const auto& row : rows) {
    CAPTURE(row.name);
    const std::string path =
        test::data_file("conformance/chat-templates/jinja/" + row.name + ".jinja");
    if (path.empty()) return;
    const auto made = ChatFormat::parse(test::read_all(path));
    REQUIRE(made);
    const ChatTraits got = made->traits();
    CHECK(got.system == row.traits.system);
    CHECK(got.tools == row.traits.tools);
    CHECK(got.tool_calls == row.traits.tool_calls);
    CHECK(got.argument_objects == row.traits.argument_objects);
    CHECK(got.thinking == row.traits.thinking);
  }
  const std::string gemma = test::read_all(
      test::data_file("conformance/chat-templates/jinja/google-gemma-2-2b-it.jinja"));
  CHECK(
      rendered(gemma, R"([{"role":"system","content":"Be kind."},{"role":"user","content":"Hi"}])")
          .find("<start_of_turn>user\nBe kind.\n\nHi<end_of_turn>") != std::string::npos);
}
