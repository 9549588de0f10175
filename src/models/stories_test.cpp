// Real files: a trained model's greedy text byte for byte, a random one on both paths.
#include <doctest/doctest.h>

#include <cmath>

#include "base/files.h"
#include "kernels/select.h"
#include "models/test_support.h"

namespace hearth::models {
namespace {

TEST_CASE("stories260K tells its story from every container, on every table") {
  const std::string folder = shared_data("models/stories260K");
  if (folder.empty()) return;
  const auto story = read_file(folder + "/greedy-200.txt", 1 << 16);
  REQUIRE(story.ok());
  for (const std::string& path : {folder + "/stories260K-f32.gguf", folder + "/hf",
                                  folder + "/stories260K.pt", folder + "/stories260K.bin"}) {
    CAPTURE(path);
    each_path([&](ops::Context& ctx, const LoadOptions& options, const std::string& label) {
      CAPTURE(label);
      const auto package = open_package(path);
      REQUIRE_MESSAGE(package.ok(), package.error().message());
      const auto model = load_model(ctx, *package, options);
      REQUIRE_MESSAGE(model.ok(), model.error().message());
      const auto tokens = greedy(**model, ctx, {1}, 200);
      REQUIRE_MESSAGE(tokens.ok(), tokens.error().message());
      std::vector<Token> all{1};
      all.insert(all.end(), tokens->begin(), tokens->end());
      const std::string text = (*model)->tokenizer().decode(all);
      const std::string_view wanted = *story;
      CHECK(text.substr(0, wanted.size()) == wanted);
      CHECK(text.size() <= wanted.size() + 1);
    });
  }
}

// Mean Kullback-Leibler divergence of next-token distributions, in nats.
double divergence(std::span<const float> wanted, std::span<const float> got, std::size_t words) {
  double sum = 0;
  for (std::size_t at = 0; at < wanted.size(); at += words) {
    const auto log_sum = [&](std::span<const float> row) {
      double total = 0;
      for (const float x : row) total += std::exp(static_cast<double>(x));
      return std::log(total);
    };
    const auto p = wanted.subspan(at, words), q = got.subspan(at, words);
    const double p_sum = log_sum(p), q_sum = log_sum(q);
    for (std::size_t i = 0; i < words; ++i)
      sum += std::exp(p[i] - p_sum) * ((p[i] - p_sum) - (q[i] - q_sum));
  }
  return sum / static_cast<double>(wanted.size() / words);
}

TEST_CASE("keys and values in 8 bits leave what stories260K would say next") {
  const std::string folder = shared_data("models/stories260K");
  if (folder.empty()) return;
  const auto package = open_package(folder + "/stories260K-f32.gguf");
  const auto story = read_file(folder + "/greedy-200.txt", 1 << 16);
  REQUIRE((package.ok() && story.ok()));
  ThreadPool pool(2);
  ops::Context ctx{.kernels = kernels::choose("").value(), .pool = &pool};
  const auto logits_with = [&](Dtype dtype) {
    LoadOptions options;
    options.kv_dtype = dtype;
    const auto model = load_model(ctx, *package, options).value();
    TestPages pages(model->kv_layout(), 1);
    const Rowset rows{0, 0, model->tokenizer().encode(*story, {}).value()};
    CHECK(rows.tokens.size() > 150);
    return std::pair(step(*model, ctx, pages, {&rows, 1}).value(), model->info().vocabulary);
  };
  const auto [f16, words] = logits_with(Dtype::f16);
  const struct {
    Dtype dtype;
    double most;
  } forms[] = {{Dtype::bf16, 1e-4}, {Dtype::q8_0, 2e-3}, {Dtype::q4_0, 0.6}};
  for (const auto& form : forms) {
    CAPTURE(std::string(name_of(form.dtype)));
    const double apart = divergence(f16, logits_with(form.dtype).first, words);
    CAPTURE(apart);
    CHECK(apart < form.most);
  }
}

TEST_CASE("a random Llama 2 agrees on both paths") {
  const std::string path = shared_data("models/random-weights/llama-2-tiny-random.gguf");
  if (path.empty()) return;
  const auto package = open_package(path);
  REQUIRE_MESSAGE(package.ok(), package.error().message());
  std::vector<float> wanted;
  each_path([&](ops::Context& ctx, const LoadOptions& options, const std::string& label) {
    CAPTURE(label);
    const auto model = load_model(ctx, *package, options);
    REQUIRE_MESSAGE(model.ok(), model.error().message());
    TestPages pages((*model)->kv_layout(), 1);
    const Rowset rows{0, 0, {1, 15043, 3186, 29991, 13, 450, 4996, 17354}};
    const auto logits = step(**model, ctx, pages, {&rows, 1});
    REQUIRE(logits.ok());
    if (options.reference) wanted = *logits;
    CHECK(difference(*logits, wanted) < (is_exact(**model, ctx, options) ? 2e-3 : 3e-2));
  });
}

}  // namespace
}  // namespace hearth::models
