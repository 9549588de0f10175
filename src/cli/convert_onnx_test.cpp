// Weights that were written as an ONNX graph say what they said before, by whichever engine.
#include <doctest/doctest.h>

#include "adapt/convert.h"
#include "engines/engines.h"
#include "formats/scratch_folder.h"
#include "kernels/select.h"
#include "models/test_support.h"

using namespace hearth;

namespace {

Result<adapt::Converted> convert(const Package& package, const std::string& path) {
  ThreadPool pool(1);
  adapt::ConvertOptions options;
  options.to = adapt::Container::onnx;
  return adapt::convert(package, path, options, pool);
}

std::vector<Token> probe(std::uint32_t vocabulary) {
  std::vector<Token> tokens;
  for (std::uint32_t i = 0; i < 20; ++i)
    tokens.push_back(static_cast<Token>(i * 7919 % vocabulary));
  return tokens;
}

struct Told {
  std::vector<float> logits;
  std::string engine;
};

Told tell(const Package& package, const std::string& engine) {
  ThreadPool pool(1);
  ops::Context ctx{.kernels = *kernels::choose(""), .pool = &pool};
  const auto loaded = load_with_best_engine(ctx, package, {}, {.wish = engine});
  REQUIRE_MESSAGE(loaded.ok(), loaded.error().message());
  const Model& model = *loaded->model;
  models::TestPages pages(model.kv_layout(), 1);
  const models::Rowset all[] = {{0, 0, probe(model.info().vocabulary)}};
  const auto logits = models::step(model, ctx, pages, all);
  REQUIRE_MESSAGE(logits.ok(), logits.error().message());
  return {*logits, std::string(loaded->engine)};
}

}  // namespace

TEST_CASE("a model as an ONNX graph gives the same logits") {
  // Those that the transformer engine takes from graphs, then those that the graph engine runs.
  for (const std::string name :
       {"llama",   "qwen2",   "qwen3",      "llama-3",  "llama-linear", "llama-yarn",
        "mistral", "smollm3", "granite",    "gemma",    "gemma2",       "gemma3",
        "olmo2",   "olmo3",   "starcoder2", "seed-oss", "exaone4",      "ernie4_5",
        "glm4",    "cohere2", "ministral3", "hunyuan"}) {
    const auto original = open_package(models::golden_folder + "/" + name);
    CAPTURE(name);
    REQUIRE_MESSAGE(original.ok(), original.error().message());
    const testing::ScratchFolder scratch;
    const auto done = convert(*original, scratch.path("onnx"));
    REQUIRE_MESSAGE(done.ok(), done.error().message());
    CHECK(done->losses.empty());
    const auto converted = open_package(scratch.path("onnx"));
    REQUIRE_MESSAGE(converted.ok(), converted.error().message());
    CHECK(converted->format == "onnx");

    const Told before = tell(*original, ""), graph = tell(*converted, "graph"),
               best = tell(*converted, "");
    if (name == "llama" || name.starts_with("qwen")) CHECK(best.engine == "transformer");
    CHECK(models::difference(graph.logits, before.logits) < models::tier_tolerance);
    CHECK(models::difference(best.logits, before.logits) < models::tier_tolerance);
  }
}

TEST_CASE("what cannot be drawn as a graph is refused by name") {
  const struct {
    std::string model;
    const char* says;
  } rows[] = {
      {"mixtral", "llama as ONNX: mixtures of experts"}, {"command-r", "norms of each head's own"},
      {"gpt2", "gpt2 as ONNX: learned places"},          {"gpt-oss", "mixtures of experts"},
      {"phi3-long", "angles that depend on the length"}, {"lfm2", "layers that recur"}};
  for (const auto& row : rows) {
    CAPTURE(row.model);
    const auto package = open_package(models::golden_folder + "/" + row.model);
    REQUIRE_MESSAGE(package.ok(), package.error().message());
    const testing::ScratchFolder scratch;
    const auto done = convert(*package, scratch.path("onnx"));
    REQUIRE(!done.ok());
    CHECK(done.error().message().find(row.says) != std::string::npos);
  }
}
