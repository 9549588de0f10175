// The graph engine: models of text whose file is an operator graph.
#include <fmt/core.h>

#include <algorithm>

#include "base/files.h"
#include "engines/engines.h"
#include "engines/graph_decoder.h"
#include "engines/graph_encoder.h"
#include "formats/graph_folder.h"
#include "graphs/executor.h"
#include "graphs/open.h"
#include "hardware/memory.h"
#include "models/arch_spec.h"
#include "models/hyper_source.h"
#include "models/pooling.h"

namespace hearth {
namespace {

using adapters::GraphBinding;
using adapters::GraphGives;

// The same model for a number of tokens: a method that writes keys and values alone.
struct Prefill {
  graphs::Program program;
  GraphBinding binding;
};

// A package's graph, and what is known of the model it makes.
struct Opened {
  graphs::Program program;
  GraphBinding binding;
  std::vector<Prefill> prefills;
  ModelInfo info;
  adapters::EncoderOptions encoder;
};

std::int64_t whole(const Json& config, std::string_view keys) {
  for (std::size_t at = 0; at <= keys.size();) {
    const std::size_t end = std::min(keys.find('|', at), keys.size());
    const Json* value = config.find(keys.substr(at, end - at));
    if (value != nullptr && value->is_integer() && value->as_integer() > 0)
      return std::min<std::int64_t>(value->as_integer(), models::max_context);
    at = end + 1;
  }
  return 0;
}

std::uint32_t count(const Json& config, std::string_view keys) {
  return static_cast<std::uint32_t>(whole(config, keys));
}

// Of a token, in all states that grow with the text.
std::uint64_t state_bytes(const GraphBinding& binding) {
  std::uint64_t bytes = 0;
  for (const adapters::GraphState& state : binding.states) {
    if (state.grows < 0) continue;
    std::uint64_t elements = 1;
    for (std::size_t i = 0; i < state.start.size(); ++i)
      if (std::cmp_not_equal(i, state.grows))
        elements *= static_cast<std::uint64_t>(std::max<std::int64_t>(state.start[i], 1));
    bytes += elements * graphs::size_of(state.type);
  }
  return bytes;
}

// The type that most constants have, and how many numbers they are.
void count_constants(const graphs::Graph& graph, ModelInfo& info) {
  std::map<graphs::Element, std::uint64_t> bytes;
  for (const graphs::Constant& constant : graph.constants) {
    if (constant.value.kind != graphs::Value::Kind::tensor) continue;
    const graphs::Tensor& tensor = constant.value.tensor;
    const auto elements = static_cast<std::uint64_t>(tensor.count);
    // Blocks of 4 bits lie two to a byte.
    info.parameters += tensor.type == graphs::Element::u8 ? 2 * elements : elements;
    info.weight_bytes += tensor.byte_count();
    bytes[tensor.type] += tensor.byte_count();
  }
  const auto most =
      std::ranges::max_element(bytes, {}, [](const auto& held) { return held.second; });
  info.quantisation = most == bytes.end() ? "none" : std::string(graphs::name_of(most->first));
}

std::string title_of(const Package& package) {
  std::string_view path = package.path;
  while (path.size() > 1 && path.ends_with('/')) path.remove_suffix(1);
  return file_name(path);
}

ModelKind kind_of(GraphGives gives) {
  if (gives == GraphGives::logits) return ModelKind::generator;
  return gives == GraphGives::scores ? ModelKind::reranker : ModelKind::embedder;
}

Status check_kind(const Opened& opened, const Json& config) {
  if (opened.binding.gives == GraphGives::scores && opened.binding.width > 1)
    return Error(ErrorKind::unsupported,
                 fmt::format("a classifier of {} labels: we run those of one, as rerankers",
                             opened.binding.width));
  const Json* names = config.find("architectures");
  if (names == nullptr || !names->is_array() || names->size() == 0 ||
      !names->as_array()[0].is_string())
    return Done{};
  const std::string& name = names->as_array()[0].as_string();
  const bool gives_words = opened.binding.gives == GraphGives::logits;
  for (const std::string_view other : {"ForMaskedLM", "ForTokenClassification",
                                       "ForQuestionAnswering", "ForSequenceClassification"})
    if (gives_words && name.ends_with(other))
      return Error(ErrorKind::unsupported,
                   fmt::format("{}: neither generates texts nor embeds them; `hearth run FILE.onnx "
                               "--input` runs it as a graph",
                               name));
  return Done{};
}

// Half of what is free, for the memories of one text.
std::uint32_t fitting_context(std::uint32_t context, std::uint64_t bytes_per_token) {
  if (bytes_per_token == 0) return context;
  const std::uint64_t fits = hardware::read_memory().free_bytes() / 2 / bytes_per_token;
  return static_cast<std::uint32_t>(
      std::clamp<std::uint64_t>(fits, std::min(256u, context), context));
}

void describe_sizes(const Package& package, Opened& opened) {
  const Json& config = models::language_config(package);
  ModelInfo& info = opened.info;
  info.layers = count(config, "num_hidden_layers|n_layer|num_layers");
  info.heads = count(config, "num_attention_heads|n_head");
  info.kv_heads = std::max(count(config, "num_key_value_heads"), std::min(1u, info.heads));
  if (config.find("num_key_value_heads") == nullptr) info.kv_heads = info.heads;
  info.dim = count(config, "hidden_size|n_embd|d_model");
  info.context_length = count(config, "max_position_embeddings|n_positions|n_ctx|max_seq_len");
  info.vocabulary = count(config, "vocab_size");
  const GraphBinding& binding = opened.binding;
  if (binding.width > 0 && binding.gives == GraphGives::logits)
    info.vocabulary = static_cast<std::uint32_t>(binding.width);
  else if (binding.width > 0 && binding.gives != GraphGives::scores)
    info.dim = static_cast<std::uint32_t>(binding.width);
  if (binding.fixed_tokens > 0 && binding.room == 0)
    info.context_length = static_cast<std::uint32_t>(binding.fixed_tokens);
  if (binding.room > 0)
    info.context_length = static_cast<std::uint32_t>(std::min<std::int64_t>(
        binding.room, info.context_length == 0 ? binding.room : info.context_length));
  info.kv_bytes_per_token = state_bytes(binding);
}

// Source: sentence-transformers, "Save a model": sentence_bert_config.json.
Status describe_pooling(const Package& package, Opened& opened) {
  models::ArchSpec spec;
  spec.kind = models::Kind::encoder;
  models::Hyper hyper;
  TRY(models::read_pooling(package, models::HyperSource(package, opened.info.architecture), spec,
                           hyper));
  opened.encoder = {hyper.pooling, hyper.normalise};
  const Json own = TRY(models::json_file(package, "sentence_bert_config.json"));
  if (const std::uint32_t most = count(own, "max_seq_length"); most > 0)
    opened.info.context_length =
        opened.info.context_length == 0 ? most : std::min(most, opened.info.context_length);
  const Json* padding = package.config.find("pad_token_id");
  const Json* kind = package.config.find("model_type");
  // RoBERTa's places begin behind the padding.  Source: Liu et al. 2019; transformers' modelling.
  if (kind != nullptr && kind->is_string() && kind->as_string().contains("roberta") &&
      padding != nullptr && padding->is_integer() && opened.info.context_length > 3)
    opened.info.context_length = std::min<std::uint32_t>(
        opened.info.context_length,
        count(package.config, "max_position_embeddings") -
            static_cast<std::uint32_t>(std::clamp<std::int64_t>(padding->as_integer() + 1, 0, 2)));
  return Done{};
}

// LiteRT's models have a method for one token and others for several, `prefill_128`.
// Source: LiteRT Torch, "Generative API": signatures.
constexpr std::string_view decode_method = "decode", prefill_method = "prefill";

bool has_signatures(const Package& package) {
  return package.format == "tflite" || package.format == "litert";
}

// The method that reads most of those that read several tokens.
Status open_prefill(const std::string& file, Opened& opened) {
  const auto found = opened.program.metadata.find("methods");
  const std::string_view names =
      found == opened.program.metadata.end() ? "" : std::string_view(found->second);
  for (std::size_t at = 0; at < names.size();) {
    const std::size_t end = std::min(names.find(", ", at), names.size());
    const std::string_view name = names.substr(at, end - at);
    at = end + 2;
    if (!name.starts_with(prefill_method)) continue;
    Prefill prefill{TRY(graphs::open_graph(file, std::string(name))), {}};
    auto binding = adapters::bind_prefill(*prefill.program.graph, opened.binding);
    if (!binding) continue;  // of pictures or sounds
    prefill.binding = std::move(*binding);
    opened.prefills.push_back(std::move(prefill));
  }
  return Done{};
}

Result<Opened> open(const Package& package) {
  if (!is_graph_package(package))
    return Error(ErrorKind::unsupported, fmt::format("{}: no operator graph", package.format));
  Opened opened;
  const std::string file = TRY(graph_file(package));
  const Json genai = TRY(genai_config(package));
  opened.program = TRY(graphs::open_graph(
      file, has_signatures(package) ? std::string(decode_method) : std::string()));
  opened.binding = TRY(adapters::bind_graph(*opened.program.graph, genai));
  if (opened.binding.room > 0 && opened.binding.fixed_tokens > 1)
    return Error(ErrorKind::unsupported, fmt::format("a graph that reads {} tokens at a time",
                                                     opened.binding.fixed_tokens));
  if (has_signatures(package)) TRY(open_prefill(file, opened));
  TRY(check_kind(opened, package.config));
  ModelInfo& info = opened.info;
  info.name = title_of(package);
  const Json* type = package.config.find("model_type");
  info.architecture = type != nullptr && type->is_string() ? type->as_string() : "graph";
  info.kind = kind_of(opened.binding.gives);
  count_constants(*opened.program.graph, info);
  info.file_bytes = package.file_bytes;
  describe_sizes(package, opened);
  if (info.kind == ModelKind::generator) {
    if (info.vocabulary == 0)
      return Error(ErrorKind::unsupported, "a graph that does not say how many tokens there are");
  } else {
    TRY(describe_pooling(package, opened));
  }
  return opened;
}

// Our executor.
class OwnRun final : public adapters::GraphRun {
 public:
  explicit OwnRun(graphs::Program program) : runner_(std::move(program)) {}
  const graphs::Graph& graph() const override { return *runner_.program().graph; }
  Result<std::vector<graphs::Value>> run(ops::Context& ctx, const adapters::GraphInputs& inputs,
                                         std::stop_token stop) const override {
    graphs::RunOptions options;
    options.stop = std::move(stop);
    auto outputs = runner_.run(ctx, inputs, options);
    if (!outputs) return std::move(outputs).error().within(runner_.program().path);
    return outputs;
  }

