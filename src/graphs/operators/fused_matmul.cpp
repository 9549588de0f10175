// Products with constant matrices and what follows them: hearth.MatMul; attention from its parts:
// hearth.Attention.
#include <algorithm>
#include <cmath>
#include <limits>

#include "graphs/operators/families.h"
#include "graphs/operators/gemm.h"
#include "graphs/operators/move.h"
#include "kernels/kernels.h"

namespace hearth::graphs {
namespace {

struct PackedMatrix : Prepared {
  PackedRight right;
};

// y = finish(x * w + bias + add).  x: [..., k] f32; w: constant [k, n], or [n, k] with transB;
// bias: [n]; add: of the result's shape.
Status fused_matmul(Call& call) {
  const Tensor* x = TRY(call.typed(0, Element::f32));
  const Tensor* w = TRY(call.typed(1, Element::f32));
  const Tensor* bias = call.tensor_or_null(2);
  const Tensor* add = call.tensor_or_null(3);
  const bool turned = call.integer("transB", 0) != 0;
  if (w->rank() != 2 || x->rank() == 0 || x->dims.back() != w->dims[turned ? 1 : 0])
    return invalid(fmt::format("{} by {}", to_text(x->dims), to_text(w->dims)));
  const std::int64_t k = x->dims.back(), n = w->dims[turned ? 0 : 1];
  Dims dims = x->dims;
  dims.back() = n;
  if (bias != nullptr && (bias->type != Element::f32 || bias->count != n))
    return invalid(fmt::format("a bias of {} for {}", to_text(bias->dims), to_text(dims)));
  if (add != nullptr && (add->type != Element::f32 || add->dims != dims))
    return invalid(fmt::format("{} added to {}", to_text(add->dims), to_text(dims)));
  Tensor* y = TRY(call.make(0, Element::f32, dims));
  const Finish finish = finish_of(call);
  const std::int64_t m = n == 0 ? 0 : y->count / n;
  const float* bias_at = bias == nullptr ? nullptr : bias->data<float>();
  const float* add_at = add == nullptr ? nullptr : add->data<float>();
  if (can_pack(call.machine)) {
    auto packed = std::dynamic_pointer_cast<PackedMatrix>(call.node.prepared);
    if (!packed || packed->right.table != call.machine.ctx->kernels->plain) {
      packed = std::make_shared<PackedMatrix>();
      packed->right = TRY(pack_right(call.machine, w->data<float>(), turned, k, n));
      call.node.prepared = packed;
    }
    multiply_packed(call.machine, {m, x->data<float>(), k, y->data<float>(), bias_at, add_at},
                    packed->right, finish);
    return Done{};
  }
  gemm_reference({m, n, k, x->data<float>(), k, w->data<float>(), turned ? k : n, y->data<float>(),
                  n, false, turned});
  for (std::int64_t i = 0; i < y->count; ++i) {
    if (bias != nullptr) y->data<float>()[i] += bias_at[i % n];
    if (add != nullptr) y->data<float>()[i] += add_at[i];
  }
  bound(finish, y->data<float>(), y->count);
  bend(call.machine, finish, y->data<float>(), y->count);
  return Done{};
}

// Where the rows of one operand of attention lie.
struct Heads {
  const float* at;
  std::int64_t batch_step, head_step, row_step;
  std::int64_t batch, heads, rows, dim;
};

// x: [batch, heads, rows, dim], or [batch, rows, heads, dim] when rows come first.
Heads heads_of(const Tensor& x, bool rows_first) {
  const std::int64_t a = x.dims[1], b = x.dims[2], dim = x.dims[3];
  if (rows_first) return {x.data<float>(), a * b * dim, dim, b * dim, x.dims[0], b, a, dim};
  return {x.data<float>(), a * b * dim, b * dim, dim, x.dims[0], a, b, dim};
}

// One head: rows [first, first + rows) of the result.
struct Head {
  const float *q, *k, *v, *mask;  // mask: null, or the first row's
  std::int64_t q_step, k_step, v_step, mask_row, mask_key;
  float* y;
  std::int64_t y_step, rows, keys, dim, width;
  float scale;
};

constexpr std::int64_t page = 32;       // keys that the kernels of attention take at a time
constexpr std::int64_t rows_kept = 32;  // whose scores of a page stay in the first-level cache
constexpr float hidden = -3e38f;  // a score that none is below: no number comes of a page of them

// Keys and values of one head as the kernels read them: [dim][32] and [32][width], page after page.
struct Pages {
  std::vector<float> keys, values;

