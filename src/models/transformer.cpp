// The Model of every architecture: checks of a batch, pooling and scores around a trunk.
#include "models/transformer.h"

#include <fmt/core.h>

#include <algorithm>
#include <numeric>

#include "models/adapter.h"
#include "models/mtp.h"
#include "models/pooling.h"

namespace hearth::models {
namespace {

// Temporary pages for texts that are embedded by a generator.
class Pages {
 public:
  Pages(const KvLayout& layout, std::span<const std::size_t> starts) {
    for (std::size_t s = 0; s + 1 < starts.size(); ++s) {
      const std::size_t tokens = starts[s + 1] - starts[s];
      const std::size_t count = (tokens + ops::kv_page_tokens - 1) / ops::kv_page_tokens;
      auto& pages = pages_.emplace_back();
      for (std::size_t p = 0; p < count; ++p) {
        memory_.emplace_back(static_cast<std::byte*>(
            ::operator new(layout.page_bytes, std::align_val_t(page_alignment))));
        pages.push_back(memory_.back().get());
      }
    }
    for (const auto& pages : pages_) {
      sequences_.push_back({pages});
      if (layout.state_bytes == 0) continue;
      memory_.emplace_back(static_cast<std::byte*>(
          ::operator new(layout.state_bytes, std::align_val_t(page_alignment))));
      sequences_.back().state = memory_.back().get();
    }
  }
  std::span<const ops::KvSequence> sequences() const { return sequences_; }

 private:
  static constexpr std::size_t page_alignment = 64;
  struct Free {
    void operator()(std::byte* memory) const {
      ::operator delete(memory, std::align_val_t(page_alignment));
    }
  };
  std::vector<std::unique_ptr<std::byte, Free>> memory_;
  std::vector<std::vector<std::byte*>> pages_;
  std::vector<ops::KvSequence> sequences_;
};

class Transformer final : public Model {
 public:
  explicit Transformer(std::unique_ptr<const Parts> parts)
      : held_(std::move(parts)), parts_(*held_) {}

  const ModelInfo& info() const override { return parts_.info; }
  const Tokenizer& tokenizer() const override { return *parts_.tokenizer; }
  const ChatFormat* chat_format() const override {
    return parts_.chat_format ? &*parts_.chat_format : nullptr;
  }
  std::string_view chat_template_source() const override { return parts_.chat_template_source; }
  const KvLayout& kv_layout() const override { return parts_.trunk.kv; }
  const Vision* vision() const override { return parts_.vision.get(); }
  std::uint32_t embedding_dim() const override {
    return parts_.dense.empty() ? parts_.trunk.hyper.dim
                                : static_cast<std::uint32_t>(parts_.dense.back().rows);
  }

  Status forward(ops::Context& ctx, const Batch& batch, std::span<float> logits,
                 std::stop_token stop) const override;
  bool guesses() const override { return parts_.trunk.hyper.guesses(); }
  Status guess(ops::Context& ctx, const Batch& batch, std::span<float> logits,
               std::stop_token stop) const override;
  Result<std::vector<std::vector<float>>> embed(ops::Context& ctx,
                                                std::span<const std::vector<Token>> texts,
                                                std::stop_token stop) const override;
  Result<std::shared_ptr<const Adapter>> read_adapter(ops::Context& ctx,
                                                      const LoraFile& file) const override {
    if (parts_.plain)
      return Error(ErrorKind::unsupported, "adapters do not change a model of the plain path");
    return models::read_adapter(ctx, parts_.trunk, parts_.package.naming, file);
  }

 private:
  Status check(std::span<const Token> tokens) const;
  Rows rows_of(const Batch& batch, Arena& arena) const;
  void write_logits(ops::Context& ctx, View hidden, std::span<float> logits) const;
  Status run(ops::Context& ctx, const Rows& rows, View hidden, Arena& arena,
             std::stop_token stop) const {
    if (parts_.plain) return run_plainly(ctx, parts_.trunk, rows, hidden, stop);
    parts_.late->before_step(ctx);
    return run_fast(ctx, parts_.trunk, rows, hidden, arena, stop);
  }
  Result<std::vector<std::vector<float>>> embed_some(ops::Context& ctx,
                                                     std::span<const std::vector<Token>> texts,
                                                     std::stop_token stop) const;
  std::vector<std::uint8_t> types_of(std::span<const Token> tokens,
                                     std::span<const std::size_t> starts) const;
  std::vector<float> result_of(ops::Context& ctx, View rows) const;

