// Normalisations.
// Source: ONNX operator specification, each operator's page.
#include <algorithm>
#include <cmath>

#include "graphs/infer.h"
#include "graphs/operators/families.h"
#include "graphs/operators/move.h"
#include "kernels/kernels.h"

namespace hearth::graphs {
namespace {

struct Moments {
  double mean = 0, variance = 0;
};

Moments moments(const float* x, std::int64_t n) {
  double sum = 0, squares = 0;
  for (std::int64_t i = 0; i < n; ++i) sum += x[i];
  const double mean = sum / static_cast<double>(n);
  for (std::int64_t i = 0; i < n; ++i) squares += (x[i] - mean) * (x[i] - mean);
  return {mean, squares / static_cast<double>(n)};
}

bool is_vector_of(const Numbers<float>& numbers, std::int64_t n) {
  return static_cast<std::int64_t>(numbers.size()) == n;
}

// x: [batch, channels, inner]; y = x * scale[c] + shift[c].
void scale_channels(Call& call, std::vector<float>& y, const float* x, std::int64_t rows,
                    std::int64_t channels, std::int64_t inner, const std::vector<float>& scale,
                    const std::vector<float>& shift) {
  parallel(call.machine, rows, std::max<std::int64_t>(1, 16384 / std::max<std::int64_t>(1, inner)),
           [&](std::int64_t begin, std::int64_t end) {
             for (std::int64_t row = begin; row < end; ++row) {
               const auto c = static_cast<std::size_t>(row % channels);
               const float a = scale[c], b = shift[c];
               float* to = y.data() + row * inner;
               const float* from = x + row * inner;
               for (std::int64_t i = 0; i < inner; ++i) to[i] = from[i] * a + b;
             }
           });
}

Status batch_normalization(Call& call) {
  const Tensor* x = TRY(call.tensor(0));
  if (x->rank() < 1) return invalid("needs [batch, channels, ...]");
  const std::int64_t channels = x->rank() > 1 ? x->dims[1] : 1;
  const std::int64_t inner = x->rank() > 2 ? product(std::span(x->dims).subspan(2)) : 1;
  const Numbers<float> numbers(*x), scale(*TRY(call.tensor(1))), shift(*TRY(call.tensor(2))),
      mean(*TRY(call.tensor(3))), variance(*TRY(call.tensor(4)));
  for (const auto* each : {&scale, &shift, &mean, &variance})
    if (!is_vector_of(*each, channels))
      return invalid(fmt::format("{} numbers for {} channels", each->size(), channels));
  const double eps = call.real("epsilon", 1e-5), momentum = call.real("momentum", 0.9);
  const bool training = call.integer("training_mode", 0) != 0;
  const auto n = static_cast<std::size_t>(channels);
  std::vector<float> used_mean(mean.begin(), mean.end()),
      used_variance(variance.begin(), variance.end());
  std::vector<float> running_mean = used_mean, running_variance = used_variance;
  const std::int64_t rows = inner == 0 ? 0 : x->count / inner;
  for (std::size_t c = 0; training && c < n; ++c) {
    std::vector<float> all;
    for (auto row = static_cast<std::int64_t>(c); row < rows; row += channels)
      all.insert(all.end(), numbers.data() + row * inner, numbers.data() + (row + 1) * inner);
    const Moments m = moments(all.data(), static_cast<std::int64_t>(all.size()));
    used_mean[c] = static_cast<float>(m.mean);
    used_variance[c] = static_cast<float>(m.variance);
    running_mean[c] = static_cast<float>(mean[c] * momentum + m.mean * (1 - momentum));
    running_variance[c] = static_cast<float>(variance[c] * momentum + m.variance * (1 - momentum));
  }
  std::vector<float> a(n), b(n), result(static_cast<std::size_t>(x->count));
  for (std::size_t c = 0; c < n; ++c) {
    const double factor = scale[c] / std::sqrt(used_variance[c] + eps);
    a[c] = static_cast<float>(factor);
    b[c] = static_cast<float>(shift[c] - used_mean[c] * factor);
  }
  scale_channels(call, result, numbers.data(), rows, channels, inner, a, b);
  const Element type = x->type, stats = TRY(call.tensor(3))->type;
  put(*TRY(call.make(0, type, x->dims)), std::span<const float>(result));
  if (call.wants(1))
    put(*TRY(call.make(1, stats, {channels})), std::span<const float>(running_mean));
  if (call.wants(2))
    put(*TRY(call.make(2, stats, {channels})), std::span<const float>(running_variance));
  return Done{};
}

// Rows of `length`, each by its own moments; then by channel: [batch, channels, ...].
Status by_groups(Call& call, std::int64_t groups) {
  const Tensor* x = TRY(call.tensor(0));
  if (x->rank() < 2) return invalid("needs [batch, channels, ...]");
  const std::int64_t channels = x->dims[1];
  if (groups < 1 || channels % groups != 0)
    return invalid(fmt::format("{} channels in {} groups", channels, groups));
  const Numbers<float> numbers(*x), scale(*TRY(call.tensor(1))), shift(*TRY(call.tensor(2)));
  const bool by_group = is_vector_of(scale, groups) && groups != channels;  // opset 18
  if (!by_group && (!is_vector_of(scale, channels) || !is_vector_of(shift, channels)))
    return invalid(fmt::format("{} numbers for {} channels", scale.size(), channels));
  if (by_group && !is_vector_of(shift, groups)) return invalid("a bias of another size");
  const std::int64_t inner = product(std::span(x->dims).subspan(2)), each = channels / groups;
  const double eps = call.real("epsilon", 1e-5);
  std::vector<float> result(static_cast<std::size_t>(x->count));
  parallel(call.machine, x->dims[0] * groups, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin; row < end; ++row) {
      const float* from = numbers.data() + row * each * inner;
      const Moments m = moments(from, each * inner);
      const double rate = 1 / std::sqrt(m.variance + eps);
      for (std::int64_t i = 0; i < each * inner; ++i) {
        const std::int64_t g = row % groups;
        const auto c = static_cast<std::size_t>(by_group ? g : g * each + i / inner);
        result[static_cast<std::size_t>(row * each * inner + i)] =
            static_cast<float>((from[i] - m.mean) * rate) * scale[c] + shift[c];
      }
    }
  });
  put(*TRY(call.make(0, x->type, x->dims)), std::span<const float>(result));
  return Done{};
}

