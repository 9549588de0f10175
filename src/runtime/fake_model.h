// FakeModel: a Model for tests and benches.  Its logits are a hash of the whole history, read back
// through the pages of keys and values: any mistake in paging, sharing or copying changes them.
#pragma once

#include <fmt/core.h>

#include <algorithm>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/check.h"
#include "models/model.h"

namespace hearth {

// Token 0 ends answers, token 1 begins texts; the others are the pieces given, or "a0 ", "a1 ", ...
class FakeTokenizer : public Tokenizer {
 public:
  explicit FakeTokenizer(std::int32_t size, std::vector<std::string> pieces = {})
      : pieces_(std::move(pieces)) {
    for (std::int32_t i = static_cast<std::int32_t>(pieces_.size()) + 2; i < size; ++i)
      pieces_.push_back(fmt::format("a{} ", i));
    special_.end_of_generation = {0};
    special_.bos = 1;
  }
  Result<std::vector<Token>> encode(std::string_view, EncodeOptions) const override {
    return Error(ErrorKind::unsupported, "a fake does not encode");
  }
  std::string_view piece(Token id, bool special) const override {
    if (id == 0) return special ? "<end>" : "";
    if (id == 1) return special ? "<begin>" : "";
    const auto place = static_cast<std::size_t>(id) - 2;
    return place < pieces_.size() ? std::string_view(pieces_[place]) : "";
  }
  std::string decode(std::span<const Token> ids, bool special) const override {
    std::string text;
    for (const Token id : ids) text += piece(id, special);
    return text.starts_with(' ') ? text.substr(1) : text;
  }
  std::int32_t size() const override { return static_cast<std::int32_t>(pieces_.size()) + 2; }
  std::string_view name(Token id) const override { return piece(id, true); }
  TokenKind kind(Token id) const override {
    return id < 2 ? TokenKind::control : TokenKind::normal;
  }
  std::optional<Token> find(std::string_view) const override { return std::nullopt; }
  const SpecialTokens& special() const override { return special_; }
  std::string_view algorithm() const override { return "fake"; }

 private:
  std::vector<std::string> pieces_;
  SpecialTokens special_;
};

struct FakeOptions {
  std::uint32_t vocabulary = 48, context = 4096;
  std::vector<std::string> pieces = {};
  // Where steps are not deterministic, what is computed depends a little on the number of rows.
  bool is_noisy = false;
  int spins_per_row = 0;
  bool allows_end = false;  // otherwise token 0 is the least likely one
  // Called at the beginning of every forward, on the scheduler thread.
  std::function<void(const Batch&)> on_forward = {};
  // Replaces the logits made from the hash.
  std::function<void(std::span<const Token> history, std::span<float> logits)> logits = {};
};

class FakeModel : public Model {
 public:
  explicit FakeModel(FakeOptions options = {})
      : options_(std::move(options)),
        tokenizer_(static_cast<std::int32_t>(options_.vocabulary), options_.pieces) {
    info_.name = "fake";
    info_.vocabulary = options_.vocabulary;
    info_.context_length = options_.context;
    layout_.page_bytes = ops::kv_page_tokens * sizeof(Slot);
  }

  const ModelInfo& info() const override { return info_; }
  const Tokenizer& tokenizer() const override { return tokenizer_; }
  const ChatFormat* chat_format() const override { return nullptr; }
  std::string_view chat_template_source() const override { return ""; }
  const KvLayout& kv_layout() const override { return layout_; }
  std::uint32_t embedding_dim() const override { return 2; }

  Status forward(ops::Context& ctx, const Batch& batch, std::span<float> logits,
                 std::stop_token stop) const override {
    if (options_.on_forward) options_.on_forward(batch);
    if (stop.stop_requested()) return Error(ErrorKind::cancelled, "stopped");
    const std::uint32_t noise = options_.is_noisy && !ctx.deterministic
                                    ? static_cast<std::uint32_t>(batch.tokens.size())
                                    : 0;
    check(batch);
    for (std::size_t row = 0; row < batch.tokens.size(); ++row) {
      const auto [sequence, position] = batch.places[row];
      write(batch.sequences[sequence], position, {batch.tokens[row], noise});
      for (int i = 0; i < options_.spins_per_row; ++i) asm volatile("");
    }
    for (std::size_t i = 0; i < batch.output_rows.size(); ++i) {
      const auto [sequence, position] = batch.places[batch.output_rows[i]];
      const auto out = logits.subspan(i * info_.vocabulary, info_.vocabulary);
      logits_after(read(batch.sequences[sequence], position), out);
    }
    return Done{};
  }

