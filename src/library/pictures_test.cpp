// From messages that show pictures to prompts: the tokens that Hugging Face's processors make.
#include "library/pictures.h"

#include <doctest/doctest.h>

#include "base/files.h"
#include "formats/scratch_folder.h"
#include "library/library.h"
#include "library/towers.h"
#include "models/vision/vision.h"
#include "text/base64.h"

namespace hearth {
namespace {

const std::string folder = "tests/golden/vision/";

std::string bytes_of_file(const std::string& path) {
  auto bytes = read_file(path, 8u << 20);
  REQUIRE_MESSAGE(bytes.ok(), bytes.error().message());
  return *std::move(bytes);
}

Json part_of(std::string url) {
  return Json::object(
      {{"type", "image_url"}, {"image_url", Json::object({{"url", std::move(url)}})}});
}

Json message_of(Json part) {
  Json parts = Json::array(), messages = Json::array();
  parts.push_back(std::move(part));
  messages.push_back(Json::object({{"role", "user"}, {"content", std::move(parts)}}));
  return messages;
}

// The golden messages with their pictures.
Json messages_of(const Json& golden) {
  const char* files[] = {"picture.png", "wide.png"};
  std::size_t next = 0;
  Json messages = *golden.find("messages");
  for (Json& message : messages.as_array()) {
    Json parts = Json::array();
    for (const Json& part : message.find("content")->as_array())
      parts.push_back(part.find("text") ? part : *picture_part(folder + files[next++]));
    message.set("content", std::move(parts));
  }
  return messages;
}

TEST_CASE("messages with pictures become the reference's tokens") {
  LibraryOptions options;
  options.threads = 1;
  options.runner.kv_budget_bytes = 8u << 20;
  const auto library = Library::create(options);
  REQUIRE(library.ok());
  for (const std::string name : {"qwen2.5-vl",
                                 "qwen2-vl",
                                 "qwen3-vl",
                                 "qwen3-vl-moe",
                                 "qwen3.5",
                                 "gemma3",
                                 "gemma4",
                                 "gemma4-large",
                                 "internvl",
                                 "internvl-large",
                                 "llama4",
                                 "smolvlm",
                                 "llava",
                                 "llava-next",
                                 "pixtral",
                                 "mistral3",
                                 "ministral3",
                                 "qwen2.5-vl/model.gguf",
                                 "qwen3-vl/model.gguf",
                                 "gemma3/model.gguf"}) {
    CAPTURE(name);
    const auto lease = (*library)->acquire(folder + name);
    REQUIRE_MESSAGE(lease.ok(), lease.error().message());
    const Model& model = (*lease)->model();
    REQUIRE(model.vision() != nullptr);
    CHECK(!model.info().vision.empty());
    const auto golden =
        parse_json(bytes_of_file(folder + name.substr(0, name.find('/')) + "/golden.json"));
    const auto prompt = chat_prompt(model, messages_of(*golden));
    REQUIRE_MESSAGE(prompt.ok(), prompt.error().message());
    std::vector<Token> wanted;
    std::vector<std::uint32_t> places, held;
    for (const Json& token : golden->find("tokens")->as_array()) {
      if (token == *golden->find("row_token"))
        places.push_back(static_cast<std::uint32_t>(wanted.size()));
      wanted.push_back(static_cast<Token>(token.as_integer()));
    }
    CHECK(prompt->tokens == wanted);
    REQUIRE(prompt->pictures.size() == 2);
    for (const PromptPicture& picture : prompt->pictures)
      held.insert(held.end(), picture.places.begin(), picture.places.end());
    CHECK(held == places);
    CHECK(prompt->pictures[0].digest != prompt->pictures[1].digest);
  }
}

TEST_CASE("what is no picture is refused, and nothing is fetched") {
  const std::string gif = "data:image/gif;base64," + encode_base64("GIF89a");
  const struct {
    std::string what;
    Json part;
    const char* says;
  } rows[] = {
      {"an address", part_of("https://example.org/cat.png"), "needs to be a data: URL"},
      {"a file", part_of("file:///etc/passwd"), "needs to be a data: URL"},
      {"no comma", part_of("data:image/png;base64"), "without a comma"},
      {"not base64", part_of("data:image/png,abc"), "not base64"},
      {"broken base64", part_of("data:image/png;base64,a*b"), "alphabet"},
      {"a text", part_of("data:text/html;base64,AAAA"), "no image"},
      {"no address", Json::object({{"type", "image_url"}}), "without image_url"},
      {"an address of a number", Json::object({{"type", "image_url"}, {"image_url", 3}}),
       "without image_url"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.what);
    const auto pictures = pictures_in(message_of(row.part));
    REQUIRE(!pictures.ok());
    CHECK(pictures.error().kind() == ErrorKind::invalid);
    CHECK_MESSAGE(pictures.error().message().find(row.says) != std::string::npos,
                  pictures.error().message());
    CHECK(pictures.error().message().find("messages[0].content") != std::string::npos);
  }
  const auto held = pictures_in(message_of(part_of(gif)));
  REQUIRE(held.ok());
  CHECK(held->front() == "GIF89a");
  Json many = message_of(part_of(gif));
  for (std::size_t i = 0; i < max_pictures; ++i)
    many.push_back(message_of(part_of(gif)).as_array()[0]);
  CHECK(!pictures_in(many).ok());
}

TEST_CASE("a tower is found beside its model by its name") {
  const struct {
    std::string what;
    std::vector<std::string> files;
    std::string tower;  // whose
  } rows[] = {
      {"alone", {"model-Q4_K_M.gguf", "mmproj-F16.gguf"}, "mmproj-F16.gguf"},
      {"none", {"model-Q4_K_M.gguf"}, ""},
      {"halves before others",
       {"qwen-vl-Q4_K_M.gguf", "mmproj-qwen-vl-Q8_0.gguf", "mmproj-qwen-vl-f16.gguf"},
       "mmproj-qwen-vl-f16.gguf"},
      {"several models",
       {"gemma-3-Q4_K_M.gguf", "qwen-vl-Q4_K_M.gguf", "mmproj-qwen-vl-f16.gguf",
        "mmproj-gemma-3-f16.gguf"},
       "mmproj-gemma-3-f16.gguf"},
      {"another's", {"llama-Q4_K_M.gguf", "qwen-vl-Q4_K_M.gguf", "mmproj-qwen-vl-f16.gguf"}, ""},
      {"a name that says nothing, among several",
       {"llama-Q4_K_M.gguf", "qwen-vl-Q4_K_M.gguf", "mmproj-F16.gguf"},
       ""},
  };
  const std::string model = bytes_of_file(folder + "gemma3/model.gguf");
  const std::string tower = bytes_of_file(folder + "gemma3/mmproj.gguf");
  for (const auto& row : rows) {
    CAPTURE(row.what);
    testing::ScratchFolder scratch;
    for (const std::string& name : row.files) {
      const std::string& bytes = is_tower_file(name) ? tower : model;
      REQUIRE(replace_file(scratch.path(name), std::as_bytes(std::span(bytes))).ok());
    }
    auto package = open_package(scratch.path(row.files[0]));
    REQUIRE(package.ok());
    REQUIRE(attach_tower(*package).ok());
    CHECK((package->tower ? file_name(package->tower->path) : "") == row.tower);
    CHECK(!attach_tower(*package, scratch.path(row.files[0])).ok());  // no tower
    CHECK(!attach_tower(*package, scratch.path("nowhere.gguf")).ok());
  }
}

}  // namespace
}  // namespace hearth