Status group_normalization(Call& call) { return by_groups(call, call.integer("num_groups", 1)); }
Status instance_normalization(Call& call) {
  const Tensor* x = TRY(call.tensor(0));
  return by_groups(call, x->rank() < 2 ? 1 : x->dims[1]);
}

struct LayerJob {
  const Tensor* x = nullptr;
  const Tensor* scale = nullptr;
  const Tensor* bias = nullptr;
  std::size_t axis = 0;
  double eps = 1e-5;
  bool centred = true;
};

// Normalises everything from the axis on.  mean and rate: [rows], may be null.
Status layer_rows(Call& call, const LayerJob& job, const float* x, std::vector<float>& y,
                  std::vector<float>* means, std::vector<float>* rates) {
  const std::int64_t n = product(std::span(job.x->dims).subspan(job.axis));
  const std::int64_t rows = n == 0 ? 0 : job.x->count / n;
  const Dims inner(job.x->dims.begin() + static_cast<std::ptrdiff_t>(job.axis), job.x->dims.end());
  const auto spread = [&](const Tensor* t) -> Result<Tensor> {
    if (t == nullptr) return Tensor();
    return t->dims == inner || t->count == n ? *t : TRY(expanded(call, *t, inner));
  };
  const Tensor scale_full = TRY(spread(job.scale)), bias_full = TRY(spread(job.bias));
  const Numbers<float> scale(scale_full), bias(bias_full);
  parallel(call.machine, rows, std::max<std::int64_t>(1, 8192 / std::max<std::int64_t>(n, 1)),
           [&](std::int64_t begin, std::int64_t end) {
             for (std::int64_t row = begin; row < end; ++row) {
               const float* from = x + row * n;
               Moments m;
               if (job.centred) {
                 m = moments(from, n);
               } else {
                 for (std::int64_t i = 0; i < n; ++i)
                   m.variance += static_cast<double>(from[i]) * from[i];
                 m.variance /= static_cast<double>(n);
               }
               const double rate = 1 / std::sqrt(m.variance + job.eps);
               float* to = y.data() + row * n;
               for (std::int64_t i = 0; i < n; ++i) {
                 const auto k = static_cast<std::size_t>(i);
                 float value = static_cast<float>((from[i] - m.mean) * rate);
                 if (job.scale != nullptr) value *= scale[k];
                 if (job.bias != nullptr) value += bias[k];
                 to[i] = value;
               }
               if (means != nullptr)
                 (*means)[static_cast<std::size_t>(row)] = static_cast<float>(m.mean);
               if (rates != nullptr)
                 (*rates)[static_cast<std::size_t>(row)] = static_cast<float>(rate);
             }
           });
  return Done{};
}

