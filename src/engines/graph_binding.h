// GraphBinding: which inputs and outputs of a graph are tokens, positions, memory and results.
// Source: Hugging Face optimum, "ONNX export of decoders"; onnxruntime-genai, "Config reference".
#pragma once

#include <string>
#include <vector>

#include "base/json.h"
#include "graphs/graph.h"

namespace hearth::adapters {

// An input that an output of the run before goes into: keys, values, states of convolutions.
struct GraphState {
  std::string input;
  std::size_t output = 0;  // place among the graph's outputs
  graphs::Element type = graphs::Element::none;
  graphs::Dims start;  // before anything was read
  int grows = -1;      // the axis with one place per token; -1: the whole is replaced
};

enum class GraphGives {
  logits,  // [batch, tokens, vocabulary]
  hidden,  // [batch, tokens, dim]
  pooled,  // [batch, dim]
  scores,  // [batch, labels]
};

// Names are empty where the graph has no such input.
struct GraphBinding {
  std::string ids, mask, positions, places, types, branch, kept_logits;
  std::vector<GraphState> states;
  std::size_t output = 0;
  GraphGives gives = GraphGives::logits;
  std::int64_t width = -1;        // of a row of the output; -1: not said
  std::int64_t fixed_tokens = 0;  // that a run reads; 0: any number
};

// genai: genai_config.json, or null.  Errors: unsupported (an input whose meaning is not known).
Result<GraphBinding> bind_graph(const graphs::Graph& graph, const Json& genai);

const graphs::ValueInfo* find_input(const graphs::Graph& graph, std::string_view name);

}  // namespace hearth::adapters
