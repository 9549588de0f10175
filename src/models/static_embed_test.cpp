// Tables of one vector for each token, as Model2Vec and sentence-transformers write them.
#include <doctest/doctest.h>

#include <cmath>
#include <cstring>

#include "formats/scratch_folder.h"
#include "formats/streamed.h"
#include "models/test_support.h"

namespace hearth::models {
namespace {

using Vector = std::vector<float>;

constexpr std::string_view tokenizer =
    R"({"version":"1.0","added_tokens":[
        {"id":0,"content":"[UNK]","special":true},{"id":1,"content":"[CLS]","special":true}],
        "normalizer":null,"pre_tokenizer":{"type":"Whitespace"},
        "post_processor":{"type":"BertProcessing","sep":["[CLS]",1],"cls":["[CLS]",1]},
        "decoder":null,"model":{"type":"WordPiece","unk_token":"[UNK]",
        "continuing_subword_prefix":"##","max_input_chars_per_word":100,
        "vocab":{"[UNK]":0,"[CLS]":1,"red":2,"green":3,"blue":4}}})";
constexpr std::string_view model2vec = R"({"model_type":"model2vec","hidden_dim":9})";

Result<Vector> embed(const std::string& folder, const std::string& text) {
  ThreadPool pool(1);
  ops::Context ctx{.kernels = &kernels::reference(), .pool = &pool};
  const Package package = TRY(open_package(folder));
  const auto model = TRY(load_model(ctx, package));
  std::vector<std::vector<Token>> tokens(1);
  tokens[0] = TRY(model->tokenizer().encode(text, {.add_special = true}));
  return TRY(model->embed(ctx, tokens))[0];
}

// A folder with such a table, [rows, 2].
class Folder {
 public:
  explicit Folder(std::string_view config, std::string inside = "") : inside_(std::move(inside)) {
    if (!inside_.empty()) std::filesystem::create_directory(scratch_.path(inside_));
    if (!config.empty()) put("config.json", config);
    put(join_path(inside_, "tokenizer.json"), tokenizer);
  }
  void put(const std::string& name, std::string_view text) const {
    REQUIRE(replace_file(scratch_.path(name), std::as_bytes(std::span(text))).ok());
  }
  template <typename T>
  Folder& add(std::string name, Dtype dtype, std::vector<std::uint64_t> shape,
              const std::vector<T>& values) {
    const auto bytes = std::as_bytes(std::span(values));
    const std::vector<std::byte> copy(bytes.begin(), bytes.end());
    tensors_.push_back({std::move(name), dtype, std::move(shape),
                        [copy] { return Result(std::span<const std::byte>(copy)); }});
    return *this;
  }
  const std::string& write() {
    REQUIRE(
        write_safetensors(scratch_.path(join_path(inside_, "model.safetensors")), tensors_, "pt")
            .ok());
    return path_ = scratch_.path("");
  }

 private:
  testing::ScratchFolder scratch_;
  std::string inside_, path_;
  std::vector<StreamedTensor> tensors_;
};

const Vector plain{9, 9, 9, 9, 1, 0, 0, 2, 3, 4};

void check_near(const Result<Vector>& got, const Vector& wanted) {
  REQUIRE_MESSAGE(got.ok(), got.error().message());
  REQUIRE(got->size() == wanted.size());
  for (std::size_t i = 0; i < wanted.size(); ++i)
    CHECK((*got)[i] == doctest::Approx(wanted[i]).epsilon(1e-6));
}

std::string refusal(Folder& folder) {
  const auto got = embed(folder.write(), "red");
  REQUIRE(!got.ok());
  return got.error().message();
}

}  // namespace

TEST_CASE("Model2Vec's own vectors") {
  const std::string folder = shared_data("models/embedding/model2vec-test");
  if (folder.empty()) return;
  const auto check = [&](const char* model, const std::string& text, const char* golden) {
    CAPTURE(model);
    const auto json = parse_json(*read_file(join_path(folder, golden), 1 << 20));
    REQUIRE(json.ok());
    const auto got = embed(join_path(folder, model), text);
    REQUIRE_MESSAGE(got.ok(), got.error().message());
    const auto& wanted = json->as_array()[0].as_array();
    REQUIRE(got->size() == wanted.size());
    for (std::size_t i = 0; i < wanted.size(); ++i)
      CHECK((*got)[i] == doctest::Approx(wanted[i].as_number()).epsilon(1e-5));
  };
  std::string long_text = "hello";
  for (int i = 1; i < 1000; ++i) long_text += " hello";
  for (const char* model : {"test-model-float32", "test-model-sentence-transformers"}) {
    check(model, "hello world", "embeddings_short.json");
    check(model, long_text, "embeddings_long.json");
  }
  check("test-model-vocab-quantized", long_text, "embeddings_vocab_quantized.json");
  for (const char* rounded : {"test-model-float16", "test-model-int8"}) {
    const auto got = embed(join_path(folder, rounded), "hello world");
    REQUIRE_MESSAGE(got.ok(), got.error().message());
    CHECK((*got)[0] == doctest::Approx(-0.39345).epsilon(0.02));
  }
}