// Rows of f32 by the kernel table.  False: something else is asked for.
bool layer_norm_f32(Call& call, const LayerJob& job, Tensor& y) {
  const auto* table = call.machine.ctx == nullptr ? nullptr : call.machine.ctx->kernels;
  const std::int64_t n = product(std::span(job.x->dims).subspan(job.axis));
  if (table == nullptr || !job.centred || n == 0 || job.x->type != Element::f32 || call.wants(1) ||
      call.wants(2))
    return false;
  for (const Tensor* each : {job.scale, job.bias})
    if (each != nullptr && (each->type != Element::f32 || each->count != n)) return false;
  const auto numbers = [](const Tensor* t) { return t == nullptr ? nullptr : t->data<float>(); };
  parallel(call.machine, job.x->count / n, std::max<std::int64_t>(1, 8192 / n),
           [&](std::int64_t begin, std::int64_t end) {
             for (std::int64_t row = begin; row < end; ++row) {
               std::memcpy(y.data<float>() + row * n, job.x->data<float>() + row * n,
                           static_cast<std::size_t>(n) * sizeof(float));
               table->layer_norm(y.data<float>() + row * n, y.data<float>() + row * n,
                                 numbers(job.scale), numbers(job.bias), static_cast<std::size_t>(n),
                                 static_cast<float>(job.eps));
             }
           });
  return true;
}

Status layer_like(Call& call, bool centred) {
  LayerJob job;
  job.x = TRY(call.tensor(0));
  job.scale = call.tensor_or_null(1);
  job.bias = centred ? call.tensor_or_null(2) : nullptr;
  job.axis = TRY(checked_axis(call.integer("axis", -1), job.x->rank()));
  job.eps = call.real("epsilon", 1e-5);
  job.centred = centred;
  if (layer_norm_f32(call, job, *TRY(call.make(0, job.x->type, job.x->dims)))) return Done{};
  const Numbers<float> x(*job.x);
  const std::int64_t rows = product(std::span(job.x->dims).first(job.axis));
  std::vector<float> result(static_cast<std::size_t>(job.x->count));
  std::vector<float> means(static_cast<std::size_t>(rows)), rates(static_cast<std::size_t>(rows));
  TRY(layer_rows(call, job, x.data(), result, &means, &rates));
  put(*TRY(call.make(0, job.x->type, job.x->dims)), std::span<const float>(result));
  Dims stats(job.x->rank(), 1);
  std::copy_n(job.x->dims.begin(), job.axis, stats.begin());
  if (centred && call.wants(1))
    put(*TRY(call.make(1, Element::f32, stats)), std::span<const float>(means));
  const std::size_t last = centred ? 2 : 1;
  if (call.wants(last))
    put(*TRY(call.make(last, Element::f32, stats)), std::span<const float>(rates));
  return Done{};
}

Status layer_normalization(Call& call) { return layer_like(call, true); }
Status rms_normalization(Call& call) { return layer_like(call, false); }

