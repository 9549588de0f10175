// The Model of every architecture: the text side, checks of a batch, pooling and scores around a
// trunk.
#include <fmt/core.h>

#include <algorithm>
#include <numeric>

#include "base/log.h"
#include "models/architectures.h"
#include "models/describe.h"
#include "models/model.h"
#include "models/pooling.h"
#include "models/trunk.h"

namespace hearth::models {
namespace {

// Stands in where a package has no tokenizer: the model still runs on token ids.
class NoTokenizer final : public Tokenizer {
 public:
  NoTokenizer(std::string why, std::uint32_t tokens)
      : why_(std::move(why)), tokens_(static_cast<std::int32_t>(tokens)) {}
  Result<std::vector<Token>> encode(std::string_view, EncodeOptions) const override {
    return Error(ErrorKind::unsupported, why_);
  }
  std::string_view piece(Token, bool) const override { return {}; }
  std::string decode(std::span<const Token>, bool) const override { return {}; }
  std::int32_t size() const override { return tokens_; }
  std::string_view name(Token) const override { return {}; }
  TokenKind kind(Token) const override { return TokenKind::normal; }
  std::optional<Token> find(std::string_view) const override { return std::nullopt; }
  const SpecialTokens& special() const override { return special_; }
  std::string_view algorithm() const override { return "none"; }

 private:
  std::string why_;
  std::int32_t tokens_;
  SpecialTokens special_;
};

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
    for (const auto& pages : pages_) sequences_.push_back({pages});
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

struct Parts {
  Package package;  // keeps the storage that weights point into
  Trunk trunk;
  ModelInfo info;
  std::unique_ptr<Tokenizer> tokenizer;
  std::optional<ChatTemplate> chat_template;
  std::string chat_template_source;
  bool plain = false;  // run the reference path
};

class Transformer final : public Model {
 public:
  explicit Transformer(Parts parts) : parts_(std::move(parts)) {}

  const ModelInfo& info() const override { return parts_.info; }
  const Tokenizer& tokenizer() const override { return *parts_.tokenizer; }
  const ChatTemplate* chat_template() const override {
    return parts_.chat_template ? &*parts_.chat_template : nullptr;
  }
  std::string_view chat_template_source() const override { return parts_.chat_template_source; }
  const KvLayout& kv_layout() const override { return parts_.trunk.kv; }
  std::uint32_t embedding_dim() const override { return parts_.trunk.hyper.dim; }

  Status forward(ops::Context& ctx, const Batch& batch, std::span<float> logits,
                 std::stop_token stop) const override;
  Result<std::vector<std::vector<float>>> embed(ops::Context& ctx,
                                                std::span<const std::vector<Token>> texts,
                                                std::stop_token stop) const override;

 private:
  Status check(std::span<const Token> tokens) const;
  Status run(ops::Context& ctx, const Rows& rows, View hidden, Arena& arena,
             std::stop_token stop) const {
    return parts_.plain ? run_plainly(ctx, parts_.trunk, rows, hidden, stop)
                        : run_fast(ctx, parts_.trunk, rows, hidden, arena, stop);
  }
  Result<std::vector<std::vector<float>>> embed_some(ops::Context& ctx,
                                                     std::span<const std::vector<Token>> texts,
                                                     std::stop_token stop) const;
  std::vector<std::uint8_t> types_of(std::span<const Token> tokens,
                                     std::span<const std::size_t> starts) const;
  std::vector<float> result_of(ops::Context& ctx, View rows) const;

  Parts parts_;
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
  HEARTH_CHECK(logits.size() == batch.output_rows.size() * trunk.hyper.vocab);
  if (batch.tokens.empty()) return Done{};
  const ArenaPool::Lease lease(*arenas_);
  Arena& arena = lease.arena();
  const auto positions = arena.take<std::uint32_t>(batch.places.size());
  std::ranges::transform(batch.places, positions.begin(), &ops::RowPlace::position);
  if (trunk.weights.whole[Role::position_embedding].present())
    for (const std::uint32_t position : positions)
      if (position >= trunk.hyper.context)
        return Error(ErrorKind::invalid,
                     fmt::format("position {}: the model has {}", position, trunk.hyper.context));

