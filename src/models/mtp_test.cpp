// The layer that guesses a further token, against Hugging Face transformers on tiny random models:
// from both containers, by the plain path and by the fast one on every table of kernels.
#include <doctest/doctest.h>

#include <cstring>

#include "base/files.h"
#include "models/test_support.h"

namespace hearth::models {
namespace {

constexpr double tolerance = 1e-3;  // of the largest logit

Golden golden_of(const std::string& name) { return read_golden("../mtp/" + name); }

std::vector<float> guesses_of(const Golden& golden) {
  const auto bytes = read_file(golden.folder + "/guesses.f32", 1 << 20);
  REQUIRE(bytes.ok());
  std::vector<float> wanted(bytes->size() / sizeof(float));
  std::memcpy(wanted.data(), bytes->data(), bytes->size());
  return wanted;
}

// A sequence that is read and guessed for, and what is made of its rows.
class Reading {
 public:
  Reading(const Model& model, ops::Context& ctx)
      : model_(model), ctx_(ctx), pages_(model.kv_layout(), 1), dim_(model.info().dim) {}

  // Logits of all tokens, which go on where the last ones ended.
  std::vector<float> read(std::span<const Token> tokens) {
    pages_.reserve(0, count_ + tokens.size());
    std::vector<ops::RowPlace> places;
    std::vector<std::uint32_t> wanted;
    for (std::size_t i = 0; i < tokens.size(); ++i) {
      places.push_back({0, static_cast<std::uint32_t>(count_ + i)});
      wanted.push_back(static_cast<std::uint32_t>(i));
    }
    const float* before[] = {count_ == 0 ? nullptr : made(count_ - 1)};
    std::vector<float> logits(tokens.size() * model_.info().vocabulary);
    std::vector<float> hidden(tokens.size() * dim_);
    const auto sequences = pages_.sequences();
    const Status status = model_.forward(ctx_,
                                         {.tokens = tokens,
                                          .places = places,
                                          .sequences = sequences,
                                          .output_rows = wanted,
                                          .before = before,
                                          .hidden = hidden},
                                         logits);
    REQUIRE_MESSAGE(status.ok(), status.error().message());
    hidden_.insert(hidden_.end(), hidden.begin(), hidden.end());
    count_ += tokens.size();
    return logits;
  }

  // What follows `token` at `position`, beside what was made of the row before it.
  std::vector<float> guess(Token token, std::size_t position, const float* before) {
    pages_.reserve(0, position + 1);
    const ops::RowPlace place{0, static_cast<std::uint32_t>(position)};
    const auto sequences = pages_.sequences();
    std::vector<float> logits(model_.info().vocabulary);
    guessed_.resize(dim_);
    const Status status = model_.guess(ctx_,
                                       {.tokens = {&token, 1},
                                        .places = {&place, 1},
                                        .sequences = sequences,
                                        .output_rows = {},
                                        .before = {&before, 1},
                                        .hidden = guessed_},
                                       logits);
    REQUIRE_MESSAGE(status.ok(), status.error().message());
    return logits;
  }

  const float* made(std::size_t position) const { return hidden_.data() + position * dim_; }
  const std::vector<float>& guessed() const { return guessed_; }

 private:
  const Model& model_;
  ops::Context& ctx_;
  TestPages pages_;
  std::size_t dim_, count_ = 0;
  std::vector<float> hidden_, guessed_;
};

std::shared_ptr<const Model> load(const std::string& container, ops::Context& ctx,
                                  LoadOptions options, bool mtp = true) {
  const auto package = open_package(container);
  REQUIRE_MESSAGE(package.ok(), package.error().message());
  options.mtp = mtp;
  auto model = load_model(ctx, *package, options);
  REQUIRE_MESSAGE(model.ok(), model.error().message());
  return *model;
}

void check(const Golden& golden, const Model& model, ops::Context& ctx) {
  const auto prompt = golden.tokens("prompt"), text = golden.tokens("text");
  const auto wanted = guesses_of(golden);
  const std::size_t vocabulary = model.info().vocabulary;
  Reading reading(model, ctx);
  std::vector<float> logits = reading.read(std::span(prompt).first(9));
  for (const float logit : reading.read(std::span(prompt).subspan(9))) logits.push_back(logit);
  CHECK(difference(logits, golden.logits) < tolerance);

  std::vector<float> told;
  for (std::size_t position = 1; position <= prompt.size(); ++position)
    for (const float logit : reading.guess(text[position], position, reading.made(position - 1)))
      told.push_back(logit);
  const std::vector<float> before = reading.guessed();
  CHECK(best_of(std::span(told).last(vocabulary)) == text.back());
  for (const float logit : reading.guess(text.back(), prompt.size() + 1, before.data()))
    told.push_back(logit);
  CHECK(difference(told, wanted) < tolerance);
}

TEST_CASE("further tokens are guessed as transformers guesses them") {
  for (const char* name :
       {"deepseek3", "glm4-moe", "qwen3-next", "qwen35", "qwen35-moe", "right"}) {
    const Golden golden = golden_of(name);
    for (const std::string& container : golden.containers()) {
      CAPTURE(container);
      each_path([&](ops::Context& ctx, const LoadOptions& options, const std::string& path) {
        CAPTURE(path);
        const auto model = load(container, ctx, options);
        CHECK(model->guesses());
        check(golden, *model, ctx);
      });
    }
  }
}

TEST_CASE("without a wish for it the layer is left out, and the trunk says the same") {
  const Golden golden = golden_of("deepseek3");
  const std::string container = golden.containers().back();
  each_path([&](ops::Context& ctx, const LoadOptions& options, const std::string& path) {
    CAPTURE(path);
    const auto model = load(container, ctx, options, false), whole = load(container, ctx, options);
    CHECK_FALSE(model->guesses());
    CHECK(model->info().has_mtp);
    CHECK(model->info().layers == whole->info().layers);
    CHECK(model->kv_layout().page_bytes < whole->kv_layout().page_bytes);
    const auto prompt = golden.tokens("prompt");
    Reading reading(*whole, ctx);
    TestPages pages(model->kv_layout(), 1);
    const Rowset rows{0, 0, prompt};
    const auto logits = step(*model, ctx, pages, {&rows, 1});
    REQUIRE(logits.ok());
    CHECK(difference(reading.read(prompt), *logits) < 1e-5);
  });
}

TEST_CASE("what a file says and what it holds decide whether there is such a layer") {
  ThreadPool pool(2);
  ops::Context ctx{.kernels = &kernels::reference(), .pool = &pool};
  // Its config.json says that there is one, but the tensors were left out.
  const Golden without = read_golden("deepseek3");
  for (const std::string& container : without.containers()) {
    CAPTURE(container);
    const auto model = load(container, ctx, {});
    CHECK_FALSE(model->info().has_mtp);
    CHECK_FALSE(model->guesses());
    CHECK(model->guess(ctx, {}, {}).error().kind() == ErrorKind::unsupported);
  }
  const auto package = open_package(golden_of("glm4-moe").containers().back());
  REQUIRE(package.ok());
  const auto described = describe(*package);
  REQUIRE(described.ok());
  CHECK(described->has_mtp);
  CHECK(described->kv_bytes_per_token == load(package->path, ctx, {})->info().kv_bytes_per_token);
}

}  // namespace
}  // namespace hearth::models