// y = norm(x + skip + bias) * gamma + beta.  Source: com.microsoft operators of ONNX Runtime.
Status skip_layer(Call& call, bool centred) {
  LayerJob job;
  job.x = TRY(call.tensor(0));
  const Tensor* skip = TRY(call.tensor(1));
  job.scale = call.tensor_or_null(2);
  job.bias = centred ? call.tensor_or_null(3) : nullptr;
  const Tensor* bias = call.tensor_or_null(centred ? 4 : 3);
  job.centred = centred;
  job.eps = call.real("epsilon", centred ? 1e-12 : 1e-6);
  if (job.x->rank() == 0) return invalid("needs at least one axis");
  job.axis = job.x->rank() - 1;
  const std::int64_t n = job.x->dims.back();
  const Tensor wide = TRY(expanded(call, *skip, job.x->dims));
  if (bias != nullptr && bias->count != n) return invalid("a bias of another size");
  const Numbers<float> x(*job.x), add(wide), more(bias == nullptr ? Tensor() : *bias);
  std::vector<float> sum(x.begin(), x.end());
  for (std::size_t i = 0; i < sum.size(); ++i)
    sum[i] += add[i] + (bias == nullptr ? 0 : more[i % static_cast<std::size_t>(n)]);
  std::vector<float> result(sum.size());
  TRY(layer_rows(call, job, sum.data(), result, nullptr, nullptr));
  put(*TRY(call.make(0, job.x->type, job.x->dims)), std::span<const float>(result));
  if (call.wants(3)) put(*TRY(call.make(3, job.x->type, job.x->dims)), std::span<const float>(sum));
  return Done{};
}
Status skip_layer_normalization(Call& call) { return skip_layer(call, true); }
Status skip_rms_normalization(Call& call) { return skip_layer(call, false); }

// Rows of a table [n, dim], added to those of `sum`, [rows, dim].
Status add_rows(const Tensor& table, std::span<const std::int64_t> rows, std::vector<float>& sum) {
  if (table.rank() != 2 || sum.size() != rows.size() * static_cast<std::size_t>(table.dims[1]))
    return invalid(fmt::format("a table {}", to_text(table.dims)));
  const auto dim = static_cast<std::size_t>(table.dims[1]);
  std::vector<float> row(dim);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (rows[i] < 0 || rows[i] >= table.dims[0])
      return invalid(fmt::format("row {} of {}", rows[i], table.dims[0]));
    load(Work::f32, row.data(), table.type,
         table.bytes + static_cast<std::size_t>(rows[i]) * dim * size_of(table.type), dim);
    for (std::size_t d = 0; d < dim; ++d) sum[i * dim + d] += row[d];
  }
  return Done{};
}

// y = norm(words[ids] + places[positions] + segments[types]) * gamma + beta, and how many of each
// row the mask sets.
Status embed_layer_normalization(Call& call) {
  const Tensor* ids = TRY(call.tensor(0));
  const Tensor* words = TRY(call.tensor(2));
  if (ids->rank() != 2 || words->rank() != 2) return invalid("needs ids [batch, tokens]");
  const Dims dims = {ids->dims[0], ids->dims[1], words->dims[1]};
  std::vector<float> sum(static_cast<std::size_t>(TRY(count_of(dims))), 0.0f);
  TRY(add_rows(*words, TRY(call.integers(0)), sum));
  std::vector<std::int64_t> places;
  if (call.has(8))
    places = TRY(call.integers(8));
  else
    for (std::int64_t i = 0; i < ids->count; ++i) places.push_back(i % ids->dims[1]);
  for (std::size_t i = 0, given = places.size(); std::cmp_less(places.size(), ids->count); ++i) {
    if (given == 0) return invalid("positions of no token");
    places.push_back(places[i % given]);
  }
  TRY(add_rows(*TRY(call.tensor(3)), places, sum));
  if (call.has(1) && call.has(4)) TRY(add_rows(*TRY(call.tensor(4)), TRY(call.integers(1)), sum));
  LayerJob job;
  Tensor x = TRY(call.scratch(words->type, dims));
  job.x = &x;
  job.scale = TRY(call.tensor(5));
  job.bias = call.tensor_or_null(6);
  job.centred = true;
  job.eps = call.real("epsilon", 1e-12);
  job.axis = 2;
  std::vector<float> result(sum.size());
  TRY(layer_rows(call, job, sum.data(), result, nullptr, nullptr));
  put(*TRY(call.make(0, words->type, dims)), std::span<const float>(result));
  if (call.wants(1)) {
    std::vector<std::int64_t> lengths(static_cast<std::size_t>(dims[0]), 0);
    const auto mask = call.has(7) ? TRY(call.integers(7)) : std::vector<std::int64_t>();
    for (std::size_t i = 0; i < mask.size() && std::cmp_less(i, ids->count); ++i)
      lengths[i / static_cast<std::size_t>(dims[1])] += mask[i] != 0;
    put(*TRY(call.make(1, Element::i32, {dims[0]})), std::span<const std::int64_t>(lengths));
  }
  if (call.wants(2)) put(*TRY(call.make(2, words->type, dims)), std::span<const float>(sum));
  return Done{};
}

