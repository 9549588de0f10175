#include "engines/continued_model.h"

#include <fmt/core.h>

#include <algorithm>
#include <cstring>
#include <list>

#include "base/guarded.h"

namespace hearth::adapters {
namespace {

constexpr std::size_t most_memories = 32;
constexpr std::uint64_t most_bytes = std::uint64_t{2} << 30;  // of memories that nobody waits for

struct Remembered {
  std::vector<Token> text;
  MemoryPointer memory;
};

// What was read last comes first.
using Memories = std::list<Remembered>;

struct Start {
  MemoryPointer memory;
  std::size_t known = 0;
};

std::size_t shared_tokens(std::span<const Token> a, std::span<const Token> b) {
  return static_cast<std::size_t>(std::ranges::mismatch(a, b).in1 - a.begin());
}

class ContinuedModel final : public Model {
 public:
  ContinuedModel(std::unique_ptr<const Decoder> decoder, ModelInfo info, models::TextSide text)
      : decoder_(std::move(decoder)), info_(std::move(info)), text_(std::move(text)) {
    kv_.page_bytes = ops::kv_page_tokens * sizeof(Token);
  }

  const ModelInfo& info() const override { return info_; }
  const Tokenizer& tokenizer() const override { return *text_.tokenizer; }
  const ChatFormat* chat_format() const override {
    return text_.chat_format ? &*text_.chat_format : nullptr;
  }
  std::string_view chat_template_source() const override { return text_.chat_template_source; }
  const KvLayout& kv_layout() const override { return kv_; }
  std::uint32_t embedding_dim() const override { return info_.dim; }

  Status forward(ops::Context& ctx, const Batch& batch, std::span<float> logits,
                 std::stop_token stop) const override;
  Result<std::vector<std::vector<float>>> embed(ops::Context&, std::span<const std::vector<Token>>,
                                                std::stop_token) const override {
    return Error(ErrorKind::unsupported,
                 fmt::format("{} generates text: it gives no vectors", info_.name));
  }

 private:
  Start best_start(Memories& memories, std::span<const Token> text, std::size_t most) const;
  void remember(Memories& memories, std::vector<Token> text, MemoryPointer memory) const;

  std::unique_ptr<const Decoder> decoder_;
  ModelInfo info_;
  models::TextSide text_;
  KvLayout kv_;
  mutable Guarded<Memories> memories_;
};

// The memory of the longest beginning of the text, of at most `most` tokens.
Start ContinuedModel::best_start(Memories& memories, std::span<const Token> text,
                                 std::size_t most) const {
  Start best;
  auto used = memories.end();
  for (auto at = memories.begin(); at != memories.end(); ++at) {
    const std::size_t shared = std::min(most, shared_tokens(at->text, text));
    if (shared <= best.known) continue;
    MemoryPointer memory =
        shared == at->text.size() ? at->memory : decoder_->cut(*at->memory, shared);
    if (!memory) continue;
    best = {std::move(memory), shared};
    used = at;
  }
  if (used != memories.end()) memories.splice(memories.begin(), memories, used);
  return best;
}

// What the new text goes on from is not needed by itself any more.
void ContinuedModel::remember(Memories& memories, std::vector<Token> text,
                              MemoryPointer memory) const {
  std::erase_if(memories, [&](const Remembered& old) {
    return old.text.size() <= text.size() && shared_tokens(old.text, text) == old.text.size();
  });
  memories.push_front({std::move(text), std::move(memory)});
  std::uint64_t bytes = 0;
  std::size_t kept = 0;
  for (auto at = memories.begin(); at != memories.end(); ++kept) {
    bytes += at->memory->bytes();
    const bool stays = kept == 0 || (kept < most_memories && bytes <= most_bytes);
    at = stays ? std::next(at) : memories.erase(at);
  }
}

Token* token_at(const ops::KvSequence& sequence, std::size_t position) {
  return reinterpret_cast<Token*>(sequence.pages[position / ops::kv_page_tokens]) +
         position % ops::kv_page_tokens;
}

Status ContinuedModel::forward(ops::Context& ctx, const Batch& batch, std::span<float> logits,
                               std::stop_token stop) const {
  HEARTH_CHECK(batch.places.size() == batch.tokens.size());
  HEARTH_CHECK(logits.size() == batch.output_rows.size() * info_.vocabulary);
  for (std::size_t row = 0; row < batch.tokens.size(); ++row) {
    if (batch.tokens[row] < 0 || static_cast<std::uint32_t>(batch.tokens[row]) >= info_.vocabulary)
      return Error(ErrorKind::invalid, fmt::format("token {} lies outside the vocabulary of {}",
                                                   batch.tokens[row], info_.vocabulary));
    const auto [sequence, position] = batch.places[row];
    *token_at(batch.sequences[sequence], position) = batch.tokens[row];
  }
  std::size_t output = 0;
  for (std::size_t begin = 0, end = 0; begin < batch.tokens.size(); begin = end) {
    while (end < batch.tokens.size() && batch.places[end].sequence == batch.places[begin].sequence)
      ++end;
    const ops::KvSequence& sequence = batch.sequences[batch.places[begin].sequence];
    std::vector<Token> text(batch.places[end - 1].position + 1);
    for (std::size_t i = 0; i < text.size(); ++i) text[i] = *token_at(sequence, i);
    std::vector<std::uint32_t> wanted;
    const std::size_t first = output;
    for (; output < batch.output_rows.size() && batch.output_rows[output] < end; ++output)
      wanted.push_back(batch.places[batch.output_rows[output]].position);
    const std::size_t most = wanted.empty() ? text.size() : wanted.front();
    const Start start =
        memories_.with([&](Memories& memories) { return best_start(memories, text, most); });
    if (start.known == text.size()) continue;
    MemoryPointer memory = TRY(decoder_->read(
        ctx, start.memory, start.known, text, wanted,
        logits.subspan(first * info_.vocabulary, wanted.size() * info_.vocabulary), stop));
    if (!memory) continue;
    memories_.with(
        [&](Memories& memories) { remember(memories, std::move(text), std::move(memory)); });
  }
  return Done{};
}

}  // namespace

std::shared_ptr<const Model> make_continued_model(std::unique_ptr<const Decoder> decoder,
                                                  ModelInfo info, models::TextSide text) {
  return std::make_shared<ContinuedModel>(std::move(decoder), std::move(info), std::move(text));
}

}  // namespace hearth::adapters
