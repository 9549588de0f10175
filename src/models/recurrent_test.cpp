// Models that recur over long prompts: their chunks against the plain path, row after row.
#include <doctest/doctest.h>

#include <random>

#include "models/test_support.h"

namespace hearth::models {
namespace {

constexpr const char* recurrent[] = {"mamba2",     "granite-hybrid", "falcon-h1", "nemotron-h",
                                     "qwen3-next", "qwen35",         "lfm2",      "rwkv7"};

std::vector<Token> random_tokens(std::size_t count, std::uint32_t vocabulary) {
  std::mt19937 random(11);
  std::vector<Token> tokens(count);
  for (Token& token : tokens) token = static_cast<Token>(random() % vocabulary);
  return tokens;
}

// Logits of all rows, read in pieces of these lengths, beside a sequence of its own.
std::vector<float> in_pieces(const Model& model, ops::Context& ctx,
                             const std::vector<Token>& tokens,
                             std::span<const std::size_t> lengths) {
  TestPages pages(model.kv_layout(), 2);
  std::vector<float> all;
  std::uint32_t at = 0;
  for (const std::size_t length : lengths) {
    const auto first = tokens.begin() + at;
    const Rowset rows[] = {{0, at, {first, first + static_cast<std::ptrdiff_t>(length)}},
                           {1, at, {first, first + static_cast<std::ptrdiff_t>(length)}}};
    const auto logits = step(model, ctx, pages, rows);
    REQUIRE_MESSAGE(logits.ok(), logits.error().message());
    const auto half = static_cast<std::ptrdiff_t>(logits->size() / 2);
    CHECK(difference(std::span(*logits).first(static_cast<std::size_t>(half)),
                     std::span(*logits).last(static_cast<std::size_t>(half))) < 1e-4);
    all.insert(all.end(), logits->begin(), logits->begin() + half);
    at += static_cast<std::uint32_t>(length);
  }
  return all;
}

TEST_CASE("prompts of many chunks, at once and in pieces, give the plain path's logits") {
  constexpr std::size_t rows = 150;  // two chunks, and part of one
  constexpr std::size_t whole[] = {rows}, pieces[] = {64, 1, 65, 15, 5};
  for (const char* name : recurrent) {
    const Golden golden = read_golden(name);
    CAPTURE(golden.name);
    const auto package = open_package(golden.folder);
    REQUIRE(package.ok());
    std::vector<float> wanted;
    each_path([&](ops::Context& ctx, const LoadOptions& options, const std::string& path) {
      CAPTURE(path);
      const auto model = load_model(ctx, *package, options);
      REQUIRE_MESSAGE(model.ok(), model.error().message());
      const auto tokens = random_tokens(rows, (*model)->info().vocabulary);
      if (options.reference) {
        wanted = in_pieces(**model, ctx, tokens, whole);
        return;
      }
      if (!is_exact(**model, ctx, options)) return;
      REQUIRE(!wanted.empty());
      CHECK(difference(in_pieces(**model, ctx, tokens, whole), wanted) < 1e-3);
      CHECK(difference(in_pieces(**model, ctx, tokens, pieces), wanted) < 1e-3);
    });
  }
}

// Reads tokens one by one, each in a step with `wrong` guesses behind it that are taken back.
std::vector<float> with_wrong_guesses(const Model& model, ops::Context& ctx,
                                      const std::vector<Token>& tokens, std::size_t first,
                                      std::uint32_t wrong) {
  TestPages pages(model.kv_layout(), 1);
  const auto take = [&](std::size_t begin, std::size_t end) {
    return std::vector<Token>(tokens.begin() + static_cast<std::ptrdiff_t>(begin),
                              tokens.begin() + static_cast<std::ptrdiff_t>(end));
  };
  const Rowset prompt{0, 0, take(0, first)};
  REQUIRE(step(model, ctx, pages, {&prompt, 1}).ok());
  const std::size_t vocabulary = model.info().vocabulary;
  std::vector<float> all;
  for (std::size_t at = first, certain = 1; at < tokens.size(); at += certain) {
    certain = std::min(at % 3 + 1, tokens.size() - at);
    Rowset rows{0, static_cast<std::uint32_t>(at), take(at, at + certain)};
    for (std::uint32_t i = 0; i < wrong; ++i)
      rows.tokens.push_back(static_cast<Token>((at * 7 + i * 5) % vocabulary));
    pages.guess(0, wrong);
    const auto logits = step(model, ctx, pages, {&rows, 1});
    REQUIRE_MESSAGE(logits.ok(), logits.error().message());
    all.insert(all.end(), logits->begin(),
               logits->begin() + static_cast<std::ptrdiff_t>(certain * vocabulary));
    if (wrong > 0) pages.take_back(0);
  }
  return all;
}

TEST_CASE("states take wrong guesses back, to the bit") {
  for (const char* name : recurrent) {
    const Golden golden = read_golden(name);
    CAPTURE(golden.name);
    const auto package = open_package(golden.folder);
    REQUIRE(package.ok());
    each_path([&](ops::Context& ctx, const LoadOptions& options, const std::string& path) {
      CAPTURE(path);
      const auto model = load_model(ctx, *package, options);
      REQUIRE_MESSAGE(model.ok(), model.error().message());
      if (!is_exact(**model, ctx, options)) return;
      const auto tokens = random_tokens(40, (*model)->info().vocabulary);
      const auto wanted = with_wrong_guesses(**model, ctx, tokens, 20, 0);
      for (const std::uint32_t wrong : {1u, 3u, 20u}) {
        CAPTURE(wrong);
        const auto got = with_wrong_guesses(**model, ctx, tokens, 20, wrong);
        CHECK(got == wanted);
      }
    });
  }
}

}  // namespace
}  // namespace hearth::models
