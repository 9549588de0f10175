// GraphRun: what runs the graph of a model of text: our executor, or a library that is installed.
#pragma once

#include <functional>
#include <memory>
#include <stop_token>
#include <vector>

#include "engines/engines.h"
#include "engines/graph_inputs.h"
#include "graphs/graph.h"

namespace hearth::adapters {

// Thread-safe.
class GraphRun {
 public:
  virtual ~GraphRun() = default;
  virtual const graphs::Graph& graph() const = 0;
  // Every input by name; returns outputs in the graph's order.
  virtual Result<std::vector<graphs::Value>> run(ops::Context& ctx, const GraphInputs& inputs,
                                                 std::stop_token stop) const = 0;
};

using MakeGraphRun = std::function<Result<std::unique_ptr<const GraphRun>>(graphs::Program)>;

// A generator, embedder or reranker around the graph of a package.  Errors: as Engine::load.
Result<std::shared_ptr<const Model>> load_graph_model(const Package& package,
                                                      const LoadOptions& options,
                                                      const MakeGraphRun& make);
// What it is.  Errors: as Engine::fit.
Result<ModelInfo> describe_graph_model(const Package& package, std::optional<Dtype> kv_dtype = {});

}  // namespace hearth::adapters