 private:
  graphs::Runner runner_;
};

}  // namespace

Result<ModelInfo> adapters::describe_graph_model(const Package& package, std::optional<Dtype>) {
  return TRY(open(package)).info;
}

Result<std::shared_ptr<const Model>> adapters::load_graph_model(const Package& package,
                                                                const LoadOptions& options,
                                                                const MakeGraphRun& make) {
  auto found = open(package);
  if (!found) return std::move(found).error().within(package.path);
  Opened& opened = *found;
  models::TextSide text =
      TRY(models::load_text_side(package, opened.info.name, opened.info.vocabulary));
  std::unique_ptr<const GraphRun> run = TRY(make(std::move(opened.program)));
  std::vector<GraphStage> stages;
  for (Prefill& prefill : opened.prefills)
    stages.push_back({TRY(make(std::move(prefill.program))), std::move(prefill.binding)});
  if (options.progress) options.progress(1);
  if (opened.info.kind != ModelKind::generator)
    return make_graph_encoder(std::move(run), std::move(opened.binding), opened.info,
                              std::move(text), opened.encoder);
  opened.info.context_length =
      fitting_context(opened.info.context_length, opened.info.kv_bytes_per_token);
  stages.push_back({std::move(run), std::move(opened.binding)});
  return make_continued_model(make_graph_decoder(std::move(stages)), opened.info, std::move(text));
}

namespace {

Result<EngineFit> fit(const ops::Context&, const Package& package) {
  const ModelInfo info = TRY(adapters::describe_graph_model(package));
  return EngineFit{.score = 0.5,
                   .why = "its operators one by one, on this processor",
                   .bytes = info.weight_bytes};
}

Result<std::shared_ptr<const Model>> load(ops::Context&, const Package& package,
                                          const LoadOptions& options) {
  return adapters::load_graph_model(package, options, [](graphs::Program program) {
    return Result<std::unique_ptr<const adapters::GraphRun>>(
        std::make_unique<OwnRun>(std::move(program)));
  });
}

}  // namespace

extern const Engine graph_engine;
const Engine graph_engine{.name = "graph",
                          .summary = "models of text whose file is an operator graph",
                          .reads = is_graph_package,
                          .fit = fit,
                          .describe = adapters::describe_graph_model,
                          .load = load};

}  // namespace hearth
