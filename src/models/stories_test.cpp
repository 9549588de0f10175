// Real files: a trained model's greedy text byte for byte, a random one on both paths.
#include <doctest/doctest.h>

#include "base/files.h"
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
