#include "graphs/operators/gemm.h"

#include <algorithm>

#include "kernels/kernels.h"

namespace hearth::graphs {
namespace {

constexpr auto width = static_cast<std::int64_t>(kernels::panel_rows);
// Columns of the left factor: so many rows of two panels stay in the first-level cache.
constexpr std::int64_t block = 128;
constexpr std::int64_t item_panels = 8;  // of columns of the result, computed together
constexpr std::int64_t small = 32768;    // products of so few terms are not worth packing

std::int64_t up_to(std::int64_t value, std::int64_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

const kernels::Gemm* table_of(const Machine& machine) {
  if (machine.ctx == nullptr || machine.ctx->kernels == nullptr) return nullptr;
  const kernels::Gemm* plain = machine.ctx->kernels->plain;
  return plain != nullptr && plain->k_step == 1 && plain->b_step_bytes == width * sizeof(float)
             ? plain
             : nullptr;
}

// The left factor as the kernels read it: blocks of rows, each a run of blocks of columns.
struct PackedLeft {
  const kernels::Gemm* gemm;
  std::int64_t rows, columns, height;  // height: rows of a block
  std::byte* bytes;                    // of the calling thread, until its next product

  std::int64_t blocks() const { return (rows + height - 1) / height; }
  std::int64_t rows_of(std::int64_t i) const { return std::min(height, rows - i * height); }
  const std::byte* at(std::int64_t i, std::int64_t column) const {
    const auto tile = static_cast<std::int64_t>(gemm->tile_rows),
               step = static_cast<std::int64_t>(gemm->a_step_bytes);
    return bytes + (i * up_to(height, tile) * columns + up_to(rows_of(i), tile) * column) * step;
  }
};

struct Rows {
  std::int64_t m, k;
  const float* a;
  std::int64_t lda;
};

PackedLeft pack_left(Machine& machine, const kernels::Gemm& gemm, const Rows& p) {
  const auto tile = static_cast<std::int64_t>(gemm.tile_rows);
  PackedLeft left{
      &gemm, p.m, p.k,
      up_to(std::min<std::int64_t>(p.m, static_cast<std::int64_t>(gemm.most_rows)), tile), nullptr};
  if (left.height > static_cast<std::int64_t>(gemm.most_rows)) left.height -= tile;
  // Kept from product to product: fresh memory would be cleared and mapped again each time.
  thread_local std::vector<std::byte> kept;
  const std::size_t size =
      static_cast<std::size_t>(left.blocks() * up_to(left.height, tile) * p.k) * gemm.a_step_bytes +
      64;
  if (kept.size() < size) kept.resize(size);
  left.bytes = kept.data();
  const std::int64_t columns = (p.k + block - 1) / block;
  parallel(machine, left.blocks() * columns, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const std::int64_t row = i / columns, column = i % columns * block;
      gemm.pack(const_cast<std::byte*>(left.at(row, column)),
                p.a + row * left.height * p.lda + column, static_cast<std::size_t>(p.lda),
                static_cast<std::size_t>(left.rows_of(row)),
                static_cast<std::size_t>(std::min(block, p.k - column)));
    }
  });
  return left;
}

void put_rows(const PanelProduct& p, const float* c, std::int64_t ldc, std::int64_t row,
              std::int64_t rows, std::int64_t column, std::int64_t columns) {
  for (std::int64_t i = 0; i < rows; ++i) {
    float* to = p.c + (row + i) * p.ldc + column;
    const float* from = c + i * ldc;
    const float bias = p.bias == nullptr ? 0 : p.bias[row + i];
    if (p.add)
      for (std::int64_t j = 0; j < columns; ++j) to[j] += from[j] + bias;
    else
      for (std::int64_t j = 0; j < columns; ++j) to[j] = from[j] + bias;
  }
}

struct Buffers {
  std::vector<float> b, c;
};
Buffers& buffers() {
  thread_local Buffers own;
  return own;
}

}  // namespace

