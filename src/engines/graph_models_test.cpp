// Language models in graph form: the same tokens as onnxruntime's, however the text is cut into
// pieces and whoever else is served.  tests/golden/engines is written by
// scripts/language_graphs.py.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "base/files.h"
#include "engines/engines.h"
#include "engines/graph_binding.h"
#include "engines/testing.h"
#include "kernels/select.h"
#include "models/test_support.h"
#include "runtime/runner.h"

using namespace hearth;
using namespace hearth::testing;

namespace {

const std::string golden_folder = "tests/golden/engines/";

struct Loaded {
  const kernels::Kernels* table = nullptr;
  std::shared_ptr<ThreadPool> pool;
  std::shared_ptr<const Model> model;

  ops::Context context() const { return {.kernels = table, .pool = pool.get()}; }
};

const Engine* engine_named(std::string_view name) {
  const auto list = engines();
  const auto found = std::ranges::find(list, name, [](const Engine* e) { return e->name; });
  REQUIRE(found != list.end());
  return *found;
}

Loaded load(const std::string& path, std::string_view engine) {
  Loaded loaded;
  loaded.table = *kernels::choose("");
  loaded.pool = std::make_shared<ThreadPool>(1);
  const auto package = open_package(path);
  REQUIRE_MESSAGE(package.ok(), package.error().message());
  ops::Context ctx = loaded.context();
  auto model = engine_named(engine)->load(ctx, *package, {});
  REQUIRE_MESSAGE(model.ok(), model.error().message());
  loaded.model = *model;
  return loaded;
}

}  // namespace

