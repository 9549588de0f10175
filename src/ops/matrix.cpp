#include "ops/matrix.h"

#include <fmt/core.h>

#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

#include "base/half.h"
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
    case Dtype::q4_1:  // and minima
      return Panel::q4_0;
    case Dtype::q5_1:
      return Panel::q5_0;
    default:
      return std::nullopt;
  }
}

bool has_minima(Dtype dtype) { return dtype == Dtype::q4_1 || dtype == Dtype::q5_1; }

// 16 rows of blocks with minima as blocks without, and what that leaves out.
struct Halves {
  std::vector<std::byte> blocks;
  std::vector<float> minima;
};

// Moves the 32 codes of a block to the middle of their range, so that the rounding of activations
// weighs on differences and not on what all codes share.  Returns by how much; the levels of fewer
// bits lie at the low end.
int centre_nibbles(std::byte* bytes) {
  int least = 15, most = 0;
  for (std::size_t i = 0; i < 16; ++i)
    for (const int code :
         {std::to_integer<int>(bytes[i] & std::byte{15}), std::to_integer<int>(bytes[i] >> 4)}) {
      least = std::min(least, code);
      most = std::max(most, code);
    }
  const int shift = std::min(8 - (least + most + 1) / 2, 15 - most);
  if (shift <= 0) return 0;
  for (std::size_t i = 0; i < 16; ++i)
    bytes[i] = static_cast<std::byte>(std::to_integer<int>(bytes[i]) + shift * 0x11);
  return shift;
}

void split_minima(Dtype dtype, const std::byte* stored, std::size_t row_bytes, std::size_t rows,
                  std::size_t groups, Halves& out) {
  const std::size_t from_bytes = info(dtype).block_bytes,
                    to_bytes = from_bytes - sizeof(std::uint16_t);
  const float middle = dtype == Dtype::q4_1 ? 8 : 16;
  out.blocks.resize(rows * groups * to_bytes);
  out.minima.resize(rows * groups);
  for (std::size_t row = 0; row < rows; ++row)
    for (std::size_t g = 0; g < groups; ++g) {
      const std::byte* from = stored + row * row_bytes + g * from_bytes;
      std::byte* to = out.blocks.data() + (row * groups + g) * to_bytes;
      std::uint16_t scale, minimum;
      std::memcpy(&scale, from, sizeof scale);
      std::memcpy(&minimum, from + sizeof scale, sizeof minimum);
      std::memcpy(to, &scale, sizeof scale);
      std::memcpy(to + sizeof scale, from + 2 * sizeof scale, to_bytes - sizeof scale);
      const int shift = dtype == Dtype::q4_1 ? centre_nibbles(to + sizeof scale) : 0;
      out.minima[row * groups + g] =
          f16_to_f32(minimum) + (middle - static_cast<float>(shift)) * f16_to_f32(scale);
    }
}

// One panel of `packed` from the stored rows of it.
void pack(Matrix::Packed& packed, std::size_t panel, const StoredMatrix& stored, Halves& halves) {
  const std::size_t rows = std::min<std::size_t>(panel_rows, stored.rows - panel * panel_rows);
  const std::byte* from = stored.data.data() + panel * panel_rows * packed.row_bytes;
  std::byte* to =
      packed.buffer.data() + panel * kernels::panel_bytes(*packed.panel, stored.columns);
  if (packed.minima == nullptr)
    return kernels::pack_panel(*packed.panel, to, from, packed.row_bytes, rows, stored.columns);
  const std::size_t groups = packed.groups();
  split_minima(stored.dtype, from, packed.row_bytes, rows, groups, halves);
  kernels::pack_panel(*packed.panel, to, halves.blocks.data(), halves.blocks.size() / rows, rows,
                      stored.columns);
  Matrix::Packed& minima = *packed.minima;
  kernels::pack_panel(Panel::f32,
                      minima.buffer.data() + panel * kernels::panel_bytes(Panel::f32, groups),
                      halves.minima.data(), groups * sizeof(float), rows, groups);
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
    if (has_minima(stored.dtype)) {
      packed->minima = std::make_unique<Packed>();
      packed->minima->stored = {Dtype::f32, stored.rows, packed->groups(), {}, false};
      packed->minima->panel = Panel::f32;
      packed->minima->buffer = TRY(PageBuffer::allocate(
          packed->panels() * kernels::panel_bytes(Panel::f32, packed->groups())));
    }
    const std::size_t chunk =
        std::max<std::size_t>(1, (1u << 18) / std::max<std::size_t>(1, bytes));
    ctx.pool->parallel_for(packed->panels(), chunk, [&](std::size_t begin, std::size_t end, int) {
      const std::size_t first = begin * panel_rows * row_bytes;
      const std::size_t last = std::min<std::size_t>(end * panel_rows, stored.rows) * row_bytes;
      Halves halves;
      for (std::size_t p = begin; p < end; ++p) pack(*packed, p, stored, halves);
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
std::size_t Matrix::resident_bytes() const {
  return packed_->buffer.size() + (packed_->minima ? packed_->minima->buffer.size() : 0);
}
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
