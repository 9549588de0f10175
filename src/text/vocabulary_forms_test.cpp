// A tokenizer keeps its ids from the files of a folder to GGUF metadata and back.
#include "text/vocabulary_forms.h"

#include <doctest/doctest.h>

#include "base/bytes.h"
#include "text/test_data.h"

using namespace hearth;

namespace {

Json read_json(const std::string& name) {
  auto json = parse_json(test::read_all("tests/golden/text/" + name));
  REQUIRE_MESSAGE(json, name);
  return *std::move(json);
}

std::vector<std::string> texts() {
  std::vector<std::string> out;
  const Json file = read_json("texts.json");
  for (const Json& text : file.find("texts")->as_array()) out.push_back(text.as_string());
  return out;
}

// The metadata as a reader of GGUF sees it.
GgufVocabulary view(const VocabularyText& text) {
  GgufVocabulary v;
  v.model = text.model;
  v.pre = text.pre;
  v.tokens.assign(text.tokens.begin(), text.tokens.end());
  v.scores = text.scores;
  v.kinds.assign(text.kinds.begin(), text.kinds.end());
  v.merges.assign(text.merges.begin(), text.merges.end());
  v.precompiled_charsmap = bytes_of(text.charsmap);
  v.add_space_prefix = text.add_space_prefix;
  v.remove_extra_whitespaces = text.remove_extra_whitespaces;
  v.add_bos = text.special.add_bos;
  v.add_eos = text.special.add_eos;
  const auto id = [](std::optional<Token> token) {
    return token ? std::optional(static_cast<std::uint64_t>(*token)) : std::nullopt;
  };
  v.bos = id(text.special.bos);
  v.eos = id(text.special.eos);
  v.unk = id(text.special.unk);
  v.pad = id(text.special.pad);
  v.sep = id(text.special.sep);
  v.cls = id(text.special.cls);
  v.mask = id(text.special.mask);
  return v;
}

void check_same(const Tokenizer& one, const Tokenizer& other, bool special) {
  CHECK(one.size() == other.size());
  for (const std::string& text : texts()) {
    CAPTURE(text);
    const auto a =
        one.encode(text, {.add_special = special, .parse_special = true, .untrusted = {}});
    const auto b =
        other.encode(text, {.add_special = special, .parse_special = true, .untrusted = {}});
    REQUIRE(a);
    REQUIRE(b);
    CHECK(*a == *b);
    // BERT's files put punctuation where it belongs; GGUF has no rule for it.
    if (one.algorithm() != "wordpiece") CHECK(one.decode(*a) == other.decode(*a));
  }
}

TEST_CASE("a tokenizer.json as GGUF metadata, and back") {
  // unigram and its like differ from SentencePiece's own rules in corners; their texts are checked
  // where they agree.
  for (const std::string name :
       {"llama3", "qwen2", "deepseek", "llama2", "gemma", "bert", "bert_cased"}) {
    CAPTURE(name);
    const Json file = read_json(name + ".json");
    const std::string json = write_json(*file.find("tokenizer"));
    const TokenizerFiles files{.tokenizer_json = json};
    const auto before = make_tokenizer(files);
    REQUIRE(before);
    const auto form = gguf_form(files);
    REQUIRE_MESSAGE(form, form.error().message());
    const GgufVocabulary vocabulary = view(*form);
    const auto there = make_tokenizer(vocabulary);
    REQUIRE_MESSAGE(there, there.error().message());
    // Normalizers, tokens with rules, and merges that are not SentencePiece's have no place there,
    // and that is said.
    const bool loses = name == "qwen2" || name == "llama2" || name == "gemma";
    CHECK(form->losses.empty() == !loses);
    if (form->losses.empty()) check_same(**before, **there, true);
    const auto back = folder_form(vocabulary);
    REQUIRE_MESSAGE(back, back.error().message());
    const std::string text = write_json(back->tokenizer);
    TokenizerFiles made{.tokenizer_json = text};
    made.tokenizer_config = back->config;
    const auto again = make_tokenizer(made);
    REQUIRE_MESSAGE(again, again.error().message());
    check_same(**there, **again, true);
  }
}

TEST_CASE("vocabularies of llama.cpp as tokenizer.json") {
  for (const std::string name : {"gpt-2", "starcoder", "llama-spm", "phi-3", "bert-bge"}) {
    CAPTURE(name);
    const std::string path =
        test::data_file("conformance/tokenizer/gguf/ggml-vocab-" + name + ".gguf");
    if (path.empty()) continue;
    test::GgufFile file;
    REQUIRE(test::read_gguf(path, file));
    const auto before = make_tokenizer(file.vocabulary);
    REQUIRE(before);
    const auto form = folder_form(file.vocabulary);
    REQUIRE_MESSAGE(form, form.error().message());
    const std::string text = write_json(form->tokenizer);
    TokenizerFiles made{.tokenizer_json = text};
    made.tokenizer_config = form->config;
    const auto after = make_tokenizer(made);
    REQUIRE_MESSAGE(after, after.error().message());
    check_same(**before, **after, false);
    const auto back = gguf_form(made);
    REQUIRE_MESSAGE(back, back.error().message());
    CHECK(back->losses.empty());
    const GgufVocabulary vocabulary = view(*back);
    const auto again = make_tokenizer(vocabulary);
    REQUIRE_MESSAGE(again, again.error().message());
    check_same(**before, **again, false);
  }
}

TEST_CASE("ranks of tiktoken as merges") {
  const std::string o200k = test::data_file("conformance/tokenizer/gpt-4o/o200k_base.tiktoken");
  if (o200k.empty()) return;
  const std::string ranks = test::read_all(o200k);
  const TokenizerFiles files{.tiktoken = ranks};
  const auto before = make_tokenizer(files);
  REQUIRE(before);
  const auto form = gguf_form(files);
  REQUIRE_MESSAGE(form, form.error().message());
  const GgufVocabulary vocabulary = view(*form);
  const auto after = make_tokenizer(vocabulary);
  REQUIRE(after);
  check_same(**before, **after, false);
}

}  // namespace