// Source: ONNX, MeanVarianceNormalization.
Status mean_variance_normalization(Call& call) {
  const Tensor* x = TRY(call.tensor(0));
  auto named = call.list("axes");
  if (!call.has_attribute("axes")) named = {0, 2, 3};
  const auto axes = TRY(checked_axes(named, x->rank()));
  std::vector<std::size_t> order, back(x->rank());
  std::int64_t n = 1;
  for (std::size_t i = 0; i < x->rank(); ++i)
    if (std::ranges::find(axes, i) == axes.end()) order.push_back(i);
  for (const std::size_t axis : axes) {
    order.push_back(axis);
    n *= x->dims[axis];
  }
  for (std::size_t i = 0; i < order.size(); ++i) back[order[i]] = i;
  Tensor turned = TRY(transposed(call, *x, order));
  const Numbers<float> numbers(turned);
  std::vector<float> result(numbers.size());
  for (std::int64_t row = 0; n > 0 && row < turned.count / n; ++row) {
    const Moments m = moments(numbers.data() + row * n, n);
    for (std::int64_t i = 0; i < n; ++i)
      result[static_cast<std::size_t>(row * n + i)] =
          static_cast<float>((numbers[static_cast<std::size_t>(row * n + i)] - m.mean) /
                             (std::sqrt(m.variance) + 1e-9));
  }
  Tensor normal = TRY(call.scratch(x->type, turned.dims));
  put(normal, std::span<const float>(result));
  call.give(0, TRY(transposed(call, normal, back)));
  return Done{};
}

Status lrn(Call& call) {
  const Tensor* x = TRY(call.tensor(0));
  const std::int64_t size = call.integer("size", 1);
  if (x->rank() < 2 || size < 1) return invalid("needs [batch, channels, ...] and a size");
  const double alpha = call.real("alpha", 1e-4), beta = call.real("beta", 0.75),
               bias = call.real("bias", 1);
  const std::int64_t channels = x->dims[1], inner = product(std::span(x->dims).subspan(2));
  const Numbers<float> numbers(*x);
  std::vector<float> result(numbers.size());
  for (std::int64_t i = 0; i < x->count; ++i) {
    const std::int64_t c = i / inner % channels;
    const std::int64_t from = std::max<std::int64_t>(0, c - (size - 1) / 2);
    const std::int64_t to = std::min(channels - 1, c + size / 2);
    double squares = 0;
    for (std::int64_t k = from; k <= to; ++k) {
      const double value = numbers[static_cast<std::size_t>(i + (k - c) * inner)];
      squares += value * value;
    }
    const auto at = static_cast<std::size_t>(i);
    result[at] = static_cast<float>(
        numbers[at] / std::pow(bias + alpha / static_cast<double>(size) * squares, beta));
  }
  put(*TRY(call.make(0, x->type, x->dims)), std::span<const float>(result));
  return Done{};
}

constexpr Operator rows[] = {
    {"BatchNormalization", batch_normalization, infer_same, 5, 5},
    {"InstanceNormalization", instance_normalization, infer_same, 3, 3},
    {"GroupNormalization", group_normalization, infer_same, 3, 3},
    {"LayerNormalization", layer_normalization, infer_same, 2, 3},
    {"RMSNormalization", rms_normalization, infer_same, 1, 2},
    {"SimplifiedLayerNormalization", rms_normalization, infer_same, 1, 2},
    {"com.microsoft.SkipLayerNormalization", skip_layer_normalization, infer_same, 3, 5},
    {"com.microsoft.SkipSimplifiedLayerNormalization", skip_rms_normalization, infer_same, 3, 4},
    {"com.microsoft.EmbedLayerNormalization", embed_layer_normalization, nullptr, 7, 9},
    {"MeanVarianceNormalization", mean_variance_normalization, infer_same, 1, 1},
    {"LRN", lrn, infer_same, 1, 1},
};

}  // namespace

std::span<const Operator> norm_operators() { return rows; }

}  // namespace hearth::graphs
