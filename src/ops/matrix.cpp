#include "ops/matrix.h"

#include <fmt/core.h>

#include <algorithm>
#include <utility>

#include "ops/packed.h"

namespace hearth::ops {
namespace {

using kernels::Panel;
using kernels::panel_rows;

// Types with a panel layout of their own.
std::optional<Panel> panel_of(Dtype dtype) {
  switch (dtype) {
    case Dtype::f32:
      return Panel::f32;
    case Dtype::f16:
      return Panel::f16;
    case Dtype::bf16:
      return Panel::bf16;
    case Dtype::q8_0:
      return Panel::q8_0;
    case Dtype::q4_0:
      return Panel::q4_0;
    case Dtype::iq4_nl:
      return Panel::iq4_nl;
    case Dtype::q5_0:
      return Panel::q5_0;
    case Dtype::q4_k:
      return Panel::q4_k;
    case Dtype::q5_k:
      return Panel::q5_k;
    case Dtype::q6_k:
      return Panel::q6_k;
    case Dtype::iq4_xs:
      return Panel::iq4_xs;
    case Dtype::mxfp4:
      return Panel::mxfp4;
    default:
      return std::nullopt;
  }
}

}  // namespace

Matrix::Matrix() : packed_(std::make_unique<const Packed>()) {}
Matrix::Matrix(Matrix&&) noexcept = default;
Matrix& Matrix::operator=(Matrix&&) noexcept = default;
Matrix::~Matrix() = default;

Result<Matrix> Matrix::prepare(Context& ctx, const StoredMatrix& stored) {
  const std::uint64_t row_bytes = TRY(byte_size(stored.dtype, stored.columns));
  if (stored.data.size() / std::max<std::uint64_t>(row_bytes, 1) < stored.rows)
    return Error(ErrorKind::corrupt,
                 fmt::format("{} x {} of {} do not fit {} bytes", stored.rows, stored.columns,
                             name_of(stored.dtype), stored.data.size()));
  auto packed = std::make_unique<Packed>();
  packed->stored = stored;
  packed->row_bytes = row_bytes;
  packed->panel = panel_of(stored.dtype);
  packed->dequantise = dequantiser(stored.dtype);
  if (!packed->panel && packed->dequantise == nullptr)
    return Error(ErrorKind::unsupported,
                 fmt::format("cannot multiply by a matrix of {}", name_of(stored.dtype)));
  if (packed->panel) {
    const std::size_t bytes = kernels::panel_bytes(*packed->panel, stored.columns);
    packed->buffer = TRY(PageBuffer::allocate(packed->panels() * bytes));
    const std::size_t chunk =
        std::max<std::size_t>(1, (1u << 18) / std::max<std::size_t>(1, bytes));
    ctx.pool->parallel_for(packed->panels(), chunk, [&](std::size_t begin, std::size_t end, int) {
      const std::size_t first = begin * panel_rows * row_bytes;
      const std::size_t last = std::min<std::size_t>(end * panel_rows, stored.rows) * row_bytes;
      for (std::size_t p = begin; p < end; ++p)
        kernels::pack_panel(*packed->panel, packed->buffer.data() + p * bytes,
                            stored.data.data() + p * panel_rows * row_bytes, row_bytes,
                            std::min<std::size_t>(panel_rows, stored.rows - p * panel_rows),
                            stored.columns);
      // As it goes: the largest matrix is a third of some models.
      if (stored.file_mapped) drop_file_pages(stored.data.subspan(first, last - first));
    });
    packed->stored.data = {};
    if (stored.file_mapped) drop_file_pages(stored.data);
  }
  Matrix matrix;
  matrix.packed_ = std::move(packed);
  return matrix;
}

std::size_t Matrix::rows() const { return packed_->stored.rows; }
std::size_t Matrix::columns() const { return packed_->stored.columns; }
Dtype Matrix::dtype() const { return packed_->stored.dtype; }
std::size_t Matrix::resident_bytes() const { return packed_->buffer.size(); }
bool Matrix::borrows() const { return !packed_->panel.has_value(); }

void gather_rows(Context& ctx, View y, const StoredMatrix& table,
                 std::span<const std::int32_t> ids) {
  const DequantiseRow dequantise = dequantiser(table.dtype);
  HEARTH_CHECK(dequantise != nullptr);
  const std::uint64_t row_bytes = byte_size(table.dtype, table.columns).value();
  ctx.pool->parallel_for(ids.size(), 8, [&](std::size_t begin, std::size_t end, int) {
    for (std::size_t i = begin; i < end; ++i)
      dequantise(table.data.data() + static_cast<std::uint64_t>(ids[i]) * row_bytes, y.row(i),
                 table.columns);
  });
}

}  // namespace hearth::ops