TEST_CASE("a table of tokens: no special tokens, unknown ones left out, the mean, its length") {
  Folder own(model2vec);
  own.add("embeddings", Dtype::f32, {5, 2}, plain);
  const std::string& folder = own.write();
  check_near(embed(folder, "red"), {1, 0});
  check_near(embed(folder, "green"), {0, 1});
  check_near(embed(folder, "red green blue violet"), {4 / std::sqrt(52.0f), 6 / std::sqrt(52.0f)});
  check_near(embed(folder, "violet"), {0, 0});

  Folder long_ones(R"({"model_type":"model2vec","normalize":false})");
  long_ones.add("embeddings", Dtype::f32, {5, 2}, plain);
  check_near(embed(long_ones.write(), "blue blue green violet"), {2, 10.0f / 3});
}

TEST_CASE("rows shared by tokens, weights of tokens, bytes") {
  Folder own(R"({"model_type":"model2vec","normalize":false})");
  own.add("embeddings", Dtype::i8, {2, 2}, std::vector<std::int8_t>{2, -4, 8, 6})
      .add("mapping", Dtype::i32, {5}, std::vector<std::int32_t>{0, 0, 1, 1, 0})
      .add("weights", Dtype::f64, {5}, std::vector<double>{1, 1, 0.5, 2, -1});
  const std::string& folder = own.write();
  check_near(embed(folder, "red"), {4, 3});
  check_near(embed(folder, "green blue"), {7, 8});
}

TEST_CASE("sentence-transformers' module, in a folder of its own; it counts unknown tokens") {
  Folder own("", "0_StaticEmbedding");
  own.put("modules.json",
          R"([{"idx":0,"name":"0","path":"0_StaticEmbedding",
               "type":"sentence_transformers.models.StaticEmbedding"}])");
  own.add("embedding.weight", Dtype::f32, {5, 2}, plain);
  const std::string& folder = own.write();
  check_near(embed(folder, "green blue"), {1.5, 3});
  check_near(embed(folder, "violet red"), {5, 4.5});
  check_near(embed(join_path(folder, "0_StaticEmbedding"), "blue"), {0.6f, 0.8f});
}

TEST_CASE("tables that do not fit together are refused") {
  const auto with = [](auto add) {
    Folder folder(model2vec);
    add(folder);
    return refusal(folder);
  };
  const auto table = [](Folder& folder) -> Folder& {
    return folder.add("embeddings", Dtype::f32, {5, 2}, plain);
  };
  CHECK(with([](Folder&) {}).contains("embeddings: the table of vectors is missing"));
  CHECK(with([](Folder& f) {
          f.add("embeddings", Dtype::f32, {10}, plain);
        }).contains("has 1 axes and 10 elements, needs [rows, dim]"));
  CHECK(with([&](Folder& f) {
          table(f).add("mapping", Dtype::i32, {5}, std::vector<std::int32_t>{0, 1, 2, 3, 5});
        }).contains("mapping: token 4 has row 5 of 5"));
  CHECK(with([&](Folder& f) {
          table(f).add("mapping", Dtype::i32, {5}, std::vector<std::int32_t>{0, 1, -2, 3, 4});
        }).contains("mapping: token 2 has row -2 of 5"));
  CHECK(with([&](Folder& f) {
          table(f).add("weights", Dtype::f32, {4}, std::vector<float>{0, 1, 2, 3});
        }).contains("weights: 4 for 5 tokens"));
  CHECK(with([](Folder& f) {
          f.add("embeddings", Dtype::u8, {5, 2}, std::vector<std::uint8_t>(10));
        }).contains("embeddings: a table of u8 is not read"));
  Folder outside("", "0_StaticEmbedding");
  outside.put("modules.json",
              R"([{"path":"../x","type":"sentence_transformers.models.StaticEmbedding"}])");
  CHECK(refusal(outside).contains("the path of StaticEmbedding is not a plain name"));
}

}  // namespace hearth::models
