// Small tokenizers of every kind against what Hugging Face tokenizers and SentencePiece make of the
// same texts.  The files come from scripts/golden_tokenizers.py.
#include <doctest/doctest.h>

#include <algorithm>
#include <map>

#include "base/utf8.h"
#include "text/test_data.h"

using namespace hearth;

namespace {

const std::string folder = "tests/golden/text/";

Json read_json(const std::string& name) {
  auto json = parse_json(test::read_all(folder + name));
  REQUIRE_MESSAGE(json, name);
  return *std::move(json);
}

std::vector<std::string> texts() {
  std::vector<std::string> out;
  const Json file = read_json("texts.json");
  for (const Json& text : file.find("texts")->as_array()) out.push_back(text.as_string());
  return out;
}

std::vector<Token> ids_of(const Json& list) {
  std::vector<Token> ids;
  for (const Json& id : list.as_array()) ids.push_back(static_cast<Token>(id.as_integer()));
  return ids;
}

std::vector<Token> encode(const Tokenizer& tokenizer, const std::string& text,
                          EncodeOptions options) {
  const auto ids = tokenizer.encode(text, options);
  REQUIRE(ids);
  return *ids;
}

void check_decode(const Tokenizer& tokenizer, const Json& row) {
  const std::vector<Token> ids = ids_of(*row.find("ids"));
  CAPTURE(write_json(*row.find("ids")));
  CHECK(tokenizer.decode(ids) == row.find("decoded")->as_string());
  CHECK(tokenizer.decode(ids, true) == row.find("with_special")->as_string());
}

void check_rows(const Tokenizer& tokenizer, const Json& file) {
  static const std::vector<std::string> all = texts();
  for (const Json& row : file.find("rows")->as_array()) {
    const std::string& text = all[static_cast<std::size_t>(row.find("text")->as_integer())];
    CAPTURE(text);
    const Json& ids = *row.find("ids");
    const Json& plain = row.find("plain") != nullptr ? *row.find("plain") : ids;
    const Json& untrusted = row.find("untrusted") != nullptr ? *row.find("untrusted") : plain;
    CHECK(encode(tokenizer, text, {true, true}) == ids_of(ids));
    CHECK(encode(tokenizer, text, {false, true}) == ids_of(plain));
    if (!untrusted.is_null())
      CHECK(encode(tokenizer, text, {false, false}) == ids_of(untrusted));
    else
      for (const Token id : encode(tokenizer, text, {false, false}))
        CHECK((tokenizer.kind(id) != TokenKind::control || id == tokenizer.special().unk));
    check_decode(tokenizer, row);
  }
}

}  // namespace

TEST_CASE("tokenizer.json of every kind gives the ids and texts of Hugging Face tokenizers") {
  for (const std::string name :
       {"gpt2",          "llama3",     "qwen2", "roberta",      "deepseek",  "falcon",
        "gpt4_inverted", "llama2",     "gemma", "mistral",      "unk_bpe",   "clip",
        "old_bpe",       "prefix_bpe", "bert",  "bert_cased",   "wordlevel", "ctc",
        "unigram",       "albert",     "t5",    "unigram_bytes"}) {
    CAPTURE(name);
    const Json file = read_json(name + ".json");
    const std::string json = write_json(*file.find("tokenizer"));
    const auto tokenizer = make_tokenizer(TokenizerFiles{.tokenizer_json = json});
    if (!tokenizer) MESSAGE(tokenizer.error().message());
    REQUIRE(tokenizer);
    check_rows(**tokenizer, file);
    for (const Json& row : file.find("decodes")->as_array()) check_decode(**tokenizer, row);
  }
}

namespace {

// A WordPiece of single characters, whose ids tell the text and the ends of every piece.
struct CharacterModel {
  Json json = Json::object({{"type", "WordPiece"},
                            {"unk_token", "[UNK]"},
                            {"continuing_subword_prefix", "##"},
                            {"max_input_chars_per_word", 1000000},
                            {"vocab", Json::object({{"[UNK]", 0}})}});
  std::map<std::string, Token> ids;

  void add(const std::string& name) {
    if (ids.contains(name) || name == "[UNK]") return;
    const auto id = static_cast<Token>(ids.size() + 1);
    ids[name] = id;
    json.find("vocab")->as_object().emplace_back(name, id);
  }

