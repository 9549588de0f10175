#include "engines/agreement.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <new>

namespace hearth::adapters {
namespace {

constexpr std::size_t probe_tokens = 8;
// Of the logits' length: what weights rounded to 4 bits and inputs rounded to 8 may come to; other
// mathematics differ by more than half.
constexpr double most_difference = 0.1;

// Ids all over the vocabulary, always the same.
std::vector<Token> probe(std::uint32_t vocabulary) {
  std::vector<Token> tokens;
  std::uint32_t seed = 7;
  for (std::size_t i = 0; i < probe_tokens; ++i) {
    seed = seed * 1664525u + 1013904223u;
    tokens.push_back(static_cast<Token>((seed >> 8) % vocabulary));
  }
  return tokens;
}

Result<std::vector<float>> logits_of(ops::Context& ctx, const Model& model,
                                     std::span<const Token> tokens) {
  static_assert(probe_tokens <= ops::kv_page_tokens);
  constexpr std::align_val_t alignment{64};
  const auto free = [](std::byte* page) { ::operator delete(page, alignment); };
  const std::unique_ptr<std::byte, decltype(free)> page(
      static_cast<std::byte*>(::operator new(model.kv_layout().page_bytes, alignment)), free);
  std::fill_n(page.get(), model.kv_layout().page_bytes, std::byte{0});
  std::byte* const pages[] = {page.get()};
  const ops::KvSequence sequences[] = {{pages}};
  std::vector<ops::RowPlace> places;
  std::vector<std::uint32_t> rows;
  for (std::uint32_t i = 0; i < tokens.size(); ++i) {
    places.push_back({0, i});
    rows.push_back(i);
  }
  std::vector<float> logits(tokens.size() * model.info().vocabulary);
  TRY(model.forward(
      ctx, {.tokens = tokens, .places = places, .sequences = sequences, .output_rows = rows},
      logits));
  return logits;
}

}  // namespace

Status check_agreement(ops::Context& ctx, const Model& model, const Model& reference) {
  if (model.info().vocabulary != reference.info().vocabulary)
    return Error(ErrorKind::unsupported,
                 fmt::format("a vocabulary of {}, the graph has {}", model.info().vocabulary,
                             reference.info().vocabulary));
  const std::vector<Token> tokens = probe(model.info().vocabulary);
  const auto a = TRY(logits_of(ctx, model, tokens)), b = TRY(logits_of(ctx, reference, tokens));
  const std::size_t n = model.info().vocabulary;
  for (std::size_t row = 0; row < tokens.size(); ++row) {
    double apart = 0, length = 0;
    for (std::size_t i = row * n; i < (row + 1) * n; ++i) {
      apart += (static_cast<double>(a[i]) - b[i]) * (static_cast<double>(a[i]) - b[i]);
      length += static_cast<double>(b[i]) * b[i];
    }
    const double share = std::sqrt(apart / std::max(length, 1e-30));
    if (!(share <= most_difference))
      return Error(
          ErrorKind::unsupported,
          fmt::format("the graph computes something else: logits {:.0f} % apart", 100 * share));
  }
  return Done{};
}

}  // namespace hearth::adapters
