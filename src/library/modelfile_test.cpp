// Names of the user's own: Modelfiles, the file they are kept in, and what they do to requests.
#include "library/modelfile.h"

#include <doctest/doctest.h>

#include "base/files.h"
#include "formats/scratch_folder.h"

namespace hearth {
namespace {

TEST_CASE("a Modelfile is read as Ollama reads it") {
  const auto file = parse_modelfile(
      "# mine\n"
      "from llama3.2:1b\n"
      "PARAMETER temperature 0.5\n"
      "PARAMETER stop \"<end>\"\n"
      "PARAMETER stop two words\n"
      "parameter num_predict -1\n"
      "SYSTEM \"\"\"You are Mario.\nSpeak so.\"\"\"\n"
      "MESSAGE user Who are you?\n"
      "MESSAGE assistant \"\"\"\nMario!\n\"\"\"\n"
      "ADAPTER ./sql.gguf\n"
      "LICENSE \"MIT\"\n");
  REQUIRE(file);
  CHECK(file->from == "llama3.2:1b");
  CHECK(file->system == "You are Mario.\nSpeak so.");
  CHECK(file->licence == "MIT");
  CHECK(file->adapters == std::vector<std::string>{"./sql.gguf"});
  CHECK(write_json(file->messages) ==
        R"([{"role":"user","content":"Who are you?"},{"role":"assistant","content":"Mario!"}])");
  CHECK(write_json(file->parameters) ==
        R"({"temperature":0.5,"stop":["<end>","two words"],"num_predict":-1})");
  const auto fields = preset_fields(file->parameters);
  REQUIRE(fields);
  CHECK(write_json(*fields) ==
        R"({"temperature":0.5,"stop":["<end>","two words"],"max_tokens":2147483647})");
}

TEST_CASE("a Modelfile that says nothing, or what cannot be, is refused with its line") {
  const struct {
    std::string_view text, message;
  } cases[] = {
      {"", "no line FROM"},
      {"SYSTEM x\n", "no line FROM"},
      {"FROM a\nFLY high\n", "line 2: 'FLY'"},
      {"FROM\n", "line 1: FROM needs a text"},
      {"FROM a\nSYSTEM \"\"\"x\ny\n", "line 2: a text that begins"},
      {"FROM a\nPARAMETER stop\n", "line 2: PARAMETER needs"},
      {"FROM a\nMESSAGE robot hi\n", "line 2: MESSAGE 'robot'"},
      {"FROM a\nTEMPLATE {{ .Prompt }}\n", "line 2: TEMPLATE"},
  };
  for (const auto& c : cases) {
    CAPTURE(c.text);
    const auto file = parse_modelfile(c.text);
    REQUIRE_FALSE(file);
    CHECK(file.error().message().find(c.message) != std::string::npos);
  }
  CHECK_FALSE(preset_fields(Json::object({{"tempature", 1}})));
  CHECK(preset_fields(Json::object({{"num_gpu", 1}}))->size() == 0);
}

TEST_CASE("what is written reads back") {
  const Preset preset{
      .fields = Json::object({{"repetition_penalty", 1.5},
                              {"stop", Json(Json::Array{"a b", "c"})},
                              {"max_tokens", 7}}),
      .system = "Be brief.\nAnd kind.",
      .messages = Json(Json::Array{Json::object({{"role", "user"}, {"content", "Hello"}})}),
      .licence = "MIT",
      .adapters = {"/home/me/a b", "/home/me/c.gguf"}};
  const auto file = parse_modelfile(write_modelfile("qwen3:4b", preset));
  REQUIRE(file);
  CHECK(file->from == "qwen3:4b");
  CHECK(file->system == preset.system);
  CHECK(file->messages == preset.messages);
  CHECK(file->licence == preset.licence);
  CHECK(file->adapters == preset.adapters);
  CHECK(*preset_fields(file->parameters) == preset.fields);
}

TEST_CASE("a name keeps its preset, and loses it") {
  const testing::ScratchFolder folder;
  LibraryFolders folders;
  folders.aliases = folder.path("aliases.json");
  const std::string_view before = R"({"plain": "qwen3:4b", "odd": 7})";
  REQUIRE(replace_file(folders.aliases, std::as_bytes(std::span(before))).ok());
  CHECK(read_aliases(folders).size() == 1);
  const Preset preset{
      .fields = Json::object({{"top_k", 3}}), .system = "Be brief.", .adapters = {"/home/me/a"}};
  REQUIRE(set_alias(folders, "brief:latest", {"qwen3:4b", preset}).ok());
  const Aliases aliases = read_aliases(folders);
  CHECK(find_alias(aliases, "plain:latest")->model == "qwen3:4b");
  const Alias* found = find_alias(aliases, "brief");
  REQUIRE(found);
  CHECK(found->preset.system == "Be brief.");
  CHECK(found->preset.fields == preset.fields);
  CHECK(found->preset.adapters == preset.adapters);
  CHECK_FALSE(set_alias(folders, "/etc/passwd", {"x"}).ok());
  REQUIRE(set_alias(folders, "brief", {}).ok());
  CHECK_FALSE(find_alias(read_aliases(folders), "brief"));
}

TEST_CASE("a preset says what a request does not") {
  const Preset preset{
      .fields = Json::object({{"temperature", 0.25}, {"max_tokens", 9}}),
      .system = "S",
      .messages = Json(Json::Array{Json::object({{"role", "user"}, {"content", "before"}})})};
  const auto dressed = [&](std::string_view request) {
    return write_json(with_preset(preset, *parse_json(request)));
  };
  CHECK(dressed(R"({"messages":[{"role":"user","content":"x"}],"temperature":1})") ==
        R"({"messages":[{"role":"system","content":"S"},{"role":"user","content":"before"},)"
        R"({"role":"user","content":"x"}],"temperature":1,"max_tokens":9})");
  CHECK(dressed(R"({"messages":[{"role":"developer","content":"D"},{"role":"user","content":"x"}],)"
                R"("max_completion_tokens":3})") ==
        R"({"messages":[{"role":"developer","content":"D"},{"role":"user","content":"before"},)"
        R"({"role":"user","content":"x"}],"max_completion_tokens":3,"temperature":0.25})");
  CHECK(dressed(R"({"prompt":"x"})") == R"({"prompt":"x","temperature":0.25,"max_tokens":9})");
}

}  // namespace
}  // namespace hearth
