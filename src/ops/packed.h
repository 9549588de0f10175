// What a Matrix holds: panels of its own, or the stored rows and a way to read them.
#pragma once

#include <memory>
#include <optional>

#include "base/pages.h"
#include "kernels/kernels.h"
#include "ops/dequantise.h"
#include "ops/matrix.h"

namespace hearth::ops {

struct Matrix::Packed {
  StoredMatrix stored{};
  std::optional<kernels::Panel> panel;  // nothing: rows are dequantised where they are used
  PageBuffer buffer;
  DequantiseRow dequantise = nullptr;
  std::size_t row_bytes = 0;
  // Of blocks with a minimum each, w = scale * code + minimum: the panel above holds
  // scale * (code - middle), and this the rest, minimum + scale * middle, one number per block,
  // which is multiplied with the sum of the inputs of the block.  As f32 panels; null: no minima.
  std::unique_ptr<Packed> minima = {};

  std::size_t panels() const {
    return (stored.rows + kernels::panel_rows - 1) / kernels::panel_rows;
  }
  const std::byte* panel_at(std::size_t index) const {
    return buffer.data() + index * kernels::panel_bytes(*panel, stored.columns);
  }
  bool is_f32() const { return stored.dtype == Dtype::f32; }
  std::size_t groups() const { return stored.columns / kernels::group_columns; }
};

}  // namespace hearth::ops
