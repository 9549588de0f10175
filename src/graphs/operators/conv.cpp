// Convolutions: Conv, ConvTranspose, ConvInteger, DeformConv, Col2Im, CausalConvWithState.
// Source: ONNX operator specification, each operator's page.
#include "graphs/operators/conv.h"

#include <algorithm>
#include <cmath>

#include "graphs/infer.h"
#include "graphs/operators/families.h"
#include "graphs/operators/gemm.h"
#include "graphs/operators/move.h"

namespace hearth::graphs {

Result<ConvShape> conv_shape(Call& call, const Dims& x, const Dims& w) {
  if (x.size() < 3 || w.size() != x.size())
    return invalid(fmt::format("an image {} and a kernel {}", to_text(x), to_text(w)));
  const std::int64_t groups = call.integer("group", 1);
  if (groups < 1 || w[0] % groups != 0 || x[1] % groups != 0 || x[1] / groups != w[1])
    return invalid(
        fmt::format("an image {} and a kernel {} in {} groups", to_text(x), to_text(w), groups));
  ConvShape shape{x[0], x[1], groups, w[0], {}, {}};
  shape.windows = TRY(windows_of(call, {x.begin() + 2, x.end()}, {w.begin() + 2, w.end()}));
  if (shape.windows.kernel_count() != product(std::span(w).subspan(2)))
    return invalid(
        fmt::format("kernel_shape {} for a kernel {}", to_text(shape.windows.kernel), to_text(w)));
  shape.result = {x[0], w[0]};
  shape.result.insert(shape.result.end(), shape.windows.output.begin(), shape.windows.output.end());
  TRY(count_of(shape.result));
  return shape;
}

namespace {

// What a panel of windows sees of the planes of one group: rows are (channel, kernel element).
struct Unfold {
  const Windows& w;
  const float* planes;
  bool is_plain;  // one element, no padding, no stride: the planes themselves

  void operator()(float* to, std::int64_t column, std::int64_t columns, std::int64_t first,
                  std::int64_t rows) const {
    constexpr std::int64_t width = 16;
    if (columns < width) std::fill_n(to, rows * width, 0.0f);
    if (is_plain) {
      const float* from = planes + first * w.input_count() + column;
      for (std::int64_t i = 0; i < rows; ++i, from += w.input_count())
        if (columns == width)  // of a size that the compiler knows
          std::memcpy(to + i * width, from, width * sizeof(float));
        else
          std::copy_n(from, columns, to + i * width);
      return;
    }
    if (w.rank() == 2) return two_axes(to, column, columns, first, rows);
    const std::int64_t size = w.kernel_count();
    std::vector<std::int64_t> places;
    for (std::int64_t j = 0; j < columns; ++j) {
      window_places(w, column + j, places);
      for (std::int64_t i = 0; i < rows; ++i) {
        const std::int64_t at = places[static_cast<std::size_t>((first + i) % size)];
        to[i * width + j] = at < 0 ? 0 : planes[(first + i) / size * w.input_count() + at];
      }
    }
  }

  // Windows of one line of the output: they see one line of the input, `stride` apart.
  struct Run {
    std::int64_t first, count, top, left;
  };