TEST_CASE("a graph goes on as onnxruntime does") {
  for (const std::string name : {"optimum", "genai"}) {
    CAPTURE(name);
    const Loaded loaded = load(golden_folder + name, "graph");
    CHECK(loaded.model->info().kind == ModelKind::generator);
    CHECK(loaded.model->info().architecture == "llama");
    CHECK(loaded.model->info().parameters > 200'000);
    const std::vector<Token> expected = expected_tokens(golden_folder + name);
    RunnerOptions options;
    options.kv_budget_bytes = 1 << 20;
    const auto runner = make_runner(loaded.model, *loaded.table, loaded.pool, options);
    REQUIRE_MESSAGE(runner.ok(), runner.error().message());
    const auto rest = [&](std::size_t from) {
      return std::vector<Token>(expected.begin() + static_cast<std::ptrdiff_t>(from),
                                expected.end());
    };
    const auto first = [&](std::size_t n) {
      return std::vector<Token>(expected.begin(),
                                expected.begin() + static_cast<std::ptrdiff_t>(n));
    };
    for (const std::size_t prompt : {1, 40, 2, 79})
      CHECK(generated(**runner, greedy_past_end(first(prompt), std::ssize(rest(prompt)))) ==
            rest(prompt));
  }
}

TEST_CASE("a text read at once and in pieces gives the same logits, among others") {
  for (const std::string name : {"optimum", "genai"}) {
    CAPTURE(name);
    const Loaded loaded = load(golden_folder + name, "graph");
    ops::Context ctx = loaded.context();
    std::vector<Token> text = expected_tokens(golden_folder + name);
    text.resize(40);
    models::TestPages whole_pages(loaded.model->kv_layout(), 1);
    const models::Rowset all[] = {{0, 0, text}};
    const auto whole = models::step(*loaded.model, ctx, whole_pages, all);
    REQUIRE_MESSAGE(whole.ok(), whole.error().message());

    models::TestPages pages(loaded.model->kv_layout(), 2);
    const std::size_t vocabulary = loaded.model->info().vocabulary;
    std::vector<Token> other = text;
    std::ranges::reverse(other);
    for (std::uint32_t at = 0, n = 1; at < text.size(); at += n, n = n % 7 + 1) {
      n = std::min<std::uint32_t>(n, static_cast<std::uint32_t>(text.size()) - at);
      const auto piece = [&](const std::vector<Token>& from) {
        return std::vector<Token>(from.begin() + at, from.begin() + at + n);
      };
      const models::Rowset sets[] = {{1, at, piece(other)}, {0, at, piece(text)}};
      const auto part = models::step(*loaded.model, ctx, pages, sets);
      REQUIRE_MESSAGE(part.ok(), part.error().message());
      for (std::size_t i = 0; i < n * vocabulary; ++i)
        REQUIRE((*part)[n * vocabulary + i] ==
                doctest::Approx((*whole)[at * vocabulary + i]).epsilon(1e-3));
    }
  }
}

TEST_CASE("a place that was guessed wrong is read again") {
  const Loaded loaded = load(golden_folder + "optimum", "graph");
  ops::Context ctx = loaded.context();
  const std::vector<Token> text = expected_tokens(golden_folder + "optimum");
  models::TestPages pages(loaded.model->kv_layout(), 1);
  const auto read = [&](std::uint32_t first, std::vector<Token> tokens) {
    auto logits = models::step_for_last(*loaded.model, ctx, pages, {0, first, std::move(tokens)});
    REQUIRE_MESSAGE(logits.ok(), logits.error().message());
    return models::best_of(*logits);
  };
  CHECK(read(0, {text[0], text[1]}) == text[2]);
  read(2, {5, 6, 7});  // none of which comes next
  CHECK(read(2, {text[2], text[3]}) == text[4]);
}

TEST_CASE("the transformer engine takes the weights out of a graph and says the same") {
  for (const std::string name : {"optimum", "genai"}) {
    CAPTURE(name);
    const Loaded graph = load(golden_folder + name, "graph"),
                 weights = load(golden_folder + name, "transformer");
    CHECK(weights.model->info().layers == 5);
    CHECK(weights.model->info().parameters > 200'000);
    ops::Context ctx = graph.context();
    const std::vector<Token> text = expected_tokens(golden_folder + name);
    models::TestPages graph_pages(graph.model->kv_layout(), 1),
        weight_pages(weights.model->kv_layout(), 1);
    const models::Rowset all[] = {{0, 0, text}};
    const auto a = models::step(*graph.model, ctx, graph_pages, all),
               b = models::step(*weights.model, ctx, weight_pages, all);
    REQUIRE_MESSAGE(a.ok(), a.error().message());
    REQUIRE_MESSAGE(b.ok(), b.error().message());
    double apart = 0, length = 0;
    for (std::size_t i = 0; i < a->size(); ++i) {
      apart += ((*a)[i] - (*b)[i]) * ((*a)[i] - (*b)[i]);
      length += (*a)[i] * (*a)[i];
    }
    CHECK(std::sqrt(apart / length) < (name == "optimum" ? 1e-4 : 0.02));
  }
}

namespace {

Json json_in(const std::string& path) { return *parse_json(*read_file(path, 1 << 20)); }

std::vector<Token> encoded(const Model& model, const std::string& text) {
  const auto tokens = model.tokenizer().encode(text, {.add_special = true});
  REQUIRE(tokens.ok());
  return *tokens;
}

}  // namespace

// Written by scripts/encoder_graphs.py.
TEST_CASE("an encoder's graph gives the vectors that transformers gives") {
  const Loaded loaded = load(golden_folder + "embedder", "graph");
  CHECK(loaded.model->info().kind == ModelKind::embedder);
  CHECK(loaded.model->embedding_dim() == 32);
  ops::Context ctx = loaded.context();
  const Json expected = json_in(golden_folder + "embedder/expected.json");
  for (const auto& [text, vector] : expected.as_object()) {
    CAPTURE(text);
    const std::vector<Token> texts[] = {encoded(*loaded.model, text)};
    const auto got = loaded.model->embed(ctx, texts);
    REQUIRE_MESSAGE(got.ok(), got.error().message());
    for (std::size_t i = 0; i < vector.size(); ++i)
      CHECK((*got)[0].at(i) == doctest::Approx(vector.as_array()[i].as_number()).epsilon(1e-4));
  }
  const std::vector<Token> texts[] = {std::vector<Token>(41, 5)};
  const auto refused = loaded.model->embed(ctx, texts);
  REQUIRE(!refused.ok());
  CHECK(refused.error().kind() == ErrorKind::too_long);
}

TEST_CASE("a classifier's graph of one label ranks") {
  const Loaded loaded = load(golden_folder + "reranker", "graph");
  CHECK(loaded.model->info().kind == ModelKind::reranker);
  ops::Context ctx = loaded.context();
  const Json expected = json_in(golden_folder + "reranker/expected.json");
  for (const auto& [text, score] : expected.find("scores")->as_object()) {
    CAPTURE(text);
    std::vector<Token> pair = encoded(*loaded.model, expected.find("query")->as_string());
    const std::vector<Token> second = encoded(*loaded.model, text);
    pair.insert(pair.end(), second.begin() + 1, second.end());
    const std::vector<Token> pairs[] = {pair};
    const auto got = loaded.model->embed(ctx, pairs);
    REQUIRE_MESSAGE(got.ok(), got.error().message());
    CHECK((*got)[0].at(0) == doctest::Approx(score.as_array()[0].as_number()).epsilon(1e-4));
  }
}

TEST_CASE("engines are ranked by their own word, by memory and by what was measured") {
  const auto package = open_package(golden_folder + "optimum");
  REQUIRE(package.ok());
  const ops::Context ctx{.kernels = *kernels::choose("")};
  const struct {
    std::string what;
    EngineFacts facts;
    std::string first;
  } rows[] = {
      {"nothing is known", {}, "transformer"},
      {"one was measured", {.measured = {{"graph", 9}}}, "transformer"},
      {"both were, the graph is faster", {.measured = {{"graph", 9}, {"transformer", 5}}}, "graph"},
      {"both were, the graph is slower",
       {.measured = {{"graph", 2}, {"transformer", 5}}},
       "transformer"},
      {"there is no memory for either", {.free_bytes = 1}, "transformer"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.what);
    const auto ranked = rank_engines(ctx, *package, row.facts);
    REQUIRE(ranked.size() == engines().size());
    CHECK(ranked[0].engine->name == row.first);
    CHECK((ranked[0].score > 0.15) == (row.facts.free_bytes == 0));
    for (const EngineChoice& choice : ranked) CHECK(!choice.why.empty());
    CHECK(ranked.back().score == 0);  // those that are sealed
  }
}

TEST_CASE("a graph that no architecture explains is run as a graph") {
  const auto package = open_package(golden_folder + "optimum");
  REQUIRE(package.ok());
  Package other = *package;
  other.config.set("rope_theta", 500.0);  // not what the graph computes with
  ThreadPool pool(1);
  ops::Context ctx{.kernels = *kernels::choose(""), .pool = &pool};
  const auto loaded = load_with_best_engine(ctx, other);
  REQUIRE_MESSAGE(loaded.ok(), loaded.error().message());
  CHECK(loaded->engine != "transformer");
  const auto refused = load_with_best_engine(ctx, other, {}, {.wish = "transformer"});
  REQUIRE(!refused.ok());
  CHECK(refused.error().message().find("computes something else") != std::string::npos);
  const auto nobody = load_with_best_engine(ctx, other, {}, {.wish = "steam"});
  REQUIRE(!nobody.ok());
  CHECK(nobody.error().kind() == ErrorKind::invalid);
}

TEST_CASE("ONNX Runtime, where it is installed, gives the same tokens and vectors") {
  const auto package = open_package(golden_folder + "genai");
  REQUIRE(package.ok());
  const ops::Context none;
  if (const auto fit = engine_named("onnxruntime")->fit(none, *package); !fit) {
    MESSAGE("skipped: " << fit.error().message());
    return;
  }
  for (const std::string name : {"optimum", "genai"}) {
    CAPTURE(name);
    const Loaded loaded = load(golden_folder + name, "onnxruntime");
    const std::vector<Token> expected = expected_tokens(golden_folder + name);
    RunnerOptions options;
    options.kv_budget_bytes = 1 << 20;
    const auto runner = make_runner(loaded.model, *loaded.table, loaded.pool, options);
    REQUIRE_MESSAGE(runner.ok(), runner.error().message());
    CHECK(generated(**runner, greedy_past_end({expected[0]}, std::ssize(expected) - 1)) ==
          std::vector<Token>(expected.begin() + 1, expected.end()));
  }
  const Loaded ours = load(golden_folder + "embedder", "graph"),
               theirs = load(golden_folder + "embedder", "onnxruntime");
  ops::Context ctx = ours.context();
  const std::vector<Token> texts[] = {encoded(*ours.model, "the small dog")};
  const auto a = ours.model->embed(ctx, texts), b = theirs.model->embed(ctx, texts);
  REQUIRE(a.ok());
  REQUIRE_MESSAGE(b.ok(), b.error().message());
  for (std::size_t i = 0; i < (*a)[0].size(); ++i)
    CHECK((*a)[0][i] == doctest::Approx((*b)[0][i]).epsilon(1e-4));
}
