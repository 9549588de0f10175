// The tensors that graphs of text models read beside their memory.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>

#include "engines/graph_binding.h"
#include "graphs/tensor.h"
#include "text/tokenizer.h"

namespace hearth::adapters {

using GraphInputs = std::map<std::string, graphs::Value, std::less<>>;

// Integers of the type that the graph wants there.
Result<graphs::Tensor> integer_tensor(graphs::Element type, graphs::Dims dims,
                                      const std::function<std::int64_t(std::int64_t)>& value);

// Tokens [known, known + tokens.size()) of a text, padded to the binding's fixed number.
struct TokenInputs {
  std::span<const Token> tokens;
  std::size_t known = 0;
  std::span<const std::uint8_t> types = {};  // empty: zeros
  std::int64_t kept_logits = 0;
};
Result<GraphInputs> token_inputs(const graphs::Graph& graph, const GraphBinding& binding,
                                 const TokenInputs& wanted);

// Rows [first, first + count) of a tensor of floats [.., rows, width] of one text.
Status copy_rows(const graphs::Tensor& tensor, std::size_t first, std::size_t count, float* out);

}  // namespace hearth::adapters
