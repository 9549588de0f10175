// Models that recur over long prompts: their chunks against the plain path, row after row.
#include <doctest/doctest.h>

#include <random>

#include "models/test_support.h"

namespace hearth::models {
namespace {

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
  for (const char* name : {"mamba2", "granite-hybrid", "falcon-h1", "nemotron-h", "qwen3-next",
                           "qwen35", "lfm2", "rwkv7"}) {
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

}  // namespace
}  // namespace hearth::models
