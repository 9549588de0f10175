// What a Matrix holds: panels of its own, or the stored rows and a way to read them.
#pragma once

#include <atomic>
#include <memory>
#include <optional>

#include "base/pages.h"
#include "kernels/kernels.h"
#include "ops/dequantise.h"
#include "ops/matrix.h"
#include "ops/recode.h"

namespace hearth::ops {

struct Matrix::Packed {
  StoredMatrix stored{};
  std::optional<kernels::Panel> panel;       // nothing: rows are dequantised where they are used
  std::shared_ptr<const PageBuffer> memory;  // of this matrix and of those prepared with it
  std::byte* panels_begin = nullptr;         // in there
  const Recoding* recoding = nullptr;        // what comes before packing, where there is one
  DequantiseRow dequantise = nullptr;
  std::size_t row_bytes = 0;
  // What the panels above leave out, one number for each group of columns, which is multiplied with
  // the sum of the inputs of the group.  As f32 panels; null: nothing.
  std::unique_ptr<Packed> minima = {};
  // Of LatePacking, which are still to be packed: until then `stored.data` is what there is.
  std::atomic<std::size_t> unpacked_pieces{0};

  std::size_t panels() const {
    return (stored.rows + kernels::panel_rows - 1) / kernels::panel_rows;
  }
  std::size_t panel_bytes() const {
    return panel ? kernels::panel_bytes(*panel, stored.columns) : 0;
  }
  const std::byte* panel_at(std::size_t index) const {
    return panels_begin + index * panel_bytes();
  }
  bool is_packed() const { return unpacked_pieces.load(std::memory_order_acquire) == 0; }
  bool is_f32() const { return stored.dtype == Dtype::f32; }
  // Of a row, with a minimum each.
  std::size_t groups() const {
    return recoding && recoding->group_columns > 0 ? stored.columns / recoding->group_columns : 0;
  }
};

// Panels [begin, end) from the stored rows, into their place; the memory of the rows is given back
// where a file stands behind it.
void pack_panels(const Matrix::Packed& packed, std::size_t begin, std::size_t end);
// The same of a type that needs no recoding, somewhere else.
void copy_panels(const Matrix::Packed& packed, std::size_t begin, std::size_t end, std::byte* to);

}  // namespace hearth::ops
