#include "models/t5.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <list>
#include <numeric>

#include "base/check.h"
#include "base/guarded.h"
#include "kernels/kernels.h"
#include "models/arena.h"
#include "models/pooling.h"
#include "models/t5_parts.h"

namespace hearth::models {
namespace {

// What the encoder made of a text: keys and values for every layer of the decoder, [tokens][keys,
// values] each.
struct Read {
  std::vector<Token> tokens;
  std::vector<std::vector<float>> layers;

  std::size_t bytes() const {
    std::size_t sum = 0;
    for (const auto& layer : layers) sum += layer.size() * sizeof(float);
    return sum;
  }
};
using SharedRead = std::shared_ptr<const Read>;

// The texts that were read last.
class ReadCache {
 public:
  SharedRead find(std::span<const Token> tokens) {
    return texts_.with([&](std::list<SharedRead>& texts) -> SharedRead {
      for (auto at = texts.begin(); at != texts.end(); ++at)
        if (std::ranges::equal((*at)->tokens, tokens)) {
          texts.splice(texts.begin(), texts, at);
          return texts.front();
        }
      return nullptr;
    });
  }
  void add(SharedRead read) {
    texts_.with([&](std::list<SharedRead>& texts) {
      texts.push_front(std::move(read));
      std::size_t sum = 0;
      auto at = texts.begin();
      while (at != texts.end() && (sum += (*at)->bytes()) <= most_bytes) ++at;
      if (at != texts.end()) texts.erase(at == texts.begin() ? std::next(at) : at, texts.end());
    });
  }

 private:
  static constexpr std::size_t most_bytes = 256u << 20;  // one is kept whatever its size
  Guarded<std::list<SharedRead>> texts_;
};

// What one row looks at.
struct Sight {
  std::span<const float* const> rows;  // keys, values behind them
  const T5Stack* near = nullptr;       // whose distances count; nullptr: none do
  std::size_t position = 0;            // of who looks, among the rows
};

// A row of the decoder.
struct Written {
  std::size_t row;                          // of the batch
  std::uint32_t sequence, position, start;  // start: the position of the text's end
};

class T5 final : public Model {
 public:
  explicit T5(std::unique_ptr<const T5Parts> parts) : held_(std::move(parts)), p_(*held_) {}

  const ModelInfo& info() const override { return p_.info; }
  const Tokenizer& tokenizer() const override { return *p_.tokenizer; }
  const ChatFormat* chat_format() const override {
    return p_.chat_format ? &*p_.chat_format : nullptr;
  }
  std::string_view chat_template_source() const override { return p_.chat_template_source; }
  const KvLayout& kv_layout() const override { return p_.kv; }
  std::uint32_t embedding_dim() const override {
    return p_.dense.empty() ? p_.dim : static_cast<std::uint32_t>(p_.dense.back().rows);
  }

  Status forward(ops::Context& ctx, const Batch& batch, std::span<float> logits,
                 std::stop_token stop) const override;
  Result<std::vector<std::vector<float>>> embed(ops::Context& ctx,
                                                std::span<const std::vector<Token>> texts,
                                                std::stop_token stop) const override;

 private:
  Status check(std::span<const Token> tokens) const;
  View embedded(ops::Context& ctx, std::span<const Token> tokens, Arena& arena) const;
  View normed(ops::Context& ctx, View x, std::span<const float> w, Arena& arena) const;
  View look(ops::Context& ctx, View q, std::span<const Sight> sights, Arena& arena) const;
  void add_mlp(ops::Context& ctx, const T5Block& block, View x, Arena& arena) const;
  Result<View> encode(ops::Context& ctx, std::span<const Token> tokens, Arena& arena,
                      std::stop_token stop) const;
  Result<SharedRead> read(ops::Context& ctx, std::span<const Token> tokens,
                          std::stop_token stop) const;
  Status decode(ops::Context& ctx, const Batch& batch, std::span<const Written> rows,
                std::span<const SharedRead> texts, View x, Arena& arena,
                std::stop_token stop) const;

  Token& token_at(const Batch& batch, std::uint32_t sequence, std::size_t position) const {
    std::byte* page = batch.sequences[sequence].pages[position / ops::kv_page_tokens];
    return reinterpret_cast<Token*>(page)[position % ops::kv_page_tokens];
  }
  float* slot(const Batch& batch, std::size_t layer, std::uint32_t sequence,
              std::size_t position) const {
    std::byte* page = batch.sequences[sequence].pages[position / ops::kv_page_tokens];
    return reinterpret_cast<float*>(page + p_.kv.layers[layer].offset_bytes) +
           position % ops::kv_page_tokens * 2 * p_.inner();
  }

