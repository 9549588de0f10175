// The texts and ids of llama.cpp's vocabulary files.
#include <doctest/doctest.h>

#include "base/files.h"
#include "text/test_data.h"

using namespace hearth;

namespace {

void check_ids(const Tokenizer& tokenizer, const std::string& texts_path,
               const std::string& ids_path) {
  const auto texts = test::read_texts(texts_path);
  const auto ids = test::read_ids(ids_path);
  REQUIRE(!texts.empty());
  REQUIRE(texts.size() == ids.size());
  for (std::size_t i = 0; i < texts.size(); ++i) {
    CAPTURE(i);
    CAPTURE(texts[i]);
    const auto got = tokenizer.encode(texts[i], {});
    REQUIRE(got);
    CHECK(*got == ids[i]);
  }
}

}  // namespace

TEST_CASE("GGUF vocabularies give the ids that llama.cpp gives") {
  for (const std::string name :
       {"gpt-2", "starcoder", "falcon", "deepseek-coder", "llama-spm", "phi-3"}) {
    CAPTURE(name);
    const std::string path =
        test::data_file("conformance/tokenizer/gguf/ggml-vocab-" + name + ".gguf");
    if (path.empty()) continue;
    test::GgufFile file;
    REQUIRE(test::read_gguf(path, file));
    const auto tokenizer = make_tokenizer(file.vocabulary);
    REQUIRE(tokenizer);
    check_ids(**tokenizer, path + ".inp", path + ".out");
  }
}

TEST_CASE("vocab.json with merges.txt, and tiktoken's ranks, give the listed ids") {
  const std::string qwen2 = test::data_file("conformance/tokenizer/qwen2/vocab.json");
  if (!qwen2.empty()) {
    const std::string folder = parent_folder(qwen2) + "/";
    const std::string vocab = test::read_all(qwen2), merges = test::read_all(folder + "merges.txt");
    const auto tokenizer = make_tokenizer(
        TokenizerFiles{.vocab_json = vocab,
                       .merges_txt = merges,
                       .tokenizer_config = Json::object({{"tokenizer_class", "Qwen2Tokenizer"}})});
    REQUIRE(tokenizer);
    check_ids(**tokenizer, folder + "texts.inp", folder + "ids.out");
  }
  const std::string o200k = test::data_file("conformance/tokenizer/gpt-4o/o200k_base.tiktoken");
  if (!o200k.empty()) {
    const std::string folder = parent_folder(o200k) + "/";
    const std::string ranks = test::read_all(o200k);
    const auto tokenizer = make_tokenizer(TokenizerFiles{.tiktoken = ranks});
    REQUIRE(tokenizer);
    check_ids(**tokenizer, folder + "texts.inp", folder + "ids.out");
  }
}
