// Sequences in one batch, some reading their prompt and some generating, against each alone.
#include <doctest/doctest.h>

#include "models/test_support.h"

namespace hearth::models {
namespace {

std::vector<Token> tokens_from(unsigned seed, std::size_t count, std::uint32_t vocabulary) {
  std::vector<Token> out;
  for (std::size_t i = 0; i < count; ++i) {
    seed = seed * 1664525u + 1013904223u;
    out.push_back(static_cast<Token>((seed >> 8) % vocabulary));
  }
  return out;
}

std::vector<Token> part(const std::vector<Token>& all, std::size_t first, std::size_t count) {
  const auto begin = all.begin() + static_cast<std::ptrdiff_t>(first);
  return {begin, begin + static_cast<std::ptrdiff_t>(count)};
}

struct Told {
  std::vector<std::vector<float>> logits;  // of each sequence, row after row
};

// Each sequence alone, in one step.
Told alone(const Model& model, ops::Context& ctx, std::span<const std::vector<Token>> texts) {
  Told told;
  for (const auto& text : texts) {
    TestPages pages(model.kv_layout(), 1);
    const Rowset rows{0, 0, text};
    told.logits.push_back(*step(model, ctx, pages, {&rows, 1}));
  }
  return told;
}

// The same sequences together: prompts in pieces between other sequences' single tokens.
Told together(const Model& model, ops::Context& ctx, std::span<const std::vector<Token>> texts) {
  const struct {
    std::vector<std::array<std::size_t, 3>> sets;  // sequence, first, count
  } steps[] = {
      {{{0, 0, 13}}},
      {{{0, 13, 1}, {1, 0, 35}, {2, 0, 3}}},
      {{{2, 3, 20}, {0, 14, 1}, {1, 35, 1}}},
      {{{1, 36, 4}, {2, 23, 1}, {0, 15, 25}}},
  };
  Told told;
  told.logits.resize(texts.size());
  TestPages pages(model.kv_layout(), texts.size());
  for (const auto& each : steps) {
    std::vector<Rowset> sets;
    for (const auto& [sequence, first, count] : each.sets)
      sets.push_back({static_cast<std::uint32_t>(sequence), static_cast<std::uint32_t>(first),
                      part(texts[sequence], first, count)});
    const auto logits = step(model, ctx, pages, sets);
    REQUIRE(logits.ok());
    std::size_t row = 0;
    for (const Rowset& set : sets) {
      const std::size_t n = set.tokens.size() * model.info().vocabulary;
      auto& out = told.logits[set.sequence];
      out.insert(out.end(), logits->begin() + static_cast<std::ptrdiff_t>(row),
                 logits->begin() + static_cast<std::ptrdiff_t>(row + n));
      row += n;
    }
  }
  return told;
}

TEST_CASE("a batch gives what each sequence gives alone; bit for bit when deterministic") {
  for (const Golden& golden : goldens("generator")) {
    CAPTURE(golden.name);
    const auto package = open_package(golden.containers().back());
    REQUIRE(package.ok());
    each_path([&](ops::Context& ctx, const LoadOptions& options, const std::string& path) {
      CAPTURE(path);
      const auto model = load_model(ctx, *package, options);
      REQUIRE_MESSAGE(model.ok(), model.error().message());
      const std::uint32_t vocabulary = (*model)->info().vocabulary;
      const std::vector<std::vector<Token>> texts{tokens_from(1, 40, vocabulary),
                                                  tokens_from(2, 40, vocabulary),
                                                  tokens_from(3, 24, vocabulary)};
      for (const bool deterministic : {false, true}) {
        CAPTURE(deterministic);
        ctx.deterministic = deterministic;
        const Told wanted = alone(**model, ctx, texts), got = together(**model, ctx, texts);
        for (std::size_t s = 0; s < texts.size(); ++s) {
          CAPTURE(s);
          if (deterministic)
            CHECK(got.logits[s] == wanted.logits[s]);
          else
            CHECK(difference(got.logits[s], wanted.logits[s]) <
                  (is_exact(**model, ctx, options) ? 1e-4 : tier_tolerance));
        }
      }
      ctx.deterministic = false;
    });
  }
}

TEST_CASE("logits of some rows are those of all rows; a row outside the vocabulary is refused") {
  const Golden golden = read_golden("qwen3");
  const auto package = open_package(golden.folder);
  REQUIRE(package.ok());
  each_path([&](ops::Context& ctx, const LoadOptions& options, const std::string& path) {
    CAPTURE(path);
    const auto model = load_model(ctx, *package, options);
    REQUIRE(model.ok());
    TestPages pages((*model)->kv_layout(), 1);
    const Rowset rows{0, 0, golden.tokens("prompt")};
    ctx.deterministic = true;
    const auto last = step_for_last(**model, ctx, pages, rows);
    const auto all = step(**model, ctx, pages, {&rows, 1});
    REQUIRE(last.ok());
    CHECK(std::vector<float>(all->end() - static_cast<std::ptrdiff_t>(last->size()), all->end()) ==
          *last);
    ctx.deterministic = false;
    for (const Token bad : {-1, static_cast<Token>((*model)->info().vocabulary)}) {
      const auto refused = step_for_last(**model, ctx, pages, {0, 0, {bad}});
      REQUIRE(!refused);
      CHECK(refused.error().kind() == ErrorKind::invalid);
    }
    std::stop_source stop;
    stop.request_stop();
    const std::vector<Token> one{1};
    const std::vector<ops::RowPlace> place{{0, 0}};
    const auto sequences = pages.sequences();
    const auto stopped =
        (*model)->forward(ctx, Batch{one, place, sequences, {}}, {}, stop.get_token());
    REQUIRE(!stopped);
    CHECK(stopped.error().kind() == ErrorKind::cancelled);
  });
}

}  // namespace
}  // namespace hearth::models
