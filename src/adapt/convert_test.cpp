// Converting end to end: what comes out opens, holds the same numbers and answers alike.
#include "adapt/convert.h"

#include <doctest/doctest.h>

#include <cmath>
#include <map>

#include "base/bytes.h"
#include "formats/scratch_folder.h"
#include "kernels/select.h"
#include "models/test_support.h"
#include "ops/dequantise.h"
#include "ops/quantise.h"

namespace hearth::adapt {
namespace {

const std::string golden = "tests/golden/models/llama/model.gguf";

Result<Converted> converted(const std::string& from, const std::string& to,
                            ConvertOptions options) {
  const Package package = TRY(open_package(from));
  ThreadPool pool(2);
  return convert(package, to, options, pool);
}

std::vector<std::byte> bytes_of_entry(const TensorEntry& entry) {
  return entry.make ? *entry.make() : std::vector<std::byte>(entry.data.begin(), entry.data.end());
}

// Every tensor as floats.
std::map<std::string, std::vector<float>> values(const std::string& path) {
  const auto package = open_package(path);
  REQUIRE_MESSAGE(package.ok(), package.error().message());
  std::map<std::string, std::vector<float>> all;
  for (const TensorEntry& entry : package->tensors)
    all[entry.name] = *ops::dequantise(entry.dtype, bytes_of_entry(entry), entry.elements());
  return all;
}

std::vector<float> logits(const std::string& path) {
  ThreadPool pool(1);
  ops::Context ctx{.kernels = *kernels::choose(""), .pool = &pool};
  const auto package = open_package(path);
  REQUIRE_MESSAGE(package.ok(), package.error().message());
  LoadOptions options;
  options.reference = true;
  const auto model = load_model(ctx, *package, options);
  REQUIRE_MESSAGE(model.ok(), model.error().message());
  models::TestPages pages((*model)->kv_layout(), 1);
  const models::Rowset prompt{0, 0, models::read_golden("llama").tokens("prompt")};
  return *models::step(**model, ctx, pages, {&prompt, 1});
}

TEST_CASE("a model in every container and back is the same model") {
  const testing::ScratchFolder folder;
  const auto wanted = logits(golden);
  const auto numbers = values(golden);
  for (const Container to : {Container::safetensors, Container::mlx, Container::npz}) {
    CAPTURE(static_cast<int>(to));
    const std::string there = folder.path("there"), back = folder.path("back.gguf");
    ConvertOptions options;
    options.to = to;
    options.replace = true;
    options.shard_bytes = 30000;  // several files
    const auto done = converted(golden, there, options);
    REQUIRE_MESSAGE(done.ok(), done.error().message());
    CHECK(models::difference(logits(there), wanted) < 1e-6);
    options.to = Container::gguf;
    REQUIRE(converted(there, back, options).ok());
    CHECK(values(back) == numbers);
  }
  CHECK(list_folder(folder.path(""))->size() == 2);  // nothing half-made beside them
}

TEST_CASE("a lone file has the tensors under their names") {
  const testing::ScratchFolder folder;
  for (const char* name : {"a.safetensors", "a.npz"}) {
    CAPTURE(name);
    ConvertOptions options;
    options.to = std::string_view(name).ends_with("npz") ? Container::npz : Container::safetensors;
    options.single_file = true;
    REQUIRE(converted("tests/golden/models/llama", folder.path(name), options).ok());
    CHECK(values(folder.path(name)) == values("tests/golden/models/llama"));
  }
}

TEST_CASE("blocks that MLX has a form for keep every number") {
  const testing::ScratchFolder folder;
  std::vector<float> row(512);
  for (std::size_t i = 0; i < row.size(); ++i)
    row[i] = std::sin(static_cast<float>(i * i)) * (1 + static_cast<float>(i % 7));
  for (const Dtype dtype : {Dtype::q4_0, Dtype::q4_1, Dtype::q5_0, Dtype::q5_1, Dtype::q8_0,
                            Dtype::q4_k, Dtype::q5_k, Dtype::mxfp4, Dtype::nvfp4, Dtype::q6_k}) {
    CAPTURE(std::string(name_of(dtype)));
    std::vector<std::byte> blocks(*byte_size(dtype, row.size()));
    ops::quantiser(dtype)(row.data(), nullptr, blocks.data(), row.size());
    Package package;
    package.naming = Naming::huggingface;
    package.config = Json::object({{"model_type", "llama"}});
    std::vector<TensorEntry> tensors(1);
    tensors[0] = {.name = "a.weight", .dtype = dtype, .shape = {2, 256}, .data = blocks};
    REQUIRE(add_tensors(package, tensors).ok());
    ConvertOptions options;
    options.to = Container::mlx;
    options.replace = true;
    ThreadPool pool(1);
    const auto done = convert(package, folder.path("mlx"), options, pool);
    REQUIRE_MESSAGE(done.ok(), done.error().message());
    CHECK(done->losses.empty());
    const auto read = values(folder.path("mlx"));
    const auto wanted = *ops::dequantise(dtype, blocks, row.size());
    const auto& got = read.at("a.weight");
    REQUIRE(got.size() == wanted.size());
    // Our reader keeps scales as halves, and weights of 8 bits: those of Q4_K and Q5_K are products
    // of two numbers.
    const bool rounded = dtype == Dtype::q4_k || dtype == Dtype::q5_k || dtype == Dtype::q8_0;
    const double tolerance = rounded ? 2e-3 : 0;
    CHECK(models::difference(got, wanted) <= tolerance);
  }
}

TEST_CASE("a type that is wished for, and what it costs is said") {
  const testing::ScratchFolder folder;
  ConvertOptions options;
  options.to = Container::gguf;
  options.floats = Dtype::f16;
  const auto half = converted(golden, folder.path("half.gguf"), options);
  REQUIRE_MESSAGE(half.ok(), half.error().message());
  const auto moved = [](const Converted& done) {
    return std::ranges::count_if(done.losses, [](const std::string& loss) {
      return loss.find("weights move by up to") != std::string::npos;
    });
  };
  CHECK(moved(*half) == 0);  // the golden weights are halves
  const auto package = open_package(folder.path("half.gguf"));
  REQUIRE(package.ok());
  CHECK(package->find("blk.0.attn_q.weight")->dtype == Dtype::f16);
  CHECK(package->find("blk.0.attn_norm.weight")->dtype == Dtype::f32);
  options.floats = Dtype::bf16;
  const auto rounded = converted(golden, folder.path("rounded.gguf"), options);
  REQUIRE(rounded.ok());
  CHECK(moved(*rounded) == 1);
}

TEST_CASE("what is there is kept, a stop leaves nothing behind, --force replaces") {
  const testing::ScratchFolder folder;
  const std::string out = folder.path("out");
  ConvertOptions options;
  options.to = Container::safetensors;
  std::stop_source source;
  options.stop = source.get_token();
  options.progress = [&](const ConvertProgress& progress) {
    if (progress.bytes > 0) source.request_stop();
  };
  const auto stopped = converted(golden, out, options);
  REQUIRE(!stopped);
  CHECK(stopped.error().kind() == ErrorKind::cancelled);
  CHECK(list_folder(folder.path(""))->empty());
  options.progress = {};
  options.stop = {};
  REQUIRE(converted(golden, out, options).ok());
  const auto refused = converted(golden, out, options);
  REQUIRE(!refused);
  CHECK(refused.error().message().find("is there already") != std::string::npos);
  REQUIRE(replace_file(join_path(out, "old"), bytes_of(std::string_view("x"))).ok());
  options.replace = true;
  REQUIRE(converted(golden, out, options).ok());
  CHECK(!is_file(join_path(out, "old")));
  CHECK(list_folder(folder.path(""))->size() == 1);
}

}  // namespace
}  // namespace hearth::adapt
