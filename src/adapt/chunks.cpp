#include "adapt/chunks.h"

#include <fmt/core.h>

#include <algorithm>

namespace hearth::adapt {

Result<std::vector<std::vector<Token>>> chunks_of(const Model& model, const std::string& text,
                                                  std::uint32_t tokens, std::uint32_t most) {
  const auto all = TRY(model.tokenizer().encode(text, {}));
  const SpecialTokens& special = model.tokenizer().special();
  const bool begins = special.add_bos && special.bos;
  tokens = std::min(tokens, model.info().context_length);
  const std::size_t own = tokens - (begins ? 1 : 0);
  std::vector<std::vector<Token>> chunks;
  for (std::size_t first = 0; first + own <= all.size() && chunks.size() < most; first += own) {
    auto& chunk = chunks.emplace_back();
    if (begins) chunk.push_back(*special.bos);
    chunk.insert(chunk.end(), all.begin() + static_cast<std::ptrdiff_t>(first),
                 all.begin() + static_cast<std::ptrdiff_t>(first + own));
  }
  if (chunks.empty())
    return Error(ErrorKind::invalid,
                 fmt::format("the text has {} tokens: needs at least {}", all.size(), own));
  return chunks;
}

ChunkRunner::ChunkRunner(ops::Context& ctx, const Model& model, std::uint32_t tokens)
    : ctx_(ctx), model_(model) {
  constexpr std::size_t alignment = 64;
  const std::size_t pages = tokens / ops::kv_page_tokens + 1;
  const std::size_t page_bytes =
      (model.kv_layout().page_bytes + alignment - 1) / alignment * alignment;
  memory_.resize(pages * page_bytes + alignment);
  state_.resize(model.kv_layout().state_bytes);
  const std::size_t past = reinterpret_cast<std::uintptr_t>(memory_.data()) % alignment;
  for (std::size_t i = 0; i < pages; ++i)
    pages_.push_back(memory_.data() + (alignment - past) % alignment + i * page_bytes);
}

Result<std::span<const float>> ChunkRunner::run(std::span<const Token> tokens, std::uint32_t first,
                                                std::stop_token stop) {
  std::vector<ops::RowPlace> places;
  std::vector<std::uint32_t> wanted;
  for (std::uint32_t i = 0; i < tokens.size(); ++i) {
    places.push_back({0, i});
    if (i >= first) wanted.push_back(i);
  }
  ops::KvSequence sequence{pages_};
  sequence.state = state_.data();
  logits_.resize(wanted.size() * model_.info().vocabulary);
  TRY(model_.forward(
      ctx_,
      {.tokens = tokens, .places = places, .sequences = {&sequence, 1}, .output_rows = wanted},
      logits_, stop));
  return std::span<const float>(logits_);
}

}  // namespace hearth::adapt