void multiply_panels(Machine& machine, const PanelProduct& p, const FillPanel& fill) {
  const kernels::Gemm* gemm = table_of(machine);
  const std::int64_t panels = (p.n + width - 1) / width;
  if (gemm == nullptr || p.k == 0 || p.m == 0) {
    std::vector<float> b(static_cast<std::size_t>(p.k * width));
    for (std::int64_t column = 0; column < p.n; column += width) {
      const std::int64_t columns = std::min(width, p.n - column);
      fill(b.data(), column, columns, 0, p.k);
      for (std::int64_t i = 0; i < p.m; ++i)
        for (std::int64_t j = 0; j < columns; ++j) {
          float sum = p.bias == nullptr ? 0 : p.bias[i];
          for (std::int64_t q = 0; q < p.k; ++q)
            sum += p.a[i * p.lda + q] * b[static_cast<std::size_t>(q * width + j)];
          float& to = p.c[i * p.ldc + column + j];
          to = p.add ? to + sum : sum;
        }
    }
    return;
  }
  const PackedLeft left = pack_left(machine, *gemm, {p.m, p.k, p.a, p.lda});
  const std::int64_t groups = (panels + item_panels - 1) / item_panels;
  parallel(machine, left.blocks() * groups, 1, [&](std::int64_t begin, std::int64_t end) {
    Buffers& own = buffers();
    for (std::int64_t item = begin; item < end; ++item) {
      const std::int64_t row_block = item % left.blocks(),
                         first = item / left.blocks() * item_panels;
      const std::int64_t count = std::min(item_panels, panels - first), ldc = count * width;
      const std::int64_t rows = left.rows_of(row_block),
                         tall = up_to(rows, static_cast<std::int64_t>(gemm->tile_rows));
      own.c.assign(static_cast<std::size_t>(tall * ldc + 16), 0.0f);
      own.b.resize(static_cast<std::size_t>(count * block * width + 16));
      for (std::int64_t k0 = 0; k0 < p.k; k0 += block) {
        const std::int64_t kn = std::min(block, p.k - k0);
        for (std::int64_t i = 0; i < count; ++i) {
          const std::int64_t column = (first + i) * width;
          fill(own.b.data() + i * kn * width, column, std::min(width, p.n - column), k0, kn);
        }
        gemm->block(kernels::Panel::f32, own.c.data(), static_cast<std::size_t>(ldc),
                    left.at(row_block, k0), own.b.data(), static_cast<std::size_t>(rows),
                    static_cast<std::size_t>(kn), static_cast<std::size_t>(count), nullptr);
      }
      put_rows(p, own.c.data(), ldc, row_block * left.height, rows, first * width,
               std::min(ldc, p.n - first * width));
    }
  });
}

bool can_pack(const Machine& machine) { return table_of(machine) != nullptr; }

Result<PackedRight> pack_right(const Machine& machine, const float* b, bool transposed,
                               std::int64_t k, std::int64_t n) {
  const std::int64_t panels = (n + width - 1) / width;
  PackedRight right{
      table_of(machine), k, n,
      TRY(make_tensor(Element::f32, {std::max<std::int64_t>(1, panels * k * width)}))};
  float* to = right.panels.data<float>();
  for (std::int64_t k0 = 0; k0 < k; k0 += block)
    for (std::int64_t p = 0; p < panels; ++p)
      for (std::int64_t i = k0; i < std::min(k, k0 + block); ++i, to += width)
        for (std::int64_t j = 0; j < width; ++j) {
          const std::int64_t column = p * width + j;
          to[j] = column >= n ? 0 : transposed ? b[column * k + i] : b[i * n + column];
        }
  return right;
}

namespace {

// to = sums + bias + add within bounds; bias and add may be null.
#if defined(__x86_64__)
__attribute__((target_clones("avx512f", "avx2", "default")))
#endif
void finish_row(
    float* to, const float* sums, const float* bias, const float* add, float low, float high,
    std::int64_t n) {
  for (std::int64_t i = 0; i < n; ++i) {
    float y = sums[i];
    if (bias != nullptr) y += bias[i];
    if (add != nullptr) y += add[i];
    y = low > y ? low : y;  // in this order what is no number stays none
    to[i] = high < y ? high : y;
  }
}

// Columns [column, column + columns) of some rows of the result, from the tile that holds their
// sums.
void put_finished(const Machine& machine, const PackedProduct& p, const Finish& finish,
                  std::int64_t n, const float* sums, std::int64_t ld, std::int64_t row,
                  std::int64_t rows, std::int64_t column, std::int64_t columns) {
  for (std::int64_t i = 0; i < rows; ++i) {
    const std::int64_t at = (row + i) * n + column;
    finish_row(p.c + at, sums + i * ld, p.bias == nullptr ? nullptr : p.bias + column,
               p.add == nullptr ? nullptr : p.add + at, finish.low, finish.high, columns);
    bend(machine, finish, p.c + at, columns);
  }
}

}  // namespace

