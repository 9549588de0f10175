#include "server/embedding.h"

#include <fmt/core.h>

#include <cmath>

namespace hearth::server {
namespace {

// Keeps the first `dimensions` numbers and gives the vector its length of 1 back.
void shorten(std::vector<float>& vector, std::size_t dimensions) {
  vector.resize(dimensions);
  double sum = 0;
  for (const float x : vector) sum += static_cast<double>(x) * static_cast<double>(x);
  const double scale = sum > 0 ? 1 / std::sqrt(sum) : 0;
  for (float& x : vector) x = static_cast<float>(static_cast<double>(x) * scale);
}

Checked<std::vector<std::vector<Token>>> tokenize(const LoadedModel& model,
                                                  const std::vector<TextOrTokens>& inputs,
                                                  const EmbeddingWish& wish, Embedded& embedded) {
  const Tokenizer& tokenizer = model.model().tokenizer();
  const std::size_t limit = model.runner->context_tokens();
  std::vector<std::vector<Token>> all;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const std::string place = fmt::format("{}[{}]", wish.param, i);
    const auto* text = std::get_if<std::string>(&inputs[i]);
    if (text && text->empty()) return invalid_value(place, "is empty");
    std::vector<Token> tokens;
    if (text)
      tokens = TRY(tokenizer.encode(*text, {.add_special = true}));
    else
      tokens = std::get<std::vector<Token>>(inputs[i]);
    if (tokens.empty()) return invalid_value(place, "has no tokens");
    if (tokens.size() > limit && wish.truncate) {
      // The last token, which may end the text for the model, stays the last.
      tokens[limit - 1] = tokens.back();
      tokens.resize(limit);
      embedded.is_cut = true;
    }
    if (tokens.size() > limit) {
      Problem problem = context_overflow(static_cast<std::int64_t>(tokens.size()),
                                         static_cast<std::int64_t>(limit));
      problem.param = place;
      problem.message += fmt::format(" ({})", place);
      return problem;
    }
    embedded.tokens += static_cast<std::int64_t>(tokens.size());
    all.push_back(std::move(tokens));
  }
  return all;
}

}  // namespace

Checked<Embedded> embed_inputs(const LoadedModel& loaded, const std::vector<TextOrTokens>& inputs,
                               const EmbeddingWish& wish, std::stop_token stop) {
  Embedded embedded;
  const auto tokens = TRY(tokenize(loaded, inputs, wish, embedded));
  embedded.vectors = TRY(loaded.runner->embed(tokens, std::move(stop)));
  for (std::vector<float>& vector : embedded.vectors)
    if (wish.dimensions && static_cast<std::size_t>(*wish.dimensions) < vector.size())
      shorten(vector, static_cast<std::size_t>(*wish.dimensions));
  return embedded;
}

}  // namespace hearth::server
