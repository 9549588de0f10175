// GraphBinding: which inputs and outputs of a graph are tokens, positions, memory and results.
// Source: Hugging Face optimum, "ONNX export of decoders"; onnxruntime-genai, "Config reference";
// LiteRT-LM's signatures `prefill_N` and `decode`; Apple, "On Device Llama 3.1 with Core ML";
// ExecuTorch, "LLM runner".
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
  graphs::Dims start;      // before anything was read
  int grows = -1;          // the axis with one place per token; -1: the whole is replaced
  bool has_start = false;  // the graph itself says what is there before anything was read
  bool has_room = false;   // one place per token from the start; those not read yet are hidden
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
  std::string first;    // the place of the first token alone
  std::string visible;  // [.., tokens, keys]: 0 or true where a token sees a key
  std::vector<GraphState> states;
  std::size_t output = 0;
  GraphGives gives = GraphGives::logits;
  std::int64_t width = -1;        // of a row of the output; -1: not said
  std::int64_t fixed_tokens = 0;  // that a run reads; 0: any number
  std::int64_t most_tokens = 0;   // of a run that reads any number; 0: not said
  std::int64_t room = 0;          // places that the states have; 0: they grow
};

// genai: genai_config.json, or null.  Errors: unsupported (an input whose meaning is not known).
Result<GraphBinding> bind_graph(const graphs::Graph& graph, const Json& genai);

// A graph that reads several tokens and gives nothing but the states of `decoder`, in its order.
// Errors: unsupported (it wants or gives something else).
Result<GraphBinding> bind_prefill(const graphs::Graph& graph, const GraphBinding& decoder);

const graphs::ValueInfo* find_input(const graphs::Graph& graph, std::string_view name);

}  // namespace hearth::adapters