  template <typename Use>
  static void for_each_character(std::string_view text, const Use& use) {
    for (bool first = true; !text.empty(); first = false) {
      const std::size_t size = decode_utf8(text).size;
      use(first, std::string(text.substr(0, size)));
      text.remove_prefix(size);
    }
  }
  void add_characters(std::string_view text) {
    for_each_character(text, [&](bool, const std::string& c) {
      add(c);
      add("##" + c);
    });
  }
  std::vector<Token> expect(const Json& pieces) const {
    std::vector<Token> out;
    for (const Json& piece : pieces.as_array())
      for_each_character(piece.as_string(), [&](bool first, const std::string& c) {
        out.push_back(ids.at(first ? c : "##" + c));
      });
    return out;
  }
};

}  // namespace

TEST_CASE("every normalizer and pre-tokenizer cuts as Hugging Face tokenizers does") {
  const std::vector<std::string> all = texts();
  const Json file = read_json("parts.json");
  CharacterModel model;
  for (const Json& c : file.find("cases")->as_array())
    for (const Json& pieces : c.find("pieces")->as_array())
      for (const Json& piece : pieces.as_array()) model.add_characters(piece.as_string());
  for (const Json& c : file.find("cases")->as_array()) {
    const std::string kind = c.find("kind")->as_string(), name = c.find("name")->as_string();
    CAPTURE(kind);
    CAPTURE(name);
    const std::string json = write_json(
        Json::object({{"model", model.json}, {kind, *c.find(kind)}, {"added_tokens", nullptr}}));
    const auto tokenizer = make_tokenizer(TokenizerFiles{.tokenizer_json = json});
    if (!tokenizer) MESSAGE(tokenizer.error().message());
    REQUIRE(tokenizer);
    for (std::size_t i = 0; i < all.size(); ++i) {
      CAPTURE(all[i]);
      CHECK(encode(**tokenizer, all[i], {}) == model.expect(c.find("pieces")->as_array()[i]));
    }
  }
}

TEST_CASE("SentencePiece models give the ids and texts of SentencePiece") {
  const std::vector<std::string> all = texts();
  const Json file = read_json("sentencepiece.json");
  for (const auto& [name, rows] : file.find("models")->as_object()) {
    CAPTURE(name);
    const std::string bytes = test::read_all(folder + "spm_" + name + ".model");
    const auto tokenizer = make_tokenizer(TokenizerFiles{.sentencepiece_model = bytes});
    if (!tokenizer) MESSAGE(tokenizer.error().message());
    REQUIRE(tokenizer);
    for (const Json& row : rows.as_array()) {
      const std::string& text = all[static_cast<std::size_t>(row.find("text")->as_integer())];
      CAPTURE(text);
      const std::vector<Token> ids = ids_of(*row.find("ids"));
      CHECK(encode(**tokenizer, text, {}) == ids);
      // SentencePiece shows the unknown token; we do not.
      if (std::find(ids.begin(), ids.end(), 0) != ids.end()) continue;
      CHECK((*tokenizer)->decode(ids) == row.find("decoded")->as_string());
    }
  }
}

TEST_CASE("SentencePiece models under the classes that number or add tokens") {
  const std::string bytes = test::read_all(folder + "spm_unigram.model");
  const auto make = [&](const char* tokenizer_class) {
    return make_tokenizer(
        TokenizerFiles{.sentencepiece_model = bytes,
                       .tokenizer_config = Json::object({{"tokenizer_class", tokenizer_class}})});
  };
  const auto plain = make("LlamaTokenizer"), t5 = make("T5Tokenizer"),
             xlm = make("XLMRobertaTokenizer");
  REQUIRE(plain);
  REQUIRE(t5);
  REQUIRE(xlm);
  const std::string text = "the quick brown fox";
  const auto ids = encode(**plain, text, {});
  auto expected = ids;
  for (Token& id : expected) ++id;
  expected.insert(expected.begin(), 0);
  expected.push_back(2);
  CHECK(encode(**xlm, text, {.add_special = true}) == expected);
  CHECK((*xlm)->find("<mask>") == (*plain)->size() + 1);
  expected = ids;
  expected.push_back(2);
  CHECK(encode(**t5, text, {.add_special = true}) == expected);
  CHECK((*t5)->find("<extra_id_0>") == (*plain)->size() + 99);
  const auto mbart = make("MBartTokenizer");
  REQUIRE(!mbart);
  CHECK(mbart.error().kind() == ErrorKind::unsupported);
}