  std::unique_ptr<const T5Parts> held_;
  const T5Parts& p_;
  std::unique_ptr<ArenaPool> arenas_ = std::make_unique<ArenaPool>();
  std::unique_ptr<ReadCache> cache_ = std::make_unique<ReadCache>();
};

Status T5::check(std::span<const Token> tokens) const {
  const auto vocabulary = static_cast<std::int64_t>(p_.info.vocabulary);
  for (const Token token : tokens)
    if (token < 0 || token >= vocabulary)
      return Error(ErrorKind::invalid,
                   fmt::format("token {} lies outside the vocabulary of {}", token, vocabulary));
  return Done{};
}

View T5::embedded(ops::Context& ctx, std::span<const Token> tokens, Arena& arena) const {
  const View x = arena.view(tokens.size(), p_.dim);
  ops::gather_rows(ctx, x, p_.embedding, tokens);
  return x;
}

View T5::normed(ops::Context& ctx, View x, std::span<const float> w, Arena& arena) const {
  const View y = arena.view(x.rows, x.dim);
  ops::rms_norm(ctx, y, x, w, p_.eps);
  return y;
}

// Row i of q looks at sights[i].
View T5::look(ops::Context& ctx, View q, std::span<const Sight> sights, Arena& arena) const {
  const View out = arena.view(q.rows, q.dim);
  const std::size_t dim = p_.head_dim, inner = p_.inner();
  const auto farthest = static_cast<std::int64_t>(p_.farthest);
  ctx.pool->parallel_for(q.rows * p_.heads, 1, [&](std::size_t begin, std::size_t end, int) {
    std::vector<float> scores;
    for (std::size_t job = begin; job < end; ++job) {
      const std::size_t i = job / p_.heads, head = job % p_.heads;
      const Sight& sight = sights[i];
      const float* own = q.row(i) + head * dim;
      scores.resize(sight.rows.size());
      for (std::size_t j = 0; j < scores.size(); ++j)
        scores[j] = ctx.kernels->dot(own, sight.rows[j] + head * dim, dim);
      const auto position = static_cast<std::int64_t>(sight.position);
      for (std::int64_t j = 0; sight.near != nullptr && j < std::ssize(scores); ++j) {
        const auto step =
            static_cast<std::size_t>(std::clamp(j - position, -farthest, farthest) + farthest);
        scores[static_cast<std::size_t>(j)] += sight.near->distance[step * p_.heads + head];
      }
      ctx.kernels->softmax(scores.data(), scores.size());
      float* mixed = out.row(i) + head * dim;
      std::fill_n(mixed, dim, 0.0f);
      for (std::size_t j = 0; j < scores.size(); ++j) {
        const float* value = sight.rows[j] + inner + head * dim;
        for (std::size_t d = 0; d < dim; ++d) mixed[d] += scores[j] * value[d];
      }
    }
  });
  return out;
}

void T5::add_mlp(ops::Context& ctx, const T5Block& block, View x, Arena& arena) const {
  const View input = normed(ctx, x, block.mlp_norm, arena);
  const View up = arena.view(x.rows, block.up.rows());
  ops::matmul(ctx, up, input, block.up);
  View inside = up;
  if (p_.gated) {
    inside = arena.view(x.rows, up.dim);
    ops::matmul(ctx, inside, input, block.gate);
    ops::activate_mul(ctx, inside, up, p_.activation);
  } else {
    ops::activate(ctx, up, p_.activation);
  }
  ops::matmul_add(ctx, x, inside, block.down);
}

// Keys and values of every row, beside each other.
void keys_and_values(ops::Context& ctx, const T5Attention& attention, View x, View kv) {
  const std::size_t inner = kv.dim / 2;
  const ops::MatmulJob jobs[] = {{kv.slice_columns(0, inner), &attention.k, {}},
                                 {kv.slice_columns(inner, inner), &attention.v, {}}};
  ops::matmul_many(ctx, jobs, x);
}

// The last hidden states of a text.
Result<View> T5::encode(ops::Context& ctx, std::span<const Token> tokens, Arena& arena,
                        std::stop_token stop) const {
  const View x = embedded(ctx, tokens, arena);
  const View kv = arena.view(x.rows, 2 * p_.inner());
  std::vector<const float*> all;
  for (std::size_t j = 0; j < x.rows; ++j) all.push_back(kv.row(j));
  std::vector<Sight> sights;
  for (std::size_t i = 0; i < x.rows; ++i) sights.push_back({all, &p_.encoder, i});
  const auto begin = arena.mark();
  for (const T5Block& block : p_.encoder.blocks) {
    if (stop.stop_requested()) return Error(ErrorKind::cancelled, "stopped between layers");
    arena.release(begin);
    const View input = normed(ctx, x, block.self.norm, arena);
    const View q = arena.view(x.rows, p_.inner());
    ops::matmul(ctx, q, input, block.self.q);
    keys_and_values(ctx, block.self, input, kv);
    ops::matmul_add(ctx, x, look(ctx, q, sights, arena), block.self.out);
    add_mlp(ctx, block, x, arena);
  }
  ops::rms_norm(ctx, x, x, p_.encoder.norm, p_.eps);
  return x;
}

Result<SharedRead> T5::read(ops::Context& ctx, std::span<const Token> tokens,
                            std::stop_token stop) const {
  if (SharedRead known = cache_->find(tokens)) return known;
  const ArenaPool::Lease lease(*arenas_);
  const View x = TRY(encode(ctx, tokens, lease.arena(), stop));
  auto made = std::make_shared<Read>();
  made->tokens.assign(tokens.begin(), tokens.end());
  for (const T5Block& block : p_.decoder.blocks) {
    auto& layer = made->layers.emplace_back(x.rows * 2 * p_.inner());
    keys_and_values(ctx, block.cross, x, View(layer.data(), x.rows, 2 * p_.inner()));
  }
  cache_->add(made);
  return SharedRead(made);
}

// x: [rows, dim], the tokens embedded; becomes the last hidden state.
Status T5::decode(ops::Context& ctx, const Batch& batch, std::span<const Written> rows,
                  std::span<const SharedRead> texts, View x, Arena& arena,
                  std::stop_token stop) const {
  const std::size_t inner = p_.inner();
  const auto begin = arena.mark();
  for (std::size_t layer = 0; layer < p_.decoder.blocks.size(); ++layer) {
    if (stop.stop_requested()) return Error(ErrorKind::cancelled, "stopped between layers");
    arena.release(begin);
    const T5Block& block = p_.decoder.blocks[layer];
    std::vector<std::vector<const float*>> seen(2 * rows.size());
    std::vector<Sight> own, other;
    const View input = normed(ctx, x, block.self.norm, arena);
    const View q = arena.view(x.rows, inner), kv = arena.view(x.rows, 2 * inner);
    ops::matmul(ctx, q, input, block.self.q);
    keys_and_values(ctx, block.self, input, kv);
    for (std::size_t i = 0; i < rows.size(); ++i) {
      const Written& at = rows[i];
      std::copy_n(kv.row(i), kv.dim, slot(batch, layer, at.sequence, at.position));
      auto &before = seen[2 * i], &read = seen[2 * i + 1];
      for (std::size_t j = at.start; j <= at.position; ++j)
        before.push_back(slot(batch, layer, at.sequence, j));
      const auto& text = texts[at.sequence]->layers[layer];
      for (std::size_t j = 0; j < texts[at.sequence]->tokens.size(); ++j)
        read.push_back(text.data() + j * 2 * inner);
      own.push_back({before, &p_.decoder, at.position - at.start});
      other.push_back({read, nullptr, 0});
    }
    ops::matmul_add(ctx, x, look(ctx, q, own, arena), block.self.out);
    ops::matmul(ctx, q, normed(ctx, x, block.cross.norm, arena), block.cross.q);
    ops::matmul_add(ctx, x, look(ctx, q, other, arena), block.cross.out);
    add_mlp(ctx, block, x, arena);
  }
  ops::rms_norm(ctx, x, x, p_.decoder.norm, p_.eps);
  return Done{};
}

Status T5::forward(ops::Context& ctx, const Batch& batch, std::span<float> logits,
                   std::stop_token stop) const {
  if (p_.decoder.blocks.empty())
    return Error(ErrorKind::unsupported,
                 fmt::format("{} turns text into vectors; it does not generate", p_.info.name));
  TRY(check(batch.tokens));
  HEARTH_CHECK(batch.places.size() == batch.tokens.size());
  HEARTH_CHECK(logits.size() == batch.output_rows.size() * p_.info.vocabulary);
  for (std::size_t i = 0; i < batch.tokens.size(); ++i)
    token_at(batch, batch.places[i].sequence, batch.places[i].position) = batch.tokens[i];

  // Where the text of every sequence ends, and what comes behind.
  std::vector<SharedRead> texts(batch.sequences.size());
  std::vector<std::uint32_t> ends(batch.sequences.size(), ~0u);
  std::vector<Written> rows;
  std::vector<Token> tokens;
  for (std::size_t i = 0; i < batch.tokens.size(); ++i) {
    const auto [sequence, position] = batch.places[i];
    std::uint32_t& end = ends[sequence];
    for (std::uint32_t p = 0; end == ~0u && p <= position; ++p)
      if (token_at(batch, sequence, p) == p_.end) end = p;
    if (end == ~0u) continue;
    if (texts[sequence] == nullptr) {
      std::vector<Token> text;
      for (std::uint32_t p = 0; p <= end; ++p) text.push_back(token_at(batch, sequence, p));
      texts[sequence] = TRY(read(ctx, text, stop));
    }
    if (position < end) continue;
    rows.push_back({i, sequence, position, end});
    tokens.push_back(position == end ? p_.start : batch.tokens[i]);
  }

  const ArenaPool::Lease lease(*arenas_);
  Arena& arena = lease.arena();
  const View x = embedded(ctx, tokens, arena);
  if (!rows.empty()) TRY(decode(ctx, batch, rows, texts, x, arena, stop));
  if (p_.scaled_output) ops::scale(ctx, x, 1 / std::sqrt(static_cast<float>(p_.dim)));
  // Rows of the encoder foretell the end: a text without one fails none that runs beside it.
  constexpr float certain = 1000;
  std::ranges::fill(logits, 0.0f);
  for (std::size_t i = 0; i < batch.output_rows.size(); ++i)
    logits[i * p_.info.vocabulary + static_cast<std::size_t>(p_.end)] = certain;
  const View wanted = arena.view(batch.output_rows.size(), p_.dim);
  std::vector<std::size_t> targets;
  for (std::size_t i = 0; i < batch.output_rows.size(); ++i) {
    const auto at = std::ranges::find(rows, std::size_t{batch.output_rows[i]}, &Written::row);
    if (at == rows.end()) continue;
    std::copy_n(x.row(static_cast<std::size_t>(at - rows.begin())), p_.dim,
                wanted.row(targets.size()));
    targets.push_back(i);
  }
  const std::size_t vocabulary = p_.info.vocabulary;
  if (targets.empty() && !batch.output_rows.empty())
    return Error(ErrorKind::invalid,
                 "the prompt has no end: this model reads a text with the token of its end behind "
                 "it, which its tokenizer adds");
  const View out = arena.view(targets.size(), vocabulary);
  ops::matmul(ctx, out, wanted.slice_rows(0, targets.size()), p_.output);
  for (std::size_t i = 0; i < targets.size(); ++i)
    std::copy_n(out.row(i), vocabulary, logits.data() + targets[i] * vocabulary);
  return Done{};
}

// The mean of the encoder's last states, of length one.  Source: Ni et al. 2021 (Sentence-T5).
Result<std::vector<std::vector<float>>> T5::embed(ops::Context& ctx,
                                                  std::span<const std::vector<Token>> texts,
                                                  std::stop_token stop) const {
  std::vector<std::vector<float>> results;
  for (std::size_t i = 0; i < texts.size(); ++i) {
    if (texts[i].empty()) return Error(ErrorKind::invalid, fmt::format("text {} has no tokens", i));
    if (texts[i].size() > p_.info.context_length)
      return Error(ErrorKind::too_long, fmt::format("text {} has {} tokens: the model takes {}", i,
                                                    texts[i].size(), p_.info.context_length));
    TRY(check(texts[i]));
    const ArenaPool::Lease lease(*arenas_);
    const View x = TRY(encode(ctx, texts[i], lease.arena(), stop));
    auto& pooled = results.emplace_back(p_.dim);
    pool(Pooling::mean, x, pooled.data());
    apply_dense_heads(p_.dense, pooled);
    normalise(pooled.data(), pooled.size());
  }
  return results;
}

}  // namespace

Result<std::shared_ptr<const Model>> load_t5(ops::Context& ctx, const Package& package,
                                             const LoadOptions& options) {
  return std::shared_ptr<const Model>(
      std::make_shared<T5>(TRY(load_t5_parts(ctx, package, options))));
}

}  // namespace hearth::models
