#include "ops/matrix.h"

#include <fmt/core.h>

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "ops/late_packing.h"
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

using Parts = std::vector<std::unique_ptr<Matrix::Packed>>;

Result<std::unique_ptr<Matrix::Packed>> describe(const StoredMatrix& stored) {
  const std::uint64_t row_bytes = TRY(byte_size(stored.dtype, stored.columns));
  if (stored.data.size() / std::max<std::uint64_t>(row_bytes, 1) < stored.rows)
    return Error(ErrorKind::corrupt,
                 fmt::format("{} x {} of {} do not fit {} bytes", stored.rows, stored.columns,
                             name_of(stored.dtype), stored.data.size()));
  auto packed = std::make_unique<Matrix::Packed>();
  packed->stored = stored;
  packed->row_bytes = row_bytes;
  packed->recoding = recoding_of(stored.dtype);
  packed->panel = packed->recoding ? packed->recoding->panel : panel_of(stored.dtype);
  if (packed->groups() > 0) {
    packed->minima = std::make_unique<Matrix::Packed>();
    packed->minima->stored = {Dtype::f32, stored.rows, packed->groups(), {}, false};
    packed->minima->panel = Panel::f32;
  }
  packed->dequantise = dequantiser(stored.dtype);
  if (!packed->panel && packed->dequantise == nullptr)
    return Error(ErrorKind::unsupported,
                 fmt::format("cannot multiply by a matrix of {}", name_of(stored.dtype)));
  return packed;
}

// One stretch of memory for the panels of all.
Status allocate(Parts& parts) {
  constexpr std::size_t line = 64;  // what kernels read at once
  std::vector<Matrix::Packed*> all;
  for (const auto& packed : parts) {
    if (packed->panel) all.push_back(packed.get());
    if (packed->minima) all.push_back(packed->minima.get());
  }
  const auto room_of = [](const Matrix::Packed& packed) {
    return (packed.panels() * packed.panel_bytes() + line - 1) / line * line;
  };
  std::size_t bytes = 0;
  for (const Matrix::Packed* packed : all) bytes += room_of(*packed);
  const auto memory = std::make_shared<const PageBuffer>(TRY(PageBuffer::allocate(bytes)));
  std::byte* at = memory->data();
  for (Matrix::Packed* packed : all) {
    packed->memory = memory;
    packed->panels_begin = at;
    at += room_of(*packed);
  }
  return Done{};
}

// Rows as they are packed.
struct Recoded {
  std::vector<std::byte> blocks;
  std::vector<float> minima;
};

void pack_recoded(const Matrix::Packed& packed, std::size_t panel, const std::byte* from,
                  std::size_t rows, Recoded& recoded) {
  const Recoding& recoding = *packed.recoding;
  const std::size_t columns = packed.stored.columns, groups = packed.groups();
  const std::size_t row_bytes =
      packed.row_bytes / info(recoding.from).block_bytes * recoding.block_bytes;
  recoded.blocks.resize(rows * row_bytes);
  recoded.minima.resize(rows * groups);
  recoding.recode(recoded.blocks.data(), recoded.minima.data(), from,
                  rows * packed.row_bytes / info(recoding.from).block_bytes);
  kernels::pack_panel(*packed.panel, packed.panels_begin + panel * packed.panel_bytes(),
                      recoded.blocks.data(), row_bytes, rows, columns);
  if (packed.minima == nullptr) return;
  kernels::pack_panel(Panel::f32,
                      packed.minima->panels_begin + panel * packed.minima->panel_bytes(),
                      recoded.minima.data(), groups * sizeof(float), rows, groups);
}

const std::byte* rows_of(const Matrix::Packed& packed, std::size_t panel) {
  return packed.stored.data.data() + panel * panel_rows * packed.row_bytes;
}

std::size_t row_count(const Matrix::Packed& packed, std::size_t panel) {
  return std::min<std::size_t>(panel_rows, packed.stored.rows - panel * panel_rows);
}

// A large page is cleared by whoever touches it first: two threads that begin one together would
// both clear one, and throw one away.  So each page is begun by one thread.
std::vector<LatePacking::Pieces> pieces_of(std::span<Matrix::Packed* const> parts) {
  constexpr std::size_t large_page = 2u << 20;
  std::vector<LatePacking::Pieces> pages;
  std::size_t page = SIZE_MAX;
  for (Matrix::Packed* packed : parts) {
    const std::size_t bytes = packed->panel_bytes();
    std::size_t offset = static_cast<std::size_t>(packed->panels_begin - packed->memory->data());
    for (std::size_t p = 0; p < packed->panels(); ++p, offset += bytes) {
      const bool is_new = offset / large_page != page;
      page = offset / large_page;
      if (is_new) pages.emplace_back();
      if (is_new || p == 0) pages.back().push_back({packed, p, p});
      ++pages.back().back().end;
    }
  }
  return pages;
}

