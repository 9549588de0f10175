// Views over f32 activations.
#pragma once

#include <cstddef>

namespace hearth {

// [rows, dim] f32, row after row, `stride` floats apart (stride >= dim).  Owns nothing.
struct View {
  float* data = nullptr;
  std::size_t rows = 0, dim = 0, stride = 0;

  View() = default;
  View(float* values, std::size_t row_count, std::size_t width)
      : data(values), rows(row_count), dim(width), stride(width) {}
  View(float* values, std::size_t row_count, std::size_t width, std::size_t row_stride)
      : data(values), rows(row_count), dim(width), stride(row_stride) {}

  float* row(std::size_t i) const { return data + i * stride; }
  // Rows [first, first + count), and columns [first, first + width), of this view.
  View slice_rows(std::size_t first, std::size_t count) const {
    return {row(first), count, dim, stride};
  }
  View slice_columns(std::size_t first, std::size_t width) const {
    return {data + first, rows, width, stride};
  }
};

}  // namespace hearth
