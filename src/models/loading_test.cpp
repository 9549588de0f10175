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

// Sets a key of the architecture.
template <typename T>
Edit in_llama(std::string_view key, T value) {
  return set("llama." + std::string(key), std::move(value));
}

struct Row {
  const char *what, *golden;
  Edit edit;
  ErrorKind kind;
  const char* says;
};

constexpr auto corrupt = ErrorKind::corrupt;
constexpr float not_a_number = std::numeric_limits<float>::quiet_NaN();

std::vector<Row> number_rows() {
  return {
      {"G34 no layers", "llama", in_llama("block_count", 0u), corrupt,
       "llama.block_count = 0: needs 1 to 512"},
      {"G34 tensors past the last layer", "llama", in_llama("block_count", 1u), corrupt,
       "lies past llama.block_count = 1"},
      {"G34 a layer without tensors", "llama", in_llama("block_count", 3u), corrupt,
       "blk.2.attn_norm.weight is missing: needs [32]"},
      {"G34 more layers than any", "llama", in_llama("block_count", 513u), corrupt, "513"},
      {"G34 layers beyond reason", "llama", in_llama("block_count", 1u << 31), corrupt, "needs 1"},
      {"G35 no heads", "llama", in_llama("attention.head_count", 0u), corrupt,
       "llama.attention.head_count = 0"},
      {"G35 no kv heads", "llama", in_llama("attention.head_count_kv", 0u), corrupt,
       "llama.attention.head_count_kv = 0"},
      {"G35 more kv heads than heads", "llama", in_llama("attention.head_count_kv", 5u), corrupt,
       "needs 1 to 4"},
      {"G35 kv heads that do not divide", "llama", in_llama("attention.head_count_kv", 3u), corrupt,
       "needs a divisor of the 4 heads"},
      {"G35 too many per-layer numbers", "llama",
       in_llama("attention.head_count_kv", list({2, 2, 2})), corrupt, "holds 3 numbers"},
      {"G35 too few per-layer numbers", "gemma3", set("gemma3.feed_forward_length", list({24, 24})),
       corrupt, "one per layer"},
      {"G36 no width", "llama", in_llama("embedding_length", 0u), corrupt, "embedding_length = 0"},
      {"G36 width not of heads", "llama", in_llama("embedding_length", 33u), corrupt,
       "33 is not a multiple of 4 heads"},
      {"G36 width not of the embedding", "llama", in_llama("embedding_length", 40u), corrupt,
       "token_embd.weight is [64, 32]: needs [64, 40]"},
      {"G37 a million experts", "mixtral", in_llama("expert_count", 1000000u), corrupt,
       "expert_count = 1000000"},
      {"G37 more used than there are", "mixtral", in_llama("expert_used_count", 5u), corrupt,
       "expert_used_count = 5: needs 1 to 4"},
      {"G37 none used", "mixtral", in_llama("expert_used_count", 0u), corrupt,
       "expert_used_count = 0"},
      {"G37 experts denied", "mixtral", in_llama("expert_count", 0u), corrupt,
       "blk.0.ffn_gate.weight is missing"},
      {"G38 odd rotation", "llama", in_llama("rope.dimension_count", 7u), corrupt, "even"},
      {"G38 no rotation", "llama", in_llama("rope.dimension_count", 0u), corrupt, "= 0"},
      {"G38 rotation wider than a head", "llama", in_llama("rope.dimension_count", 10u), corrupt,
       "needs 2 to 8"},
      {"G38 base zero", "llama", in_llama("rope.freq_base", 0.0f), corrupt, "rope.freq_base = 0"},
      {"G38 base negative", "llama", in_llama("rope.freq_base", -1.0f), corrupt, "= -1"},
      {"G38 base not a number", "llama", in_llama("rope.freq_base", not_a_number), corrupt, "nan"},
      {"G38 base beyond reason", "llama", in_llama("rope.freq_base", 1e308), corrupt, "1e+308"},
      {"G38 eps zero", "llama", in_llama("attention.layer_norm_rms_epsilon", 0.0f), corrupt,
       "epsilon = 0"},
      {"G38 eps not a number", "llama", in_llama("attention.layer_norm_rms_epsilon", not_a_number),
       corrupt, "nan"},
      {"G38 eps negative", "llama", in_llama("attention.layer_norm_rms_epsilon", -1e-5f), corrupt,
       "needs"},
      {"G39 context beyond reason", "llama", in_llama("context_length", ~0u), corrupt,
       "context_length = 4294967295"},
      {"G46 window beyond reason", "mistral", in_llama("attention.sliding_window", ~0u), corrupt,
       "sliding_window = 4294967295"},
      {"G46 negative window", "mistral", in_llama("attention.sliding_window", -1), corrupt, "-1"},
  };
}

std::vector<Row> shape_rows() {
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
      {"G48 a number as text", "llama", in_llama("block_count", GgufValue::text("2")), corrupt,
       "llama.block_count"},
      {"G48 a whole number as f32", "llama", in_llama("block_count", 2.0f), corrupt,
       "llama.block_count"},
      {"G48 a number as a list", "llama", in_llama("block_count", list({2, 2})), corrupt,
       "llama.block_count"},
      {"G48 a float as u64", "llama", in_llama("rope.freq_base", std::uint64_t{1} << 63), corrupt,
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

// blk.0.ffn_up_exps.weight as blk.0.ffn_up.0.weight and so on.
void take_experts_apart(GgufContents& contents) {
  std::vector<GgufTensor> all;
  for (const GgufTensor& tensor : contents.tensors) {
    const auto at = tensor.name.find("_exps");
    if (at == std::string::npos) {
      all.push_back(tensor);
      continue;
    }
    const std::uint64_t experts = tensor.shape.front();
    for (std::uint64_t e = 0; e < experts; ++e) {
      GgufTensor one = tensor;
      one.name.replace(at, 5, fmt::format(".{}", e));
      one.shape.erase(one.shape.begin());
      one.data = [data = tensor.data, e, experts]() -> Result<std::span<const std::byte>> {
        const auto whole = TRY(data());
        return whole.subspan(e * whole.size() / experts, whole.size() / experts);
      };
      all.push_back(std::move(one));
    }
  }
  contents.tensors = std::move(all);
}

TEST_CASE("GGUF files of the first months hold a tensor for each expert") {
  const Golden golden = read_golden("mixtral");
  const auto base = open_package(golden.folder + "/model.gguf");
  REQUIRE(base.ok());
  GgufContents contents = contents_of(*base);
  const std::size_t together = contents.tensors.size();
  take_experts_apart(contents);
  REQUIRE(contents.tensors.size() > together);
  const testing::ScratchFolder folder;
  REQUIRE(write_gguf(folder.path("old.gguf"), contents).ok());
  const auto package = open_package(folder.path("old.gguf"));
  REQUIRE(package.ok());
  ThreadPool pool(1);
  ops::Context ctx{.kernels = &kernels::reference(), .pool = &pool};
  const auto model = load_model(ctx, *package, {});
  REQUIRE_MESSAGE(model.ok(), model.error().message());
  TestPages pages((*model)->kv_layout(), 1);
  const Rowset prompt{0, 0, golden.tokens("prompt")};
  const auto logits = step(**model, ctx, pages, {&prompt, 1});
  REQUIRE(logits.ok());
  CHECK(difference(*logits, golden.logits) < 1e-3);
}

}  // namespace
}  // namespace hearth::models
