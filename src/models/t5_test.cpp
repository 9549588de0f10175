// T5 against Hugging Face transformers, on tiny random models: from both containers, on every table
// of kernels, at once and token by token, alone and in company.
#include <doctest/doctest.h>

#include <cstring>

#include "base/files.h"
#include "models/test_support.h"

namespace hearth::models {
namespace {

constexpr double tolerance = 1e-3;  // of the largest logit

struct Story {
  std::string folder;
  Json data;
  std::vector<float> logits;  // [written, vocabulary]

  std::vector<Token> text() const { return Golden::tokens_of(*data.find("text")); }
  std::vector<Token> written() const { return Golden::tokens_of(*data.find("written")); }
};

Story read_story(const std::string& name) {
  Story story{"tests/golden/t5/" + name, {}, {}};
  const auto text = read_file(story.folder + "/golden.json", 1 << 16);
  REQUIRE(text.ok());
  story.data = *parse_json(*text);
  const auto bytes = read_file(story.folder + "/logits.f32", 1 << 20);
  REQUIRE(bytes.ok());
  story.logits.resize(bytes->size() / sizeof(float));
  std::memcpy(story.logits.data(), bytes->data(), bytes->size());
  return story;
}

void each_model(const std::function<void(const Story&, const Model&, ops::Context&)>& f) {
  for (const char* name : {"gated", "plain"}) {
    const Story story = read_story(name);
    for (const std::string& container : {story.folder, story.folder + "/model.gguf"}) {
      CAPTURE(container);
      const auto package = open_package(container);
      REQUIRE_MESSAGE(package.ok(), package.error().message());
      each_path([&](ops::Context& ctx, const LoadOptions& options, const std::string& path) {
        CAPTURE(path);
        const auto model = load_model(ctx, *package, options);
        REQUIRE_MESSAGE(model.ok(), model.error().message());
        f(story, **model, ctx);
      });
    }
  }
}

// Logits of the end of the text and of all that is written but the last.
std::vector<float> of_writing(const Model& model, const std::vector<float>& all,
                              std::size_t text_tokens) {
  const auto begin = static_cast<std::ptrdiff_t>((text_tokens - 1) * model.info().vocabulary);
  return {all.begin() + begin, all.end()};
}

TEST_CASE("T5 writes what transformers writes, at once and token by token") {
  each_model([](const Story& story, const Model& model, ops::Context& ctx) {
    std::vector<Token> tokens = story.text();
    const std::size_t read = tokens.size();
    for (const Token token : story.written()) tokens.push_back(token);
    tokens.pop_back();
    TestPages pages(model.kv_layout(), 1);
    const Rowset whole{0, 0, tokens};
    const auto logits = step(model, ctx, pages, {&whole, 1});
    REQUIRE_MESSAGE(logits.ok(), logits.error().message());
    CHECK(difference(of_writing(model, *logits, read), story.logits) < tolerance);
    const auto greedily = greedy(model, ctx, story.text(), story.written().size());
    REQUIRE_MESSAGE(greedily.ok(), greedily.error().message());
    CHECK(*greedily == story.written());
  });
}

TEST_CASE("a text may come in parts, and beside others") {
  each_model([](const Story& story, const Model& model, ops::Context& ctx) {
    const std::vector<Token> text = story.text();
    const auto middle = text.begin() + 17;
    TestPages pages(model.kv_layout(), 2);
    const Rowset begin[] = {{0, 0, {text.begin(), middle}}, {1, 0, {5, 9, 1}}};
    REQUIRE(step(model, ctx, pages, begin).ok());
    const Rowset end[] = {{1, 3, {7}}, {0, 17, {middle, text.end()}}};
    const auto logits = step(model, ctx, pages, end);
    REQUIRE_MESSAGE(logits.ok(), logits.error().message());
    const std::size_t vocabulary = model.info().vocabulary;
    const std::span<const float> last(logits->data() + logits->size() - vocabulary, vocabulary);
    CHECK(difference(last, std::span(story.logits).first(vocabulary)) < tolerance);
  });
}

TEST_CASE("a text without an end is refused; texts become vectors") {
  each_model([](const Story& story, const Model& model, ops::Context& ctx) {
    TestPages pages(model.kv_layout(), 1);
    const auto refused = step_for_last(model, ctx, pages, {0, 0, {5, 6, 7}});
    REQUIRE(!refused.ok());
    CHECK(refused.error().kind() == ErrorKind::invalid);
    const std::vector<std::vector<Token>> texts{story.text()};
    const auto vectors = model.embed(ctx, texts);
    REQUIRE(vectors.ok());
    std::vector<float> wanted;
    for (const Json& value : story.data.find("mean")->as_array())
      wanted.push_back(static_cast<float>(value.as_number()));
    CHECK(difference(vectors->front(), wanted) < tolerance);
  });
}

TEST_CASE("an encoder alone gives vectors, through its dense head") {
  const auto text = read_file("tests/golden/t5/embedder/golden.json", 1 << 16);
  REQUIRE(text.ok());
  const Json golden = *parse_json(*text);
  std::vector<std::vector<Token>> texts;
  for (const Json& each : golden.find("texts")->as_array())
    texts.push_back(Golden::tokens_of(each));
  for (const auto& [file, key] : {std::pair{"", "vectors"}, std::pair{"/model.gguf", "headless"}}) {
    const std::string container = std::string("tests/golden/t5/embedder") + file;
    CAPTURE(container);
    const auto package = open_package(container);
    REQUIRE_MESSAGE(package.ok(), package.error().message());
    CHECK(describe(*package)->kind == ModelKind::embedder);
    each_path([&](ops::Context& ctx, const LoadOptions& options, const std::string& path) {
      CAPTURE(path);
      const auto model = load_model(ctx, *package, options);
      REQUIRE_MESSAGE(model.ok(), model.error().message());
      const auto vectors = (*model)->embed(ctx, texts);
      REQUIRE_MESSAGE(vectors.ok(), vectors.error().message());
      for (std::size_t i = 0; i < texts.size(); ++i) {
        std::vector<float> wanted;
        for (const Json& value : golden.find(key)->as_array()[i].as_array())
          wanted.push_back(static_cast<float>(value.as_number()));
        CHECK((*model)->embedding_dim() == wanted.size());
        CHECK(difference((*vectors)[i], wanted) < tolerance);
      }
      TestPages pages((*model)->kv_layout(), 1);
      CHECK(!step_for_last(**model, ctx, pages, {0, 0, {5, 1}}).ok());
    });
  }
}

}  // namespace
}  // namespace hearth::models
