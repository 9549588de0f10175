// What the TFLite importer builds its graph with.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/flatbuffer.h"
#include "graphs/emit.h"
#include "graphs/graph.h"

namespace hearth::graphs::tflite {

// How integers stand for real numbers: real = scale * (q - zero).
struct Quantisation {
  std::vector<float> scale;
  std::vector<std::int64_t> zero;
  std::int64_t axis = 0;  // of more than one scale
  std::int64_t block =
      0;  // > 0: numbers along the last axis that share one scale; `scale` is [rows, blocks]
  bool exists() const { return !scale.empty(); }
};

// A tensor that a run leaves for the next one: an input, and an output once a node has changed it.
struct Kept {
  std::string name;
  Tensor first;
  ValueId input = absent, now = absent;
};

struct TensorInfo {
  std::string name;
  Element type = Element::none;
  Dims dims;
  bool is_known = true;  // every extent is
  Quantisation quantisation;
  std::optional<Tensor> constant;  // as stored
  ValueId id = absent;             // of the stored numbers
  ValueId real = absent;           // of the real numbers, once somebody asked
  // No numbers, but the name of a variable or a hash table of the file.
  std::int64_t variable = -1, table = -1;
  bool is_handle() const { return variable >= 0 || table >= 0; }
  std::optional<std::size_t> kept;  // of Builder::kept
};

class Builder : public Emitter {
 public:
  using Emitter::Emitter;
  std::vector<TensorInfo> tensors;
  std::vector<ValueId> states;        // what the file's variables hold now, by their place
  std::vector<Kept>* kept = nullptr;  // null: tensors cannot be kept here

  Result<TensorInfo*> info(std::int64_t index);
  // The stored numbers of a tensor, and the real ones they stand for.
  Result<ValueId> raw(std::int64_t index);
  Result<ValueId> real(std::int64_t index);
  // A constant's real numbers in another order of axes; of 8-bit ones as a DequantizeLinear.
  Result<ValueId> real_weights(std::int64_t index, const std::vector<std::size_t>& order);
  // y = x * w^T of constant integers w [n, k] with a scale for each row or block, which stay
  // packed; x: [m, k]. absent: they are none, or too few.
  Result<ValueId> packed_product(ValueId x, std::int64_t weights);
  // A constant's real numbers.  Errors: unsupported (it is computed).
  Result<Tensor> constant_real(std::int64_t index);
  Result<std::vector<std::int64_t>> constant_integers(std::int64_t index);
  // Value `id` is what tensor `index` holds; real numbers are rounded to its scale.
  Status give_raw(std::int64_t index, ValueId id);
  Status give_real(std::int64_t index, ValueId id);
  // A new tensor that a run leaves for the next one, zeros before the first; its place in `kept`.
  Result<std::size_t> keep(std::string name, Element type, Dims dims);
  // Errors: exhausted (a few bytes of a file tell of tensors that are kept of too many bytes).
  Status check_kept(std::string_view name, Element type, const Dims& dims) const;
  // The real numbers that a tensor which is kept has from now on.
  Status change_real(std::int64_t index, ValueId id);

  // [n, h, w, c] to [n, c, h, w] and back.
  ValueId channels_first(ValueId id) { return transposed(id, {0, 3, 1, 2}); }
  ValueId channels_last(ValueId id) { return transposed(id, {0, 2, 3, 1}); }
  // ActivationFunctionType applied to a value.
  Result<ValueId> activated(ValueId id, int activation);
};

// The elements of a constant in another order of axes.
Result<Tensor> reordered(const Tensor& tensor, const std::vector<std::size_t>& order);

// One operator of the file.
struct Operator {
  int code = 0;
  std::vector<std::int32_t> inputs, outputs;
  FlatTable options, more_options;  // builtin_options, builtin_options_2
  std::string custom;               // the name of a custom operator
  std::span<const std::byte> custom_options;
};
// Adds the nodes of one operator.  Errors: unsupported (not one we know, or not in this form).
Status add_operator(Builder& b, const Operator& op);
// Those of SLICE and STRIDED_SLICE.
Status add_slice(Builder& b, const Operator& op);
// The same of those that are rarer.  Errors: unsupported, without a message: it is none of them.
Status add_rare_operator(Builder& b, const Operator& op);
// Boxes, spectra, random numbers, custom operators; cells with memory.  The same errors.
Status add_special_operator(Builder& b, const Operator& op);
Status add_recurrent_operator(Builder& b, const Operator& op);
Status add_lookup_operator(Builder& b, const Operator& op);
// Custom ones of sound.  The same errors.
Status add_sound_operator(Builder& b, const Operator& op);
Status add_stream_operator(Builder& b, const Operator& op);
std::string_view operator_name(int code);

}  // namespace hearth::graphs::tflite
