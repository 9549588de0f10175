// Quantising end to end on a golden model: what comes out opens, runs and answers nearly alike.
#include <doctest/doctest.h>

#include <cmath>

#include "adapt/compare.h"
#include "adapt/measure.h"
#include "adapt/quantise.h"
#include "base/bytes.h"
#include "base/files.h"
#include "formats/scratch_folder.h"
#include "kernels/select.h"
#include "models/test_support.h"

namespace hearth::adapt {
namespace {

const std::string golden = "tests/golden/models/llama/model.gguf";

Result<Quantised> quantised(const std::string& path, std::string_view recipe,
                            QuantiseOptions options = {}) {
  const Package package = TRY(open_package(golden));
  ThreadPool pool(2);
  options.recipe = find_recipe(recipe);
  return quantise(package, path, options, pool);
}

TEST_CASE("every recipe makes a model that opens") {
  const testing::ScratchFolder folder;
  for (const Recipe& recipe : recipes()) {
    CAPTURE(std::string(recipe.name));
    const std::string path = folder.path(recipe.name);
    const auto done = quantised(path, recipe.name);
    REQUIRE_MESSAGE(done.ok(), done.error().message());
    const auto package = open_package(path);
    REQUIRE_MESSAGE(package.ok(), package.error().message());
    CHECK(*package->metadata.unsigned_integer("general.file_type") == recipe.file_type);
    CHECK(package->tensors.size() == done->tensors.size());
    for (const auto& [name, dtype] : done->tensors) CHECK(package->find(name)->dtype == dtype);
    CHECK(describe(*package).ok());
  }
}

TEST_CASE("Q8_0 answers as the original does, nearly") {
  const testing::ScratchFolder folder;
  const std::string path = folder.path("q8.gguf");
  REQUIRE(quantised(path, "Q8_0").ok());
  const models::Golden model = models::read_golden("llama");
  ThreadPool pool(2);
  ops::Context ctx{.kernels = *kernels::choose(""), .pool = &pool};
  const auto package = open_package(path);
  const auto loaded = load_model(ctx, *package);
  REQUIRE_MESSAGE(loaded.ok(), loaded.error().message());
  models::TestPages pages((*loaded)->kv_layout(), 1);
  const models::Rowset prompt{0, 0, model.tokens("prompt")};
  const auto logits = models::step(**loaded, ctx, pages, {&prompt, 1});
  REQUIRE(logits.ok());
  CHECK(models::difference(*logits, model.logits) < 0.1);
}

TEST_CASE("types of single tensors, and what does not fit") {
  const testing::ScratchFolder folder;
  QuantiseOptions options;
  options.types = {{"blk.*.attn_v.weight", Dtype::q8_0}};
  const auto done = quantised(folder.path("a.gguf"), "Q4_0", options);
  REQUIRE(done.ok());
  for (const auto& [name, dtype] : done->tensors)
    if (name.find("attn_v.weight") != std::string::npos) CHECK(dtype == Dtype::q8_0);
  options.types = {{"*", Dtype::q6_k}};
  const auto refused = quantised(folder.path("b.gguf"), "Q4_0", options);
  REQUIRE(!refused);
  CHECK(refused.error().message().find("not whole blocks of q6_k") != std::string::npos);
  CHECK(!is_file(folder.path("b.gguf")));
}

TEST_CASE("a stop leaves nothing behind") {
  const testing::ScratchFolder folder;
  std::stop_source source;
  QuantiseOptions options;
  options.stop = source.get_token();
  options.progress = [&](const QuantiseProgress& progress) {
    if (progress.bytes > 0) source.request_stop();
  };
  const auto done = quantised(folder.path("a.gguf"), "Q8_0", options);
  REQUIRE(!done);
  CHECK(done.error().kind() == ErrorKind::cancelled);
  CHECK(list_folder(folder.path(""))->empty());
}

TEST_CASE("an importance matrix is written and read back") {
  const testing::ScratchFolder folder;
  ImportanceMatrix matrix;
  matrix.weights["blk.0.attn_q.weight"] = {{1, 2, 3, 4}, {8}};
  matrix.weights["blk.0.ffn_up_exps.weight"] = {{1, 2, 0.5f, 0.25f}, {4, 2}};
  matrix.text = "a.txt";
  matrix.chunks = 2;
  matrix.chunk_tokens = 512;
  const std::string path = folder.path("m.imatrix");
  REQUIRE(write_importance(path, matrix).ok());
  const auto again = read_importance(path);
  REQUIRE_MESSAGE(again.ok(), again.error().message());
  for (const auto& [name, importance] : matrix.weights) {
    CHECK(again->weights.at(name).values == importance.values);
    CHECK(again->weights.at(name).counts == importance.counts);
  }
}

TEST_CASE("an importance matrix that lies is refused") {
  const testing::ScratchFolder folder;
  const std::string path = folder.path("m");
  const std::string old_one("\1\0\0\0\1\0\0\0w\2\0\0\0\1\0\0\0\0\0\x80\x3f", 21);
  REQUIRE(replace_file(path, bytes_of(old_one)).ok());
  const auto read = read_importance(path);
  REQUIRE_MESSAGE(read.ok(), read.error().message());
  CHECK(read->weights.at("w").values == std::vector<float>{0.5f});
  for (std::size_t size = 0; size < old_one.size(); ++size) {
    REQUIRE(replace_file(path, bytes_of(old_one).first(size)).ok());
    CHECK(!read_importance(path));
  }
}

TEST_CASE("what a model multiplies with is measured, and compared with itself it loses nothing") {
  const char* data = std::getenv("HEARTH_DATA");
  const std::string shared = std::string(data ? data : "../shared/data") + "/models/stories260K";
  const std::string path = shared + "/stories260K-f32.gguf";
  if (!is_file(path)) return;
  const auto story = read_file(shared + "/greedy-200.txt", 1 << 16);
  ThreadPool pool(2);
  ops::Context ctx{.kernels = *kernels::choose(""), .pool = &pool};
  const auto package = open_package(path);
  REQUIRE(package.ok());
  const auto matrix = measure_importance(ctx, *package, *story, {.chunk_tokens = 64});
  REQUIRE_MESSAGE(matrix.ok(), matrix.error().message());
  for (const TensorEntry& tensor : package->tensors) {
    if (tensor.shape.size() != 2 || tensor.name == "token_embd.weight") continue;
    CAPTURE(tensor.name);
    const auto found = matrix->weights.find(tensor.name);
    REQUIRE(found != matrix->weights.end());
    CHECK(found->second.values.size() == tensor.shape[1]);
    CHECK(found->second.counts.front() == 64.0f * static_cast<float>(matrix->chunks));
  }
  const auto same = compare_models(ctx, path, path, *story, {.chunk_tokens = 64});
  REQUIRE_MESSAGE(same.ok(), same.error().message());
  CHECK(same->kl_max < 1e-9);
  CHECK(same->perplexity_before == same->perplexity_after);
  CHECK(same->same_first == 1.0);

  const testing::ScratchFolder folder;
  const std::string small = folder.path("small.gguf");
  QuantiseOptions options;
  options.recipe = find_recipe("Q4_0");
  options.importance = &*matrix;
  REQUIRE(quantise(*package, small, options, pool).ok());
  const auto lost = compare_models(ctx, path, small, *story, {.chunk_tokens = 64});
  REQUIRE_MESSAGE(lost.ok(), lost.error().message());
  CHECK(lost->kl_mean > 0);
  CHECK(lost->kl_mean < 0.5);
}

}  // namespace
}  // namespace hearth::adapt
