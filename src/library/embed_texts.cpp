#include <algorithm>

#include <fmt/core.h>

#include "library/library.h"

namespace hearth {
namespace {

constexpr std::size_t texts_at_once = 64;

// The last token, which may end the text for the model, stays the last.  Whether it was too long.
bool cut(std::vector<Token>& tokens, std::size_t limit) {
  if (tokens.size() <= limit) return false;
  tokens[limit - 1] = tokens.back();
  tokens.resize(limit);
  return true;
}

}  // namespace

Result<std::vector<std::vector<float>>> embed_texts(const LoadedModel& loaded,
                                                    const std::vector<std::string>& texts,
                                                    std::stop_token stop) {
  const Tokenizer& tokenizer = loaded.model().tokenizer();
  std::vector<std::vector<float>> vectors;
  for (std::size_t begin = 0; begin < texts.size(); begin += texts_at_once) {
    if (stop.stop_requested()) return Error(ErrorKind::cancelled, "stopped");
    const std::size_t end = std::min(begin + texts_at_once, texts.size());
    std::vector<std::vector<Token>> tokens;
    for (std::size_t i = begin; i < end; ++i) {
      auto one = TRY(tokenizer.encode(texts[i], {.add_special = true}));
      if (one.empty()) one = TRY(tokenizer.encode(" .", {.add_special = true}));
      if (one.empty())
        return Error(ErrorKind::invalid, fmt::format("'{}' makes no token of a text", loaded.id));
      cut(one, loaded.runner->context_tokens());
      tokens.push_back(std::move(one));
    }
    for (auto& vector : TRY(loaded.runner->embed(tokens, stop)))
      vectors.push_back(std::move(vector));
  }
  return vectors;
}

// A pair is the query with its marks, then the text and the mark that ends it.
// Source: Devlin et al. 2019, section 3.2.
Result<Ranking> rerank_texts(const LoadedModel& loaded, const std::string& query,
                             const std::vector<std::string>& texts, std::stop_token stop) {
  if (loaded.model().info().kind != ModelKind::reranker)
    return Error(ErrorKind::unsupported,
                 fmt::format("'{}' is no model that ranks answers", loaded.id));
  const Tokenizer& tokenizer = loaded.model().tokenizer();
  const std::size_t limit = loaded.runner->context_tokens();
  auto start = TRY(tokenizer.encode(query, {.add_special = true}));
  Ranking ranking;
  ranking.is_cut = cut(start, limit / 2);
  // RoBERTa and its kin mark the middle twice.  Source: Liu et al. 2019, section 3.
  if (!start.empty() && tokenizer.name(start.back()) == "</s>") start.push_back(start.back());
  for (std::size_t begin = 0; begin < texts.size(); begin += texts_at_once) {
    const std::size_t end = std::min(begin + texts_at_once, texts.size());
    std::vector<std::vector<Token>> pairs;
    for (std::size_t i = begin; i < end; ++i) {
      auto text = TRY(tokenizer.encode(texts[i], {.add_special = true}));
      std::vector<Token> pair = start;
      const bool has_start = !text.empty() && !start.empty() && text.front() == start.front();
      pair.insert(pair.end(), text.begin() + (has_start ? 1 : 0), text.end());
      ranking.is_cut = cut(pair, limit) || ranking.is_cut;
      ranking.tokens += std::ssize(pair);
      pairs.push_back(std::move(pair));
    }
    for (const auto& score : TRY(loaded.runner->embed(pairs, stop)))
      ranking.scores.push_back(score.at(0));
  }
  return ranking;
}

}  // namespace hearth
