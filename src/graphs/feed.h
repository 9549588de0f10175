// What a person gives to a graph's inputs: files and literals become tensors.
#pragma once

#include <span>
#include <string>

#include "base/json.h"
#include "graphs/graph.h"
#include "graphs/pixels.h"

namespace hearth::graphs {

struct FeedOptions {
  Pixels pixels;           // of pictures, where the input holds floats
  std::uint32_t rate = 0;  // of sounds, samples a second; 0: that of the file
};

// `source` for an input that the graph describes as `info`: a file (an array, a picture or a sound
// by its first bytes, .txt and .json by their names), or a literal: a number, JSON, or text.
// Errors: invalid (what the input needs), and the file's own.
Result<Value> feed(const ValueInfo& info, const std::string& source, const FeedOptions& options);
// The same from a file's bytes: .npy, .npz, a picture, a sound.
Result<Value> feed_bytes(const ValueInfo& info, std::span<const std::byte> bytes,
                         const FeedOptions& options);
// And from JSON: an array, or {"shape": [...], "data": [...]}; of a sequence a list of such; of a
// map {"key": number}.
Result<Value> feed_json(const ValueInfo& info, const Json& source);

// {"dtype", "shape", "data"}; sequences and maps as their items.  NaN and infinities are null,
// complex numbers pairs.
Json to_json(const Value& value);

// One element of it.
Json element_json(const Tensor& tensor, std::int64_t i);

// "float32 [1, 3, 224, 224]", "sequence"
std::string describe(const ValueInfo& info);

}  // namespace hearth::graphs
