// Files that lie about their model are refused, and the message says how.  Rows are named after the
// catalogue of bad inputs (G34 to G53 of GGUF, ST24 of safetensors).
#include <doctest/doctest.h>

#include <fmt/core.h>

#include <cmath>
#include <limits>

#include "formats/gguf_writer.h"
#include "formats/scratch_folder.h"
#include "models/test_support.h"

namespace hearth::models {
namespace {

using Edit = std::function<void(GgufContents&)>;

// A golden GGUF as something to edit; `package` keeps its bytes.
GgufContents contents_of(const Package& package) {
  GgufContents contents;
  for (const auto& [key, value] : package.metadata.entries())
    contents.metadata.push_back({key, GgufValue::copy(value)});
  for (const TensorEntry& tensor : package.tensors)
    contents.tensors.push_back(
        {tensor.name, tensor.dtype, tensor.shape, [data = tensor.data] { return Result(data); }});
  return contents;
}

Edit set(std::string key, GgufValue value) {
  return [=](GgufContents& contents) {
    for (auto& pair : contents.metadata)
      if (pair.key == key) {
        pair.value = value;
        return;
      }
    contents.metadata.push_back({key, value});
  };
}
template <typename T>
Edit set(std::string key, T value) {
  return set(std::move(key), GgufValue::of(value));
}

Edit drop_tensor(std::string name) {
  return [=](GgufContents& contents) {
    std::erase_if(contents.tensors, [&](const GgufTensor& t) { return t.name == name; });
  };
}

Edit reshape(std::string name, std::vector<std::uint64_t> shape) {
  return [=](GgufContents& contents) {
    for (GgufTensor& tensor : contents.tensors) {
      if (tensor.name != name) continue;
      std::uint64_t elements = 1;
      for (const std::uint64_t n : shape) elements *= n;
      tensor.shape = shape;
      tensor.data = [bytes = std::make_shared<std::vector<std::byte>>(elements * 4)] {
        return Result(std::span<const std::byte>(*bytes));
      };
    }
  };
}

// A SentencePiece-like vocabulary of so many tokens.
Edit tokens(std::size_t count, std::size_t scores) {
  return [=](GgufContents& contents) {
    std::vector<std::string> names;
    for (std::size_t i = 0; i < count; ++i) names.push_back(fmt::format("t{}", i));
    const std::vector<std::string_view> views(names.begin(), names.end());
    set("tokenizer.ggml.model", GgufValue::text("llama"))(contents);
    set("tokenizer.ggml.tokens", GgufValue::texts(views))(contents);
    set("tokenizer.ggml.scores", GgufValue::array<float>(std::vector<float>(scores)))(contents);
  };
}

Edit both(Edit first, Edit second) {
  return [=](GgufContents& contents) {
    first(contents);
    second(contents);
  };
}

GgufValue list(std::vector<std::uint32_t> values) {
  return GgufValue::array<std::uint32_t>(values);
}

struct Row {
  std::string what, golden;
  Edit edit;
  ErrorKind kind;
  std::string says;
};

constexpr auto corrupt = ErrorKind::corrupt;
constexpr float not_a_number = std::numeric_limits<float>::quiet_NaN();

std::vector<Row> number_rows() {
  const std::string l = "llama.";
  return {
      {"G34 no layers", "llama", set(l + "block_count", 0u), corrupt,
       "llama.block_count = 0: needs 1 to 512"},
      {"G34 tensors past the last layer", "llama", set(l + "block_count", 1u), corrupt,
       "lies past llama.block_count = 1"},
      {"G34 a layer without tensors", "llama", set(l + "block_count", 3u), corrupt,
       "blk.2.attn_norm.weight is missing: needs [32]"},
      {"G34 more layers than any", "llama", set(l + "block_count", 513u), corrupt, "513"},
      {"G34 layers beyond reason", "llama", set(l + "block_count", 1u << 31), corrupt, "needs 1"},
      {"G35 no heads", "llama", set(l + "attention.head_count", 0u), corrupt,
       "llama.attention.head_count = 0"},
      {"G35 no kv heads", "llama", set(l + "attention.head_count_kv", 0u), corrupt,
       "llama.attention.head_count_kv = 0"},
      {"G35 more kv heads than heads", "llama", set(l + "attention.head_count_kv", 5u), corrupt,
       "needs 1 to 4"},
      {"G35 kv heads that do not divide", "llama", set(l + "attention.head_count_kv", 3u), corrupt,
       "needs a divisor of the 4 heads"},
      {"G35 too many per-layer numbers", "llama",
       set(l + "attention.head_count_kv", list({2, 2, 2})), corrupt, "holds 3 numbers"},
      {"G35 too few per-layer numbers", "gemma3", set("gemma3.feed_forward_length", list({24, 24})),
       corrupt, "one per layer"},
      {"G36 no width", "llama", set(l + "embedding_length", 0u), corrupt, "embedding_length = 0"},
      {"G36 width not of heads", "llama", set(l + "embedding_length", 33u), corrupt,
       "33 is not a multiple of 4 heads"},
      {"G36 width not of the embedding", "llama", set(l + "embedding_length", 40u), corrupt,
       "token_embd.weight is [64, 32]: needs [64, 40]"},
      {"G37 a million experts", "mixtral", set(l + "expert_count", 1000000u), corrupt,
       "expert_count = 1000000"},
      {"G37 more used than there are", "mixtral", set(l + "expert_used_count", 5u), corrupt,
       "expert_used_count = 5: needs 1 to 4"},
      {"G37 none used", "mixtral", set(l + "expert_used_count", 0u), corrupt,
       "expert_used_count = 0"},
      {"G37 experts denied", "mixtral", set(l + "expert_count", 0u), corrupt,
       "blk.0.ffn_gate.weight is missing"},
      {"G38 odd rotation", "llama", set(l + "rope.dimension_count", 7u), corrupt, "even"},
      {"G38 no rotation", "llama", set(l + "rope.dimension_count", 0u), corrupt, "= 0"},
      {"G38 rotation wider than a head", "llama", set(l + "rope.dimension_count", 10u), corrupt,
       "needs 2 to 8"},
      {"G38 base zero", "llama", set(l + "rope.freq_base", 0.0f), corrupt, "rope.freq_base = 0"},
      {"G38 base negative", "llama", set(l + "rope.freq_base", -1.0f), corrupt, "= -1"},
      {"G38 base not a number", "llama", set(l + "rope.freq_base", not_a_number), corrupt, "nan"},
      {"G38 base beyond reason", "llama", set(l + "rope.freq_base", 1e308), corrupt, "1e+308"},
      {"G38 eps zero", "llama", set(l + "attention.layer_norm_rms_epsilon", 0.0f), corrupt,
       "epsilon = 0"},
      {"G38 eps not a number", "llama", set(l + "attention.layer_norm_rms_epsilon", not_a_number),
       corrupt, "nan"},
      {"G38 eps negative", "llama", set(l + "attention.layer_norm_rms_epsilon", -1e-5f), corrupt,
       "needs"},
      {"G39 context beyond reason", "llama", set(l + "context_length", ~0u), corrupt,
       "context_length = 4294967295"},
      {"G46 window beyond reason", "mistral", set(l + "attention.sliding_window", ~0u), corrupt,
       "sliding_window = 4294967295"},
      {"G46 negative window", "mistral", set(l + "attention.sliding_window", -1), corrupt, "-1"},
  };
}

std::vector<Row> shape_rows() {
  const std::string l = "llama.";
  return {
      {"G47 unknown architecture", "llama", set("general.architecture", GgufValue::text("hal9000")),
       ErrorKind::unsupported, "'hal9000' is not one we run; we know bert,"},
      {"G47 architecture of a mebibyte", "llama",
       set("general.architecture", GgufValue::text(std::string(1 << 20, 'x'))),
       ErrorKind::unsupported, "x...'"},
      {"G47 a tensor is missing", "llama", drop_tensor("blk.1.ffn_up.weight"), corrupt,
       "blk.1.ffn_up.weight is missing: needs [48, 32]"},
      {"G47 a bias is missing", "qwen2", drop_tensor("blk.0.attn_k.bias"), corrupt,
       "blk.0.attn_k.bias is missing: needs [16]"},
      {"G47 wrong rank", "llama", reshape("blk.0.attn_norm.weight", {32, 1}), corrupt,
       "blk.0.attn_norm.weight is [32, 1]: needs [32]"},
      {"G47 transposed", "llama", reshape("blk.0.ffn_up.weight", {32, 48}), corrupt,
       "blk.0.ffn_up.weight is [32, 48]: needs [48, 32]"},
      {"a generator as a reranker", "qwen3", set("qwen3.pooling_type", 4u), ErrorKind::unsupported,
       "qwen3.pooling_type = 4"},
      {"G48 a number as text", "llama", set(l + "block_count", GgufValue::text("2")), corrupt,
       "llama.block_count"},
      {"G48 a whole number as f32", "llama", set(l + "block_count", 2.0f), corrupt,
       "llama.block_count"},
      {"G48 a number as a list", "llama", set(l + "block_count", list({2, 2})), corrupt,
       "llama.block_count"},
      {"G48 a float as u64", "llama", set(l + "rope.freq_base", std::uint64_t{1} << 63), corrupt,
       "llama.rope.freq_base"},
      {"G51 one token too few", "llama", tokens(63, 63), corrupt,
       "token_embd.weight is [64, 32]: needs [63, 32]"},
      {"G51 one token too many", "llama", tokens(65, 65), corrupt, "needs [65, 32]"},
      {"G51 twice the tokens", "llama", tokens(128, 128), corrupt, "needs [128, 32]"},
      {"G51 output of another vocabulary", "llama", reshape("output.weight", {65, 32}), corrupt,
       "output.weight is [65, 32]: needs [64, 32]"},
      {"G52 bos past the vocabulary", "llama",
       both(tokens(64, 64), set("tokenizer.ggml.bos_token_id", 64u)), corrupt, "needs 0 to 63"},
      {"G52 eos without a value", "llama",
       both(tokens(64, 64), set("tokenizer.ggml.eos_token_id", ~0u)), corrupt, "4294967295"},
      {"G52 pad negative", "llama",
       both(tokens(64, 64), set("tokenizer.ggml.padding_token_id", -1)), corrupt, "= -1"},
      {"G53 scores of another length", "llama", tokens(64, 63), corrupt, "63"},
  };
}

void check_row(const Row& row) {
  const auto base = open_package(golden_folder + "/" + row.golden + "/model.gguf");
  REQUIRE_MESSAGE(base.ok(), base.error().message());
  GgufContents contents = contents_of(*base);
  row.edit(contents);
  const testing::ScratchFolder folder;
  const std::string path = folder.path("edited.gguf");
  REQUIRE(write_gguf(path, contents).ok());
  ThreadPool pool(1);
  ops::Context ctx{.kernels = &kernels::reference(), .pool = &pool};
  const auto load = [&]() -> Result<std::shared_ptr<const Model>> {
    const Package package = TRY(open_package(path));  // some lies are seen as early as here
    return load_model(ctx, package, {});
  };
  const auto model = load();
  REQUIRE(!model.ok());
  CHECK(model.error().kind() == row.kind);
  CHECK_MESSAGE(model.error().message().find(row.says) != std::string::npos,
                model.error().message().substr(0, 300));
}

TEST_CASE("a GGUF that lies about its model is refused") {
  for (const auto& rows : {number_rows(), shape_rows()})
    for (const Row& row : rows) {
      CAPTURE(row.what);
      check_row(row);
    }
}

TEST_CASE("an unedited copy still loads") {
  const auto base = open_package(golden_folder + "/llama/model.gguf");
  REQUIRE(base.ok());
  const testing::ScratchFolder folder;
  REQUIRE(write_gguf(folder.path("copy.gguf"), contents_of(*base)).ok());
  const auto package = open_package(folder.path("copy.gguf"));
  REQUIRE(package.ok());
  ThreadPool pool(1);
  ops::Context ctx{.kernels = &kernels::reference(), .pool = &pool};
  CHECK(load_model(ctx, *package, {}).ok());
}

TEST_CASE("config.json that does not fit its tensors is refused") {
  const struct {
    std::string what, key;
    Json value;
    ErrorKind kind;
    std::string says, golden = "mistral";
  } rows[] = {
      {"ST24 hidden size", "hidden_size", 64, corrupt, "needs [64, 64]"},
      {"ST24 hidden size of no heads", "hidden_size", 30, corrupt, "not a multiple", "qwen2"},
      {"ST24 vocabulary", "vocab_size", 65, corrupt, "embed_tokens.weight is [64, 32]"},
      {"ST24 intermediate size", "intermediate_size", 49, corrupt, "needs [49, 32]"},
      {"ST24 layers", "num_hidden_layers", 3, corrupt,
       "model.layers.2.input_layernorm.weight is missing"},
      {"ST24 layers as text", "num_hidden_layers", "two", corrupt, "needs a whole number"},
      {"ST24 layers and a half", "num_hidden_layers", 1.5, corrupt, "needs a whole number"},
      {"no model type", "model_type", nullptr, ErrorKind::unsupported, "model_type is missing"},
      {"unknown model type", "model_type", "hal", ErrorKind::unsupported, "'hal'"},
      {"G46 unknown layer type", "layer_types", Json(Json::Array{"dreaming", "full_attention"}),
       ErrorKind::unsupported, "layer_types[0] = 'dreaming'"},
      {"layer types of other length", "layer_types", Json(Json::Array{"full_attention"}), corrupt,
       "holds 1 names: needs 2"},
      {"unknown scaling", "rope_scaling", Json::object({{"rope_type", "elastic"}, {"factor", 2}}),
       ErrorKind::unsupported, "'elastic'"},
      {"quantised by a scheme we do not read", "quantization_config",
       Json::object({{"quant_method", "gptq"}}), ErrorKind::unsupported, "'gptq'"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.what);
    auto package = open_package(golden_folder + "/" + row.golden);
    REQUIRE(package.ok());
    if (row.key == "rope_scaling") package->config.set("rope_parameters", nullptr);
    package->config.set(row.key, row.value);
    ThreadPool pool(1);
    ops::Context ctx{.kernels = &kernels::reference(), .pool = &pool};
    const auto model = load_model(ctx, *package, {});
    REQUIRE(!model.ok());
    CHECK(model.error().kind() == row.kind);
    CHECK_MESSAGE(model.error().message().find(row.says) != std::string::npos,
                  model.error().message());
  }
}

TEST_CASE("what a model is, from its headers alone") {
  const auto gguf = open_package(golden_folder + "/qwen3/model.gguf");
  const auto folder = open_package(golden_folder + "/qwen3");
  REQUIRE(gguf.ok());
  REQUIRE(folder.ok());
  for (const Package* package : {&*gguf, &*folder}) {
    CAPTURE(package->path);
    const auto info = describe(*package);
    REQUIRE_MESSAGE(info.ok(), info.error().message());
    CHECK(info->name == "qwen3");
    CHECK(info->architecture == "qwen3");
    CHECK(info->kind == ModelKind::generator);
    CHECK(info->quantisation == "f32");
    CHECK(info->context_length == 256);
    CHECK(info->vocabulary == 64);
    CHECK(info->dim == 32);
    CHECK(info->layers == 2);
    CHECK(info->heads == 4);
    CHECK(info->kv_heads == 2);
    CHECK(info->weight_bytes == 4 * info->parameters);
    CHECK(info->file_bytes > info->weight_bytes);
    CHECK(info->kv_bytes_per_token == 2u * 2 * 2 * 16 * 4);
  }
  CHECK(describe(*open_package(golden_folder + "/bert-rerank"))->kind == ModelKind::reranker);
  CHECK(describe(*open_package(golden_folder + "/qwen3-embedding"))->kind == ModelKind::embedder);
  CHECK(describe(*open_package(golden_folder + "/gpt-oss-mxfp4"))->quantisation == "mxfp4");
}

TEST_CASE("a configuration may leave sizes to its class") {
  Package package;
  package.naming = Naming::huggingface;
  package.path = "gemma-3-4b";
  package.config = *parse_json(R"({"model_type": "gemma3", "text_config": {
      "hidden_size": 2560, "intermediate_size": 10240, "model_type": "gemma3_text",
      "num_hidden_layers": 34, "rope_scaling": {"factor": 8.0, "rope_type": "linear"},
      "sliding_window": 1024}})");
  const auto info = describe(package);
  REQUIRE_MESSAGE(info.ok(), info.error().message());
  CHECK(info->architecture == "gemma3");
  CHECK(info->heads == 8);
  CHECK(info->kv_heads == 4);
  CHECK(info->vocabulary == 262208);
  CHECK(info->context_length == 131072);
}

