// Every architecture against Hugging Face transformers, on tiny random models: from both
// containers, by the plain path and by the fast one on every table of kernels.
#include <doctest/doctest.h>
#include <fmt/core.h>

#include <cmath>
#include <cstring>
#include <set>

#include "base/files.h"
#include "models/architectures.h"
#include "models/test_support.h"

namespace hearth::models {
namespace {

constexpr double tolerance = 1e-3;  // of the largest logit

TEST_CASE("every architecture has a golden model") {
  std::set<std::string> held;
  for (const char* kind : {"generator", "embedder", "reranker"})
    for (const Golden& golden : goldens(kind)) held.insert(golden.text("architecture"));
  held.insert("roberta");  // "bert" in GGUF
  for (const char* sees : {"qwen2vl", "qwen3vl", "qwen3vlmoe"})
    held.insert(sees);  // tests/golden/vision
  held.insert("t5");    // t5_test.cpp
  for (const ArchSpec* spec : architectures()) {
    CAPTURE(std::string(spec->name));
    CHECK(held.contains(std::string(spec->name)));
  }
}

void check_generator(const Golden& golden, const std::string& container, ops::Context& ctx,
                     const LoadOptions& options) {
  const auto package = open_package(container);
  REQUIRE_MESSAGE(package.ok(), package.error().message());
  const auto model = load_model(ctx, *package, options);
  REQUIRE_MESSAGE(model.ok(), model.error().message());
  const bool exact = is_exact(**model, ctx, options);

  TestPages pages((*model)->kv_layout(), 1);
  const Rowset prompt{0, 0, golden.tokens("prompt")};
  const auto logits = step(**model, ctx, pages, {&prompt, 1});
  REQUIRE_MESSAGE(logits.ok(), logits.error().message());
  CHECK(difference(*logits, golden.logits) < (exact ? tolerance : tier_tolerance));
  if (!exact) return;
  const auto tokens = greedy(**model, ctx, prompt.tokens, golden.tokens("greedy").size());
  REQUIRE(tokens.ok());
  CHECK(*tokens == golden.tokens("greedy"));
}

TEST_CASE("generators give transformers' logits and greedy continuations") {
  for (const Golden& golden : goldens("generator")) {
    const auto context = static_cast<std::uint32_t>(golden.data.find("context")->as_integer());
    for (const std::string& container : golden.containers()) {
      CAPTURE(container);
      each_path(
          [&](ops::Context& ctx, const LoadOptions& options, const std::string& path) {
            CAPTURE(path);
            check_generator(golden, container, ctx, options);
          },
          context);
    }
  }
}

// The golden llama as other programs save it.
constexpr std::string_view llama_containers[] = {"pytorch/hf-zip", "pytorch/hf-legacy",
                                                 "pytorch/hf-sharded", "pytorch/meta-1",
                                                 "pytorch/meta-2"};

TEST_CASE("one llama gives the same logits from every container") {
  const Golden golden = read_golden("llama");
  for (const std::string_view name : llama_containers) {
    const std::string container = fmt::format("tests/golden/formats/{}", name);
    CAPTURE(container);
    each_path([&](ops::Context& ctx, const LoadOptions& options, const std::string& path) {
      CAPTURE(path);
      check_generator(golden, container, ctx, options);
    });
  }
}

TEST_CASE("quantised checkpoints of other programs give the logits of the weights they hold") {
  const std::string folder = "tests/golden/formats/quantised/";
  const auto names = list_folder(folder);
  REQUIRE(names.ok());
  const auto prompt_text = read_file(folder + "prompt.json", 1 << 16);
  REQUIRE(prompt_text.ok());
  const Rowset prompt{0, 0, Golden::tokens_of(*parse_json(*prompt_text))};
  for (const std::string& name : *names) {
    if (name == "prompt.json") continue;
    CAPTURE(name);
    const auto bytes = read_file(folder + name + "/logits.f32", 1 << 20);
    REQUIRE(bytes.ok());
    std::vector<float> wanted(bytes->size() / sizeof(float));
    std::memcpy(wanted.data(), bytes->data(), bytes->size());
    each_path([&](ops::Context& ctx, const LoadOptions& options, const std::string& path) {
      CAPTURE(path);
      const std::string file = folder + name + "/model.bin";  // older than GGUF, or CTranslate2's
      const auto package = open_package(is_file(file) ? file : folder + name);
      REQUIRE_MESSAGE(package.ok(), package.error().message());
      const auto model = load_model(ctx, *package, options);
      REQUIRE_MESSAGE(model.ok(), model.error().message());
      TestPages pages((*model)->kv_layout(), 1);
      const auto logits = step(**model, ctx, pages, {&prompt, 1});
      REQUIRE_MESSAGE(logits.ok(), logits.error().message());
      // Where the scales are no halves they are rounded to them.
      CHECK(difference(*logits, wanted) < (options.reference ? 4e-3 : 1.5 * tier_tolerance));
    });
  }
}

TEST_CASE("keys and values in fewer bits move the logits by little") {
  const struct {
    Dtype dtype;
    double tolerance;
  } forms[] = {{Dtype::f16, 5e-3}, {Dtype::bf16, 2e-2}, {Dtype::q8_0, 4e-2}};
  for (const char* name : {"llama", "gemma2", "qwen3", "gpt-oss-mxfp4"}) {
    const Golden golden = read_golden(name);
    CAPTURE(golden.name);
    const auto package = open_package(golden.folder);
    REQUIRE(package.ok());
    each_path([&](ops::Context& ctx, LoadOptions options, const std::string& path) {
      CAPTURE(path);
      for (const auto& form : forms) {
        CAPTURE(std::string(name_of(form.dtype)));
        options.kv_dtype = form.dtype;
        const auto model = load_model(ctx, *package, options);
        REQUIRE(model.ok());
        TestPages pages((*model)->kv_layout(), 1);
        const Rowset prompt{0, 0, golden.tokens("prompt")};
        const auto logits = step(**model, ctx, pages, {&prompt, 1});
        REQUIRE(logits.ok());
        const double tiles = is_exact(**model, ctx, options) ? 0 : tier_tolerance;
        CHECK(difference(*logits, golden.logits) < form.tolerance + tiles);
      }
    });
  }
}

std::vector<float> floats_of(const Json& list) {
  std::vector<float> out;
  for (const Json& item : list.as_array()) out.push_back(static_cast<float>(item.as_number()));
  return out;
}

void normalise(std::vector<float>& v) {
  double sum = 0;
  for (const float x : v) sum += static_cast<double>(x) * x;
  for (float& x : v) x = static_cast<float>(x / std::sqrt(sum));
}

void check_encoder(const Golden& golden, const std::string& container, ops::Context& ctx,
                   const LoadOptions& options) {
  const auto package = open_package(container);
  REQUIRE_MESSAGE(package.ok(), package.error().message());
  const auto model = load_model(ctx, *package, options);
  REQUIRE_MESSAGE(model.ok(), model.error().message());
  const bool rerank = golden.text("kind") == "reranker";
  CHECK((*model)->info().kind == (rerank ? ModelKind::reranker : ModelKind::embedder));

  std::vector<std::vector<Token>> texts;
  for (const Json& text : golden.data.find("texts")->as_array())
    texts.push_back(Golden::tokens_of(text));
  const auto vectors = (*model)->embed(ctx, texts);
  REQUIRE_MESSAGE(vectors.ok(), vectors.error().message());
  REQUIRE(vectors->size() == texts.size());
  const bool unit = container.ends_with(".gguf") && golden.data.find("normalised_gguf")->as_bool();
  for (std::size_t i = 0; i < texts.size(); ++i) {
    CAPTURE(i);
    auto wanted = floats_of(golden.data.find("vectors")->as_array()[i]);
    if (unit) normalise(wanted);
    CHECK(difference((*vectors)[i], wanted) < tolerance);
    // Alone as in company.
    const auto alone = (*model)->embed(ctx, std::span(texts).subspan(i, 1));
    REQUIRE(alone.ok());
    CHECK(difference((*alone)[0], wanted) < tolerance);
  }
}

TEST_CASE("encoders give transformers' vectors and scores") {
  for (const char* kind : {"embedder", "reranker"})
    for (const Golden& golden : goldens(kind))
      for (const std::string& container : golden.containers()) {
        CAPTURE(container);
        each_path([&](ops::Context& ctx, const LoadOptions& options, const std::string& path) {
          CAPTURE(path);
          check_encoder(golden, container, ctx, options);
        });
      }
}

}  // namespace
}  // namespace hearth::models