void multiply_packed(Machine& machine, const PackedProduct& p, const PackedRight& right,
                     const Finish& finish) {
  if (p.m == 0 || right.n == 0) return;
  const kernels::Gemm* gemm = table_of(machine);
  const PackedLeft left = pack_left(machine, *gemm, {p.m, right.k, p.a, p.lda});
  const std::int64_t panels = (right.n + width - 1) / width;
  // Pairs of panels: a block of them stays in the first-level cache while the rows pass by.
  constexpr std::int64_t each = 2;
  const std::int64_t groups = (panels + each - 1) / each;
  parallel(machine, left.blocks() * groups, 1, [&](std::int64_t begin, std::int64_t end) {
    Buffers& own = buffers();
    for (std::int64_t item = begin; item < end; ++item) {
      const std::int64_t row_block = item % left.blocks(), first = item / left.blocks() * each;
      const std::int64_t count = std::min(each, panels - first), ldc = count * width;
      const std::int64_t rows = left.rows_of(row_block),
                         tall = up_to(rows, static_cast<std::int64_t>(gemm->tile_rows));
      own.c.assign(static_cast<std::size_t>(tall * ldc + 16), 0.0f);
      for (std::int64_t k0 = 0; k0 < right.k; k0 += block) {
        const std::int64_t kn = std::min(block, right.k - k0);
        const float* b = right.panels.data<float>() + (k0 * panels + first * kn) * width;
        gemm->block(kernels::Panel::f32, own.c.data(), static_cast<std::size_t>(ldc),
                    left.at(row_block, k0), b, static_cast<std::size_t>(rows),
                    static_cast<std::size_t>(kn), static_cast<std::size_t>(count), nullptr);
      }
      put_finished(machine, p, finish, right.n, own.c.data(), ldc, row_block * left.height, rows,
                   first * width, std::min(ldc, right.n - first * width));
    }
  });
}

void gemm_reference(const Gemm& g) {
  for (std::int64_t i = 0; i < g.m; ++i) {
    float* c = g.c + i * g.ldc;
    if (!g.add) std::fill(c, c + g.n, 0.0f);
    for (std::int64_t p = 0; p < g.k; ++p) {
      const float a = g.a_transposed ? g.a[p * g.lda + i] : g.a[i * g.lda + p];
      if (g.b_transposed)
        for (std::int64_t j = 0; j < g.n; ++j) c[j] += a * g.b[j * g.ldb + p];
      else
        for (std::int64_t j = 0; j < g.n; ++j) c[j] += a * g.b[p * g.ldb + j];
    }
  }
}

namespace {

// Few rows on the left: the right factor is read once as it lies.
void gemm_few(Machine& machine, const Gemm& g) {
  const kernels::Kernels* table = machine.ctx == nullptr ? nullptr : machine.ctx->kernels;
  const std::int64_t grain =
      std::max<std::int64_t>(16, small / std::max<std::int64_t>(1, g.m * g.k));
  parallel(machine, g.n, grain, [&](std::int64_t begin, std::int64_t end) {
    if (g.b_transposed && table != nullptr && !g.a_transposed) {
      for (std::int64_t i = 0; i < g.m; ++i)
        for (std::int64_t j = begin; j < end; ++j) {
          const float sum =
              table->dot(g.a + i * g.lda, g.b + j * g.ldb, static_cast<std::size_t>(g.k));
          float& to = g.c[i * g.ldc + j];
          to = g.add ? to + sum : sum;
        }
      return;
    }
    Gemm part = g;
    part.n = end - begin;
    part.c += begin;
    part.b += begin * (g.b_transposed ? g.ldb : 1);
    gemm_reference(part);
  });
}

}  // namespace

void gemm(Machine& machine, const Gemm& g) {
  if (g.m == 0 || g.n == 0) return;
  const bool few = g.m <= 4;
  if (few || g.m * g.n * g.k <= small || table_of(machine) == nullptr) return gemm_few(machine, g);
  std::vector<float> turned;
  PanelProduct p{g.m, g.n, g.k, g.a, g.lda, g.c, g.ldc, nullptr, g.add};
  if (g.a_transposed) {
    turned.resize(static_cast<std::size_t>(g.m * g.k));
    for (std::int64_t i = 0; i < g.k; ++i)
      for (std::int64_t j = 0; j < g.m; ++j)
        turned[static_cast<std::size_t>(j * g.k + i)] = g.a[i * g.lda + j];
    p.a = turned.data();
    p.lda = g.k;
  }
  multiply_panels(machine, p,
                  [&](float* to, std::int64_t column, std::int64_t columns, std::int64_t first,
                      std::int64_t rows) {
                    if (columns < width) std::fill_n(to, rows * width, 0.0f);
                    if (g.b_transposed) {
                      for (std::int64_t j = 0; j < columns; ++j) {
                        const float* from = g.b + (column + j) * g.ldb + first;
                        for (std::int64_t i = 0; i < rows; ++i) to[i * width + j] = from[i];
                      }
                      return;
                    }
                    if (columns == width) {  // of a size that the compiler knows
                      for (std::int64_t i = 0; i < rows; ++i)
                        std::memcpy(to + i * width, g.b + (first + i) * g.ldb + column,
                                    width * sizeof(float));
                      return;
                    }
                    for (std::int64_t i = 0; i < rows; ++i)
                      std::copy_n(g.b + (first + i) * g.ldb + column, columns, to + i * width);
                  });
}

}  // namespace hearth::graphs