TEST_CASE("a text longer than the model takes is named") {
  const auto package = open_package(golden_folder + "/bert");
  REQUIRE(package.ok());
  ThreadPool pool(1);
  ops::Context ctx{.kernels = &kernels::reference(), .pool = &pool};
  const auto model = load_model(ctx, *package, {});
  REQUIRE(model.ok());
  const std::vector<std::vector<Token>> texts{std::vector<Token>(64, 5), std::vector<Token>(65, 5)};
  const auto vectors = (*model)->embed(ctx, texts);
  REQUIRE(!vectors);
  CHECK(vectors.error().kind() == ErrorKind::too_long);
  CHECK(vectors.error().message() == "text 1 has 65 tokens: the model takes 64");
  CHECK((*model)->embed(ctx, std::span(texts).first(1)).ok());
  std::vector<float> none;
  CHECK((*model)->forward(ctx, {}, none).error().kind() == ErrorKind::unsupported);
}

TEST_CASE("chat templates are found where each container keeps them") {
  const auto bytes = [](std::string_view text) { return bytes_of(text); };
  Package package;
  package.naming = Naming::huggingface;
  CHECK(chat_template_source(package).error().kind() == ErrorKind::not_found);
  package.files["tokenizer_config.json"] = bytes(
      R"({"chat_template": [{"name": "tool_use", "template": "B"},
                            {"name": "default", "template": "A"}]})");
  CHECK(*chat_template_source(package) == "A");
  package.files["tokenizer_config.json"] = bytes(R"({"chat_template": "C"})");
  CHECK(*chat_template_source(package) == "C");
  package.files["chat_template.json"] = bytes(R"({"chat_template": "D"})");
  CHECK(*chat_template_source(package) == "D");
  package.files["chat_template.jinja"] = bytes("E");
  CHECK(*chat_template_source(package) == "E");
}

}  // namespace
}  // namespace hearth::models
