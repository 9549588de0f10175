// Models of text that are operator graphs: an ONNX, TFLite, ExecuTorch or Core ML file among the
// configuration and the tokenizer that belong to it, as optimum and onnxruntime-genai write them,
// or a bundle for LiteRT.
#pragma once

#include <string>

#include "formats/package.h"

namespace hearth {

// The package's weights are the constants of a graph.
bool is_graph_package(const Package& package);
// The file of its graph.  Errors: unsupported (more graphs than one make the model).
Result<std::string> graph_file(const Package& package);
// genai_config.json; null where there is none.  Errors: corrupt.
Result<Json> genai_config(const Package& package);

// Whether a graph's file lies among a tokenizer and a configuration, which make it a model of text.
bool has_text_side(const std::string& file);

}  // namespace hearth