bool may_wait(const Matrix::Packed& packed) {
  return packed.stored.file_mapped && packed.recoding == nullptr;
}

void pack_all(Context& ctx, const Parts& parts, LatePacking* later) {
  std::vector<Matrix::Packed*> now, waiting;
  for (const auto& packed : parts)
    if (packed->panel)
      (later != nullptr && may_wait(*packed) ? waiting : now).push_back(packed.get());
  const auto pieces = pieces_of(now);
  ctx.pool->parallel_for(pieces.size(), 1, [&](std::size_t begin, std::size_t end, int) {
    for (std::size_t i = begin; i < end; ++i)
      for (const auto& piece : pieces[i]) pack_panels(*piece.packed, piece.begin, piece.end);
  });
  if (waiting.empty()) return;
  auto rest = pieces_of(waiting);
  for (const auto& together : rest)
    for (const auto& piece : together) ++piece.packed->unpacked_pieces;
  later->add(std::move(rest));
}

}  // namespace

void pack_panels(const Matrix::Packed& packed, std::size_t begin, std::size_t end) {
  Recoded recoded;
  if (packed.recoding)
    for (std::size_t p = begin; p < end; ++p)
      pack_recoded(packed, p, rows_of(packed, p), row_count(packed, p), recoded);
  else
    copy_panels(packed, begin, end, packed.panels_begin + begin * packed.panel_bytes());
  // As it goes: the largest matrix is a third of some models.
  const StoredMatrix& stored = packed.stored;
  if (stored.file_mapped) {
    const std::size_t first = begin * panel_rows;
    const std::size_t last = std::min<std::size_t>(end * panel_rows, stored.rows);
    drop_file_pages(
        stored.data.subspan(first * packed.row_bytes, (last - first) * packed.row_bytes));
  }
}

void copy_panels(const Matrix::Packed& packed, std::size_t begin, std::size_t end, std::byte* to) {
  for (std::size_t p = begin; p < end; ++p, to += packed.panel_bytes())
    kernels::pack_panel(*packed.panel, to, rows_of(packed, p), packed.row_bytes,
                        row_count(packed, p), packed.stored.columns);
}

Matrix::Matrix() : packed_(std::make_unique<const Packed>()) {}
Matrix::Matrix(Matrix&&) noexcept = default;
Matrix& Matrix::operator=(Matrix&&) noexcept = default;
Matrix::~Matrix() = default;

Result<std::vector<Matrix>> Matrix::prepare_all(Context& ctx, std::span<const StoredMatrix> stored,
                                                LatePacking* later) {
  Parts parts;
  for (const StoredMatrix& one : stored) parts.push_back(TRY(describe(one)));
  TRY(allocate(parts));
  pack_all(ctx, parts, later);
  std::vector<Matrix> matrices(stored.size());
  for (std::size_t i = 0; i < stored.size(); ++i) {
    if (parts[i]->panel && parts[i]->is_packed()) {
      parts[i]->stored.data = {};
      if (stored[i].file_mapped) drop_file_pages(stored[i].data);  // those that pieces shared too
    }
    matrices[i].packed_ = std::move(parts[i]);
  }
  return matrices;
}

Result<std::vector<Matrix>> Matrix::prepare_all(Context& ctx,
                                                std::span<const StoredMatrix> stored) {
  return prepare_all(ctx, stored, nullptr);
}

Result<Matrix> Matrix::prepare(Context& ctx, const StoredMatrix& stored) {
  return std::move(TRY(prepare_all(ctx, std::span(&stored, 1), nullptr)).front());
}

std::size_t Matrix::rows() const { return packed_->stored.rows; }
std::size_t Matrix::columns() const { return packed_->stored.columns; }
Dtype Matrix::dtype() const { return packed_->stored.dtype; }
std::size_t Matrix::resident_bytes() const {
  const auto bytes = [](const Packed& one) { return one.panels() * one.panel_bytes(); };
  return bytes(*packed_) + (packed_->minima ? bytes(*packed_->minima) : 0);
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