  void fill(const Head& h) {
    const std::int64_t count = (h.keys + page - 1) / page;
    keys.assign(static_cast<std::size_t>(count * page * h.dim), 0.0f);
    values.resize(static_cast<std::size_t>(count * page * h.width));
    for (std::int64_t t = 0; t < h.keys; ++t) {
      float* to = keys.data() + t / page * page * h.dim + t % page;
      for (std::int64_t d = 0; d < h.dim; ++d) to[d * page] = h.k[t * h.k_step + d];
      std::copy_n(h.v + t * h.v_step, h.width, values.data() + t * h.width);
    }
  }
};

// Some rows of a head, page by page, with the largest score so far.
// Source: Milakov and Gimelshein 2018, "Online normalizer calculation for softmax".
void attend_rows(const kernels::Kernels& table, const Head& h, const Pages& pages, std::int64_t row,
                 std::int64_t rows) {
  float scores[rows_kept * page], most[rows_kept], sums[rows_kept] = {}, factors[rows_kept];
  std::fill_n(most, rows_kept, -std::numeric_limits<float>::infinity());
  float* y = h.y + row * h.y_step;
  for (std::int64_t r = 0; r < rows; ++r) std::fill_n(y + r * h.y_step, h.width, 0.0f);
  const auto n = static_cast<std::size_t>(rows), dim = static_cast<std::size_t>(h.dim),
             width = static_cast<std::size_t>(h.width);
  constexpr auto form = static_cast<std::size_t>(kernels::KvForm::f32);
  for (std::int64_t first = 0; first < h.keys; first += page) {
    const std::int64_t here = std::min(page, h.keys - first);
    table.scores[form](scores, h.q + row * h.q_step, static_cast<std::size_t>(h.q_step),
                       pages.keys.data() + first * h.dim, n, dim);
    for (std::int64_t r = 0; h.mask != nullptr && r < rows; ++r) {
      const float* mask = h.mask + (row + r) * h.mask_row + first * h.mask_key;
      float* s = scores + r * page;
      for (std::int64_t t = 0; t < here; ++t) {
        const float masked = s[t] * h.scale + mask[t * h.mask_key];
        s[t] = masked < hidden ? hidden : masked;
      }
    }
    const kernels::SoftmaxStep step{.scale = h.mask == nullptr ? h.scale : 1.0f,
                                    .softcap = 0,
                                    .slope = 0,
                                    .self = 0,
                                    .first = 0,
                                    .last = static_cast<std::uint32_t>(here)};
    table.softmax_step(scores, most, sums, factors, n, &step);
    table.mix[form](y, static_cast<std::size_t>(h.y_step), factors, scores,
                    pages.values.data() + first * h.width, n, width, 0,
                    static_cast<std::size_t>(here));
  }
  for (std::int64_t r = 0; r < rows; ++r) table.scale(y + r * h.y_step, 1 / sums[r], width);
}

// The slow way, for machines without a table.
void attend_plainly(const Machine& machine, const Head& h) {
  Machine alone;
  ops::Context ctx;
  if (machine.ctx != nullptr) ctx = *machine.ctx;
  ctx.pool = nullptr;
  alone.ctx = &ctx;
  std::vector<float> scores(static_cast<std::size_t>(h.rows * h.keys));
  gemm(alone, {.m = h.rows,
               .n = h.keys,
               .k = h.dim,
               .a = h.q,
               .lda = h.q_step,
               .b = h.k,
               .ldb = h.k_step,
               .c = scores.data(),
               .ldc = h.keys,
               .b_transposed = true});
  for (std::int64_t i = 0; i < h.rows; ++i) {
    float* row = scores.data() + i * h.keys;
    float most = -std::numeric_limits<float>::infinity(), sum = 0;
    for (std::int64_t t = 0; t < h.keys; ++t) {
      row[t] *= h.scale;
      if (h.mask != nullptr) row[t] += h.mask[i * h.mask_row + t * h.mask_key];
      most = std::max(most, row[t]);
    }
    for (std::int64_t t = 0; t < h.keys; ++t) sum += row[t] = std::exp(row[t] - most);
    for (std::int64_t t = 0; t < h.keys; ++t) row[t] /= sum;
  }
  gemm(alone, {.m = h.rows,
               .n = h.width,
               .k = h.keys,
               .a = scores.data(),
               .lda = h.keys,
               .b = h.v,
               .ldb = h.v_step,
               .c = h.y,
               .ldc = h.y_step});
}

void attend_head(const Machine& machine, const Head& h) {
  if (machine.ctx == nullptr || machine.ctx->kernels == nullptr) return attend_plainly(machine, h);
  thread_local Pages pages;
  pages.fill(h);
  for (std::int64_t row = 0; row < h.rows; row += rows_kept)
    attend_rows(*machine.ctx->kernels, h, pages, row, std::min(rows_kept, h.rows - row));
}

// y = softmax(q * k^T * scale + mask) * v.  q, k, v: four axes, rows before heads where
// `rows_first` says so by bits (1: q, 2: k, 4: v, 8: y); mask: broadcasts to the scores.
Status attention(Call& call) {
  const Tensor* tensors[3];
  for (std::size_t i = 0; i < 3; ++i) {
    tensors[i] = TRY(call.typed(i, Element::f32));
    if (tensors[i]->rank() != 4)
      return invalid(fmt::format("an operand {}", to_text(tensors[i]->dims)));
  }
  const std::int64_t order = call.integer("rows_first", 0);
  const Heads q = heads_of(*tensors[0], (order & 1) != 0),
              k = heads_of(*tensors[1], (order & 2) != 0),
              v = heads_of(*tensors[2], (order & 4) != 0);
  if (k.batch != q.batch || v.batch != q.batch || k.heads != q.heads || v.heads != q.heads ||
      v.rows != k.rows || k.dim != q.dim || k.rows == 0)
    return invalid(fmt::format("queries {}, keys {}, values {}", to_text(tensors[0]->dims),
                               to_text(tensors[1]->dims), to_text(tensors[2]->dims)));
  const Tensor* mask = call.tensor_or_null(3);
  Dims steps(4, 0);
  if (mask != nullptr) {
    const Dims full{q.batch, q.heads, q.rows, k.rows};
    if (mask->type != Element::f32 || TRY(broadcast(mask->dims, full)) != full)
      return invalid(fmt::format("a mask {} for scores {}", to_text(mask->dims), to_text(full)));
    const Dims own = strides_of(mask->dims);
    for (std::size_t i = 0; i < mask->rank(); ++i)
      if (mask->dims[i] != 1) steps[4 - mask->rank() + i] = own[i];
  }
  const bool out_rows_first = (order & 8) != 0;
  Tensor* y = TRY(call.make(0, Element::f32,
                            out_rows_first ? Dims{q.batch, q.rows, q.heads, v.dim}
                                           : Dims{q.batch, q.heads, q.rows, v.dim}));
  const Heads out = heads_of(*y, out_rows_first);
  const auto scale = static_cast<float>(call.real("scale", 1.0));
  constexpr std::int64_t most_rows = 128;  // of one thread, which lays out the keys for them
  const std::int64_t parts = (q.rows + most_rows - 1) / most_rows;
  parallel(call.machine, q.batch * q.heads * parts, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t item = begin; item < end; ++item) {
      const std::int64_t b = item / parts / q.heads, h = item / parts % q.heads,
                         row = item % parts * most_rows;
      const auto at = [&](const Heads& x) { return x.at + b * x.batch_step + h * x.head_step; };
      attend_head(call.machine, {.q = at(q) + row * q.row_step,
                                 .k = at(k),
                                 .v = at(v),
                                 .mask = mask == nullptr ? nullptr
                                                         : mask->data<float>() + b * steps[0] +
                                                               h * steps[1] + row * steps[2],
                                 .q_step = q.row_step,
                                 .k_step = k.row_step,
                                 .v_step = v.row_step,
                                 .mask_row = steps[2],
                                 .mask_key = steps[3],
                                 .y = y->data<float>() + (at(out) - out.at) + row * out.row_step,
                                 .y_step = out.row_step,
                                 .rows = std::min(most_rows, q.rows - row),
                                 .keys = k.rows,
                                 .dim = q.dim,
                                 .width = v.dim,
                                 .scale = scale});
    }
  });
  return Done{};
}

constexpr Operator rows[] = {
    {"hearth.MatMul", fused_matmul, nullptr, 2, 4},
    {"hearth.Attention", attention, nullptr, 3, 4},
};

}  // namespace

std::span<const Operator> fused_matmul_operators() { return rows; }

}  // namespace hearth::graphs