  void two_axes(float* to, std::int64_t column, std::int64_t columns, std::int64_t first,
                std::int64_t rows) const {
    constexpr std::int64_t width = 16;
    Run runs[width];
    int count = 0;
    for (std::int64_t j = 0; j < columns;) {
      const std::int64_t line = (column + j) / w.output[1], at = (column + j) % w.output[1];
      const std::int64_t n = std::min(columns - j, w.output[1] - at);
      runs[count++] = {j, n, line * w.stride[0] - w.before[0], at * w.stride[1] - w.before[1]};
      j += n;
    }
    const std::int64_t size = w.kernel_count(), step = w.stride[1], breadth = w.input[1];
    std::int64_t k = first % size;
    const float* plane = planes + first / size * w.input_count();
    for (std::int64_t i = 0; i < rows; ++i, to += width) {
      const std::int64_t dy = k / w.kernel[1] * w.dilation[0], dx = k % w.kernel[1] * w.dilation[1];
      for (int r = 0; r < count; ++r) {
        const Run& run = runs[r];
        const std::int64_t y = run.top + dy, x = run.left + dx;
        float* out = to + run.first;
        if (y < 0 || y >= w.input[0]) {
          std::fill_n(out, run.count, 0.0f);
          continue;
        }
        const float* from = plane + y * breadth;
        const bool inside = x >= 0 && x + (run.count - 1) * step < breadth;
        if (inside && step == 1 && run.count == width)
          std::memcpy(out, from + x, width * sizeof(float));
        else if (inside)
          for (std::int64_t j = 0; j < run.count; ++j) out[j] = from[x + j * step];
        else
          for (std::int64_t j = 0; j < run.count; ++j) {
            const std::int64_t place = x + j * step;
            out[j] = place >= 0 && place < breadth ? from[place] : 0;
          }
      }
      if (++k == size) {
        k = 0;
        plane += w.input_count();
      }
    }
  }
};

// y[i] += a * x[i * step].
#if defined(__x86_64__)
__attribute__((target_clones("avx512f", "avx2", "default")))
#endif
void add_scaled(
    float* y, const float* x, std::int64_t step, float a, std::int64_t n) {
  if (step == 1) {
    for (std::int64_t i = 0; i < n; ++i) y[i] += a * x[i];
    return;
  }
  for (std::int64_t i = 0; i < n; ++i) y[i] += a * x[i * step];
}

// One plane with one kernel: each of its elements is added to all windows at once.
void conv_plane(const Windows& w, float* y, const float* x, const float* kernel) {
  const std::int64_t oh = w.output[0], ow = w.output[1], ih = w.input[0], iw = w.input[1];
  for (std::int64_t k = 0; k < w.kernel_count(); ++k) {
    const std::int64_t dy = k / w.kernel[1] * w.dilation[0] - w.before[0];
    const std::int64_t dx = k % w.kernel[1] * w.dilation[1] - w.before[1], step = w.stride[1];
    const std::int64_t begin = dx >= 0 ? 0 : (-dx + step - 1) / step;
    const std::int64_t end = std::min(ow, dx >= iw ? 0 : (iw - 1 - dx) / step + 1);
    if (begin >= end) continue;
    for (std::int64_t oy = 0; oy < oh; ++oy) {
      const std::int64_t iy = oy * w.stride[0] + dy;
      if (iy < 0 || iy >= ih) continue;
      add_scaled(y + oy * ow + begin, x + iy * iw + begin * step + dx, step, kernel[k],
                 end - begin);
    }
  }
}

}  // namespace

void conv_f32(Machine& machine, const ConvShape& shape, float* y, const float* x, const float* w,
              const float* bias) {
  const Windows& win = shape.windows;
  const std::int64_t planes = shape.channels / shape.groups, filters = shape.filters / shape.groups;
  const std::int64_t size = win.kernel_count(), outputs = win.output_count();
  if (planes == 1 && win.rank() == 2) {  // by channel
    parallel(machine, shape.batch * shape.filters, 1, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t row = begin; row < end; ++row) {
        const std::int64_t b = row / shape.filters, f = row % shape.filters;
        std::fill_n(y + row * outputs, outputs, bias == nullptr ? 0.0f : bias[f]);
        conv_plane(win, y + row * outputs,
                   x + (b * shape.channels + f / filters) * win.input_count(), w + f * size);
      }
    });
    return;
  }
  bool is_plain = size == 1;
  for (std::size_t i = 0; i < win.rank(); ++i)
    is_plain = is_plain && win.stride[i] == 1 && win.before[i] == 0 && win.after[i] == 0;
  for (std::int64_t item = 0; item < shape.batch * shape.groups; ++item) {
    const std::int64_t b = item / shape.groups, g = item % shape.groups;
    const Unfold unfold{win, x + (b * shape.channels + g * planes) * win.input_count(), is_plain};
    multiply_panels(machine,
                    {filters, outputs, planes * size, w + g * filters * planes * size,
                     planes * size, y + (b * shape.filters + g * filters) * outputs, outputs,
                     bias == nullptr ? nullptr : bias + g * filters},
                    unfold);
  }
}

