// The transformer engine on the processor.  The weights of a language model's graph are its too,
// where the architecture is one it knows and computes what the graph does.
#include <fmt/core.h>

#include "base/log.h"
#include "engines/agreement.h"
#include "engines/engines.h"
#include "engines/graph_weights.h"
#include "formats/graph_folder.h"
#include "graphs/open.h"
#include "kernels/kernels.h"

namespace hearth {

extern const Engine graph_engine;

namespace {

// Of a graph: what its operators multiply with, by the names that the architecture has for it.
Result<Package> weights_of(const Package& package) {
  if (!is_graph_package(package)) return package;
  if (package.format != "onnx")
    return Error(
        ErrorKind::unsupported,
        fmt::format("{}: its operators do not say whose weights they are", package.format));
  const std::string file = TRY(graph_file(package));
  const auto program = TRY(graphs::open_graph(file));
  return adapters::weights_of_graph(package, program);
}

Result<ModelInfo> describe_weights(const Package& package, std::optional<Dtype> kv_dtype) {
  return describe(TRY(weights_of(package)), kv_dtype);
}

Result<EngineFit> fit(const ops::Context& ctx, const Package& package) {
  const ModelInfo info = TRY(describe_weights(package, {}));
  EngineFit fit{.score = 1, .why = {}, .bytes = info.weight_bytes};
  fit.why = fmt::format("{}, kernels {}",
                        is_graph_package(package) ? "weights taken out of the graph, if they agree"
                                                  : "an architecture it knows",
                        ctx.kernels == nullptr ? "of this machine" : ctx.kernels->name);
  return fit;
}

Result<std::shared_ptr<const Model>> load(ops::Context& ctx, const Package& package,
                                          const LoadOptions& options) {
  const Package weights = TRY(weights_of(package));
  auto model = TRY(load_model(ctx, weights, options));
  if (!is_graph_package(package)) return model;
  const auto graph = TRY(graph_engine.load(ctx, package, {}));
  auto agrees = adapters::check_agreement(ctx, *model, *graph);
  if (!agrees) {
    log_info("event=graph_not_recognised model={} why={}", model->info().name,
             agrees.error().message());
    return std::move(agrees).error();
  }
  return model;
}

bool reads(const Package& package) { return !is_graph_package(package); }

}  // namespace

extern const Engine transformer_engine;
const Engine transformer_engine{.name = "transformer",
                                .summary = "weights of known architectures, on this processor",
                                .reads = reads,
                                .fit = fit,
                                .describe = describe_weights,
                                .load = load};

}  // namespace hearth
