// The transformer engine on the processor.
#include "engines/engines.h"
#include "formats/graph_folder.h"

namespace hearth {
namespace {

bool reads(const Package& package) { return !is_graph_package(package); }

Result<ModelInfo> describe_weights(const Package& package) {
  if (!reads(package))
    return Error(ErrorKind::unsupported, "an operator graph, not weights of known names");
  return describe(package);
}

Result<double> fit(const ops::Context&, const Package& package) {
  TRY(describe_weights(package));
  return 1.0;
}

}  // namespace

extern const Engine transformer_engine;
const Engine transformer_engine{.name = "transformer",
                                .reads = reads,
                                .fit = fit,
                                .describe = describe_weights,
                                .load = load_model};

}  // namespace hearth