namespace {

Status conv(Call& call) {
  const Tensor* x = TRY(call.tensor(0));
  const Tensor* w = TRY(call.tensor(1));
  const Tensor* bias = call.tensor_or_null(2);
  const ConvShape shape = TRY(conv_shape(call, x->dims, w->dims));
  if (x->type != w->type || !is_float(x->type) || (bias != nullptr && bias->type != x->type))
    return invalid(
        fmt::format("an image of {}, a kernel of {}", name_of(x->type), name_of(w->type)));
  if (bias != nullptr && bias->count != shape.filters)
    return invalid(fmt::format("a bias of {} for {} filters", bias->count, shape.filters));
  Tensor* y = TRY(call.make(0, x->type, shape.result));
  const Numbers<float> from(*x), kernel(*w), add(bias == nullptr ? Tensor() : *bias);
  std::vector<float> own(x->type == Element::f32 ? 0 : static_cast<std::size_t>(y->count));
  float* to = x->type == Element::f32 ? y->data<float>() : own.data();
  conv_f32(call.machine, shape, to, from.data(), kernel.data(),
           bias == nullptr ? nullptr : add.data());
  if (x->type != Element::f32) put(*y, std::span<const float>(own));
  return Done{};
}

// The zero point of channel or filter `i`.
std::int64_t zero_of(const std::vector<std::int64_t>& zeros, std::int64_t i) {
  if (zeros.empty()) return 0;
  return zeros[zeros.size() == 1 ? 0 : static_cast<std::size_t>(i)];
}

}  // namespace

// Sums of products of whole numbers, each less its zero point.
Result<std::vector<std::int64_t>> conv_whole(Call& call, const ConvShape& shape, const Tensor& x,
                                             const Tensor& w, std::int64_t x_zero,
                                             const std::vector<std::int64_t>& w_zeros) {
  if (w_zeros.size() > 1 && static_cast<std::int64_t>(w_zeros.size()) != shape.filters)
    return invalid(fmt::format("{} zero points for {} filters", w_zeros.size(), shape.filters));
  const Numbers<std::int64_t> from(x), kernel(w);
  const Windows& win = shape.windows;
  const std::int64_t outputs = win.output_count(), planes = shape.channels / shape.groups;
  const std::int64_t size = win.kernel_count(), per_group = shape.filters / shape.groups;
  std::vector<std::int64_t> sums(static_cast<std::size_t>(product(shape.result)), 0);
  parallel(call.machine, outputs, 4, [&](std::int64_t begin, std::int64_t end) {
    std::vector<std::int64_t> places;
    for (std::int64_t o = begin; o < end; ++o) {
      window_places(win, o, places);
      for (std::int64_t row = 0; row < shape.batch * shape.filters; ++row) {
        const std::int64_t b = row / shape.filters, f = row % shape.filters, g = f / per_group;
        std::int64_t sum = 0;
        for (std::int64_t c = 0; c < planes; ++c) {
          const std::int64_t* plane =
              from.data() + (b * shape.channels + g * planes + c) * win.input_count();
          const std::int64_t* weight = kernel.data() + (f * planes + c) * size;
          for (std::int64_t k = 0; k < size; ++k)
            if (places[static_cast<std::size_t>(k)] >= 0)
              sum += (plane[places[static_cast<std::size_t>(k)]] - x_zero) *
                     (weight[k] - zero_of(w_zeros, f));
        }
        sums[static_cast<std::size_t>(row * outputs + o)] = sum;
      }
    }
  });
  return sums;
}