  const View hidden = arena.view(batch.output_rows.size(), trunk.hyper.dim);
  const Rows rows{.tokens = batch.tokens,
                  .positions = positions,
                  .places = batch.places,
                  .sequences = batch.sequences,
                  .starts = {},
                  .types = {},
                  .wanted = batch.output_rows};
  TRY(run(ctx, rows, hidden, arena, stop));
  if (batch.output_rows.empty()) return Done{};
  const View out(logits.data(), batch.output_rows.size(), trunk.hyper.vocab);
  if (parts_.plain)
    logits_plainly(ctx, trunk, hidden, out);
  else
    logits_fast(ctx, trunk, hidden, out);
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
  pool(scores ? by_head : mean ? Pooling::mean : hyper.pooling, rows, pooled.data());
  if (scores) return {score(ctx, parts_.trunk, pooled)};
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
  for (std::size_t s = 0; s < texts.size(); ++s) {
    for (std::size_t i = 0; i < texts[s].size(); ++i) {
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
               .wanted = wanted},
          hidden, lease.arena(), stop));
  std::vector<std::vector<float>> results;
  for (std::size_t s = 0; s < texts.size(); ++s)
    results.push_back(result_of(ctx, hidden.slice_rows(starts[s], texts[s].size())));
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

// A model without its text side is still useful; one whose tokenizer is broken is not.
Status load_text(const Package& package, Parts& parts) {
  auto tokenizer = load_tokenizer(package);
  if (tokenizer)
    parts.tokenizer = std::move(*tokenizer);
  else if (tokenizer.error().kind() == ErrorKind::not_found)
    parts.tokenizer =
        std::make_unique<NoTokenizer>(tokenizer.error().message(), parts.trunk.hyper.vocab);
  else
    return std::move(tokenizer).error();

  auto source = chat_template_source(package);
  if (!source) {
    if (source.error().kind() == ErrorKind::not_found) return Done{};
    return std::move(source).error();
  }
  parts.chat_template_source = std::move(*source);
  auto parsed = ChatTemplate::parse(parts.chat_template_source);
  if (parsed)
    parts.chat_template = std::move(*parsed);
  else
    log_warning("chat_template_unusable model={} why={}", parts.info.name,
                parsed.error().message());
  return Done{};
}

// The table of positions ends what the model can take; a classifier has one score.
Status check_tables(Parts& parts, Trunk& trunk) {
  const Weight& positions = trunk.weights.whole[Role::position_embedding];
  if (positions.present()) {
    if (positions.stored.rows <= trunk.hyper.position_offset)
      return Error(ErrorKind::corrupt, "the table of positions has no rows");
    const std::uint64_t rows = positions.stored.rows - trunk.hyper.position_offset;
    trunk.hyper.context =
        static_cast<std::uint32_t>(std::min<std::uint64_t>(trunk.hyper.context, rows));
    parts.info.context_length = trunk.hyper.context;
  }
  const Weight& classifier = trunk.weights.whole[Role::classifier];
  if (classifier.present() && classifier.stored.rows != 1)
    return Error(ErrorKind::unsupported,
                 fmt::format("a classifier of {} labels: we run those of one, as rerankers",
                             classifier.stored.rows));
  if (parts.info.kind == ModelKind::generator && !trunk.weights.whole[Role::output].present())
    return Error(ErrorKind::corrupt, fmt::format("lm_head.weight is missing: needs [{}, {}]",
                                                 trunk.hyper.vocab, trunk.hyper.dim));
  return Done{};
}

// How long sequences may get: longrope without a wish keeps to its original context, whose factors
// differ from those for longer ones.
std::uint32_t context_of(const Hyper& hyper, const LoadOptions& options) {
  const RopeScaling& scaling = hyper.rope.scaling;
  const std::uint32_t wished = options.context_tokens;
  if (scaling.kind != RopeScalingKind::longrope) return wished > 0 ? wished : hyper.context;
  if (wished > 0) return std::min(wished, hyper.context);
  return std::min(hyper.context, static_cast<std::uint32_t>(scaling.original_context));
}

}  // namespace

Result<std::shared_ptr<const Model>> load(ops::Context& ctx, const Package& package,
                                          const LoadOptions& options) {
  Parts parts;
  parts.package = package;
  parts.plain = options.reference;
  Trunk& trunk = parts.trunk;
  trunk.spec = TRY(architecture_of(package));
  TRY(check_scheme(package));
  trunk.hyper = TRY(read_hyper(package, *trunk.spec));
  parts.info = TRY(info_of(package, *trunk.spec, trunk.hyper));
  const TensorFinder finder(parts.package, *trunk.spec, trunk.hyper);
  trunk.weights = TRY(load_weights(finder));
  TRY(check_tables(parts, trunk));

  const Dtype kv = options.kv_dtype.value_or(default_kv_dtype(package));
  if (kv != Dtype::f32 && kv != Dtype::f16)
    return Error(ErrorKind::invalid,
                 fmt::format("keys and values as {}: needs f32 or f16", name_of(kv)));
  trunk.kv = TRY(kv_layout_of(*trunk.spec, trunk.hyper, parts.plain ? Dtype::f32 : kv));
  parts.info.kv_bytes_per_token = trunk.kv.page_bytes / ops::kv_page_tokens;
  const std::uint32_t context = context_of(trunk.hyper, options);
  if (trunk.hyper.rope.scaling.kind == RopeScalingKind::longrope)
    parts.info.context_length = context;
  trunk.ropes = make_rope_tables(*trunk.spec, trunk.hyper, trunk.weights, package.naming, context);
  TRY(load_text(parts.package, parts));
  if (!parts.plain) TRY(prepare(ctx, trunk.weights, options.progress, options.stop));
  return std::shared_ptr<const Model>(std::make_shared<Transformer>(std::move(parts)));
}

}  // namespace hearth::models

namespace hearth {

Result<std::shared_ptr<const Model>> load_model(ops::Context& ctx, const Package& package,
                                                const LoadOptions& options) {
  auto model = models::load(ctx, package, options);
  if (!model) return std::move(model).error().within(package.path);
  return model;
}

}  // namespace hearth
