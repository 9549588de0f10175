#include "engines/graph_encoder.h"

#include <fmt/core.h>

#include "engines/graph_inputs.h"
#include "models/pooling.h"

namespace hearth::adapters {
namespace {

class GraphEncoder final : public Model {
 public:
  GraphEncoder(std::unique_ptr<const GraphRun> run, GraphBinding binding, ModelInfo info,
               models::TextSide text, const EncoderOptions& options)
      : run_(std::move(run)),
        binding_(std::move(binding)),
        info_(std::move(info)),
        text_(std::move(text)),
        options_(options) {}

  const ModelInfo& info() const override { return info_; }
  const Tokenizer& tokenizer() const override { return *text_.tokenizer; }
  const ChatFormat* chat_format() const override { return nullptr; }
  std::string_view chat_template_source() const override { return {}; }
  const KvLayout& kv_layout() const override { return kv_; }
  std::uint32_t embedding_dim() const override { return info_.dim; }

  Status forward(ops::Context&, const Batch&, std::span<float>, std::stop_token) const override {
    return Error(ErrorKind::unsupported,
                 fmt::format("{} turns text into vectors; it does not generate", info_.name));
  }
  Result<std::vector<std::vector<float>>> embed(ops::Context& ctx,
                                                std::span<const std::vector<Token>> texts,
                                                std::stop_token stop) const override;

 private:
  std::vector<std::uint8_t> types_of(std::span<const Token> tokens) const;
  Result<std::vector<float>> embed(ops::Context& ctx, std::span<const Token> tokens,
                                   const std::stop_token& stop) const;
  Result<std::vector<float>> result_of(const graphs::Tensor& tensor, std::size_t tokens) const;

  std::unique_ptr<const GraphRun> run_;
  GraphBinding binding_;
  ModelInfo info_;
  models::TextSide text_;
  EncoderOptions options_;
  KvLayout kv_;
};

// A pair's second text follows the first separator and has a type of its own.
std::vector<std::uint8_t> GraphEncoder::types_of(std::span<const Token> tokens) const {
  std::vector<std::uint8_t> types(tokens.size(), 0);
  const auto separator = text_.tokenizer->special().sep;
  if (info_.kind != ModelKind::reranker || !separator) return types;
  bool is_second = false;
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    types[i] = is_second;
    is_second = is_second || tokens[i] == *separator;
  }
  return types;
}

Result<std::vector<float>> GraphEncoder::result_of(const graphs::Tensor& tensor,
                                                   std::size_t tokens) const {
  const auto width = tensor.rank() == 0 ? 0 : static_cast<std::size_t>(tensor.dims.back());
  if (width == 0 || tensor.count == 0)
    return Error(ErrorKind::corrupt, fmt::format("a result {}", graphs::to_text(tensor.dims)));
  std::vector<float> vector(width);
  if (binding_.gives == GraphGives::scores) {
    TRY(copy_rows(tensor, 0, 1, vector.data()));
    vector.resize(1);
    return vector;
  }
  if (binding_.gives == GraphGives::pooled) {
    TRY(copy_rows(tensor, 0, 1, vector.data()));
  } else {
    std::vector<float> rows(tokens * width);
    TRY(copy_rows(tensor, 0, tokens, rows.data()));
    models::pool(options_.pooling, View(rows.data(), tokens, width), vector.data());
  }
  if (options_.normalise) models::normalise(vector.data(), width);
  return vector;
}

Result<std::vector<float>> GraphEncoder::embed(ops::Context& ctx, std::span<const Token> tokens,
                                               const std::stop_token& stop) const {
  const std::vector<std::uint8_t> types = types_of(tokens);
  const auto inputs =
      TRY(token_inputs(run_->graph(), binding_, {.tokens = tokens, .types = types}));
  const auto outputs = TRY(run_->run(ctx, inputs, stop));
  return result_of(outputs[binding_.output].tensor, tokens.size());
}

Result<std::vector<std::vector<float>>> GraphEncoder::embed(
    ops::Context& ctx, std::span<const std::vector<Token>> texts, std::stop_token stop) const {
  std::vector<std::vector<float>> vectors;
  for (std::size_t i = 0; i < texts.size(); ++i) {
    if (info_.context_length > 0 && texts[i].size() > info_.context_length)
      return Error(ErrorKind::too_long, fmt::format("text {} has {} tokens, of at most {}", i,
                                                    texts[i].size(), info_.context_length));
    if (texts[i].empty()) return Error(ErrorKind::invalid, fmt::format("text {}: no token", i));
    vectors.push_back(TRY(embed(ctx, texts[i], stop)));
  }
  return vectors;
}

}  // namespace

std::shared_ptr<const Model> make_graph_encoder(std::unique_ptr<const GraphRun> run,
                                                GraphBinding binding, ModelInfo info,
                                                models::TextSide text,
                                                const EncoderOptions& options) {
  return std::make_shared<GraphEncoder>(std::move(run), std::move(binding), std::move(info),
                                        std::move(text), options);
}

}  // namespace hearth::adapters
