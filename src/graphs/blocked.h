// Images in blocks of 16 channels, the form in which convolutions read and write: [n, c,
// spatial...] lies as [n, ceil(c / 16), spatial..., 16]; channels past the last one are zero where
// elements are floats.
#pragma once

#include "graphs/call.h"
#include "kernels/conv.h"

namespace hearth::graphs {

constexpr auto block_channels = static_cast<std::int64_t>(kernels::channel_block);

// Elements are of 4 bytes or 1.  dims: three axes or more.
Result<Tensor> make_blocked(Machine& machine, Element type, Dims dims);
Result<Tensor> to_plain(Machine& machine, const Tensor& x);
// The same elements as a plain tensor [n, blocks, spatial..., 16].
Tensor physical(const Tensor& x);
// A tensor of that form as a blocked one: of shape `dims`, or of whole blocks of channels.
Tensor blocked_from(Tensor x, Dims dims);
Tensor blocked_again(Tensor x);
// The operands of a node that treats all elements alike, one or more of them blocked, as tensors of
// one more axis; empty where their shapes do not allow it.  All inputs are there.
std::vector<Value> physical_operands(const Node& node, std::span<const Value* const> inputs);

// A blocked image with a border.  It shares the tensor's memory where there is none.
struct Image {
  Tensor memory;
  std::int64_t blocks, height, width;  // of a block of channels, with the border
  std::int64_t block_elements() const { return height * width * block_channels; }
};
struct Border {
  std::int64_t top, left, bottom, right;
  bool is_none() const { return top == 0 && left == 0 && bottom == 0 && right == 0; }
};
// x: [n, c, width] or [n, c, height, width] of 4-byte or 1-byte elements, blocked or not; `fill`:
// one element, for the border (channels past the last one are zero there too, or fill).
Result<Image> image_of(Machine& machine, const Tensor& x, const Border& border,
                       const std::byte* fill);

}  // namespace hearth::graphs
