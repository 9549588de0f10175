// Mistral's tekken.json, held to mistral-common.
#include <doctest/doctest.h>

#include "base/files.h"
#include "text/chat_format.h"
#include "text/tokenizer.h"
#include "text/vocabulary_forms.h"

namespace hearth {
namespace {

const std::string folder = "tests/golden/tekken/";

std::string text_of_file(const std::string& name) {
  auto text = read_file(folder + name, 1 << 20);
  REQUIRE_MESSAGE(text.ok(), text.error().message());
  return *std::move(text);
}

std::string refusal(const Json& json) {
  const std::string text = write_json(json);
  const auto made = make_tokenizer(TokenizerFiles{.tiktoken = text});
  REQUIRE(!made.ok());
  return made.error().message();
}

}  // namespace

TEST_CASE("tekken.json gives mistral-common's ids") {
  const Json golden = *parse_json(text_of_file("golden.json"));
  for (const Json& each : golden.find("cases")->as_array()) {
    const std::string text = text_of_file(each.find("file")->as_string());
    const auto tokenizer = make_tokenizer(TokenizerFiles{.tiktoken = text});
    REQUIRE_MESSAGE(tokenizer.ok(), tokenizer.error().message());
    CHECK(Json((*tokenizer)->size()) == *each.find("size"));
    CHECK(Json(*(*tokenizer)->special().bos) == *each.find("bos"));
    CHECK(Json(*(*tokenizer)->special().eos) == *each.find("eos"));
    for (const auto& [id, name] : each.find("names")->as_object()) {
      CHECK((*tokenizer)->name(std::stoi(id)) == name.as_string());
      CHECK((*tokenizer)->kind(std::stoi(id)) == TokenKind::control);
    }
    const auto& texts = each.find("texts")->as_array();
    for (std::size_t i = 0; i < texts.size(); ++i) {
      CAPTURE(texts[i].as_string());
      const auto ids = (*tokenizer)->encode(texts[i].as_string(), {.add_special = true});
      REQUIRE(ids.ok());
      CHECK(Json(Json::Array(ids->begin(), ids->end())) == each.find("ids")->as_array()[i]);
      CHECK((*tokenizer)->decode(*ids) == texts[i].as_string());
    }
    // As GGUF has them: ranks become merges.
    const auto form = gguf_form(TokenizerFiles{.tiktoken = text});
    REQUIRE_MESSAGE(form.ok(), form.error().message());
    CHECK(form->pre == "tekken");
    CHECK(form->tokens.size() == static_cast<std::size_t>((*tokenizer)->size()));
  }
}

TEST_CASE("tekken.json that does not hold what it says is refused") {
  const Json good = *parse_json(text_of_file("v7.json"));
  const auto with = [&](const std::string& key, Json value) {
    Json changed = good;
    changed.set(key, std::move(value));
    return refusal(changed);
  };
  const auto with_config = [&](const std::string& key, Json value) {
    Json config = *good.find("config");
    config.set(key, std::move(value));
    return with("config", config);
  };
  CHECK(with("config", Json()).contains("needs config and vocab"));
  CHECK(with("vocab", Json::array()).contains("vocab: needs 750 tokens"));
  CHECK(with_config("default_vocab_size", -1).contains("default_vocab_size: needs a number up to"));
  CHECK(with_config("default_num_special_tokens", 1e9).contains("default_num_special_tokens"));
  CHECK(with_config("pattern", "a|b").contains("config.pattern is not one that we cut texts by"));
  Json vocab = *good.find("vocab");
  vocab.as_array()[7].set("rank", 8);
  CHECK(with("vocab", vocab).contains("rank 8 stands twice"));
  vocab.as_array()[7].set("rank", 100000);
  CHECK(with("vocab", vocab).contains("rank 7 is missing"));
  vocab.as_array()[7].set("rank", 7);
  vocab.as_array()[7].set("token_bytes", "?");
  CHECK(with("vocab", vocab).contains("entry 7: token_bytes is no base64"));
  Json special = *good.find("special_tokens");
  special.as_array()[3].set("rank", 24);
  CHECK(with("special_tokens", special).contains("entry 3 has the rank 24 of 24"));
}

TEST_CASE("conversations of folders with tekken.json alone are laid out as mistral-common does") {
  const Json golden = *parse_json(text_of_file("golden.json"));
  for (const Json& each : golden.find("conversations")->as_array()) {
    const std::string& version = each.find("version")->as_string();
    CAPTURE(version);
    const auto source = tekken_template(
        write_json(Json::object({{"config", Json::object({{"version", version}})}})));
    REQUIRE_MESSAGE(source.ok(), source.error().message());
    const auto format = ChatFormat::parse(*source);
    REQUIRE_MESSAGE(format.ok(), format.error().message());
    CHECK(format->traits().tools);
    CHECK(format->traits().tool_calls);
    CHECK(format->traits().system);
    for (const Json& prompt : each.find("prompts")->as_array()) {
      RenderInputs inputs;
      inputs.messages = Json::array();
      const auto count = static_cast<std::size_t>(prompt.find("messages")->as_number());
      for (std::size_t i = 0; i < count; ++i)
        inputs.messages.push_back(golden.find("messages")->as_array()[i]);
      if (prompt.find("tools")->as_bool()) inputs.tools = *golden.find("tools");
      inputs.bos_token = "<s>";
      inputs.eos_token = "</s>";
      const auto rendered = format->render(inputs);
      REQUIRE_MESSAGE(rendered.ok(), rendered.error().message());
      CHECK(rendered->text() == prompt.find("prompt")->as_string());
    }
  }
  for (const char* wrong : {"v2", "v99", "7x", ""}) {
    const auto source =
        tekken_template(write_json(Json::object({{"config", Json::object({{"version", wrong}})}})));
    REQUIRE(!source.ok());
    CHECK(source.error().message().contains("we know v3 to v15"));
  }
}

}  // namespace hearth