namespace {

Status conv_integer(Call& call) {
  const Tensor* x = TRY(call.tensor(0));
  const Tensor* w = TRY(call.tensor(1));
  const ConvShape shape = TRY(conv_shape(call, x->dims, w->dims));
  const std::int64_t x_zero = TRY(call.integer_input(2, 0));
  const auto zeros = call.has(3) ? TRY(call.integers(3)) : std::vector<std::int64_t>();
  const auto sums = TRY(conv_whole(call, shape, *x, *w, x_zero, zeros));
  Tensor* y = TRY(call.make(0, Element::i32, shape.result));
  put(*y, std::span<const std::int64_t>(sums));
  return Done{};
}

// Windows of a ConvTranspose: `input` and `output` are those of the convolution it turns around.
Result<Windows> transposed_windows(Call& call, const Dims& x, const Dims& w) {
  const std::size_t n = x.size() - 2;
  Windows win;
  win.output.assign(x.begin() + 2, x.end());
  win.kernel = call.list("kernel_shape").empty() ? std::vector<std::int64_t>(w.begin() + 2, w.end())
                                                 : call.list("kernel_shape");
  const auto list_or = [&](std::string_view name, std::size_t size, std::int64_t fallback) {
    auto numbers = call.list(name);
    if (numbers.empty()) numbers.assign(size, fallback);
    return numbers;
  };
  win.stride = list_or("strides", n, 1);
  win.dilation = list_or("dilations", n, 1);
  const auto pads = list_or("pads", 2 * n, 0), extra = list_or("output_padding", n, 0);
  auto wanted = call.list("output_shape");
  if (wanted.size() == n + 2) wanted.erase(wanted.begin(), wanted.begin() + 2);
  const std::string_view mode = call.text("auto_pad", "NOTSET");
  if (win.kernel.size() != n || win.stride.size() != n || win.dilation.size() != n ||
      pads.size() != 2 * n || extra.size() != n || (!wanted.empty() && wanted.size() != n))
    return invalid("kernel_shape, strides, dilations, pads or output_padding of another rank");
  for (std::size_t i = 0; i < n; ++i) {
    constexpr std::int64_t most = std::int64_t{1} << 24;
    for (const std::int64_t number : {win.stride[i] - 1, win.dilation[i] - 1, extra[i], pads[i],
                                      pads[n + i], win.kernel[i] - 1})
      if (number < 0 || number > most) return invalid("strides, dilations, kernel or pads");
    const std::int64_t full =
        (win.output[i] - 1) * win.stride[i] + extra[i] + (win.kernel[i] - 1) * win.dilation[i] + 1;
    std::int64_t before = pads[i], after = pads[n + i];
    if (!wanted.empty() || mode == "SAME_UPPER" || mode == "SAME_LOWER") {
      const std::int64_t extent = wanted.empty() ? win.output[i] * win.stride[i] : wanted[i];
      const std::int64_t total = std::max<std::int64_t>(0, full - extent);
      before = mode == "SAME_UPPER" ? total / 2 : total - total / 2;
      after = full - extent - before;  // negative: elements that no window reaches
    }
    if (mode == "VALID") before = after = 0;
    if (full - before - after < 1) return invalid("an output of no elements");
    win.before.push_back(before);
    win.after.push_back(after);
    win.input.push_back(full - before - after);
  }
  return win;
}

// w: [channels, filters / groups, kernel...].  Each input element adds its window of weights to the
// output.
Status conv_transpose(Call& call) {
  const Tensor* x = TRY(call.tensor(0));
  const Tensor* w = TRY(call.tensor(1));
  const Tensor* bias = call.tensor_or_null(2);
  const std::int64_t groups = call.integer("group", 1);
  if (x->rank() < 3 || w->rank() != x->rank() || x->dims[1] != w->dims[0] || groups < 1 ||
      x->dims[1] % groups != 0 || x->type != w->type || !is_float(x->type))
    return invalid(fmt::format("an image {} and a kernel {}", to_text(x->dims), to_text(w->dims)));
  const Windows win = TRY(transposed_windows(call, x->dims, w->dims));
  if (win.kernel_count() != product(std::span(w->dims).subspan(2)))
    return invalid("kernel_shape of another size than the kernel");
  const std::int64_t channels = x->dims[1], per_group = w->dims[1], filters = per_group * groups;
  if (bias != nullptr && bias->count != filters) return invalid("a bias of another size");
  Dims dims{x->dims[0], filters};
  dims.insert(dims.end(), win.input.begin(), win.input.end());
  Tensor* y = TRY(call.make(0, x->type, std::move(dims)));
  const Numbers<float> from(*x), kernel(*w), add(bias == nullptr ? Tensor() : *bias);
  std::vector<float> result(static_cast<std::size_t>(y->count), 0.0f);
  const std::int64_t inputs = win.output_count(), outputs = win.input_count();
  const std::int64_t size = win.kernel_count(), group_channels = channels / groups;
  parallel(call.machine, x->dims[0] * filters, 1, [&](std::int64_t begin, std::int64_t end) {
    std::vector<std::int64_t> places;
    for (std::int64_t row = begin; row < end; ++row) {
      const std::int64_t b = row / filters, f = row % filters, g = f / per_group;
      float* plane = result.data() + row * outputs;
      if (bias != nullptr) std::fill(plane, plane + outputs, add[static_cast<std::size_t>(f)]);
      for (std::int64_t o = 0; o < inputs; ++o) {
        window_places(win, o, places);
        for (std::int64_t c = g * group_channels; c < (g + 1) * group_channels; ++c) {
          const float value = from[static_cast<std::size_t>((b * channels + c) * inputs + o)];
          const float* weight = kernel.data() + (c * per_group + f % per_group) * size;
          for (std::int64_t k = 0; k < size; ++k)
            if (places[static_cast<std::size_t>(k)] >= 0)
              plane[places[static_cast<std::size_t>(k)]] += value * weight[k];
        }
      }
    }
  });
  put(*y, std::span<const float>(result));
  return Done{};
}

// Source: Dai et al. 2017, "Deformable Convolutional Networks": bilinear reads at moved places.
float bilinear(const float* plane, std::int64_t h, std::int64_t w, float y, float x) {
  const float y0 = std::floor(y), x0 = std::floor(x), fy = y - y0, fx = x - x0;
  float sum = 0;
  for (int dy = 0; dy < 2; ++dy)
    for (int dx = 0; dx < 2; ++dx) {
      const float py = y0 + static_cast<float>(dy), px = x0 + static_cast<float>(dx);
      if (!(py >= 0 && py < static_cast<float>(h) && px >= 0 && px < static_cast<float>(w)))
        continue;
      sum += plane[static_cast<std::int64_t>(py) * w + static_cast<std::int64_t>(px)] *
             (dy == 1 ? fy : 1 - fy) * (dx == 1 ? fx : 1 - fx);
    }
  return sum;
}

Status deform_conv(Call& call) {
  const Tensor* x = TRY(call.tensor(0));
  const Tensor* w = TRY(call.tensor(1));
  const Tensor* offset = TRY(call.tensor(2));
  const Tensor* bias = call.tensor_or_null(3);
  const Tensor* mask = call.tensor_or_null(4);
  const ConvShape shape = TRY(conv_shape(call, x->dims, w->dims));
  const Windows& win = shape.windows;
  if (win.rank() != 2) return unsupported("other than two spatial axes");
  const std::int64_t og = call.integer("offset_group", 1), size = win.kernel_count();
  const std::int64_t outputs = win.output_count();
  if (og < 1 || shape.channels % og != 0 ||
      offset->count != shape.batch * og * size * 2 * outputs ||
      (mask != nullptr && mask->count != shape.batch * og * size * outputs) ||
      (bias != nullptr && bias->count != shape.filters))
    return invalid(fmt::format("offsets {} in {} groups", to_text(offset->dims), og));
  const Numbers<float> from(*x), kernel(*w), move(*offset), add(bias == nullptr ? Tensor() : *bias),
      weight(mask == nullptr ? Tensor() : *mask);
  std::vector<float> result(static_cast<std::size_t>(product(shape.result)));
  const std::int64_t planes = shape.channels / shape.groups, filters = shape.filters / shape.groups;
  parallel(call.machine, shape.batch * shape.filters, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin; row < end; ++row) {
      const std::int64_t b = row / shape.filters, f = row % shape.filters, g = f / filters;
      for (std::int64_t o = 0; o < outputs; ++o) {
        float sum = bias == nullptr ? 0 : add[static_cast<std::size_t>(f)];
        for (std::int64_t c = 0; c < planes; ++c)
          for (std::int64_t k = 0; k < size; ++k) {
            const std::int64_t channel = g * planes + c, part = channel / (shape.channels / og);
            const std::int64_t slot = (b * og + part) * size + k;
            const auto at = [&](std::size_t axis, std::int64_t out, std::int64_t tap,
                                std::int64_t half) {
              return static_cast<float>(out * win.stride[axis] - win.before[axis] +
                                        tap * win.dilation[axis]) +
                     move[static_cast<std::size_t>((slot * 2 + half) * outputs + o)];
            };
            float value =
                bilinear(from.data() + (b * shape.channels + channel) * win.input_count(),
                         win.input[0], win.input[1], at(0, o / win.output[1], k / win.kernel[1], 0),
                         at(1, o % win.output[1], k % win.kernel[1], 1));
            if (mask != nullptr) value *= weight[static_cast<std::size_t>(slot * outputs + o)];
            sum += value * kernel[static_cast<std::size_t>((f * planes + c) * size + k)];
          }
        result[static_cast<std::size_t>(row * outputs + o)] = sum;
      }
    }
  });
  Tensor* y = TRY(call.make(0, x->type, shape.result));
  put(*y, std::span<const float>(result));
  return Done{};
}

