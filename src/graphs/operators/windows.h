// Windows that slide over the spatial axes of a tensor [batch, channels, spatial...].
#pragma once

#include "graphs/call.h"

namespace hearth::graphs {

struct Windows {
  std::vector<std::int64_t> input, output;  // extents of the spatial axes
  std::vector<std::int64_t> kernel, stride, dilation, before, after;

  std::size_t rank() const { return input.size(); }
  std::int64_t kernel_count() const;
  std::int64_t input_count() const;
  std::int64_t output_count() const;
};

// From kernel_shape (or `kernel`), strides, dilations, pads, auto_pad and ceil_mode.
// Source: ONNX, Conv and MaxPool.
Result<Windows> windows_of(Call& call, std::vector<std::int64_t> input,
                           std::vector<std::int64_t> kernel);

// The input place of each element of one window, -1 where it lies in the padding.
// `places`: [kernel_count].  output: flat index of the window.
void window_places(const Windows& windows, std::int64_t output, std::vector<std::int64_t>& places);

}  // namespace hearth::graphs
