// Products of many rows: tiles of C held in registers.  Included after vectors.inl.

namespace hearth::kernels::HEARTH_ISA {
namespace {

// Rows and panels of C held in registers at once.
constexpr std::size_t tile_rows = lanes == 16 ? 12 : lanes == 8 || registers == 32 ? 6 : 3;
constexpr std::size_t tile_panels = lanes == 16 ? 2 : 1;

// Columns of `rows` rows become `rows` neighbours, `height` floats from one column to the next.
void turn(float* to, std::size_t height, const float* x, std::size_t ldx, std::size_t rows,
          std::size_t k) {
  typedef float Four __attribute__((vector_size(16)));
  std::size_t i = 0;
  for (; rows == 4 && i + 4 <= k; i += 4) {
    Four r[4];
    for (std::size_t n = 0; n < 4; ++n) memcpy(&r[n], x + n * ldx + i, sizeof r[n]);
    const Four a = __builtin_shufflevector(r[0], r[1], 0, 4, 1, 5),
               b = __builtin_shufflevector(r[2], r[3], 0, 4, 1, 5),
               c = __builtin_shufflevector(r[0], r[1], 2, 6, 3, 7),
               d = __builtin_shufflevector(r[2], r[3], 2, 6, 3, 7);
    const Four columns[] = {
        __builtin_shufflevector(a, b, 0, 1, 4, 5), __builtin_shufflevector(a, b, 2, 3, 6, 7),
        __builtin_shufflevector(c, d, 0, 1, 4, 5), __builtin_shufflevector(c, d, 2, 3, 6, 7)};
    for (std::size_t n = 0; n < 4; ++n)
      memcpy(to + (i + n) * height, &columns[n], sizeof columns[n]);
  }
  for (; i < k; ++i)
    for (std::size_t n = 0; n < rows; ++n) to[i * height + n] = x[n * ldx + i];
}

// A: tile after tile, each [k][height].
void pack(void* a, const float* x, std::size_t ldx, std::size_t m, std::size_t k) {
  float* out = static_cast<float*>(a);
  const Cut all = cut(m, tile_rows);
  for (std::size_t t = 0; t < all.tiles; ++t) {
    const std::size_t height = all.height(t);
    for (std::size_t r = 0; r < height; r += 4)
      turn(out + r, height, x + r * ldx, ldx, height - r < 4 ? height - r : 4, k);
    out += height * k;
    x += height * ldx;
  }
}

void unpack_rows(void* b, const float* rows, std::size_t ld, std::size_t k) {
  float* out = static_cast<float*>(b);
  for (std::size_t i = 0; i < k; ++i)
    for (std::size_t n = 0; n < panel_rows; ++n) out[panel_rows * i + n] = rows[n * ld + i];
}

template <std::size_t rows, std::size_t panels>
void tile(float* c, std::size_t ldc, const float* a, const float* b, std::size_t k) {
  constexpr std::size_t vectors = panels * panel_vectors;
  Vec sums[rows][vectors];
#pragma GCC unroll 12
  for (std::size_t r = 0; r < rows; ++r)
#pragma GCC unroll 8
    for (std::size_t v = 0; v < vectors; ++v) sums[r][v] = load(c + r * ldc + v * lanes);
  for (std::size_t i = 0; i < k; ++i) {
    Vec w[vectors];
#pragma GCC unroll 8
    for (std::size_t v = 0; v < vectors; ++v)
      w[v] = load(b + (v / panel_vectors * k + i) * panel_rows + v % panel_vectors * lanes);
#pragma GCC unroll 12
    for (std::size_t r = 0; r < rows; ++r) {
      const Vec x = splat(a[i * rows + r]);
#pragma GCC unroll 8
      for (std::size_t v = 0; v < vectors; ++v) sums[r][v] = multiply_add(x, w[v], sums[r][v]);
    }
  }
#pragma GCC unroll 12
  for (std::size_t r = 0; r < rows; ++r)
#pragma GCC unroll 8
    for (std::size_t v = 0; v < vectors; ++v) store(c + r * ldc + v * lanes, sums[r][v]);
}

template <std::size_t most, std::size_t panels>
void tile_of(std::size_t rows, float* c, std::size_t ldc, const float* a, const float* b,
             std::size_t k) {
  if (rows == most) return tile<most, panels>(c, ldc, a, b, k);
  if constexpr (most > 1) tile_of<most - 1, panels>(rows, c, ldc, a, b, k);
}

// A tile of A stays in the first-level cache while the panels come from the second.
void block(Panel, float* c, std::size_t ldc, const void* a, const void* b, std::size_t m,
           std::size_t k, std::size_t panels, const Ahead*) {
  const Cut all = cut(m, tile_rows);
  const float* rows = static_cast<const float*>(a);
  for (std::size_t t = 0; t < all.tiles; ++t) {
    const std::size_t height = all.height(t);
    for (std::size_t p = 0; p < panels; p += tile_panels) {
      const float* weights = static_cast<const float*>(b) + p * panel_rows * k;
      if (panels - p >= tile_panels)
        tile_of<tile_rows, tile_panels>(height, c + p * panel_rows, ldc, rows, weights, k);
      else
        tile_of<tile_rows, 1>(height, c + p * panel_rows, ldc, rows, weights, k);
    }
    rows += height * k;
    c += height * ldc;
  }
}

constexpr Gemm plain_gemm(decltype(Gemm::unpack) unpack, decltype(Gemm::few) few = nullptr) {
  return {
      .kinds = float_kinds | (few == nullptr ? 0 : group_kinds),
      .most_rows = 480,
      .most_panels = 8,
      .tile_rows = tile_rows,
      .k_step = 1,
      .a_step_bytes = 4,
      .b_step_bytes = 4 * panel_rows,
      .tolerance = 1e-5f,
      .pack = pack,
      .unpack = unpack,
      .unpack_rows = unpack_rows,
      .block = block,
      .few = few,
      .most_few = few == nullptr ? 0 : few_rows,
      .pack_few = pack,
  };
}

}  // namespace
}  // namespace hearth::kernels::HEARTH_ISA