Status col2im(Call& call) {
  const Tensor* x = TRY(call.tensor(0));
  const auto image = TRY(call.integers(1)), block = TRY(call.integers(2));
  if (x->rank() != 3 || image.size() != block.size()) return invalid("needs columns [n, c * k, l]");
  for (const auto extent : image)
    if (extent < 0 || extent > (1 << 24)) return invalid(fmt::format("an image of {}", extent));
  const Windows win = TRY(windows_of(call, image, block));
  const std::int64_t size = win.kernel_count(), outputs = win.output_count();
  if (x->dims[1] % size != 0 || x->dims[2] != outputs)
    return invalid(fmt::format("columns {} for {} windows of {}", to_text(x->dims), outputs, size));
  const std::int64_t channels = x->dims[1] / size;
  Dims dims{x->dims[0], channels};
  dims.insert(dims.end(), image.begin(), image.end());
  Tensor* y = TRY(call.make(0, x->type, std::move(dims)));
  const Numbers<double> from(*x);
  std::vector<double> result(static_cast<std::size_t>(y->count), 0.0);
  std::vector<std::int64_t> places;
  for (std::int64_t o = 0; o < outputs; ++o) {
    window_places(win, o, places);
    for (std::int64_t plane = 0; plane < x->dims[0] * channels; ++plane)
      for (std::int64_t k = 0; k < size; ++k)
        if (places[static_cast<std::size_t>(k)] >= 0)
          result[static_cast<std::size_t>(plane * win.input_count() +
                                          places[static_cast<std::size_t>(k)])] +=
              from[static_cast<std::size_t>((plane * size + k) * outputs + o)];
  }
  put(*y, std::span<const double>(result));
  return Done{};
}

