// Pooling.
// Source: ONNX operator specification, each operator's page.
#include <algorithm>
#include <cmath>
#include <limits>

#include "graphs/infer.h"
#include "graphs/operators/families.h"
#include "graphs/operators/tiles.h"

namespace hearth::graphs {
namespace {

struct Pooling {
  const Tensor* x;
  Windows windows;
  std::int64_t planes;
  Dims result;
};

Result<Pooling> pooling_of(Call& call) {
  Pooling pooling;
  pooling.x = TRY(call.tensor(0));
  const Dims& dims = pooling.x->dims;
  if (dims.size() < 3) return invalid(fmt::format("an image is needed, not {}", to_text(dims)));
  pooling.windows = TRY(windows_of(call, {dims.begin() + 2, dims.end()}, {}));
  pooling.planes = dims[0] * dims[1];
  pooling.result = {dims[0], dims[1]};
  pooling.result.insert(pooling.result.end(), pooling.windows.output.begin(),
                        pooling.windows.output.end());
  TRY(count_of(pooling.result));
  return pooling;
}

// For every window of every plane: each(window's flat output index, plane, places).
template <typename F>
void each_window(Call& call, const Pooling& pooling, F&& each) {
  const std::int64_t outputs = pooling.windows.output_count();
  parallel(call.machine, outputs,
           std::max<std::int64_t>(1, 1024 / std::max<std::int64_t>(1, pooling.planes)),
           [&](std::int64_t begin, std::int64_t end) {
             std::vector<std::int64_t> places;
             for (std::int64_t o = begin; o < end; ++o) {
               window_places(pooling.windows, o, places);
               for (std::int64_t plane = 0; plane < pooling.planes; ++plane)
                 each(plane * outputs + o, plane * pooling.windows.input_count(), places);
             }
           });
}

template <typename T>
void max_windows(Call& call, const Pooling& pooling, const T* x, T least, std::vector<T>& best,
                 std::vector<std::int64_t>& where) {
  each_window(call, pooling, [&](std::int64_t to, std::int64_t first, const auto& places) {
    T most = least;
    std::int64_t at = -1;
    for (const std::int64_t place : places)
      if (place >= 0 && (at < 0 || x[first + place] > most)) {
        most = x[first + place];
        at = first + place;
      }
    best[static_cast<std::size_t>(to)] = most;
    where[static_cast<std::size_t>(to)] = at;
  });
}

// Blocks of channels by tiles of places.  False: the windows are not for them.
Result<bool> max_blocks(Call& call, const Pooling& pooling) {
  const Tensor& x = *pooling.x;
  Plane plane;
  if (!x.is_blocked || x.type != Element::f32 || call.wants(1) || !plane_of(pooling.windows, plane))
    return false;
  const kernels::ConvKernels& table = conv_kernels(call.machine);
  const auto tile = static_cast<std::int64_t>(table.places);
  const std::int64_t places = plane.lines * plane.columns;
  if (places < tile / 2) return false;
  constexpr float least = -std::numeric_limits<float>::infinity();
  const Image image =
      TRY(image_of(call.machine, x, plane.border, reinterpret_cast<const std::byte*>(&least)));
  Tensor y = TRY(make_blocked(call.machine, Element::f32, pooling.result));
  const std::int64_t pitch = image.width * block_channels;
  const auto taps = taps_of(plane, pitch, block_channels, 1, 0);
  parallel(call.machine, x.dims[0] * image.blocks, 1, [&](std::int64_t begin, std::int64_t end) {
    const float* from[kernels::most_tile_places];
    for (std::int64_t b = begin; b < end; ++b)
      each_tile(0, places, tile, [&](std::int64_t first, std::int64_t count) {
        aim(from, image.memory.data<float>() + b * image.block_elements(), plane, pitch,
            block_channels, first, count);
        table.largest({.y = y.data<float>() + (b * places + first) * block_channels,
                       .y_block = 0,
                       .x = from,
                       .taps = taps.data(),
                       .tap_count = taps.size(),
                       .channels = kernels::channel_block,
                       .w = nullptr,
                       .bias = nullptr,
                       .add = nullptr,
                       .low = least,
                       .high = -least},
                      static_cast<std::size_t>(count));
      });
  });
  call.give(0, std::move(y));
  return true;
}

Status max_pool(Call& call) {
  Pooling pooling = TRY(pooling_of(call));
  if (TRY(max_blocks(call, pooling))) return Done{};
  const Tensor plain = TRY(to_plain(call.machine, *pooling.x));
  pooling.x = &plain;
  const Tensor& x = *pooling.x;
  Tensor* y = TRY(call.make(0, x.type, pooling.result));
  const auto n = static_cast<std::size_t>(y->count);
  std::vector<std::int64_t> where(n);
  if (is_float(x.type)) {
    std::vector<float> best(n);
    const Numbers<float> numbers(x);
    max_windows(call, pooling, numbers.data(), -std::numeric_limits<float>::infinity(), best,
                where);
    put(*y, std::span<const float>(best));
  } else {
    const Numbers<std::int64_t> numbers(x);
    std::vector<std::int64_t> best(n);
    max_windows(call, pooling, numbers.data(), std::int64_t{x.type == Element::i8 ? -128 : 0}, best,
                where);
    put(*y, std::span<const std::int64_t>(best));
  }
  if (!call.wants(1)) return Done{};
  if (call.integer("storage_order", 0) != 0 && pooling.windows.rank() > 1) {
    // Column-major within each plane.
    const Windows& w = pooling.windows;
    for (std::int64_t& at : where) {
      if (at < 0) continue;
      std::int64_t rest = at % w.input_count(), place = 0, step = 1;
      std::vector<std::int64_t> index(w.rank());
      for (std::size_t i = w.rank(); i-- > 0;) {
        index[i] = rest % w.input[i];
        rest /= w.input[i];
      }
      for (std::size_t i = 0; i < w.rank(); ++i) {
        place += index[i] * step;
        step *= w.input[i];
      }
      at = at / w.input_count() * w.input_count() + place;
    }
  }
  Tensor* indices = TRY(call.make(1, Element::i64, pooling.result));
  put(*indices, std::span<const std::int64_t>(where));
  return Done{};
}

// How many elements a window covers: with the padding that was asked for, but not beyond it.
std::int64_t covered(const Windows& w, std::int64_t output) {
  std::int64_t count = 1;
  for (std::size_t i = w.rank(); i-- > 0;) {
    const std::int64_t first = output % w.output[i] * w.stride[i];
    output /= w.output[i];
    const std::int64_t room = w.input[i] + w.before[i] + w.after[i];
    std::int64_t inside = 0;
    for (std::int64_t k = 0; k < w.kernel[i]; ++k) inside += first + k * w.dilation[i] < room;
    count *= inside;
  }
  return count;
}

Status average_pool(Call& call) {
  const Pooling pooling = TRY(pooling_of(call));
  const bool pads = call.integer("count_include_pad", 0) != 0;
  Tensor* y = TRY(call.make(0, pooling.x->type, pooling.result));
  const Numbers<float> x(*pooling.x);
  std::vector<float> result(static_cast<std::size_t>(y->count));
  const std::int64_t outputs = pooling.windows.output_count();
  each_window(call, pooling, [&](std::int64_t to, std::int64_t first, const auto& places) {
    float sum = 0;
    std::int64_t inside = 0;
    for (const std::int64_t place : places)
      if (place >= 0) {
        sum += x[static_cast<std::size_t>(first + place)];
        ++inside;
      }
    if (pads) inside = covered(pooling.windows, to % outputs);
    result[static_cast<std::size_t>(to)] = inside == 0 ? 0 : sum / static_cast<float>(inside);
  });
  put(*y, std::span<const float>(result));
  return Done{};
}

double power(double x, double p) {
  return p == 2 ? x * x : p == 1 ? std::fabs(x) : std::pow(std::fabs(x), p);
}
double root(double x, double p) { return p == 2 ? std::sqrt(x) : p == 1 ? x : std::pow(x, 1 / p); }

double norm_order(Call& call) {
  return call.has_attribute("p")
             ? std::max(call.real("p", 0), static_cast<double>(call.integer("p", 0)))
             : 2;
}

Status lp_pool(Call& call) {
  const Pooling pooling = TRY(pooling_of(call));
  const double p = norm_order(call);
  Tensor* y = TRY(call.make(0, pooling.x->type, pooling.result));
  const Numbers<float> x(*pooling.x);
  std::vector<float> result(static_cast<std::size_t>(y->count));
  each_window(call, pooling, [&](std::int64_t to, std::int64_t first, const auto& places) {
    double sum = 0;
    for (const std::int64_t place : places)
      if (place >= 0) sum += power(x[static_cast<std::size_t>(first + place)], p);
    result[static_cast<std::size_t>(to)] = static_cast<float>(root(sum, p));
  });
  put(*y, std::span<const float>(result));
  return Done{};
}

enum class Whole { average, most, norm };

template <Whole whole>
Status global_pool(Call& call) {
  const Tensor* x = TRY(call.tensor(0));
  if (x->rank() < 2) return invalid(fmt::format("an image is needed, not {}", to_text(x->dims)));
  Dims dims(x->rank(), 1);
  dims[0] = x->dims[0];
  dims[1] = x->dims[1];
  Tensor* y = TRY(call.make(0, x->type, dims));
  const std::int64_t n = product(std::span(x->dims).subspan(2));
  const Numbers<float> numbers(*x);
  const double p = norm_order(call);
  std::vector<float> result(static_cast<std::size_t>(y->count));
  for (std::int64_t i = 0; i < y->count; ++i) {
    const float* row = numbers.data() + i * n;
    double sum = whole == Whole::most ? -std::numeric_limits<double>::infinity() : 0;
    for (std::int64_t k = 0; k < n; ++k) {
      const double value = row[k];
      sum = whole == Whole::most ? std::max(sum, value)
                                 : sum + (whole == Whole::norm ? power(value, p) : value);
    }
    if (whole == Whole::average) sum /= static_cast<double>(n);
    if (whole == Whole::norm) sum = root(sum, p);
    result[static_cast<std::size_t>(i)] = static_cast<float>(sum);
  }
  put(*y, std::span<const float>(result));
  return Done{};
}

// Means of whole planes, of a blocked image too.
Status global_average(Call& call) {
  const Tensor* x = TRY(call.tensor(0));
  if (!x->is_blocked) return global_pool<Whole::average>(call);
  const Tensor all = physical(*x);
  const std::int64_t places = product(std::span(x->dims).subspan(2)), channels = x->dims[1];
  Dims dims(x->rank(), 1);
  dims[0] = x->dims[0];
  dims[1] = channels;
  Tensor* y = TRY(call.make(0, Element::f32, std::move(dims)));
  parallel(call.machine, all.dims[0] * all.dims[1], 8, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t b = begin; b < end; ++b) {
      float sums[block_channels] = {};
      const float* from = all.data<float>() + b * places * block_channels;
      for (std::int64_t i = 0; i < places; ++i)
        for (std::int64_t c = 0; c < block_channels; ++c) sums[c] += from[i * block_channels + c];
      const std::int64_t n = b / all.dims[1], first = b % all.dims[1] * block_channels;
      for (std::int64_t c = 0; c < std::min(block_channels, channels - first); ++c)
        y->data<float>()[n * channels + first + c] = sums[c] / static_cast<float>(places);
    }
  });
  return Done{};
}

