// A language model as an ONNX graph: input_ids, attention_mask, position_ids and past_key_values.N
// to logits and present.N, as optimum lays them out.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "formats/package.h"
#include "formats/streamed.h"

namespace hearth::adapt {

// What the graph will lack, for people.  Errors: unsupported (a part of the model that is not
// drawn).
Result<std::vector<std::string>> check_onnx(const Package& package);

// config.json of the folder: of the language model, where the model sees or hears, too.
Json onnx_config(const Package& package);

// model.onnx and model.onnx.data in the folder.  package: with transformers' names, of which
// `tensors` are the weights.  Matrices are turned on the way: memory for one of them.
Status write_onnx(const std::string& folder, const Package& package,
                  std::span<const StreamedTensor> tensors);

}  // namespace hearth::adapt
