// FakeModel: a Model for tests and benches.  Its logits are a hash of the whole history, read back
// through the pages of keys and values: any mistake in paging, sharing or copying changes them.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "models/model.h"

namespace hearth {

// Token 0 ends answers, token 1 begins texts; the others are the pieces given, or "a0 ", "a1 ", ...
class FakeTokenizer : public Tokenizer {
 public:
  explicit FakeTokenizer(std::int32_t size, std::vector<std::string> pieces = {});
  Result<std::vector<Token>> encode(std::string_view, EncodeOptions) const override;
  std::string_view piece(Token id, bool special) const override;
  std::string decode(std::span<const Token> ids, bool special) const override;
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
  bool recurs = false;      // logits come from a state, which the pages do not hold
  bool allows_end = false;  // otherwise token 0 is the least likely one
  // Of a model that guesses further tokens: how often that is right.  It checks that it is given
  // what it made of the row before, if anything.
  std::optional<double> mtp_right = {};
  // Called at the beginning of every forward, on the scheduler thread.
  std::function<void(const Batch&)> on_forward = {};
  // Replaces the logits made from the hash.
  std::function<void(std::span<const Token> history, std::span<float> logits)> logits = {};
};

struct FakeSlot;  // what is kept of a token

class FakeModel : public Model {
 public:
  explicit FakeModel(FakeOptions options = {});

  const ModelInfo& info() const override { return info_; }
  const Tokenizer& tokenizer() const override { return tokenizer_; }
  const ChatFormat* chat_format() const override { return nullptr; }
  std::string_view chat_template_source() const override { return ""; }
  const KvLayout& kv_layout() const override { return layout_; }
  std::uint32_t embedding_dim() const override { return 2; }

  Status forward(ops::Context& ctx, const Batch& batch, std::span<float> logits,
                 std::stop_token stop) const override;

  bool guesses() const override { return options_.mtp_right.has_value(); }
  Status guess(ops::Context& ctx, const Batch& batch, std::span<float> logits,
               std::stop_token stop) const override;

  // Each vector is {tokens, hash of the tokens}.
  Result<std::vector<std::vector<float>>> embed(ops::Context&,
                                                std::span<const std::vector<Token>> texts,
                                                std::stop_token stop) const override;

  // The greedy answer to a prompt, computed without pages.
  std::vector<Token> expected(std::vector<Token> history, std::size_t tokens) const;

 private:
  void logits_after(const std::vector<FakeSlot>& slots, std::span<float> logits) const;
  void logits_of(std::uint64_t hash, std::span<float> logits) const;

  FakeOptions options_;
  FakeTokenizer tokenizer_;
  ModelInfo info_;
  KvLayout layout_;
};

}  // namespace hearth