  // Each vector is {tokens, hash of the tokens}.
  Result<std::vector<std::vector<float>>> embed(ops::Context&,
                                                std::span<const std::vector<Token>> texts,
                                                std::stop_token stop) const override {
    if (stop.stop_requested()) return Error(ErrorKind::cancelled, "stopped");
    std::vector<std::vector<float>> vectors;
    for (const auto& text : texts) {
      std::uint64_t hash = 1;
      for (const Token token : text) hash = mix(hash, {token, 0});
      vectors.push_back({static_cast<float>(text.size()), static_cast<float>(hash % 1024)});
    }
    return vectors;
  }

  // The greedy answer to a prompt, computed without pages.
  std::vector<Token> expected(std::vector<Token> history, std::size_t tokens) const {
    const std::size_t prompt = history.size();
    std::vector<float> logits(info_.vocabulary);
    std::vector<Slot> slots;
    for (const Token token : history) slots.push_back({token, 0});
    for (std::size_t i = 0; i < tokens; ++i) {
      logits_after(slots, logits);
      history.push_back(static_cast<Token>(std::ranges::max_element(logits) - logits.begin()));
      slots.push_back({history.back(), 0});
    }
    return {history.begin() + static_cast<std::ptrdiff_t>(prompt), history.end()};
  }

 private:
  struct Slot {
    Token token;
    std::uint32_t noise;
  };

  static std::uint64_t mix(std::uint64_t hash, Slot slot) {
    hash ^= static_cast<std::uint64_t>(slot.token) << 32 | slot.noise;
    hash *= 0x9E3779B97F4A7C15u;
    return hash ^ hash >> 29;
  }

  static void write(const ops::KvSequence& sequence, std::size_t position, Slot slot) {
    std::byte* page = sequence.pages[position / ops::kv_page_tokens];
    std::memcpy(page + position % ops::kv_page_tokens * sizeof slot, &slot, sizeof slot);
  }
  static std::vector<Slot> read(const ops::KvSequence& sequence, std::size_t last) {
    std::vector<Slot> slots(last + 1);
    for (std::size_t i = 0; i <= last; ++i) {
      const std::byte* page = sequence.pages[i / ops::kv_page_tokens];
      std::memcpy(&slots[i], page + i % ops::kv_page_tokens * sizeof(Slot), sizeof(Slot));
    }
    return slots;
  }

  void logits_after(const std::vector<Slot>& slots, std::span<float> logits) const {
    if (options_.logits) {
      std::vector<Token> history;
      for (const Slot& slot : slots) history.push_back(slot.token);
      return options_.logits(history, logits);
    }
    std::uint64_t hash = 1;
    for (const Slot& slot : slots) hash = mix(hash, slot);
    for (std::size_t i = 0; i < logits.size(); ++i)
      logits[i] = static_cast<float>(mix(hash, {static_cast<Token>(i), 7}) >> 40) * 0x1p-21f - 4;
    if (!options_.allows_end) logits[0] = -10;
  }

  // What Batch promises.
  static void check(const Batch& batch) {
    HEARTH_CHECK(!batch.tokens.empty() && batch.places.size() == batch.tokens.size());
    for (std::size_t row = 0; row < batch.places.size(); ++row) {
      const auto [sequence, position] = batch.places[row];
      HEARTH_CHECK(position < batch.sequences[sequence].pages.size() * ops::kv_page_tokens);
      if (row == 0) continue;
      const auto before = batch.places[row - 1];
      HEARTH_CHECK(sequence == before.sequence ? position == before.position + 1
                                               : sequence == before.sequence + 1);
    }
    HEARTH_CHECK(std::ranges::is_sorted(batch.output_rows));
  }

  FakeOptions options_;
  FakeTokenizer tokenizer_;
  ModelInfo info_;
  KvLayout layout_;
};

}  // namespace hearth