  std::unique_ptr<const Parts> held_;
  const Parts& parts_;
  std::unique_ptr<ArenaPool> arenas_ = std::make_unique<ArenaPool>();
};

Status Transformer::check(std::span<const Token> tokens) const {
  const auto vocab = static_cast<std::int64_t>(parts_.trunk.hyper.vocab);
  for (const Token token : tokens)
    if (token < 0 || token >= vocab)
      return Error(ErrorKind::invalid,
                   fmt::format("token {} lies outside the vocabulary of {}", token, vocab));
  return Done{};
}

Status Transformer::forward(ops::Context& ctx, const Batch& batch, std::span<float> logits,
                            std::stop_token stop) const {
  const Trunk& trunk = parts_.trunk;
  if (trunk.spec->kind != Kind::generator || !trunk.weights.whole[Role::output].present())
    return Error(ErrorKind::unsupported,
                 fmt::format("{} turns text into vectors; it does not generate", parts_.info.name));
  TRY(check(batch.tokens));
  HEARTH_CHECK(batch.places.size() == batch.tokens.size());
  HEARTH_CHECK(batch.inputs.empty() || batch.inputs.size() == batch.tokens.size());
  HEARTH_CHECK(batch.adapters.empty() || batch.adapters.size() == batch.sequences.size());
  HEARTH_CHECK(trunk.kv.state_bytes == 0 ||
               std::ranges::all_of(batch.sequences, [](const ops::KvSequence& sequence) {
                 return sequence.state != nullptr &&
                        (sequence.guesses == 0 || sequence.certain != nullptr);
               }));
  HEARTH_CHECK(logits.size() == batch.output_rows.size() * trunk.hyper.vocab);
  if (batch.tokens.empty()) return Done{};
  const ArenaPool::Lease lease(*arenas_);
  Arena& arena = lease.arena();
  const Rows rows = rows_of(batch, arena);
  if (trunk.weights.whole[Role::position_embedding].present())
    for (const std::uint32_t position : rows.positions)
      if (position >= trunk.hyper.context)
        return Error(ErrorKind::invalid,
                     fmt::format("position {}: the model has {}", position, trunk.hyper.context));

  const View hidden = arena.view(batch.output_rows.size(), trunk.hyper.dim);
  TRY(run(ctx, rows, hidden, arena, stop));
  write_logits(ctx, hidden, logits);
  return Done{};
}

Rows Transformer::rows_of(const Batch& batch, Arena& arena) const {
  const auto positions = arena.take<std::uint32_t>(batch.places.size());
  std::ranges::transform(batch.places, positions.begin(), &ops::RowPlace::position);
  Rows rows{.tokens = batch.tokens,
            .positions = positions,
            .places = batch.places,
            .sequences = batch.sequences,
            .starts = {},
            .types = {},
            .wanted = batch.output_rows,
            .inputs = batch.inputs,
            .adapters = batch.adapters,
            .before = batch.before};
  const std::size_t dim = parts_.trunk.hyper.dim;
  HEARTH_CHECK(batch.hidden.empty() || batch.hidden.size() == batch.tokens.size() * dim);
  HEARTH_CHECK(batch.before.empty() || batch.before.size() == batch.sequences.size());
  if (guesses())
    rows.states = batch.hidden.empty() ? arena.view(batch.tokens.size(), dim)
                                       : View(batch.hidden.data(), batch.tokens.size(), dim);
  return rows;
}

void Transformer::write_logits(ops::Context& ctx, View hidden, std::span<float> logits) const {
  if (hidden.rows == 0) return;
  const View out(logits.data(), hidden.rows, parts_.trunk.hyper.vocab);
  if (parts_.plain)
    logits_plainly(ctx, parts_.trunk, hidden, out);
  else
    logits_fast(ctx, parts_.trunk, hidden, out);
}

Status Transformer::guess(ops::Context& ctx, const Batch& batch, std::span<float> logits,
                          std::stop_token stop) const {
  if (!guesses())
    return Error(ErrorKind::unsupported, fmt::format("{} guesses nothing", parts_.info.name));
  TRY(check(batch.tokens));
  HEARTH_CHECK(batch.places.size() == batch.tokens.size() &&
               batch.sequences.size() == batch.tokens.size() &&
               batch.before.size() == batch.tokens.size());
  HEARTH_CHECK(logits.size() == batch.tokens.size() * parts_.trunk.hyper.vocab);
  if (stop.stop_requested()) return Error(ErrorKind::cancelled, "stopped before a guess");
  if (batch.tokens.empty()) return Done{};
  const ArenaPool::Lease lease(*arenas_);
  Arena& arena = lease.arena();
  Rows rows = rows_of(batch, arena);
  const auto all = arena.take<std::uint32_t>(batch.tokens.size());
  std::iota(all.begin(), all.end(), 0u);
  rows.wanted = all;
  const View hidden = rows.states;
  if (parts_.plain)
    run_mtp_plainly(ctx, parts_.trunk, rows, {}, hidden);
  else
    run_mtp_fast(ctx, parts_.trunk, rows, {}, hidden, arena);
  write_logits(ctx, hidden, logits);
  return Done{};
}

// A cross-encoder's second text follows the first separator and has a type of its own.
std::vector<std::uint8_t> Transformer::types_of(std::span<const Token> tokens,
                                                std::span<const std::size_t> starts) const {
  const auto& table = parts_.trunk.weights.whole[Role::type_embedding];
  const auto separator = parts_.tokenizer->special().sep;
  if (parts_.info.kind != ModelKind::reranker || table.stored.rows < 2 || !separator) return {};
  std::vector<std::uint8_t> types(tokens.size());
  for (std::size_t s = 0; s + 1 < starts.size(); ++s) {
    bool second = false;
    for (std::size_t i = starts[s]; i < starts[s + 1]; ++i) {
      types[i] = second;
      second = second || tokens[i] == *separator;
    }
  }
  return types;
}

// The vector or score of one text's rows.
std::vector<float> Transformer::result_of(ops::Context& ctx, View rows) const {
  const Hyper& hyper = parts_.trunk.hyper;
  const bool scores = parts_.info.kind == ModelKind::reranker;
  const bool mean = hyper.pooling == Pooling::mean && !scores;
  const Pooling by_head = hyper.head_pools_mean ? Pooling::mean : Pooling::cls;
  std::vector<float> pooled(hyper.dim);
  if (rows.rows == 0) return pooled;  // of a text of tokens that are skipped
  pool(scores ? by_head : mean ? Pooling::mean : hyper.pooling, rows, pooled.data());
  if (scores) return {score(ctx, parts_.trunk, pooled)};
  apply_dense_heads(parts_.dense, pooled);
  if (hyper.normalise) normalise(pooled.data(), pooled.size());
  return pooled;
}

Result<std::vector<std::vector<float>>> Transformer::embed_some(
    ops::Context& ctx, std::span<const std::vector<Token>> texts, std::stop_token stop) const {
  const Hyper& hyper = parts_.trunk.hyper;
  std::vector<Token> tokens;
  std::vector<std::uint32_t> positions;
  std::vector<ops::RowPlace> places;
  std::vector<std::size_t> starts{0};
  const Token skipped = hyper.skips_unknown ? parts_.tokenizer->special().unk.value_or(-1) : -1;
  for (std::size_t s = 0; s < texts.size(); ++s) {
    for (std::size_t i = 0; i < texts[s].size(); ++i) {
      if (texts[s][i] == skipped) continue;
      tokens.push_back(texts[s][i]);
      positions.push_back(static_cast<std::uint32_t>(i));
      places.push_back({static_cast<std::uint32_t>(s), static_cast<std::uint32_t>(i)});
    }
    starts.push_back(tokens.size());
  }
  std::vector<std::uint32_t> wanted(tokens.size());
  std::iota(wanted.begin(), wanted.end(), 0u);
  std::vector<float> values(tokens.size() * hyper.dim);
  const View hidden(values.data(), tokens.size(), hyper.dim);
  const bool causal = parts_.trunk.spec->kind == Kind::generator;
  const Pages pages(parts_.trunk.kv,
                    causal ? std::span<const std::size_t>(starts) : std::span<const std::size_t>());
  const auto types = types_of(tokens, starts);
  const ArenaPool::Lease lease(*arenas_);
  TRY(run(ctx,
          Rows{.tokens = tokens,
               .positions = positions,
               .places = places,
               .sequences = pages.sequences(),
               .starts = starts,
               .types = types,
               .wanted = wanted,
               .states = hidden},
          hidden, lease.arena(), stop));
  std::vector<std::vector<float>> results;
  for (std::size_t s = 0; s < texts.size(); ++s)
    results.push_back(result_of(ctx, hidden.slice_rows(starts[s], starts[s + 1] - starts[s])));
  return results;
}

Result<std::vector<std::vector<float>>> Transformer::embed(
    ops::Context& ctx, std::span<const std::vector<Token>> texts, std::stop_token stop) const {
  constexpr std::size_t batch_tokens = 512;  // keeps activations in the cache
  const std::uint32_t limit = parts_.info.context_length;
  for (std::size_t i = 0; i < texts.size(); ++i) {
    if (texts[i].size() > limit)
      return Error(ErrorKind::too_long, fmt::format("text {} has {} tokens: the model takes {}", i,
                                                    texts[i].size(), limit));
    if (texts[i].empty()) return Error(ErrorKind::invalid, fmt::format("text {} has no tokens", i));
    TRY(check(texts[i]));
  }
  std::vector<std::vector<float>> results;
  for (std::size_t first = 0; first < texts.size();) {
    std::size_t count = 0, tokens = 0;
    while (first + count < texts.size() &&
           (count == 0 || tokens + texts[first + count].size() <= batch_tokens))
      tokens += texts[first + count++].size();
    for (auto& vector : TRY(embed_some(ctx, texts.subspan(first, count), stop)))
      results.push_back(std::move(vector));
    first += count;
  }
  return results;
}

}  // namespace

Parts::Parts() = default;
Parts::~Parts() = default;

std::shared_ptr<const Model> make_transformer(std::unique_ptr<const Parts> parts) {
  return std::make_shared<Transformer>(std::move(parts));
}

}  // namespace hearth::models
