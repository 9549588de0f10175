// The engine against Python: scripts/golden_templates.py wrote what to expect.
#include <doctest/doctest.h>

#include <cstdlib>
#include <map>
#include <string>
#include <vector>

#include "base/files.h"
#include "base/json.h"
#include "text/chat_template.h"

namespace hearth {
namespace {

constexpr std::uint64_t max_fixture_bytes = 16u << 20;
const std::string folder = "tests/golden/templates";

Json fixture(const std::string& name) {
  const auto text = read_file(folder + "/" + name, max_fixture_bytes);
  REQUIRE(text);
  const auto json = parse_json(*text);
  REQUIRE_MESSAGE(json.ok(), name);
  return *json;
}

std::string data_folder() {
  const char* named = std::getenv("HEARTH_DATA");
  return std::string(named ? named : "../shared/data") + "/conformance/chat-templates/jinja";
}

RenderInputs inputs_of(const Json& json, std::int64_t now) {
  RenderInputs inputs;
  inputs.now_seconds = now;
  for (const auto& [name, value] : json.as_object()) {
    if (name == "messages")
      inputs.messages = value;
    else if (name == "tools")
      inputs.tools = value;
    else if (name == "add_generation_prompt")
      inputs.add_generation_prompt = value.as_bool();
    else if (name == "bos_token")
      inputs.bos_token = value.as_string();
    else if (name == "eos_token")
      inputs.eos_token = value.as_string();
    else
      inputs.variables.set(name, value);
  }
  return inputs;
}

// Neighbours differ in origin and none is empty.
bool parts_are_tidy(const RenderedPrompt& prompt) {
  for (std::size_t i = 0; i < prompt.parts.size(); ++i) {
    if (prompt.parts[i].text.empty()) return false;
    if (i && prompt.parts[i].trusted == prompt.parts[i - 1].trusted) return false;
  }
  return true;
}

// The text, or "error: " and the message.
std::string rendered(const std::string& source, const RenderInputs& inputs) {
  const auto made = ChatTemplate::parse(source);
  if (!made) return "error: " + made.error().message();
  const auto prompt = made->render(inputs);
  if (!prompt) return "error: " + prompt.error().message();
  if (!parts_are_tidy(*prompt)) return "parts are not tidy";
  return prompt->text();
}

// Texts are stored as what they share with an earlier one: [which, start, end, the rest].
std::string unpack(const Json& row, const std::vector<std::string>& earlier) {
  const auto& parts = row.as_array();
  if (parts.size() == 2) return "error: " + parts[1].as_string();
  const auto which = static_cast<std::size_t>(parts[0].as_integer());
  const std::string shared = which < earlier.size() ? earlier[which] : "";
  const auto start = static_cast<std::size_t>(parts[1].as_integer());
  const auto end = static_cast<std::size_t>(parts[2].as_integer());
  return shared.substr(0, start) + parts[3].as_string() + shared.substr(shared.size() - end);
}

// Where Python fails so do we; messages agree where they come from the template or from undefined
// values, whose wording people search for.
bool agrees(const std::string& want, const std::string& error_class, const std::string& got) {
  if (error_class.empty()) return want == got;
  if (!got.starts_with("error: ")) return false;
  if (error_class == "TemplateError") return want == got;
  return true;
}

TEST_CASE("chat templates render as Hugging Face renders them") {
  const Json expected = fixture("expected.json"), conversations = fixture("conversations.json");
  const std::int64_t now = conversations.find("now")->as_integer();
  const auto& cases = conversations.find("cases")->as_array();
  int missing = 0, checked = 0;
  for (const auto& [name, rows] : expected.find("templates")->as_object()) {
    const bool own = name.starts_with("own/");
    const auto file = name.substr(name.find('/') + 1);
    const std::string path = own ? folder + "/own/" + file : data_folder() + "/" + file;
    if (!own && !is_file(path)) {
      ++missing;
      continue;
    }
    const auto source = read_file(path, max_fixture_bytes);
    REQUIRE(source);
    REQUIRE(rows.size() == cases.size());
    std::vector<std::string> texts;
    for (std::size_t i = 0; i < cases.size(); ++i) {
      const auto& row = rows.as_array()[i];
      const std::string want = unpack(row, texts);
      const bool fails = row.size() == 2;
      texts.push_back(fails ? "" : want);
      const std::string error_class = fails ? row.as_array()[0].as_string() : "";
      CAPTURE(name);
      CAPTURE(cases[i].find("name")->as_string());
      const std::string got = rendered(*source, inputs_of(*cases[i].find("inputs"), now));
      CAPTURE(want);
      CAPTURE(got);
      CHECK(agrees(want, error_class, got));
      ++checked;
    }
  }
  CHECK(checked > 0);
  if (missing > 0) MESSAGE(missing, " templates of the data folder are absent: skipped");
}

TEST_CASE("snippets give what Python gives") {
  const Json expressions = fixture("expressions.json");
  const std::int64_t now = expressions.find("now")->as_integer();
  RenderInputs inputs;
  inputs.now_seconds = now;
  inputs.variables = *expressions.find("variables");
  for (const Json& json : expressions.find("rows")->as_array()) {
    const auto& row = json.as_array();
    const bool fails = row.size() == 3;
    const std::string want = fails ? "error: " + row[2].as_string() : row[1].as_string();
    const std::string source = row[0].as_string();
    // Variables that Hugging Face does not define by itself; here they stay out of the way.
    const std::string got = rendered(source, inputs);
    CAPTURE(source);
    CAPTURE(want);
    CAPTURE(got);
    CHECK(agrees(want, fails ? row[1].as_string() : "", got));
  }
}

}  // namespace
}  // namespace hearth
