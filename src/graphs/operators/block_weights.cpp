// Weights of 2, 4 or 8 bits in blocks: com.microsoft.MatMulNBits, GatherBlockQuantized, and the
// products of the former with constant weights, hearth.MatMulNBits. Source: ONNX Runtime,
// docs/ContribOperators.md.
#include "graphs/operators/block_weights.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "formats/requantise.h"
#include "ops/matrix.h"

namespace hearth::graphs {
namespace {

// A code of 2, 4 or 8 bits of a row, low ones first.
unsigned code_at(const std::uint8_t* row, std::int64_t i, unsigned bits) {
  const std::int64_t per_byte = 8 / bits;
  return row[i / per_byte] >> (i % per_byte * bits) & ((1u << bits) - 1);
}

// Weights in blocks along k: codes [n, blocks, block * bits / 8], a scale and a zero point each.
struct Blocked {
  const std::uint8_t* codes;
  std::int64_t n, k, block, blocks, code_bytes, zero_bytes;
  unsigned bits;
  const float* scales;
  const std::uint8_t* packed_zeros;  // null: none
  const float* float_zeros;          // null: none

  float zero(std::int64_t row, std::int64_t b) const {
    if (packed_zeros != nullptr)
      return static_cast<float>(code_at(packed_zeros + row * zero_bytes, b, bits));
    return float_zeros != nullptr ? float_zeros[row * blocks + b]
                                  : static_cast<float>(1u << (bits - 1));
  }
  // Row `row` as floats, [k].
  void row(std::int64_t row, float* to) const {
    for (std::int64_t b = 0; b < blocks; ++b) {
      const float scale = scales[row * blocks + b], middle = zero(row, b);
      const std::uint8_t* from = codes + (row * blocks + b) * code_bytes;
      const std::int64_t n_here = std::min(block, k - b * block);
      for (std::int64_t i = 0; i < n_here; ++i)
        to[b * block + i] = (static_cast<float>(code_at(from, i, bits)) - middle) * scale;
    }
  }
};

// A product's operands, checked.
struct Product {
  const Tensor *a, *codes, *scale, *zeros, *bias;
  Blocked w;  // but for its numbers
  bool has_packed_zeros;
};

Result<Product> product_of(const Call& call) {
  Product p{TRY(call.tensor(0)),
            TRY(call.typed(1, Element::u8)),
            TRY(call.tensor(2)),
            call.tensor_or_null(3),
            call.tensor_or_null(5),
            {},
            false};
  Blocked& w = p.w;
  w.n = call.integer("N", 0);
  w.k = call.integer("K", 0);
  w.block = call.integer("block_size", 32);
  w.bits = static_cast<unsigned>(call.integer("bits", 4));
  if (w.n < 1 || w.k < 1 || w.n > (1 << 28) || w.k > (1 << 28) || w.block < 16 ||
      w.block > (1 << 20) || (w.bits != 2 && w.bits != 4 && w.bits != 8))
    return invalid(fmt::format("N {}, K {}, block_size {}, bits {}", w.n, w.k, w.block, w.bits));
  if (call.has(4)) return unsupported("g_idx");
  w.blocks = (w.k + w.block - 1) / w.block;
  w.code_bytes = w.block * w.bits / 8;
  w.zero_bytes = (w.blocks * w.bits + 7) / 8;
  if (p.a->rank() < 1 || p.a->dims.back() != w.k ||
      p.codes->count != w.n * w.blocks * w.code_bytes || p.scale->count != w.n * w.blocks ||
      (p.bias != nullptr && p.bias->count != w.n))
    return invalid(fmt::format("a {}, b {}, scales {}", to_text(p.a->dims), to_text(p.codes->dims),
                               to_text(p.scale->dims)));
  p.has_packed_zeros = p.zeros != nullptr && p.zeros->type == Element::u8;
  if (p.zeros != nullptr && p.zeros->count != w.n * (p.has_packed_zeros ? w.zero_bytes : w.blocks))
    return invalid(fmt::format("zero points {}", to_text(p.zeros->dims)));
  w.codes = p.codes->data<std::uint8_t>();
  w.packed_zeros = p.has_packed_zeros ? p.zeros->data<std::uint8_t>() : nullptr;
  return p;
}

// One row of weights after another as floats.
Status multiply_rows(Call& call, Product& p) {
  const Numbers<float> x(*p.a), scales(*p.scale),
      float_zeros(p.zeros == nullptr || p.has_packed_zeros ? Tensor() : *p.zeros),
      add(p.bias == nullptr ? Tensor() : *p.bias);
  Blocked& w = p.w;
  w.scales = scales.data();
  w.float_zeros = p.zeros != nullptr && !p.has_packed_zeros ? float_zeros.data() : nullptr;
  const std::int64_t m = p.a->count / w.k;
  Dims dims = p.a->dims;
  dims.back() = w.n;
  std::vector<float> result(static_cast<std::size_t>(m * w.n));
  parallel(call.machine, w.n, 16, [&](std::int64_t begin, std::int64_t end) {
    std::vector<float> row(static_cast<std::size_t>(w.k));
    for (std::int64_t j = begin; j < end; ++j) {
      w.row(j, row.data());
      for (std::int64_t i = 0; i < m; ++i) {
        float sum = p.bias == nullptr ? 0 : add[static_cast<std::size_t>(j)];
        for (std::int64_t c = 0; c < w.k; ++c)
          sum += x[static_cast<std::size_t>(i * w.k + c)] * row[static_cast<std::size_t>(c)];
        result[static_cast<std::size_t>(i * w.n + j)] = sum;
      }
    }
  });
  put(*TRY(call.make(0, p.a->type, std::move(dims))), std::span<const float>(result));
  return Done{};
}

}  // namespace

Status matmul_nbits(Call& call) {
  Product p = TRY(product_of(call));
  return multiply_rows(call, p);
}

namespace {

// The weights as the transformer engine's products read them.
struct PackedBlocks : Prepared {
  const kernels::Kernels* table = nullptr;
  std::vector<std::byte> stored;
  std::optional<ops::Matrix> matrix;  // none: numbers that such blocks cannot hold
  std::vector<float> bias;
};

// Blocks keep a scale as a half: it must be one that a half holds well.
bool fits_half(float scale) {
  const float size = std::abs(scale);
  return size == 0 || (size > 1e-4f && size < 6e4f);
}

Result<std::shared_ptr<PackedBlocks>> pack(Call& call, const Product& p) {
  auto packed = std::make_shared<PackedBlocks>();
  packed->table = call.machine.ctx->kernels;
  if (p.bias != nullptr) {
    const Numbers<float> bias(*p.bias);
    packed->bias.assign(bias.begin(), bias.end());
  }
  const Numbers<float> scales(*p.scale),
      float_zeros(p.zeros == nullptr || p.has_packed_zeros ? Tensor() : *p.zeros);
  Blocked w = p.w;
  w.scales = scales.data();
  w.float_zeros = p.zeros != nullptr && !p.has_packed_zeros ? float_zeros.data() : nullptr;
  CodedMatrix coded{.rows = static_cast<std::uint64_t>(w.n),
                    .columns = static_cast<std::uint64_t>(w.k),
                    .group = static_cast<std::uint64_t>(w.block),
                    .bits = static_cast<int>(w.bits),
                    .symmetric = p.zeros == nullptr,
                    .read = {}};
  if (w.k % w.block != 0 || dtype_of(coded) == Dtype::f16 ||
      !std::ranges::all_of(scales, fits_half))
    return packed;
  coded.read = [&w](std::uint64_t row, CodeRow& out) {
    const auto r = static_cast<std::int64_t>(row);
    unpack_bits(reinterpret_cast<const std::byte*>(w.codes) + r * w.blocks * w.code_bytes,
                static_cast<int>(w.bits), out.codes.size(), out.codes.data());
    for (std::int64_t b = 0; b < w.blocks; ++b) {
      out.scales[static_cast<std::size_t>(b)] = w.scales[r * w.blocks + b];
      out.zeros[static_cast<std::size_t>(b)] = w.zero(r, b);
      out.shifts[static_cast<std::size_t>(b)] = 0;
    }
  };
  const TensorEntry entry = coded_tensor("", std::move(coded));
  packed->stored = TRY(entry.make());
  packed->matrix = TRY(ops::Matrix::prepare(
      *call.machine.ctx, {entry.dtype, entry.shape[0], entry.shape[1], packed->stored}));
  if (!packed->matrix->borrows()) packed->stored = {};
  return packed;
}

}  // namespace

// Constant weights: blocks stay packed.  Activations are rounded to 16 bits, to 8 where the graph
// allows it (accuracy_level 4).
Status matmul_packed(Call& call) {
  Product p = TRY(product_of(call));
  ops::Context* machine = call.machine.ctx;
  if (machine == nullptr || machine->kernels == nullptr) return multiply_rows(call, p);
  auto packed = std::dynamic_pointer_cast<PackedBlocks>(call.node.prepared);
  if (!packed || packed->table != machine->kernels) {
    packed = TRY(pack(call, p));
    call.node.prepared = packed;
  }
  if (!packed->matrix) return multiply_rows(call, p);
  Dims dims = p.a->dims;
  dims.back() = p.w.n;
  Tensor x = *p.a;
  if (x.type != Element::f32) {
    x = TRY(call.scratch(Element::f32, p.a->dims));
    load(Work::f32, x.data<float>(), p.a->type, p.a->bytes, static_cast<std::size_t>(x.count));
  }
  Tensor y = TRY(call.scratch(Element::f32, std::move(dims)));
  const auto m = static_cast<std::size_t>(x.count / p.w.k), n = static_cast<std::size_t>(p.w.n),
             k = static_cast<std::size_t>(p.w.k);
  ops::Context ctx = *machine;
  constexpr std::int64_t whole_bytes = 4;
  ctx.tier =
      call.integer("accuracy_level", 0) == whole_bytes ? ops::Tier::accurate : ops::Tier::exact;
  if (m > 0)
    ops::matmul(ctx, View(y.data<float>(), m, n), View(x.data<float>(), m, k), *packed->matrix,
                packed->bias);
  if (p.a->type == Element::f32) {
    call.give(0, std::move(y));
    return Done{};
  }
  Tensor* out = TRY(call.make(0, p.a->type, y.dims));
  store(out->type, out->bytes, Work::f32, y.data<float>(), static_cast<std::size_t>(y.count));
  return Done{};
}

// Rows of a table stored in blocks.
Status gather_block_quantized(Call& call) {
  const Tensor* data = TRY(call.tensor(0));
  const auto rows = TRY(call.integers(1));
  const Tensor* index = TRY(call.tensor(1));
  const Tensor* scale = TRY(call.tensor(2));
  const Tensor* zeros = call.tensor_or_null(3);
  Blocked w{};
  w.bits = static_cast<unsigned>(call.integer("bits", 4));
  w.block = call.integer("block_size", 128);
  const bool packed = data->type == Element::u8;
  if (call.integer("gather_axis", 0) != 0 || data->rank() != 2 || !packed ||
      (w.bits != 4 && w.bits != 8) || w.block < 16 || w.block > (1 << 20))
    return unsupported("other than packed rows of uint8");
  w.n = data->dims[0];
  w.k = data->dims[1] * 8 / w.bits;
  w.blocks = (w.k + w.block - 1) / w.block;
  w.zero_bytes = (w.blocks * w.bits + 7) / 8;
  if (w.k % w.block != 0 || scale->count != w.n * w.blocks ||
      (zeros != nullptr && zeros->count != w.n * w.zero_bytes))
    return invalid(
        fmt::format("a table {} and scales {}", to_text(data->dims), to_text(scale->dims)));
  w.code_bytes = w.block * w.bits / 8;
  const Numbers<float> scales(*scale);
  w.codes = data->data<std::uint8_t>();
  w.scales = scales.data();
  w.packed_zeros = zeros == nullptr ? nullptr : zeros->data<std::uint8_t>();
  Dims dims = index->dims;
  dims.push_back(w.k);
  Tensor* y = TRY(call.make(0, scale->type, std::move(dims)));
  std::vector<float> all(static_cast<std::size_t>(y->count));
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const std::int64_t row = rows[i] < 0 ? rows[i] + w.n : rows[i];
    if (row < 0 || row >= w.n) return invalid(fmt::format("row {} of {}", rows[i], w.n));
    w.row(row, all.data() + static_cast<std::int64_t>(i) * w.k);
  }
  put(*y, std::span<const float>(all));
  return Done{};
}

}  // namespace hearth::graphs
