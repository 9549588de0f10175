// What a person gives to a graph's inputs: files and literals become tensors.
#pragma once

#include <map>
#include <string>

#include "base/json.h"
#include "graphs/graph.h"

namespace hearth::graphs {

// How pictures become numbers where the input holds floats.
enum class Pixels {
  raw,
  unit,
  signed_unit,
  imagenet
};  // 0..255, 0..1, -1..1, by mean and deviation
Result<Pixels> pixels_named(std::string_view name);

// `source` for an input that the graph describes as `info`: a file (.npy, .npz, .png, .jpg, .bmp,
// .wav, .txt, .json), or a literal: a number, a JSON array, or text.
// Errors: invalid (what the input needs), and the file's own.
Result<Value> feed(const ValueInfo& info, const std::string& source, Pixels pixels);
// The same from JSON as requests hold it: an array, or {"shape": [...], "data": [...]}.
Result<Value> feed_json(const ValueInfo& info, const Json& source);

// {"dtype", "shape", "data"}; sequences and maps as their items.  NaN and infinities are null.
Json to_json(const Value& value);

// "float32 [1, 3, 224, 224]", "sequence"
std::string describe(const ValueInfo& info);

}  // namespace hearth::graphs
