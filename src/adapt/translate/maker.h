// One tensor of the other naming, for the time that it is put together.  The loader of the models
// floor brings what is stored to rows of outputs; here those rows take the form of the other side.
#pragma once

#include <vector>

#include "adapt/translate/origin.h"
#include "models/weights.h"

namespace hearth::adapt {

using models::Bytes;

Bytes bytes_of_floats(std::span<const float> values);

// Rows of a stored tensor that a target is made of; count 0: all of them.
struct Source {
  const models::TensorRow* row;
  std::uint64_t first = 0, count = 0;
};

// One tensor of the target, for the time that it is put together.
class Maker {
 public:
  Maker(SharedOrigin origin, const models::TensorRow& row, std::size_t layer, bool to_gguf,
        std::vector<Source> sources)
      : origin_(std::move(origin)),
        row_(row),
        layer_(layer),
        to_gguf_(to_gguf),
        sources_(std::move(sources)) {}

  // Of a matrix: all its experts, or one.
  Result<Bytes> matrix(std::size_t first_expert, std::size_t experts, Dtype dtype) const;
  Result<Bytes> vector() const;
  Result<Bytes> bias() const;
  // Of latent attention: keys and values of every head together, or of k_b or v_b.
  Result<Bytes> latent(Dtype dtype) const;
  // gpt-oss: the 16 bytes of 32 weights apart from their scales.
  Result<Bytes> blocks(bool scales) const;

 private:
  struct Rows {
    Dtype dtype;
    std::uint64_t columns = 0;
    Bytes bytes;
  };
  Result<Rows> rows_of(const std::vector<models::Weight>& weights, std::size_t expert) const;
  Result<std::vector<models::Weight>> load() const;
  Result<Rows> ordered(const std::vector<models::Weight>& weights, std::size_t expert) const;
  std::vector<std::size_t> order(std::size_t rows) const;
  Status multiply(Rows& rows, std::size_t count) const;
  models::Form form() const { return to_gguf_ ? row_.gguf_form : row_.hf_form; }

  SharedOrigin origin_;
  const models::TensorRow& row_;
  std::size_t layer_;
  bool to_gguf_;
  std::vector<Source> sources_;
};

// Whether matrices of a role stand as [inputs, outputs] there.
constexpr bool is_turned(models::Form form) {
  using enum models::Form;
  return form == transposed || form == expert_stack || form == turned_stack;
}
// Where value heads of recurrent layers follow each other otherwise in GGUF: for every value head
// there, which one it is here, by heads of `each` rows.  Empty: as they are.
std::vector<std::size_t> tiled_order(const Origin& origin, models::Role role, bool to_gguf);

}  // namespace hearth::adapt