Status max_unpool(Call& call) {
  const Tensor* x = TRY(call.tensor(0));
  const auto places = TRY(call.integers(1));
  const auto kernel = call.list("kernel_shape");
  if (x->rank() < 3 || kernel.size() != x->rank() - 2 ||
      static_cast<std::int64_t>(places.size()) != x->count)
    return invalid(fmt::format("{} indices for {}", places.size(), to_text(x->dims)));
  auto strides = call.list("strides"), pads = call.list("pads");
  if (strides.empty()) strides.assign(kernel.size(), 1);
  if (pads.empty()) pads.assign(2 * kernel.size(), 0);
  if (strides.size() != kernel.size() || pads.size() != 2 * kernel.size())
    return invalid("strides or pads of another rank");
  Dims natural{x->dims[0], x->dims[1]};  // the shape that the indices are of
  for (std::size_t i = 0; i < kernel.size(); ++i)
    natural.push_back((x->dims[i + 2] - 1) * strides[i] - pads[i] - pads[kernel.size() + i] +
                      kernel[i]);
  TRY(count_of(natural));
  Dims dims = natural;
  if (call.has(2)) dims = TRY(call.integers(2));
  Tensor* y = TRY(call.make(0, x->type, dims));
  std::memset(y->bytes, 0, y->byte_count());
  if (dims.size() != natural.size()) return invalid("output_shape of another rank");
  const Dims from = strides_of(natural), to = strides_of(dims);
  const std::size_t size = size_of(x->type);
  const std::int64_t most = product(natural);
  for (std::size_t i = 0; i < places.size(); ++i) {
    if (places[i] < 0 || places[i] >= most) return invalid(fmt::format("index {}", places[i]));
    std::int64_t place = 0;
    bool inside = true;
    for (std::size_t k = 0; k < dims.size(); ++k) {
      const std::int64_t at = places[i] / from[k] % natural[k];
      inside = inside && at < dims[k];
      place += at * to[k];
    }
    if (inside)
      std::memcpy(y->bytes + static_cast<std::size_t>(place) * size, x->bytes + i * size, size);
  }
  return Done{};
}

constexpr Operator rows[] = {
    {"MaxPool", max_pool, infer_pool, 1, 1, false, Blocks::taken},
    {"AveragePool", average_pool, infer_pool, 1, 1},
    {"LpPool", lp_pool, infer_pool, 1, 1},
    {"GlobalAveragePool", global_average, infer_global_pool, 1, 1, false, Blocks::taken},
    {"GlobalMaxPool", global_pool<Whole::most>, infer_global_pool, 1, 1},
    {"GlobalLpPool", global_pool<Whole::norm>, infer_global_pool, 1, 1},
    {"MaxUnpool", max_unpool, nullptr, 2, 3},
};

}  // namespace

std::span<const Operator> pool_operators() { return rows; }

}  // namespace hearth::graphs