// Source: ONNX, CausalConvWithState.
Status causal_conv(Call& call) {
  const Tensor* x = TRY(call.tensor(0));
  const Tensor* w = TRY(call.tensor(1));
  const Tensor* bias = call.tensor_or_null(2);
  const Tensor* past = call.tensor_or_null(3);
  if (x->rank() != 3 || w->rank() != 3 || w->dims[0] != x->dims[1] || w->dims[1] != 1 ||
      w->dims[2] < 1)
    return invalid(fmt::format("a signal {} and a kernel {}", to_text(x->dims), to_text(w->dims)));
  const std::int64_t rows = x->dims[0] * x->dims[1], channels = x->dims[1], n = x->dims[2];
  const std::int64_t k = w->dims[2], carried = k - 1;
  if ((bias != nullptr && bias->count != channels) ||
      (past != nullptr && past->count != rows * carried))
    return invalid("a bias or state of another size");
  const Numbers<float> from(*x), kernel(*w), add(bias == nullptr ? Tensor() : *bias),
      before(past == nullptr ? Tensor() : *past);
  const std::string_view activation = call.text("activation", "none");
  std::vector<float> result(static_cast<std::size_t>(rows * n)),
      state(static_cast<std::size_t>(rows * carried));
  std::vector<float> line(static_cast<std::size_t>(carried + n));
  for (std::int64_t row = 0; row < rows; ++row) {
    const std::int64_t c = row % channels;
    for (std::int64_t i = 0; i < carried; ++i)
      line[static_cast<std::size_t>(i)] =
          past == nullptr ? 0 : before[static_cast<std::size_t>(row * carried + i)];
    std::copy(from.begin() + row * n, from.begin() + (row + 1) * n, line.begin() + carried);
    for (std::int64_t i = 0; i < n; ++i) {
      float sum = bias == nullptr ? 0 : add[static_cast<std::size_t>(c)];
      for (std::int64_t j = 0; j < k; ++j)
        sum += kernel[static_cast<std::size_t>(c * k + j)] * line[static_cast<std::size_t>(i + j)];
      if (activation == "silu" || activation == "swish") sum = sum / (1 + std::exp(-sum));
      result[static_cast<std::size_t>(row * n + i)] = sum;
    }
    std::copy(line.end() - carried, line.end(), state.begin() + row * carried);
  }
  Tensor* y = TRY(call.make(0, x->type, x->dims));
  put(*y, std::span<const float>(result));
  if (!call.wants(1)) return Done{};
  Tensor* present = TRY(call.make(1, x->type, {x->dims[0], channels, carried}));
  put(*present, std::span<const float>(state));
  return Done{};
}

constexpr Operator rows[] = {
    {"Conv", conv, infer_conv, 2, 3},
    {"ConvTranspose", conv_transpose, nullptr, 2, 3},
    {"ConvInteger", conv_integer, infer_conv_integer, 2, 4},
    {"DeformConv", deform_conv, infer_conv, 3, 5},
    {"Col2Im", col2im, nullptr, 3, 3},
    {"CausalConvWithState", causal_conv, infer_same, 2, 4},
    {"com.microsoft.CausalConvWithState", causal_conv, infer_same, 2, 4},
};

}  // namespace

std::span<const Operator> conv_operators() { return rows; }

}  // namespace hearth::graphs
